"""What every process reads from the environment, beside its own settings."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


class ProcessSettings(BaseSettings):
    """`OLLAMANET_*` settings of any process. Empty variables count as unset."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    ops_port: int | None = Field(default=None, ge=0, le=65535)
    """Health, readiness and metrics; 0 = off; None: the service's own default."""
    ops_host: str = "127.0.0.1"
    """Where they listen. Metrics have no password: open this to a private network only."""
    log_level: LogLevel = "info"
    drain: float = Field(default=30.0, ge=0, le=3600)
    """Seconds from SIGTERM until what still runs is cancelled. Handlers get 20 of them (Bus.consume)."""
