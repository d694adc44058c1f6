"""What an edge reads from the environment."""

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")]
"""Scheme, host and port of a page, as browsers send them."""


class EdgeSettings(BaseSettings):
    """`OLLAMANET_*` settings of an edge in either composition. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    admin_email: str | None = Field(default=None, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")
    """This account is the administrator."""
    admin_password: SecretStr | None = Field(default=None, min_length=10, max_length=1024)
    """With the e-mail: the account is made, or its password set, at the start."""
    behind_proxy: bool = False
    """Believe X-Forwarded-For and X-Forwarded-Proto."""
    generation_timeout: float = Field(default=600.0, gt=0, le=1500)
    """Seconds that a generation may run once it was taken; the hard deadline follows from it."""
    signups_per_hour: int = Field(default=20, ge=0)
    """For each address; 0 = no limit, here and below."""
    logins_per_minute: int = Field(default=10, ge=0)
    """For each account and address; three times as many for an address."""
    chats_per_minute: int = Field(default=60, ge=0)
    """Questions of a person."""
    live_generations: int = Field(default=20, ge=0)
    """Of a person at once, waiting and running."""
    image_megabytes: int = Field(default=1024, ge=1, le=1 << 30)
    """MiB of all images that one person has."""
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Pages elsewhere whose scripts may call this edge, with a token of their own and never with a cookie."""
    allow_private_backends: bool = False
    """Administrators may add back-ends in private networks; the embedded platform allows it unless told otherwise."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


class ListenSettings(BaseSettings):
    """Where a process of its own listens, and the key it signs with."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    """0: any free one."""
    jwt_key_file: str | None = None
    """PEM, one or more private keys (Ed25519 or P-256); the first signs. No default: every edge needs the same one."""
