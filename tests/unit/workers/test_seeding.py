"""What a configuration lists, as the registry has it."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.errors import Unavailable
from contracts.records import BackendSettings, RegisteredBackend
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.database import SqliteDatabase
from tests.eventually import eventually
from workers.catalog.seeding import Seeding

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = 3600.0


class Registry(SqliteBackends):
    """One that may be away."""

    away = False

    async def all(self) -> Sequence[RegisteredBackend]:
        if self.away:
            raise Unavailable("The registry does not answer.")
        return await super().all()

    async def names(self) -> Sequence[str]:
        if self.away:
            raise Unavailable("The registry does not answer.")
        return await super().names()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[SqliteDatabase, None]:
    async with SqliteDatabase(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def registry(database: SqliteDatabase) -> Registry:
    return Registry(database, FernetCipher([new_secrets_key()]))


def settings(name: str, **changes: object) -> BackendSettings:
    return BackendSettings.model_validate({"name": name, "kind": "openai", "url": f"http://{name}", **changes})


def registered(name: str, source: str, **changes: object) -> RegisteredBackend:
    fields = {"settings": settings(name, **changes), "source": source, "created_at": LONG_AGO, "updated_at": LONG_AGO}
    return RegisteredBackend.model_validate(fields)


async def seed(registry: SqliteBackends, *configured: BackendSettings) -> list[str]:
    """The events that this logged."""
    with capture_logs() as logs:
        async with Seeding(configured, registry, every=NEVER):
            pass
    return [str(one["event"]) for one in logs]


async def kept(registry: SqliteBackends) -> dict[str, tuple[BackendSettings, str]]:
    return {one.settings.name: (one.settings, one.source) for one in await registry.all()}


async def test_what_is_configured_is_registered_as_that(registry: Registry) -> None:
    one, two = settings("one", api_key="sk-1", slots=9), settings("two", pool="large")
    assert await seed(registry, one, two) == []
    assert await kept(registry) == {"one": (one, "configuration"), "two": (two, "configuration")}


async def test_what_did_not_change_is_left_alone(registry: Registry) -> None:
    await seed(registry, settings("one", api_key="sk-1"))
    before = await registry.get("one")
    assert await seed(registry, settings("one", api_key="sk-1")) == []
    assert await registry.get("one") == before


async def test_what_changed_is_replaced_and_keeps_its_age(registry: Registry) -> None:
    await registry.add(registered("one", "configuration", slots=2))
    await seed(registry, settings("one", slots=3))
    after = await registry.get("one")
    assert after is not None
    assert (after.settings.slots, after.created_at) == (3, LONG_AGO)
    assert datetime.now(UTC) - after.updated_at < timedelta(minutes=1)


async def test_what_is_configured_no_more_goes_and_what_administrators_added_stays(registry: Registry) -> None:
    await registry.add(registered("old", "configuration"))
    await registry.add(registered("added", "admin"))
    assert await seed(registry) == ["backend_not_configured_any_more"]
    assert list(await registry.names()) == ["added"]


async def test_a_configured_one_takes_the_place_of_an_administrators(registry: Registry) -> None:
    await registry.add(registered("one", "admin", url="http://theirs", api_key="theirs"))
    assert await seed(registry, settings("one")) == ["backend_replaced_by_configured_one"]
    assert await kept(registry) == {"one": (settings("one"), "configuration")}
    after = await registry.get("one")
    assert after is not None
    assert after.created_at > LONG_AGO


async def test_without_a_secret_the_key_is_left_out_and_told_of(database: SqliteDatabase) -> None:
    bare = SqliteBackends(database, FernetCipher(()))
    assert await seed(bare, settings("one", api_key="sk-1"), settings("two")) == ["backend_key_not_kept"]
    assert await kept(bare) == {"one": (settings("one"), "configuration"), "two": (settings("two"), "configuration")}
    before = await bare.get("one")
    assert await seed(bare, settings("one", api_key="sk-1"), settings("two")) == ["backend_key_not_kept"]
    assert await bare.get("one") == before


async def test_one_that_cannot_be_read_is_replaced_where_it_is_configured(
    registry: Registry, database: SqliteDatabase
) -> None:
    other = SqliteBackends(database, FernetCipher([new_secrets_key()]))
    await other.add(registered("one", "configuration", api_key="lost"))
    await other.add(registered("two", "configuration", api_key="lost"))
    await seed(registry, settings("one", api_key="sk-1"))
    one = await registry.get("one")
    assert one is not None
    assert one.settings.api_key == "sk-1"
    assert list(await registry.names()) == ["one", "two"]  # whose it is, nobody can tell


async def test_a_registry_that_is_away_is_seeded_when_it_is_back(registry: Registry) -> None:
    registry.away = True
    with capture_logs() as logs:
        async with Seeding([settings("one")], registry, every=0.02):
            assert logs[0]["event"] == "registry_not_seeded"
            registry.away = False

            async def there() -> bool:
                return list(await registry.names()) == ["one"]

            await eventually(there)


async def test_whoever_leaves_before_that_is_not_held_up(registry: Registry) -> None:
    registry.away = True
    await seed(registry, settings("one"))
    registry.away = False
    assert list(await registry.names()) == []
