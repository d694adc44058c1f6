"""What the catalog worker reads from the environment."""

from collections import Counter

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.records import BackendSettings

LOCAL_OLLAMA = BackendSettings(name="ollama", kind="ollama", url="http://127.0.0.1:11434")


class CatalogSettings(BaseSettings):
    """`OLLAMANET_*` settings. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    backends: tuple[BackendSettings, ...] = Field(default=(LOCAL_OLLAMA,), min_length=1)
    """Those of all pools: the catalog lists what any of them serves."""

    @field_validator("backends")
    @classmethod
    def _named_once(cls, value: tuple[BackendSettings, ...]) -> tuple[BackendSettings, ...]:
        twice = [name for name, times in Counter(one.name for one in value).items() if times > 1]
        if twice:
            raise ValueError(f"two back-ends are named {twice[0]!r}")
        return value
