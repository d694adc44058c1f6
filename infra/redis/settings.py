"""Where Redis is."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RedisSettings(BaseSettings):
    """`OLLAMANET_REDIS_URL`. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    redis_url: str = Field(default="redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://", repr=False)
    """Needs AOF to keep answers in progress over a restart, and `maxmemory-policy noeviction`."""
