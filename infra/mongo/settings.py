"""Where MongoDB is."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MongoSettings(BaseSettings):
    """`OLLAMANET_MONGO_URL`. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    mongo_url: str = Field(default="mongodb://127.0.0.1:27017/ollamanet", pattern=r"^mongodb(\+srv)?://", repr=False)
    """Its path names the database."""
