"""What every `Probes` does. The suite is the port's definition."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from contracts.ports.stores import Probes
from contracts.records import Probe
from infra.redis.probes import RedisProbes
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.probes import SqliteProbes
from tests.contract.ports.stores import HOSTILE, now

Opening = Callable[[], AbstractAsyncContextManager[Probes]]


@pytest.fixture(params=["sqlite", "redis"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens the adapter that is tested; twice on the same data."""
    if request.param == "redis":
        url = request.getfixturevalue("new_redis_url")()
        return lambda: RedisProbes(url)

    @asynccontextmanager
    async def on_sqlite() -> AsyncGenerator[Probes]:
        async with SqliteDatabase(tmp_path / "ollamanet.db") as database:
            yield SqliteProbes(database)

    return on_sqlite


@pytest.fixture
async def probes(opening: Opening) -> AsyncGenerator[Probes]:
    async with opening() as opened:
        yield opened


def probe(**changes: object) -> Probe:
    return Probe.model_validate(
        {"backend": "gpu-1", "model": "llama3.2:3b", "digest": "sha256:1", "continues": True, "probed_at": now()}
        | changes
    )


async def test_what_was_kept_is_known(probes: Probes) -> None:
    kept = probe()
    await probes.keep(kept)
    assert await _known(probes) == kept


async def test_nothing_is_known_of_another_version_model_or_back_end(probes: Probes) -> None:
    await probes.keep(probe())
    assert await probes.known("gpu-1", "llama3.2:3b", "sha256:2") is None
    assert await probes.known("gpu-1", "llama3.2:3b", None) is None
    assert await probes.known("gpu-1", "llama3.2", "sha256:1") is None
    assert await probes.known("gpu-2", "llama3.2:3b", "sha256:1") is None


async def test_a_back_end_that_tells_no_digests_has_its_own(probes: Probes) -> None:
    await probes.keep(probe(digest=None))
    found = await probes.known("gpu-1", "llama3.2:3b", None)
    assert found is not None
    assert found.digest is None
    assert await probes.known("gpu-1", "llama3.2:3b", "sha256:1") is None


async def test_a_newer_one_takes_its_place(probes: Probes) -> None:
    await probes.keep(probe())
    await probes.keep(probe(continues=False))
    assert not (await _known(probes)).continues
    await probes.keep(probe(digest="sha256:2"))
    assert await probes.known("gpu-1", "llama3.2:3b", "sha256:1") is None


async def test_it_is_still_known_after_a_restart(opening: Opening) -> None:
    async with opening() as first:
        await first.keep(probe())
    async with opening() as second:
        assert (await _known(second)).continues


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_that_look_like_queries_are_names(probes: Probes, text: str) -> None:
    await probes.keep(probe(backend=text, model=text, digest=text))
    found = await probes.known(text, text, text)
    assert found is not None
    assert (found.backend, found.model, found.digest) == (text, text, text)
    assert await probes.known("gpu-1", text, text) is None


async def _known(probes: Probes) -> Probe:
    found = await probes.known("gpu-1", "llama3.2:3b", "sha256:1")
    assert found is not None
    return found
