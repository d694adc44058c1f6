"""Which back-ends a process has, while a registry changes beneath it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from contracts.errors import BackendFailed, Unavailable
from contracts.ports.backend import Backend
from contracts.records import BackendSettings, RegisteredBackend
from infra.backends import roster as rosters
from infra.backends.roster import Roster
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.database import SqliteDatabase
from tests.eventually import eventually
from tests.unit.backends.raw import RawServer, Reply, json_reply, read, text_of

NOW = datetime.now(UTC)
SOON = 0.02
"""Seconds between two looks of a roster that a test waits for."""
NEVER = 3600.0
PATIENCE = 20.0


class Registry(SqliteBackends):
    """One that may be away."""

    away = False
    asked = 0

    async def all(self) -> Sequence[RegisteredBackend]:
        self._answer()
        return await super().all()

    async def names(self) -> Sequence[str]:
        self._answer()
        return await super().names()

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("The registry does not answer.")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[SqliteDatabase, None]:
    async with SqliteDatabase(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def registry(database: SqliteDatabase) -> Registry:
    return Registry(database, FernetCipher([new_secrets_key()]))


def settings(name: str, url: str = "http://gpu.example", **changes: object) -> BackendSettings:
    return BackendSettings.model_validate({"name": name, "kind": "openai", "url": url, **changes})


def registered(name: str, source: str = "admin", **changes: object) -> RegisteredBackend:
    fields = {"settings": settings(name, **changes), "source": source, "created_at": NOW, "updated_at": NOW}  # type: ignore[arg-type]
    return RegisteredBackend.model_validate(fields)


def roster(registry: Registry | None, *configured: BackendSettings, **options: object) -> Roster:
    return Roster(configured, registry, **{"allow_private": True, "every": NEVER, **options})  # type: ignore[arg-type]


async def test_without_a_registry_there_are_those_of_the_configuration() -> None:
    async with roster(None, settings("two"), settings("one")) as it:
        await it.refresh()
        assert list(it.backends) == ["one", "two"]
        assert it.backends["one"].settings == settings("one")


async def test_those_of_the_registry_are_there_from_the_start(registry: Registry) -> None:
    await registry.add(registered("three", api_key="sk-1"))
    async with roster(registry, settings("one")) as it:
        assert list(it.backends) == ["one", "three"]
        assert it.backends["three"].settings.api_key == "sk-1"


async def test_the_configuration_goes_before_the_registry(registry: Registry) -> None:
    await registry.add(registered("one", url="http://elsewhere.example"))
    async with roster(registry, settings("one")) as it:
        assert it.backends["one"].settings == settings("one")


async def test_what_changes_in_the_registry_changes_here_by_itself(registry: Registry) -> None:
    async with roster(registry, settings("one"), every=SOON) as it:
        await registry.add(registered("two"))
        await eventually(lambda: list(it.backends) == ["one", "two"])
        await registry.put(registered("two", slots=9))
        await eventually(lambda: it.backends["two"].settings.slots == 9)
        await registry.remove("two")
        await eventually(lambda: list(it.backends) == ["one"])


async def test_whoever_cannot_wait_asks_at_once(registry: Registry) -> None:
    async with roster(registry) as it:
        await registry.add(registered("two"))
        await it.refresh()
        assert list(it.backends) == ["two"]
        registry.away = True
        with pytest.raises(Unavailable):
            await it.refresh()
        assert list(it.backends) == ["two"]


async def test_what_did_not_change_is_the_same_as_before(registry: Registry) -> None:
    await registry.add(registered("one"))
    async with roster(registry) as it:
        before = it.backends
        await it.refresh()
        assert it.backends is before
        await registry.add(registered("two"))
        await it.refresh()
        assert it.backends is not before
        assert list(before) == ["one"]  # whoever reads it meanwhile sees one state
        assert it.backends["one"] is before["one"]


async def test_of_a_pool_only_its_own_are_there(registry: Registry) -> None:
    for name, pool in (("a", "large"), ("b", "small"), ("mine", "large"), ("theirs", "large")):
        await registry.add(registered(name, pool=pool))
    configured = (settings("mine", pool="large"), settings("theirs", pool="small"))
    async with roster(registry, *configured, pool="large") as it:
        assert list(it.backends) == ["a", "mine"]
        await registry.put(registered("a", pool="small"))
        await registry.put(registered("b", pool="large"))
        await it.refresh()
        assert list(it.backends) == ["b", "mine"]


async def test_a_silent_registry_changes_nothing_and_is_told_of_once(registry: Registry) -> None:
    await registry.add(registered("two"))
    with capture_logs() as logs:
        async with roster(registry, settings("one"), every=SOON) as it:
            registry.away = True
            await eventually(lambda: _told(logs, "registry_not_read"))
            asked = registry.asked
            await eventually(lambda: registry.asked > asked + 5)
            assert list(it.backends) == ["one", "two"]
            assert len(_told(logs, "registry_not_read")) == 1
            registry.away = False
            await eventually(lambda: _told(logs, "registry_read_again"))
            registry.away = True
            await eventually(lambda: len(_told(logs, "registry_not_read")) == 2)
    assert len(_told(logs, "registry_read_again")) == 1


def _told(logs: Sequence[dict[str, object]], event: str) -> list[dict[str, object]]:
    return [one for one in logs if one["event"] == event]


async def test_a_worker_begins_without_a_registry_and_hears_of_it_later(registry: Registry) -> None:
    await registry.add(registered("two"))
    registry.away = True
    async with roster(registry, settings("one"), every=SOON) as it:
        assert list(it.backends) == ["one"]
        registry.away = False
        await eventually(lambda: list(it.backends) == ["one", "two"])


async def test_who_must_know_all_does_not_begin_without_it(registry: Registry) -> None:
    registry.away = True
    with pytest.raises(Unavailable):
        await roster(registry, settings("one"), must_read=True).__aenter__()


async def test_one_that_cannot_be_read_hides_no_other_and_stays_what_it_was(
    registry: Registry, database: SqliteDatabase
) -> None:
    await registry.add(registered("kept", api_key="sk-1"))
    other = Registry(database, FernetCipher([new_secrets_key()]))
    with capture_logs() as logs:
        async with roster(registry, settings("mine")) as it:
            before = it.backends["kept"]
            await other.put(registered("kept", api_key="sk-2"))
            await other.add(registered("lost", api_key="sk-3"))
            await other.add(registered("mine", api_key="sk-4"))
            await registry.add(registered("sound"))
            for _ in range(3):
                await it.refresh()
            assert list(it.backends) == ["kept", "mine", "sound"]
            assert it.backends["kept"] is before
    told = {str(one["backend"]): str(one["why"]) for one in _told(logs, "backend_not_opened")}
    assert sorted(told) == ["kept", "lost"]
    assert len(_told(logs, "backend_not_opened")) == 2
    assert "OLLAMANET_SECRETS_KEY_FILE" in told["lost"]
    assert "sk-" not in str(logs)


async def test_a_record_that_is_none_hides_no_other(registry: Registry, database: SqliteDatabase) -> None:
    await registry.add(registered("sound"))
    await registry.add(registered("wrong", tls_ca="no certificate"))
    await database.write(lambda connection: connection.execute("INSERT INTO backends VALUES ('newer', '{}', NULL)"))
    with capture_logs() as logs:
        async with roster(registry) as it:
            assert list(it.backends) == ["sound"]
    assert sorted(str(one["backend"]) for one in _told(logs, "backend_not_opened")) == ["newer", "wrong"]


async def test_only_what_the_configuration_lists_may_be_at_a_private_address(
    registry: Registry, raw: RawServer
) -> None:
    raw.says("/v1/models", json_reply({"data": [{"id": "small"}]}))
    await registry.add(registered("listed elsewhere", "configuration", url=raw.url))
    await registry.add(registered("added", url=raw.url))
    async with roster(registry, settings("own", raw.url), allow_private=False) as it:
        for name in ("own", "listed elsewhere"):
            assert [one.name for one in await it.backends[name].models()] == ["small"]
        with pytest.raises(BackendFailed, match="private address"):
            await it.backends["added"].models()
        await registry.put(registered("added", "configuration", url=raw.url))  # the same settings, now trusted
        await it.refresh()
        assert [one.name for one in await it.backends["added"].models()] == ["small"]


WORD = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
REST = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


async def test_a_call_that_runs_ends_well_at_a_backend_that_is_taken_away(registry: Registry, raw: RawServer) -> None:
    raw.says("/v1/chat/completions", Reply((WORD, REST)))
    await registry.add(registered("gpu", url=raw.url))
    async with roster(registry, linger=5.0) as it:
        backend = it.backends["gpu"]
        await registry.remove("gpu")
        await it.refresh()
        assert it.backends == {}
        assert text_of(await read(backend)) == "Hi"


async def test_it_lingers_so_long_and_no_longer(registry: Registry, raw: RawServer) -> None:
    raw.says("/v1/chat/completions", Reply((WORD,), ending="silent"))
    await registry.add(registered("gpu", url=raw.url))
    async with roster(registry, every=SOON, linger=0.0) as it:
        backend = it.backends["gpu"]
        running = _asking(backend)
        await eventually(lambda: raw.open == 1)
        await registry.remove("gpu")
        await eventually(lambda: raw.open == 0, PATIENCE / 2)
        await _ended(running)


def _asking(backend: Backend) -> asyncio.Task[object]:
    """A call that hears nothing after its first word, and would wait for more much longer than a test."""
    return asyncio.create_task(read(backend, token_timeout=PATIENCE))


async def _ended(running: asyncio.Task[object]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_so_many_linger_and_no_more(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rosters, "LEAVING", 3)
    before: list[Backend] = []
    async with roster(registry) as it:
        for slots in range(1, 7):
            await (registry.put if slots > 1 else registry.add)(registered("gpu", slots=slots))
            await it.refresh()
            before.append(it.backends["gpu"])
        closed = [_session(one).closed for one in before]
        assert closed == [True, True, False, False, False, False]
    assert all(_session(one).closed for one in before)


def _session(backend: Backend) -> aiohttp.ClientSession:
    return backend._http  # type: ignore[attr-defined]


async def test_leaving_closes_what_is_open(registry: Registry, raw: RawServer) -> None:
    raw.says("/v1/chat/completions", Reply((WORD,), ending="silent"))
    async with roster(registry, settings("gpu", raw.url)) as it:
        running = _asking(it.backends["gpu"])
        await eventually(lambda: raw.open == 1)
    await eventually(lambda: raw.open == 0, PATIENCE / 2)
    assert it.backends == {}
    await _ended(running)
