"""What the inference worker reads from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.configuration import checked_backends
from contracts.records import BackendSettings
from contracts.topology import DEFAULT_POOL

LOCAL_OLLAMA = BackendSettings(name="ollama", kind="ollama", url="http://127.0.0.1:11434")


class InferenceSettings(BaseSettings):
    """`OLLAMANET_*` settings; time-outs in seconds. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    pool: str = Field(default=DEFAULT_POOL, pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Whose questions this worker takes; it runs them on the back-ends of that pool, of which there may be none yet."""
    backends: Annotated[tuple[BackendSettings, ...], AfterValidator(checked_backends)] = (LOCAL_OLLAMA,)
    """Of all pools; they go before those of the registry that have the same name. Empty: the registry's alone."""
    allow_private_backends: bool = False
    """Whether back-ends that an administrator added may be at private addresses; those of `backends` always may."""
    first_token_timeout: float = Field(default=120.0, gt=0, le=1500)
    """From asking a back-end until its first token; loading the model counts."""
    token_timeout: float = Field(default=60.0, gt=0, le=1500)
    """Between two tokens."""
    generation_timeout: float = Field(default=600.0, gt=0, le=1500)
    """One generation in all; 25 minutes at most, for the broker takes a delivery back after 30."""

    probe_continuation: bool = True
    """Whether models are probed, so that an answer whose worker dies goes on from the text already shown; else it always begins again."""
