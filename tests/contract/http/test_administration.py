"""Models as administrators manage them: commands that are accepted, followed, cancelled, repeated and noted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from contracts.administration import Step
from contracts.commands import PullModel
from contracts.errors import Overloaded, Unavailable
from contracts.ids import new_id
from contracts.records import BackendReport, BackendSettings, RegisteredBackend
from infra.sqlite.leases import SqliteLeases
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World
from tests.e2e.client import ENDS, Event, events
from tests.eventually import eventually
from tests.unit.workers.catalog.orders import KnownDownloads, KnownRegistries, ManagedBackend, layer
from tests.unit.workers.scripted import FixedRoster, KeepingProbes, never
from workers.catalog.handlers import Catalog, CatalogPorts
from workers.catalog.subscriptions import subscriptions

MODELS, COMMANDS = "/api/admin/models", "/api/admin/commands"


@asynccontextmanager
async def managing(world: World, *backends: ManagedBackend) -> AsyncGenerator[Catalog, None]:
    """A catalog worker with these back-ends while inside."""
    ports = CatalogPorts(
        bus=world.bus, models=world.ports.models, leases=SqliteLeases(world.database), commands=world.ports.commands,
        steps=world.ports.steps, audit=world.ports.audit, logs=world.ports.command_logs, reports=world.ports.reports,
        probes=KeepingProbes(), registries=KnownRegistries(), downloads=KnownDownloads(world.database.path.parent),
    )  # fmt: skip
    async with (
        Catalog(ports, FixedRoster(*backends), new_id(), every=3600.0, lease=0.5) as catalog,
        world.bus.consume(subscriptions(catalog), drain=0.1),
    ):
        yield catalog


@pytest.fixture
async def admin(world: World) -> Person:
    return await world.person(role="admin")


@pytest.fixture
def one() -> ManagedBackend:
    return ManagedBackend(name="one")


async def orders(admin: Person, method: str, path: str, body: object = None, **headers: str) -> dict[str, object]:
    """What was accepted."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await admin.http.request(method, path, json=body, headers=named)
    assert response.status_code == 202, response.text
    return response.json()


async def follows(admin: Person, command: dict[str, object], after: str | None = None) -> list[Event]:
    """Its stream to the end."""
    found: list[Event] = []
    headers = {"Last-Event-ID": after} if after else {}
    async with admin.http.stream("GET", str(command["stream"]), headers=headers) as response:
        assert response.status_code == 200
        async for event in events(response):
            found.append(event)
    return found


async def stands(admin: Person, command: dict[str, object]) -> dict[str, object]:
    response = await admin.http.get(f"{COMMANDS}/{command['id']}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_model_is_added_tagged_verified_and_deleted(world: World, admin: Person, one: ManagedBackend) -> None:
    async with managing(world, one):
        added = await orders(admin, "POST", MODELS, {"name": "new:v1", "tags": ["fast"]})
        assert (added["kind"], added["status"], added["progress"]) == ("PullModel", "queued", None)
        names = [event.name for event in await follows(admin, added)]
        assert (names[0], names[-1]) == ("accepted", "completed")
        shown = (await admin.http.get("/api/models/new:v1")).json()
        assert (shown["tags"], shown["status"]) == (["fast"], "available")
        tagged = await orders(admin, "PUT", f"{MODELS}/new:v1/tags", {"tags": ["b", "a"]})
        await follows(admin, tagged)
        verified = await orders(admin, "POST", f"{MODELS}/new%3Av1/verify")
        last = (await follows(admin, verified))[-1]
        assert (last.name, last.data["results"]["one"]["works"]) == ("completed", True)  # type: ignore[index]
        await eventually(lambda: _tags(admin, "new:v1", ["a", "b"]))
        await follows(admin, await orders(admin, "DELETE", f"{MODELS}/new:v1"))
        assert (await admin.http.get("/api/models/new:v1")).status_code == 404
    listed = (await admin.http.get(COMMANDS)).json()["items"]
    assert [(each["kind"], each["status"]) for each in listed] == [
        ("DeleteModel", "completed"), ("VerifyModel", "completed"), ("TagModel", "completed"), ("PullModel", "completed"),
    ]  # fmt: skip


async def _tags(admin: Person, name: str, tags: list[str]) -> bool:
    return (await admin.http.get(f"/api/models/{name}")).json()["tags"] == tags


async def test_its_stream_is_resumed_after_any_event(world: World, admin: Person, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(30), layer(100), layer(10, 20, "sha256:2"), layer(20, 20, "sha256:2")]]
    async with managing(world, one):
        command = await orders(admin, "POST", MODELS, {"name": "new"})
        whole = await follows(admin, command)
    assert [event.id for event in whole if event.id is None] == []
    for number, event in enumerate(whole[:-1]):
        assert await follows(admin, command, event.id) == whole[number + 1 :]
    assert await follows(admin, command, whole[-1].id) == whole[-1:]
    assert await follows(admin, command, "junk") == whole


async def test_a_command_whose_stream_is_lost_is_told_from_the_store(
    world: World, admin: Person, one: ManagedBackend
) -> None:
    async with managing(world, one):
        command = await orders(admin, "POST", MODELS, {"name": "new"})
        await follows(admin, command)
    world.ports.command_logs.logs.clear()  # type: ignore[attr-defined]
    told = await follows(admin, command)
    assert [(event.name, event.id) for event in told] == [("accepted", None), ("completed", None)]


async def test_how_far_it_has_come_is_shown(world: World, admin: Person, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(30), never]]
    async with managing(world, one):
        command = await orders(admin, "POST", MODELS, {"name": "new"})
        shown = await eventually(lambda: _progress(admin, command))
        assert {name: shown[name] for name in ("status", "digest", "total", "completed")} == {
            "status": "pulling", "digest": "sha256:1", "total": 100, "completed": 30,
        }  # fmt: skip
        assert (await stands(admin, command))["status"] == "running"


async def _progress(admin: Person, command: dict[str, object]) -> object:
    return (await stands(admin, command))["progress"]


async def test_a_cancelled_command_ends_at_once_and_stays_so(world: World, admin: Person, one: ManagedBackend) -> None:
    one.manager.scripts = [[layer(30), never]]
    async with managing(world, one):
        command = await orders(admin, "POST", MODELS, {"name": "new"})
        await eventually(lambda: one.manager.pulls)
        cancelled = await orders(admin, "POST", f"{COMMANDS}/{command['id']}/cancel")
        assert cancelled["status"] == "cancelled"
        assert (await follows(admin, command))[-1].name == "cancelled"
        await eventually(lambda: one.manager.closed == 1)
        again = await orders(admin, "POST", f"{COMMANDS}/{command['id']}/cancel")
        assert again["status"] == "cancelled"


async def test_one_that_nobody_has_taken_up_is_cancelled_too(world: World, admin: Person, one: ManagedBackend) -> None:
    command = await orders(admin, "POST", MODELS, {"name": "new"})
    await orders(admin, "POST", f"{COMMANDS}/{command['id']}/cancel")
    async with managing(world, one):
        tagged = await orders(admin, "PUT", f"{MODELS}/small/tags", {"tags": []})
        await follows(admin, tagged)  # the queue was worked off
    assert not one.manager.pulls


async def test_a_repeat_under_one_key_is_the_same_command(world: World, admin: Person, one: ManagedBackend) -> None:
    body = {"name": "new"}
    first = await orders(admin, "POST", MODELS, body, Idempotency_Key="once")
    again = await orders(admin, "POST", MODELS, body, Idempotency_Key="once")
    other = await orders(admin, "POST", MODELS, body, Idempotency_Key="twice")
    assert first["id"] == again["id"] != other["id"]
    refused = await admin.http.post(MODELS, json={"name": "else"}, headers={"Idempotency-Key": "once"})
    problem(refused, 422, "idempotency_mismatch")
    second = await world.person(role="admin")
    theirs = await orders(second, "POST", MODELS, body, Idempotency_Key="once")
    assert theirs["id"] != first["id"]


async def test_repeats_of_one_moment_are_one_command(world: World, admin: Person) -> None:
    answers = await asyncio.gather(
        *(orders(admin, "POST", MODELS, {"name": "new"}, Idempotency_Key="once") for _ in range(5))
    )
    assert len({answer["id"] for answer in answers}) == 1


@pytest.mark.parametrize("error", [Overloaded("It is full."), Unavailable("It is away.")], ids=["full", "away"])
async def test_what_the_broker_does_not_take_leaves_nothing(world: World, admin: Person, error: Exception) -> None:
    world.bus.fails[PullModel] = error
    response = await admin.http.post(MODELS, json={"name": "new"})
    assert response.status_code == 503
    assert (await admin.http.get(COMMANDS)).json()["items"] == []
    (entry,) = (await admin.http.get("/api/admin/audit")).json()["items"]
    assert (entry["action"], entry["outcome"]) == ("PullModel", "failed")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"{MODELS}/nothing/tags", {"tags": []}),
        ("PATCH", f"{MODELS}/nothing", {"description": "x"}),
        ("POST", f"{MODELS}/nothing/verify", None),
        ("POST", f"{MODELS}/nothing/copy", {"destination": "other"}),
        ("POST", f"{MODELS}/nothing/retire", None),
        ("DELETE", f"{MODELS}/nothing", None),
        ("PUT", "/api/admin/aliases/chat-default", {"model": "nothing"}),
    ],
    ids=["tag", "describe", "verify", "copy", "retire", "delete", "alias"],
)
async def test_a_model_that_is_not_there_is_told_at_once(admin: Person, method: str, path: str, body: object) -> None:
    problem(await admin.http.request(method, path, json=body), 404, "unknown_model")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "../etc/passwd"},
        {"name": "x" * 400},
        {"name": "http://registry/x"},
        {"name": "new", "tags": ["x"] * 33},
        {"name": "new", "tags": ["a,b"]},
        {"name": "new", "pool": "No Pool"},
        {"name": "new", "unknown": 1},
        {"name": "new", "modelfile": "FROM x", "insecure": True},
        {"name": "new", "backends": ["nobody"]},
    ],
    ids=["none", "empty", "blank", "path", "long", "url", "tags", "comma", "pool", "unknown", "both", "back-end"],
)
async def test_a_bad_order_says_where(admin: Person, body: object) -> None:
    refused = problem(await admin.http.post(MODELS, json=body), 422, "invalid")
    assert refused["errors"]


async def test_a_registry_in_a_private_network_is_refused_unless_allowed(start: StartWorld) -> None:
    world = await start()
    admin = await world.person(role="admin")
    refused = problem(await admin.http.post(MODELS, json={"name": "127.0.0.1:5000/library/x:v1"}), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/name"
    open_world = await start(allow_private_backends=True)
    other = await open_world.person(role="admin")
    await orders(other, "POST", MODELS, {"name": "127.0.0.1:5000/library/x:v1"})


async def test_a_model_in_use_is_not_deleted_by_mistake(world: World, admin: Person) -> None:
    now = datetime.now(UTC)
    report = BackendReport(backend="one", worker="w", pool="default", at=now, slots=4, running={"small": 2})
    await world.ports.reports.report([report])
    problem(await admin.http.delete(f"{MODELS}/small"), 409, "model_in_use")
    await orders(admin, "DELETE", f"{MODELS}/small?drain=true")
    await orders(admin, "DELETE", f"{MODELS}/small?force=true")


async def test_a_model_that_is_being_pulled_is_not_deleted_by_mistake(world: World, admin: Person) -> None:
    step = Step(key="PullModel one small", kind="PullModel", target="one", model="small", created_at=datetime.now(UTC))
    await world.ports.steps.attach(step, new_id())
    problem(await admin.http.delete(f"{MODELS}/small"), 409, "model_being_pulled")


async def test_aliases_are_set_listed_asked_and_removed(world: World, admin: Person, one: ManagedBackend) -> None:
    one.serves = ("small",)
    async with managing(world, one) as catalog:
        await catalog.refreshing.refresh()
        await follows(admin, await orders(admin, "PUT", "/api/admin/aliases/chat-default", {"model": "small"}))
        (alias,) = (await admin.http.get("/api/admin/aliases")).json()["items"]
        assert (alias["name"], alias["model"]) == ("chat-default", "small")
        accepted = await admin.begins(model="chat-default")
        assert accepted["model"] == "small"
        await follows(admin, await orders(admin, "DELETE", "/api/admin/aliases/chat-default"))
        assert (await admin.http.get("/api/admin/aliases")).json()["items"] == []
    problem(await admin.http.delete("/api/admin/aliases/chat-default"), 404, "not_found")


async def test_who_ordered_what_and_what_came_of_it_is_on_record(
    world: World, admin: Person, one: ManagedBackend
) -> None:
    async with managing(world, one):
        added = await orders(admin, "POST", MODELS, {"name": "new"})
        await follows(admin, added)
        failed = await orders(admin, "POST", MODELS, {"name": "new", "pool": "empty"})
        await follows(admin, failed)
    entries = (await admin.http.get("/api/admin/audit")).json()["items"]
    assert [(each["id"], each["action"], each["subject"], each["outcome"]) for each in entries] == [
        (failed["id"], "PullModel", "new", "failed"), (added["id"], "PullModel", "new", "completed"),
    ]  # fmt: skip
    assert {each["actor"] for each in entries} == {admin.account.id}
    assert entries[0]["error"]["code"] == "no_backend"


async def test_named_backends_must_be_in_the_registry(world: World, admin: Person) -> None:
    now = datetime.now(UTC)
    settings = BackendSettings(name="gpu", kind="ollama", url="https://9.9.9.9")
    await world.ports.backends.add(RegisteredBackend(settings=settings, created_at=now, updated_at=now))
    command = await orders(admin, "POST", MODELS, {"name": "new", "backends": ["gpu"]})
    assert command["kind"] == "PullModel"


async def test_commands_are_listed_by_status_and_model(world: World, admin: Person) -> None:
    await orders(admin, "POST", MODELS, {"name": "one"})
    two = await orders(admin, "POST", MODELS, {"name": "two"})
    await orders(admin, "POST", f"{COMMANDS}/{two['id']}/cancel")

    async def listed(**query: str) -> list[str]:
        answer: httpx.Response = await admin.http.get(COMMANDS, params=query)
        return [each["model"] for each in answer.json()["items"]]

    assert await listed() == ["two", "one"]
    assert await listed(status="cancelled") == ["two"]
    assert await listed(model="one") == ["one"]
    first = (await admin.http.get(COMMANDS, params={"limit": 1})).json()
    assert await listed(cursor=first["next_cursor"]) == ["one"]
    problem(await admin.http.get(COMMANDS, params={"cursor": "junk"}), 400, "bad_cursor")
    assert set(ENDS) == {"completed", "failed", "cancelled"}
