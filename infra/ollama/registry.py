"""The registries that Ollama's models come from: what they have under a name now."""

import hashlib
import re
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
import structlog

from contracts.ports.management import Manifest, Registries
from infra.backends.guard import public_socket

log = structlog.get_logger()

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
WEIGHTS = "application/vnd.ollama.image.model"
LARGEST = 1024 * 1024
TIMEOUT = 10.0
AT_ONCE = 8
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?")


class _Layer(msgspec.Struct, rename={"media_type": "mediaType"}):
    media_type: str
    digest: str


class _Manifest(msgspec.Struct):
    layers: list[_Layer]


@dataclass(frozen=True)
class Name:
    """A model's name in full: `[host/][namespace/]model[:tag]`, as Ollama fills it up."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def path(self) -> str:
        """Of its manifest."""
        return f"/v2/{self.namespace}/{self.model}/manifests/{self.tag}"


def full_name(model: str) -> Name | None:
    """None where the name is none."""
    rest, _, tag = model.rpartition(":")
    if not rest or "/" in tag:
        rest, tag = model, TAG
    parts = rest.split("/")
    match parts:
        case [name]:
            found = Name(HOST, NAMESPACE, name, tag)
        case [namespace, name]:
            found = Name(HOST, namespace, name, tag)
        case [host, namespace, name]:
            found = Name(host, namespace, name, tag)
        case _:
            return None
    well = _PLACE.fullmatch(found.host) and all(
        _PART.fullmatch(one) for one in (found.namespace, found.model, found.tag)
    )
    return found if well else None


class OllamaRegistries(Registries):
    """Asks by https; a registry on this machine by http, as everybody's tools do. `allow_private`: whether private addresses may be asked."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=AT_ONCE, force_close=True, socket_factory=None if self._allow_private else public_socket
        )
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        self._http = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def manifest(self, model: str, *, insecure: bool = False) -> Manifest | None:
        name = full_name(model)
        if name is None or self._http is None:
            return None
        scheme = "http" if insecure or _on_this_machine(name.host) else "https"
        try:
            # no redirect: it would lead where nobody checked
            async with self._http.get(
                f"{scheme}://{name.host}{name.path}", headers={"Accept": MANIFEST}, allow_redirects=False
            ) as response:
                said = await response.content.read(LARGEST + 1) if response.status == 200 else b""
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.info("registry_not_asked", host=name.host, why=str(error) or type(error).__name__)
            return None
        return _read(said)


def _read(said: bytes) -> Manifest | None:
    if not said or len(said) > LARGEST:
        return None
    try:
        layers = msgspec.json.decode(said, type=_Manifest).layers
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    weights = next((one.digest for one in layers if one.media_type == WEIGHTS), None)
    return Manifest(digest=f"sha256:{hashlib.sha256(said).hexdigest()}", layer=weights)


def _on_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
