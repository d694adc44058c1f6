"""Back-ends as administrators add, try, change and remove them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api import looking
from contracts.commands import RefreshCatalog
from contracts.errors import Overloaded, Unavailable, Unroutable
from contracts.ports.bus import Delivery, Subscription
from contracts.public import BackendChanged
from contracts.records import (
    BackendHealth,
    BackendModel,
    BackendReport,
    BackendSettings,
    LoadedModel,
    RegisteredBackend,
)
from contracts.topology import CATALOG_COMMANDS
from infra.fernet.cipher import FernetCipher, new_secrets_key
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World
from tests.unit.backends.certificates import new_authority

PATH = "/api/admin/backends"
PUBLIC = "https://9.9.9.9"
"""An address that nobody here calls; as a number it is looked up without a network."""
SECRET = "sk-very-secret"
UNSEEN = {
    "healthy": None, "error": None, "checked_at": None, "latency_ms": None, "version": None, "loaded": [], "circuit": None,
    "calls": 0, "failures": 0, "error_rate": None, "ttft_ms": None, "running": {}, "slots": 0,
}  # fmt: skip


@pytest.fixture
def pem(tmp_path: Path) -> str:
    """A certificate."""
    return new_authority(tmp_path).pem


@pytest.fixture
async def admin(world: World) -> Person:
    return await world.person(role="admin")


async def adds(
    admin: Person, name: str = "gpu", headers: dict[str, str] | None = None, **more: object
) -> httpx.Response:
    body = {"name": name, "kind": "ollama", "url": PUBLIC, **more}
    return await admin.http.post(PATH, json=body, headers=headers or {})


async def added(admin: Person, name: str = "gpu", **more: object) -> dict[str, object]:
    response = await adds(admin, name, **more)
    assert response.status_code == 201, response.text
    return response.json()


async def shown(admin: Person, name: str = "gpu") -> dict[str, object]:
    response = await admin.http.get(f"{PATH}/{name}")
    assert response.status_code == 200, response.text
    return response.json()


async def configured(world: World, name: str = "listed", **more: object) -> RegisteredBackend:
    now = datetime.now(UTC)
    settings = BackendSettings.model_validate({"name": name, "kind": "ollama", "url": "http://10.0.0.1", **more})
    one = RegisteredBackend(settings=settings, source="configuration", created_at=now, updated_at=now)
    assert await world.ports.backends.add(one)
    return one


async def audited(admin: Person, **query: object) -> list[dict[str, object]]:
    """The newest first."""
    return (await admin.http.get("/api/admin/audit", params=query)).json()["items"]


def told(world: World) -> list[object]:
    """What the change of a back-end had published."""
    kinds = (BackendChanged, RefreshCatalog)
    return [getattr(one, "change", "refresh") for one in world.bus.published if isinstance(one, kinds)]


# Adding


async def test_an_added_backend_is_shown_as_it_was_answered_and_its_key_never(
    world: World, admin: Person, pem: str
) -> None:
    made = await added(
        admin, kind="openai", url=f"{PUBLIC}:8000/v1/", pool="large", slots=32, api_key=SECRET, tls_ca=pem
    )
    assert {name: value for name, value in made.items() if not name.endswith("_at")} == {
        "name": "gpu", "kind": "openai", "url": f"{PUBLIC}:8000/v1", "pool": "large", "slots": 32, "api_key_set": True,
        "tls_ca": pem, "tls_verify": True, "source": "admin", "health": UNSEEN,
    }  # fmt: skip
    assert made["created_at"] == made["updated_at"]
    assert await shown(admin) == made
    listed = await admin.http.get(PATH)
    assert listed.json() == {"items": [made], "unreadable": [], "next_cursor": None}
    assert SECRET not in listed.text
    kept = await world.ports.backends.get("gpu")
    assert kept is not None
    assert kept.settings.api_key == SECRET
    folder = world.database.path.parent
    assert not [one for one in folder.iterdir() if SECRET.encode() in one.read_bytes()]


async def test_what_is_not_said_is_the_usual(admin: Person) -> None:
    made = await added(admin)
    assert (made["pool"], made["slots"], made["api_key_set"], made["tls_verify"]) == ("default", 4, False, True)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "catalog"}, "/name"), ({"name": ""}, "/name"), ({"name": "GPU"}, "/name"), ({"name": "-a"}, "/name"),
        ({"name": "a" * 64}, "/name"), ({"name": "a/b"}, "/name"), ({"name": "a\n"}, "/name"), ({"name": None}, "/name"),
        ({"kind": "fake"}, "/kind"), ({"kind": "vllm"}, "/kind"),
        ({"url": "gpu:11434"}, "/url"), ({"url": "file:///etc/passwd"}, "/url"), ({"url": "https://u:p@9.9.9.9"}, "/url"),
        ({"url": f"{PUBLIC}/?key=1"}, "/url"), ({"url": f"{PUBLIC}:0"}, "/url"), ({"url": "\ud800"}, "/url"),
        ({"url": PUBLIC + "/" + "a" * 2000}, "/url"),
        ({"pool": "Large"}, "/pool"), ({"pool": ""}, "/pool"), ({"slots": 0}, "/slots"), ({"slots": 1025}, "/slots"),
        ({"api_key": ""}, "/api_key"), ({"api_key": "a b"}, "/api_key"), ({"api_key": "a\r\nX: y"}, "/api_key"),
        ({"api_key": "é"}, "/api_key"), ({"api_key": "a" * 4097}, "/api_key"),
        ({"tls_ca": "no certificate"}, "/tls_ca"), ({"tls_ca": "-----BEGIN PRIVATE KEY-----"}, "/tls_ca"),
        ({"tls_ca": "a" * 70_000}, "/tls_ca"), ({"tls_verify": None}, "/tls_verify"),
        ({"source": "configuration"}, "/source"), ({"apikey": "x"}, "/apikey"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
async def test_what_cannot_be_added(world: World, admin: Person, change: dict[str, object], pointer: str) -> None:
    body = json.dumps({"name": "gpu", "kind": "ollama", "url": PUBLIC, **change})
    response = await admin.http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    (mistake,) = problem(response, 422, "invalid")["errors"]
    assert mistake["pointer"] == pointer
    assert list(await world.ports.backends.names()) == []
    assert told(world) == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.7:11434",
        "169.254.169.254",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "localhost:11434",
    ],
)
async def test_a_private_address_is_refused_and_it_is_said_which_setting_allows_it(
    world: World, admin: Person, host: str
) -> None:
    await added(admin)
    refused = (
        await adds(admin, "other", url=f"http://{host}"),
        await admin.http.patch(f"{PATH}/gpu", json={"url": f"http://{host}"}),
    )
    for response in refused:
        (mistake,) = problem(response, 422, "invalid")["errors"]
        assert mistake["pointer"] == "/url"
        assert "OLLAMANET_ALLOW_PRIVATE_BACKENDS=true" in mistake["detail"]
    assert list(await world.ports.backends.names()) == ["gpu"]
    assert (await shown(admin))["url"] == PUBLIC
    failed = [one["error"] for one in await audited(admin) if one["outcome"] == "failed"]
    assert [one["code"] for one in failed] == ["invalid", "invalid"]
    assert all("private network" in one["message"] for one in failed)


async def test_a_platform_that_allows_them_takes_private_addresses_and_names_that_only_workers_know(
    start: StartWorld,
) -> None:
    world = await start(allow_private_backends=True)
    admin = await world.person(role="admin")
    for number, url in enumerate(("http://127.0.0.1:11434", "http://ollama.of-the-workers.internal:11434")):
        assert (await added(admin, f"one-{number}", url=url))["url"] == url


async def test_a_name_that_nobody_knows_is_refused(admin: Person) -> None:
    (mistake,) = problem(await adds(admin, url="http://nobody.invalid"), 422, "invalid")["errors"]
    assert (mistake["pointer"], "nobody knows that name" in mistake["detail"]) == ("/url", True)


async def test_a_name_is_taken_once(world: World, admin: Person) -> None:
    await added(admin, slots=1)
    await configured(world)
    for name in ("gpu", "listed"):
        problem(await adds(admin, name, slots=2), 409, "backend_exists")
    assert (await shown(admin))["slots"] == 1


async def test_several_at_once_under_one_name_are_one(admin: Person) -> None:
    answers = await asyncio.gather(*(adds(admin, slots=number) for number in range(1, 6)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409]


async def test_a_platform_without_a_secret_keeps_no_key_and_says_what_helps(world: World, admin: Person) -> None:
    world.ports.backends._cipher = FernetCipher(())
    refused = problem(await adds(admin, api_key=SECRET), 409, "no_secrets_key")
    assert "OLLAMANET_SECRETS_KEY_FILE" in str(refused["detail"])
    assert (await added(admin))["api_key_set"] is False


# Repeats under a key

KEY = {"Idempotency-Key": "a-key-of-my-own"}


async def test_a_repeat_under_the_same_key_gets_the_same_answer(world: World, admin: Person) -> None:
    first = await adds(admin, headers=KEY, api_key=SECRET)
    again = await adds(admin, headers=KEY, api_key=SECRET)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert told(world) == ["added", "refresh"]
    assert len(await audited(admin)) == 1


async def test_another_request_under_the_same_key_is_refused(world: World, admin: Person) -> None:
    await adds(admin, headers=KEY)
    for name, change in (("gpu", {"slots": 8}), ("gpu", {"api_key": SECRET}), ("other", {})):
        problem(await adds(admin, name, headers=KEY, **change), 422, "idempotency_mismatch")
    assert list(await world.ports.backends.names()) == ["gpu"]


async def test_a_key_of_another_administrator_and_none_are_no_repeat(world: World, admin: Person) -> None:
    await adds(admin, headers=KEY)
    problem(await adds(await world.person(role="admin"), headers=KEY), 409, "backend_exists")
    problem(await adds(admin), 409, "backend_exists")


async def test_what_was_refused_under_a_key_may_be_tried_again_under_it(admin: Person) -> None:
    problem(await adds(admin, headers=KEY, url="http://10.0.0.1"), 422, "invalid")
    assert (await adds(admin, headers=KEY)).status_code == 201


async def test_repeats_at_once_are_one_backend_and_one_answer(world: World, admin: Person) -> None:
    answers = await asyncio.gather(*(adds(admin, headers=KEY) for _ in range(4)))
    assert [one.status_code for one in answers] == [201] * 4
    assert len({one.text for one in answers}) == 1
    assert told(world).count("added") == 1


async def test_the_audit_record_of_a_key_tells_neither_it_nor_what_came_with_it(admin: Person) -> None:
    await adds(admin, headers=KEY, api_key=SECRET)
    text = (await admin.http.get("/api/admin/audit")).text
    assert SECRET not in text
    assert KEY["Idempotency-Key"] not in text


# Seeing


async def test_backends_come_by_name_and_pages_lead_on(admin: Person) -> None:
    names = [f"gpu-{number}" for number in range(5)]
    for name in reversed(names):
        await added(admin, name)
    seen: list[object] = []
    cursor = None
    while cursor is not None or not seen:
        page = (await admin.http.get(PATH, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        assert len(page["items"]) <= 2
        seen += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == names


@pytest.mark.parametrize("path", [PATH, "/api/admin/audit"])
async def test_limits_and_cursors_of_the_lists(admin: Person, path: str) -> None:
    for limit in ("0", "101", "x", "9" * 400):
        problem(await admin.http.get(path, params={"limit": limit}), 422, "invalid")
    for cursor in ("x", "AAAA", "eyJhIjoxfQ==", "💥", "a" * 400, "\x00"):
        problem(await admin.http.get(path, params={"cursor": cursor}), 400, "bad_cursor")


async def test_health_is_what_the_catalog_saw_and_all_workers_see(world: World, admin: Person) -> None:
    await added(admin)
    await added(admin, "other")
    now = datetime.now(UTC)
    seen = BackendHealth(
        name="gpu", kind="ollama", pool="default", healthy=True, checked_at=now, latency_ms=12, version="0.9.9",
        loaded=(LoadedModel(name="small", size_bytes=100),),
    )  # fmt: skip
    await world.ports.models.put_health([seen])

    def report(worker: str, **fields: object) -> BackendReport:
        own = {"backend": "gpu", "worker": worker, "pool": "default", "at": now, "slots": 4, **fields}
        return BackendReport.model_validate(own)

    await world.ports.reports.report([
        report("a", calls=90, failures=1, ttft_ms=50, running={"small": 2, "large": 1}),
        report("b", circuit="half-open", calls=10, failures=9, ttft_ms=4000, running={"small": 1}),
        report("c", circuit="closed"),
        report("a", backend="nobody's", circuit="open"),
    ])  # fmt: skip
    health = (await shown(admin))["health"]
    assert health == {
        "healthy": True, "error": None, "checked_at": now.isoformat().replace("+00:00", "Z"), "latency_ms": 12,
        "version": "0.9.9", "circuit": "half-open", "calls": 100, "failures": 10, "error_rate": 0.1, "ttft_ms": 50,
        "running": {"small": 3, "large": 1}, "slots": 12,
        "loaded": [{"name": "small", "size_bytes": 100, "gpu_bytes": None, "context_length": None, "expires_at": None}],
    }  # fmt: skip
    listed = (await admin.http.get(PATH)).json()["items"]
    assert [one["health"] for one in listed] == [health, UNSEEN]


async def test_a_password_in_a_configured_url_is_not_shown(world: World, admin: Person) -> None:
    await configured(world, url=f"http://ada:{SECRET}@10.0.0.1:11434/v1")
    assert (await shown(admin, "listed"))["url"] == "http://10.0.0.1:11434/v1"


async def test_a_backend_that_is_none_of_ours(admin: Person) -> None:
    for name in ("x", "%00", "a" * 5000, "{}", "' OR 1=1", "%F0%9F%92%A5"):
        problem(await admin.http.get(f"{PATH}/{name}"), 404, "not_found")
        problem(await admin.http.patch(f"{PATH}/{name}", json={"slots": 1}), 404, "not_found")
        problem(await admin.http.delete(f"{PATH}/{name}"), 404, "not_found")
        problem(await admin.http.post(f"{PATH}/{name}/test"), 404, "not_found")


# Changing


async def test_what_is_sent_changes_and_nothing_else(world: World, admin: Person) -> None:
    made = await added(admin, api_key=SECRET)
    response = await admin.http.patch(f"{PATH}/gpu", json={"slots": 8, "pool": "large"})
    assert response.status_code == 200, response.text
    changed = response.json()
    assert changed["updated_at"] >= made["updated_at"]
    assert changed == {**made, "slots": 8, "pool": "large", "updated_at": changed["updated_at"]}
    assert await shown(admin) == changed
    kept = await world.ports.backends.get("gpu")
    assert kept is not None
    assert kept.settings.api_key == SECRET
    assert told(world) == ["added", "refresh", "changed", "refresh"]


async def test_a_key_is_kept_replaced_or_removed(world: World, admin: Person) -> None:
    await added(admin, api_key=SECRET)
    for change, key in (({"slots": 1}, SECRET), ({"api_key": "another"}, "another"), ({"api_key": None}, None)):
        assert (await admin.http.patch(f"{PATH}/gpu", json=change)).json()["api_key_set"] == (key is not None)
        kept = await world.ports.backends.get("gpu")
        assert kept is not None
        assert kept.settings.api_key == key


@pytest.mark.parametrize("url", ["https://1.1.1.1", f"{PUBLIC}:8443", "http://9.9.9.9"])
async def test_a_kept_key_is_never_sent_to_another_server(world: World, admin: Person, url: str) -> None:
    await added(admin, api_key=SECRET)
    (mistake,) = problem(await admin.http.patch(f"{PATH}/gpu", json={"url": url}), 422, "invalid")["errors"]
    assert mistake["pointer"] == "/api_key"
    assert (await shown(admin))["url"] == PUBLIC
    for key in ("another", None):
        changed = await admin.http.patch(f"{PATH}/gpu", json={"url": url, "api_key": key})
        assert (changed.json()["url"], changed.json()["api_key_set"]) == (url, key is not None)
        await admin.http.patch(f"{PATH}/gpu", json={"url": PUBLIC, "api_key": SECRET})


async def test_a_kept_key_goes_with_another_path_of_its_server(admin: Person) -> None:
    await added(admin, api_key=SECRET)
    changed = (await admin.http.patch(f"{PATH}/gpu", json={"url": f"{PUBLIC}/v1/"})).json()
    assert (changed["url"], changed["api_key_set"]) == (f"{PUBLIC}/v1", True)


async def test_a_change_that_changes_nothing_is_no_change(world: World, admin: Person) -> None:
    made = await added(admin)
    for body in ({}, {"slots": made["slots"]}, {"url": f"{PUBLIC}/"}):
        assert (await admin.http.patch(f"{PATH}/gpu", json=body)).json() == made
    assert told(world) == ["added", "refresh"]
    assert len(await audited(admin)) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "other"}, "/name"), ({"source": "admin"}, "/source"), ({"url": None}, "/url"), ({"kind": None}, "/kind"),
        ({"pool": None}, "/pool"), ({"slots": None}, "/slots"), ({"tls_verify": None}, "/tls_verify"), ({"slots": 0}, "/slots"),
        ({"kind": "fake"}, "/kind"), ({"tls_ca": "x"}, "/tls_ca"),
    ],
    ids=json.dumps,
)  # fmt: skip
async def test_what_cannot_be_changed(admin: Person, body: dict[str, object], pointer: str) -> None:
    made = await added(admin)
    (mistake,) = problem(await admin.http.patch(f"{PATH}/gpu", json=body), 422, "invalid")["errors"]
    assert mistake["pointer"] == pointer
    assert await shown(admin) == made


# Removing


async def test_a_removed_backend_is_gone_and_its_name_free(world: World, admin: Person) -> None:
    await added(admin)
    response = await admin.http.delete(f"{PATH}/gpu")
    assert (response.status_code, response.content) == (204, b"")
    problem(await admin.http.get(f"{PATH}/gpu"), 404, "not_found")
    problem(await admin.http.delete(f"{PATH}/gpu"), 404, "not_found")
    assert told(world) == ["added", "refresh", "removed", "refresh"]
    await added(admin)


async def test_what_the_configuration_lists_is_changed_there_alone(world: World, admin: Person) -> None:
    kept = await configured(world)
    for response in (
        await admin.http.patch(f"{PATH}/listed", json={"slots": 9}),
        await admin.http.delete(f"{PATH}/listed"),
    ):
        assert "OLLAMANET_BACKENDS" in str(problem(response, 409, "backend_configured")["detail"])
    assert await world.ports.backends.get("listed") == kept
    assert (await shown(admin, "listed"))["source"] == "configuration"
    assert await audited(admin) == []


async def test_a_backend_whose_key_cannot_be_read_any_more_hides_no_other_and_can_be_removed(
    world: World, admin: Person
) -> None:
    await added(admin, "lost", api_key=SECRET)
    world.ports.backends._cipher = FernetCipher([new_secrets_key()])
    await added(admin, "sound", api_key=SECRET)
    whole = (await admin.http.get(PATH)).json()
    assert [one["name"] for one in whole["items"]] == ["sound"]
    (lost,) = whole["unreadable"]
    assert lost["name"] == "lost"
    assert "OLLAMANET_SECRETS_KEY_FILE" in lost["error"]
    first = (await admin.http.get(PATH, params={"limit": 1})).json()
    assert (first["items"], first["unreadable"]) == ([], [lost])
    second = (await admin.http.get(PATH, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert ([one["name"] for one in second["items"]], second["next_cursor"]) == (["sound"], None)
    assert problem(await admin.http.get(f"{PATH}/lost"), 503, "unavailable")["detail"] == lost["error"]
    assert (await admin.http.delete(f"{PATH}/lost")).status_code == 204
    assert (await admin.http.get(PATH)).json()["unreadable"] == []


# Being told and noted


async def test_a_change_is_made_also_where_the_bus_is_away(world: World, admin: Person) -> None:
    world.bus.fails[BackendChanged] = Unavailable("away")
    world.bus.fails[RefreshCatalog] = Overloaded("full")
    await added(admin)
    assert (await admin.http.patch(f"{PATH}/gpu", json={"slots": 9})).json()["slots"] == 9
    assert (await admin.http.delete(f"{PATH}/gpu")).status_code == 204


async def test_every_change_is_in_the_audit_record_without_its_secrets(admin: Person, pem: str) -> None:
    await added(admin, api_key=SECRET, tls_ca=pem)
    problem(await adds(admin), 409, "backend_exists")
    await admin.http.patch(f"{PATH}/gpu", json={"slots": 9, "api_key": None})
    await admin.http.delete(f"{PATH}/gpu")
    response = await admin.http.get("/api/admin/audit")
    entries = response.json()["items"]
    assert SECRET not in response.text
    assert [(one["action"], one["subject"], one["outcome"]) for one in entries] == [
        ("RemoveBackend", "gpu", "completed"), ("ChangeBackend", "gpu", "completed"), ("AddBackend", "gpu", "failed"),
        ("AddBackend", "gpu", "completed"),
    ]  # fmt: skip
    assert {one["actor"] for one in entries} == {admin.account.id}
    removed, changed, refused, first = entries
    assert first["details"] == {
        "kind": "ollama", "url": PUBLIC, "pool": "default", "slots": 4, "tls_verify": True, "api_key": "set", "tls_ca": "set"
    }  # fmt: skip
    assert changed["details"] == {"slots": 9, "api_key": "removed"}
    assert (removed["details"], removed["error"]) == ({}, None)
    assert (refused["error"]["code"], refused["ended_at"] is not None) == ("backend_exists", True)


async def test_no_key_is_logged(admin: Person) -> None:
    with capture_logs() as logs:
        await added(admin, api_key=SECRET)
        await admin.http.patch(f"{PATH}/gpu", json={"api_key": SECRET + "2"})
        await adds(admin, api_key=SECRET + " ")
    assert {"backend_added", "backend_changed"} <= {one["event"] for one in logs}
    assert SECRET not in repr(logs)


# Trying


@asynccontextmanager
async def catalog(world: World, healthy: bool = True) -> AsyncGenerator[None, None]:
    """A catalog worker that sees one model, or nobody."""

    async def look(command: RefreshCatalog, delivery: Delivery) -> None:
        seen = BackendHealth(
            name=command.backend or "", kind="ollama", pool="default", healthy=healthy, checked_at=datetime.now(UTC),
            error=None if healthy else "gpu cannot be reached.", latency_ms=7 if healthy else None,
            version="0.9.9" if healthy else None,
        )  # fmt: skip
        if healthy:
            await world.serves("small", served_by=(BackendModel(name="small", backend=seen.name),))
        await world.ports.models.put_health([seen])

    async with world.bus.consume([Subscription(CATALOG_COMMANDS, (RefreshCatalog,), look)]):
        yield


async def test_a_test_tells_what_the_catalog_sees_now(world: World, admin: Person) -> None:
    await added(admin)
    async with catalog(world):
        response = await admin.http.post(f"{PATH}/gpu/test")
    assert response.status_code == 200, response.text
    assert response.json() == {"reachable": True, "latency_ms": 7, "version": "0.9.9", "models": 1, "error": None}


async def test_a_test_of_what_cannot_be_reached_says_why(world: World, admin: Person) -> None:
    await added(admin)
    async with catalog(world, healthy=False):
        response = await admin.http.post(f"{PATH}/gpu/test")
    assert response.json() == {
        "reachable": False, "latency_ms": None, "version": None, "models": 0, "error": "gpu cannot be reached."
    }  # fmt: skip


async def test_a_test_that_nobody_makes_says_that_a_worker_is_missing(
    world: World, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.3)
    await added(admin)
    old = BackendHealth(
        name="gpu", kind="ollama", pool="default", healthy=True, checked_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    await world.ports.models.put_health([old])
    refused = problem(await admin.http.post(f"{PATH}/gpu/test"), 504, "no_catalog_worker")
    assert "catalog worker" in str(refused["detail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unroutable("x"), "no_worker"), (Overloaded("x"), "overloaded"), (Unavailable("x"), "unavailable")],
)
async def test_a_test_that_cannot_be_asked_for_says_so_at_once(
    world: World, admin: Person, error: Exception, code: str
) -> None:
    await added(admin)
    world.bus.fails[RefreshCatalog] = error
    problem(await admin.http.post(f"{PATH}/gpu/test"), 503, code)


# Who may


async def test_a_role_that_was_taken_away_counts_at_once(world: World, admin: Person) -> None:
    await added(admin)
    await world.ports.accounts.put_role_and_password(admin.account.id, "user", "none")
    for response in (
        await adds(admin, "other"),
        await admin.http.get(PATH),
        await admin.http.delete(f"{PATH}/gpu"),
        await admin.http.get("/api/admin/audit"),
    ):
        problem(response, 403, "not_permitted")
    assert list(await world.ports.backends.names()) == ["gpu"]
