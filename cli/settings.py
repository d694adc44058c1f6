"""What the command reads from its environment."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.configuration import checked_backends
from contracts.records import BackendSettings

HOST = "127.0.0.1"
PORT = 8080
LOCAL = "local"
FAKE = "fake"


def data_folder() -> Path:
    """Where this person's platform keeps its data unless told otherwise."""
    from platformdirs import user_data_path

    return user_data_path("ollamanet", appauthor=False)


class EmbeddedSettings(BaseSettings):
    """The embedded platform: `OLLAMANET_*`, overridden by the options of `ollamanet up`."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = HOST
    port: int = Field(default=PORT, ge=0, le=65535)
    """0: any free one."""
    data: Path = Field(default_factory=data_folder)
    """Accounts, chats, accepted questions and the signing key; mode 0700."""
    backend: str | None = None
    """`local` (the small model), `fake`, a model server's URL, or None: a local Ollama with a chat model, else `local`."""
    backends: Annotated[tuple[BackendSettings, ...], AfterValidator(checked_backends)] = ()
    """OLLAMANET_BACKENDS; where it is set, it alone counts (an explicit `--backend` goes before it)."""
    behind_proxy: bool = False
    """A proxy that speaks TLS stands before it and names the client's address."""
    insecure: bool = False
    """Listen on a public address without TLS."""

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        return not is_loopback(self.host)


class ClientSettings(BaseSettings):
    """Which platform the other commands speak to."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    url: str | None = None
    host: str = HOST
    port: int = Field(default=PORT, ge=1, le=65535)

    @property
    def base_url(self) -> str:
        """OLLAMANET_URL, else where `ollamanet up` listens with this environment."""
        return (self.url or f"http://{HOST}:{self.port}").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
