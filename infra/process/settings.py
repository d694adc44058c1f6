"""What every process reads from the environment, beside its own settings."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.process.failures import CannotStart

FROM_FILES = ("RABBITMQ_URL", "REDIS_URL", "MONGO_URL", "BACKENDS", "ADMIN_PASSWORD")
"""Settings with secrets inside: `OLLAMANET_<NAME>_FILE` may name a file that holds the value."""

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
    """Seconds from SIGTERM until what still runs is cancelled. Work in flight gets two thirds of them."""
    failpoint: str | None = Field(default=None, pattern=r"^[a-z_]+\.[a-z_]+:[1-9][0-9]{0,8}$")
    """For tests: `<port>.<method>:<N>` ends the process right after that call returned for the N-th time."""


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Put the content of each `OLLAMANET_<NAME>_FILE` under its name, unless that is set. CannotStart if it cannot be read."""
    for name in (f"OLLAMANET_{one}" for one in FROM_FILES):
        file = environment.get(f"{name}_FILE")
        if not file or environment.get(name):
            continue
        try:
            environment[name] = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CannotStart(f"{name}_FILE names {file}, which cannot be read: {error}.") from error
