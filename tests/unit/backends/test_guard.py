"""Where connections to back-ends may lead, and whose certificates count."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from contracts.embeddings import Vectors
from contracts.errors import BackendFailed
from contracts.ports.backend import Backend, EmbedRequest
from contracts.records import BackendModel, BackendSettings
from infra.backends.guard import guarded_connector
from infra.backends.opening import opened
from tests.unit.backends.certificates import Authority, new_authority
from tests.unit.backends.raw import RawServer, Reply, json_reply, read

MODELS = json_reply({"data": [{"id": "small"}]})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return new_authority(tmp_path)


@pytest.fixture
async def secure(authority: Authority) -> AsyncGenerator[RawServer, None]:
    """A server that speaks TLS."""
    server = RawServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=authority.server)
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    server.says("/v1/models", MODELS)
    async with listening:
        yield server


def port_of(server: RawServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


async def listed(url: str, *, allow_private: bool = True, **settings: object) -> list[str]:
    """The models there, asked over a connection of its own."""
    fields = {"name": "gpu-1", "kind": "openai", "url": url, **settings}
    async with opened(BackendSettings.model_validate(fields), allow_private=allow_private) as backend:
        return [one.name for one in await backend.models()]


async def refused(url: str, *, allow_private: bool = False, **settings: object) -> str:
    """The sentence with which that fails."""
    with pytest.raises(BackendFailed) as failed:
        await listed(url, allow_private=allow_private, **settings)
    assert failed.value.code == "backend_unreachable"
    return str(failed.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_refused_by_what_it_is_and_not_by_its_name(raw: RawServer, host: str) -> None:
    raw.says("/v1/models", MODELS)
    sentence = await refused(f"http://{host}:{port_of(raw)}")
    assert sentence == "gpu-1 is at a private address, which is not allowed here (OLLAMANET_ALLOW_PRIVATE_BACKENDS)."
    assert raw.asked == []


async def test_it_is_reached_where_private_addresses_are_allowed(raw: RawServer) -> None:
    raw.says("/v1/models", MODELS)
    for host in ("127.0.0.1", "localhost"):
        assert await listed(f"http://{host}:{port_of(raw)}") == ["small"]


async def test_every_call_of_a_backend_is_guarded(raw: RawServer) -> None:
    for kind in ("openai", "ollama"):
        settings = BackendSettings(name="gpu-1", kind=kind, url=raw.url)
        async with opened(settings, allow_private=False) as backend:
            for call in (read(backend), vectors(backend), shown(backend)):
                with pytest.raises(BackendFailed, match="private address"):
                    await call
    assert raw.asked == []


async def vectors(backend: Backend) -> Vectors:
    return await backend.embed(EmbedRequest("small", ("x",)))


async def shown(backend: Backend) -> list[BackendModel]:
    return list(await backend.models())


class Changing(AbstractResolver):
    """Somebody else's name server: each look-up gives the next of these answers, whatever an earlier check saw."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in self._answers.pop(0)
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def looking_up(*answers: tuple[str, ...]) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A guarded session whose look-ups give these addresses, one after the other."""
    settings = BackendSettings(name="gpu-1", kind="openai", url="http://gpu.example")
    connector = guarded_connector(settings, allow_private=False)
    connector._resolver, connector._use_dns_cache = Changing(*answers), False  # type: ignore[assignment]
    timeout = aiohttp.ClientTimeout(sock_connect=0.2)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield http


async def test_of_all_that_a_name_leads_to_nothing_private_is_asked(raw: RawServer) -> None:
    answers = (("127.0.0.1",), ("169.254.169.254", "127.0.0.1"), ("10.0.0.1", "127.0.0.1", "192.168.0.1"))
    async with looking_up(*answers) as http:
        for _ in answers:
            with pytest.raises(aiohttp.ClientConnectorError, match="a private address"):
                await http.get(f"http://gpu.example:{port_of(raw)}")
    assert raw.asked == []


async def test_a_redirect_is_not_followed(raw: RawServer) -> None:
    moved = Reply((b"{}",), "307 Temporary Redirect", (f"Location: {raw.url}/inside",))
    raw.says("/v1/models", moved)
    with pytest.raises(BackendFailed, match="it is elsewhere now"):
        await listed(raw.url)
    assert [one.path for one in raw.asked] == ["/v1/models"]


async def test_a_server_of_ones_own_authority_is_trusted_by_it_alone(secure: RawServer, authority: Authority) -> None:
    assert await listed(secure.url, tls_ca=authority.pem) == ["small"]
    assert await refused(secure.url, allow_private=True) == "gpu-1 shows a certificate that we do not trust."
    assert len(secure.asked) == 1


async def test_another_authority_does_not_vouch_for_it(secure: RawServer, tmp_path: Path) -> None:
    other = new_authority(tmp_path)
    assert "certificate" in await refused(secure.url, allow_private=True, tls_ca=other.pem)


async def test_a_certificate_of_another_name_is_not_trusted(secure: RawServer, authority: Authority) -> None:
    url = f"https://127.0.0.2:{port_of(secure)}"
    listening = await asyncio.start_server(secure.serve, "127.0.0.2", port_of(secure), ssl=authority.server)
    async with listening:
        assert "certificate" in await refused(url, allow_private=True, tls_ca=authority.pem)
        assert await listed(url, tls_ca=authority.pem, tls_verify=False) == ["small"]


async def test_whoever_says_so_is_shown_no_certificate(secure: RawServer) -> None:
    assert await listed(secure.url, tls_verify=False) == ["small"]
    assert await listed(secure.url, tls_verify=False, tls_ca="nothing of the kind") == ["small"]


async def test_without_a_certificate_to_trust_no_backend_is_opened() -> None:
    for wrong in ("", "nothing of the kind", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"):
        with pytest.raises(ValueError, match="'gpu-1' is none: there is no certificate"):
            await listed("https://gpu", tls_ca=wrong)


async def test_a_server_that_speaks_no_tls_is_told_of() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        assert await refused(url, allow_private=True) == "gpu-1 does not speak TLS as we do."
