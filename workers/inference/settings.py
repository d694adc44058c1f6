"""What the inference worker reads from the environment."""

from collections import Counter

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.records import BackendSettings
from contracts.topology import DEFAULT_POOL

LOCAL_OLLAMA = BackendSettings(name="ollama", kind="ollama", url="http://127.0.0.1:11434")


class InferenceSettings(BaseSettings):
    """`OLLAMANET_*` settings; time-outs in seconds. A wrong value raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    pool: str = Field(default=DEFAULT_POOL, pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Whose questions this worker takes; it runs them on the back-ends of that pool, of which there may be none yet."""
    backends: tuple[BackendSettings, ...] = (LOCAL_OLLAMA,)
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

    @field_validator("backends")
    @classmethod
    def _named_once(cls, value: tuple[BackendSettings, ...]) -> tuple[BackendSettings, ...]:
        twice = [name for name, times in Counter(one.name for one in value).items() if times > 1]
        if twice:
            raise ValueError(f"two back-ends are named {twice[0]!r}")
        return value
