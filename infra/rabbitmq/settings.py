"""Where RabbitMQ is."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RabbitSettings(BaseSettings):
    """`OLLAMANET_RABBITMQ_URL`. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    rabbitmq_url: str = Field(
        default="amqp://guest:guest@127.0.0.1:5672/?heartbeat=5", pattern=r"^amqps?://", repr=False
    )
    """Keep `heartbeat=5`: a frozen process holds its messages for 90 s without it."""
