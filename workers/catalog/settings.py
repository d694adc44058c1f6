"""What the catalog worker reads from the environment."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.configuration import checked_backends
from contracts.records import BackendSettings

LOCAL_OLLAMA = BackendSettings(name="ollama", kind="ollama", url="http://127.0.0.1:11434")


class CatalogSettings(BaseSettings):
    """`OLLAMANET_*` settings. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    backends: Annotated[tuple[BackendSettings, ...], AfterValidator(checked_backends)] = (LOCAL_OLLAMA,)
    """Those of all pools: the catalog puts them into the registry, and lists what any one there serves. Empty: the registry alone."""
    allow_private_backends: bool = False
    """Whether those that administrators added may be at private addresses."""
