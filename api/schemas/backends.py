"""JSON of back-ends. A key comes in and never goes out: not even how long it is."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.backends import Administered, RegistryPage
from api.looking import Looked
from api.schemas.text import Text
from contracts.addresses import LONGEST_URL, checked_url
from contracts.administration import CATALOG
from contracts.certificates import LONGEST_PEM, checked_certificates
from contracts.records import BackendKind, BackendSettings, LoadedModel

Kind = Literal["ollama", "openai"]
"""What an administrator may add; `fake` is for whoever starts the platform."""


def _free(name: str) -> str:
    if name == CATALOG:
        raise ValueError(f"{CATALOG!r} means the catalog's own record: choose another name")
    return name


def _certificates(pem: str) -> str:
    if "PRIVATE KEY" in pem:
        raise ValueError("there is a private key in it: certificates alone are needed")
    return checked_certificates(pem)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$"), AfterValidator(_free)]
Url = Annotated[Text, StringConstraints(strip_whitespace=True, max_length=LONGEST_URL), AfterValidator(checked_url)]
Pool = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Slots = Annotated[int, Field(ge=1, le=1024)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[!-~]+$")]
Certificates = Annotated[Text, StringConstraints(max_length=LONGEST_PEM), AfterValidator(_certificates)]


class AddBackend(BaseModel):
    """A new back-end. `slots`: calls that one worker of its pool runs there at once. `tls_ca`: who alone is trusted to sign its certificate."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(examples=["gpu-1"])
    kind: Kind = Field(examples=["ollama"])
    url: Url = Field(examples=["https://gpu-1.example.org:11434"])
    pool: Pool = Field(default="default", examples=["default"])
    slots: Slots = Field(default=4, examples=[4])
    api_key: Key | None = Field(default=None, examples=["sk-secret"])
    tls_ca: Certificates | None = None
    tls_verify: bool = True

    def settings(self) -> BackendSettings:
        """As the registry keeps it."""
        return BackendSettings.model_validate(self.model_dump())


class ChangeBackend(BaseModel):
    """What is to be another way; what is left out stays. `api_key`, `tls_ca`: null removes it."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    url: Url | None = Field(default=None, examples=["https://gpu-2.example.org:11434"])
    pool: Pool | None = None
    slots: Slots | None = Field(default=None, examples=[8])
    api_key: Key | None = None
    tls_ca: Certificates | None = None
    tls_verify: bool | None = None

    @field_validator("kind", "url", "pool", "slots", "tls_verify")
    @classmethod
    def _said(cls, value: object) -> object:
        if value is None:
            raise ValueError("may be left out, but not be null")
        return value

    def changes(self) -> dict[str, Any]:
        """Those that were sent."""
        return self.model_dump(exclude_unset=True)


class HealthBody(BaseModel):
    """How it stands. healthy, error, checked_at, latency_ms, version, loaded: the catalog's last look; null before the first.

    circuit: the worst of its workers, null where none serves it. calls, failures, error_rate, ttft_ms: of the last minute, all
    workers. running: calls now, by model; slots: how many there may be.
    """

    healthy: bool | None
    error: str | None
    checked_at: datetime | None
    latency_ms: int | None
    version: str | None
    loaded: list[LoadedModel]
    circuit: Literal["closed", "half-open", "open"] | None
    calls: int
    failures: int
    error_rate: float | None
    ttft_ms: int | None
    running: dict[str, int]
    slots: int


class BackendBody(BaseModel):
    """A back-end. What stands in OLLAMANET_BACKENDS is of `source` `configuration`, and changed there alone."""

    name: str
    kind: BackendKind
    url: str
    pool: str
    slots: int
    api_key_set: bool
    tls_ca: str | None
    tls_verify: bool
    source: Literal["configuration", "admin"]
    created_at: datetime
    updated_at: datetime
    health: HealthBody

    @classmethod
    def of(cls, one: Administered) -> "BackendBody":
        """A back-end as JSON."""
        settings = one.backend.settings
        kept = settings.model_dump(include={"name", "kind", "pool", "slots", "tls_ca", "tls_verify"})
        made = one.backend.model_dump(include={"source", "created_at", "updated_at"})
        url, is_keyed = without_credentials(settings.url), settings.api_key is not None
        return cls.model_validate({**kept, **made, "url": url, "api_key_set": is_keyed, "health": _health(one)})


class UnreadableBackend(BaseModel):
    """One that cannot be shown, for its key or its record cannot be read: it is mended as `error` says, or removed."""

    name: str
    error: str


class BackendList(BaseModel):
    """One page of back-ends, by name."""

    items: list[BackendBody]
    unreadable: list[UnreadableBackend]
    next_cursor: str | None

    @classmethod
    def of(cls, page: RegistryPage, next_cursor: str | None) -> "BackendList":
        """A page as JSON."""
        unreadable = [UnreadableBackend(name=name, error=error) for name, error in page.unreadable.items()]
        return cls(items=[BackendBody.of(one) for one in page.items], unreadable=unreadable, next_cursor=next_cursor)


class LookedBody(BaseModel):
    """What a look at the back-end found, asked for just now. latency_ms: until it had told its models; `models`: how many."""

    reachable: bool
    latency_ms: int | None
    version: str | None
    models: int
    error: str | None

    @classmethod
    def of(cls, looked: Looked) -> "LookedBody":
        """A look as JSON."""
        seen = looked.health
        return cls(
            reachable=seen.healthy,
            latency_ms=seen.latency_ms,
            version=seen.version,
            models=looked.models,
            error=seen.error,
        )


def without_credentials(url: str) -> str:
    """A configured URL may hold a name and a password, which are nobody's to see."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def _health(one: Administered) -> dict[str, object]:
    standing = one.standing
    own = ("circuit", "calls", "failures", "error_rate", "ttft_ms", "running", "slots")
    seen = standing.seen.model_dump() if standing.seen else {}
    looked = {name: seen.get(name) for name in ("healthy", "error", "checked_at", "latency_ms", "version")}
    return {**looked, "loaded": seen.get("loaded", ()), **{name: getattr(standing, name) for name in own}}
