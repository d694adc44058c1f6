"""Where MongoDB is."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri


class MongoSettings(BaseSettings):
    """`OLLAMANET_MONGO_URL`. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    mongo_url: str = Field(default="mongodb://127.0.0.1:27017/ollamanet", pattern=r"^mongodb(\+srv)?://", repr=False)
    """Its path names the database."""

    @field_validator("mongo_url")
    @classmethod
    def _can_be_read(cls, value: str) -> str:
        if value.startswith("mongodb://"):  # the other form asks name servers
            try:
                parse_uri(value)
            except (PyMongoError, ValueError) as error:
                raise ValueError(
                    "it is not an address of MongoDB (special characters in a password are written %40)"
                ) from error
        return value
