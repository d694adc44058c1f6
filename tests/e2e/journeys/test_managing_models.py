"""The administrator's journey with a real Ollama and a real registry: add, tag, verify, delete the old version; seen by everybody at once."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aio_pika
import httpx
import pytest

from contracts.ids import new_id
from tests.e2e.client import PASSWORD, Event, Person, events
from tests.e2e.compositions import Platform, distributed, embedded, launch
from tests.eventually import eventually
from tests.servers.registry import Registry

ADMIN = "admin@example.org"
MODELS = "/api/admin/models"


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ollama_url: str
) -> Iterator[Platform]:
    own = (
        embedded
        if request.param == "embedded"
        else partial(distributed, servers=request.getfixturevalue("new_servers")())
    )
    backends: list[dict[str, object]] = [{"name": "laptop", "kind": "ollama", "url": ollama_url, "slots": 2}]
    more = {
        "OLLAMANET_ADMIN_EMAIL": ADMIN, "OLLAMANET_ADMIN_PASSWORD": PASSWORD, "OLLAMANET_ALLOW_PRIVATE_BACKENDS": "true",
    }  # fmt: skip
    running = own(tmp_path_factory.mktemp(f"managing-{request.param}"), backends=backends, more=more)
    yield running
    running.stop()


@pytest.fixture
async def admin(platform: Platform) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=platform.edges[0], timeout=60) as client:
        response = await client.post("/api/auth/login", json={"email": ADMIN, "password": PASSWORD})
        assert response.status_code == 200, response.text
    someone = Person(platform.edges, response.json()["access_token"], response.json()["user"])
    await eventually(lambda: _shows(someone, "small", 0), 20)
    yield someone
    await someone.leaves()


@dataclass
class Heard:
    """What a developer's queue on the public events got: types without their prefix and version, and who each is about."""

    events: list[tuple[str, str]] = field(default_factory=list)

    def about(self, model: str) -> list[str]:
        return [kind for kind, subject in self.events if subject == model]


@asynccontextmanager
async def subscribed(platform: Platform) -> AsyncIterator[Heard]:
    """A developer's own queue, where the platform has a broker."""
    heard = Heard()
    url = platform.environment.get("OLLAMANET_RABBITMQ_URL")
    if url is None:
        yield heard
        return
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("events.public", "model.*")

        async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            kind = str(message.headers["cloudEvents_type"]).removeprefix("net.ollamanet.").removesuffix(".v1")
            heard.events.append((kind, str(message.headers["cloudEvents_subject"])))

        await queue.consume(note, no_ack=True)
        yield heard


async def orders(admin: Person, method: str, path: str, body: object = None) -> dict[str, object]:
    response = await admin.edge(0).request(method, path, json=body)
    assert response.status_code == 202, response.text
    return response.json()


async def follows(admin: Person, command: dict[str, object], edge: int = 1) -> list[Event]:
    """Its stream to the end, on another edge than the one that accepted it; a connection that breaks is resumed."""
    found: list[Event] = []
    while not (found and found[-1].name in ("completed", "failed", "cancelled")):
        headers = {"Last-Event-ID": str(found[-1].id)} if found else {}
        async with admin.edge(edge).stream("GET", str(command["stream"]), headers=headers) as response:
            async for event in events(response):
                found.append(event)
    return found


async def _shows(admin: Person, model: str, edge: int) -> bool:
    response = await admin.edge(edge).get(f"/api/models/{model}")
    return response.status_code == 200 and response.json()["status"] == "available"


async def test_add_tag_verify_and_delete_the_old_version(platform: Platform, admin: Person, registry: Registry) -> None:
    old, new = (registry.model("smollm2", f"{version}-{new_id()[-8:]}") for version in ("v1", "v2"))
    async with subscribed(platform) as heard:
        first = await follows(admin, await orders(admin, "POST", MODELS, {"name": old, "insecure": True}))
        assert first[-1].name == "completed", first[-1]
        body = {"name": new, "insecure": True, "tags": ["small"], "description": "The newer one."}
        added = await follows(admin, await orders(admin, "POST", MODELS, body))
        assert added[-1].name == "completed", added[-1]
        layers = {event.data["digest"] for event in added if event.name == "progress" and "digest" in event.data}
        assert len(layers) >= 4
        for edge in range(len(platform.edges)):
            await eventually(lambda edge=edge: _shows(admin, new, edge), 1.0)
        await follows(admin, await orders(admin, "PUT", f"{MODELS}/{new}/tags", {"tags": ["small", "checked"]}))
        verified = await follows(admin, await orders(admin, "POST", f"{MODELS}/{new}/verify"))
        assert verified[-1].name == "completed", verified[-1]
        found = verified[-1].data["results"]["laptop"]  # type: ignore[index]
        assert (found["works"], found["digest"], found["continues"]) == (True, "same", True)
        assert found["tokens_per_second"] > 0
        shown = (await admin.edge(0).get(f"/api/models/{new}")).json()
        assert (shown["description"], shown["license"]) == ("The newer one.", "Apache License 2.0")
        answer = await admin.ask("Hello?", model=new, options={"max_tokens": 8})
        assert answer.end().name == "completed"
        deleted = await follows(admin, await orders(admin, "DELETE", f"{MODELS}/{old}?drain=true"))
        assert deleted[-1].name == "completed", deleted[-1]
        assert (await admin.edge(0).get(f"/api/models/{old}")).status_code == 404
        if platform.kind == "distributed":
            await eventually(lambda: "ModelDeleted" in heard.about(old))
            assert heard.about(new)[:1] == ["ModelAvailable"]
            assert {"ModelTagged", "ModelDescribed", "ModelVerified"} <= set(heard.about(new))
            assert {"ModelRetired", "ModelUnavailable", "ModelDeleted"} <= set(heard.about(old))
    entries = (await admin.edge(0).get("/api/admin/audit", params={"subject": new})).json()["items"]
    assert [(one["action"], one["outcome"]) for one in reversed(entries)] == [
        ("PullModel", "completed"), ("TagModel", "completed"), ("VerifyModel", "completed"),
    ]  # fmt: skip
    await follows(admin, await orders(admin, "DELETE", f"{MODELS}/{new}?force=true"))


async def test_the_same_from_the_terminal(
    platform: Platform, admin: Person, registry: Registry, tmp_path: Path
) -> None:
    old, new = (registry.model("smollm2", f"{version}-{new_id()[-8:]}") for version in ("v1", "v2"))
    terminal = Terminal(platform.edges[0], tmp_path)
    await terminal.runs("login", "--email", ADMIN, "--password-stdin", said=PASSWORD)
    await terminal.runs("models", "pull", old, "--insecure")
    await terminal.runs("models", "pull", new, "--insecure", "--tag", "small")
    await terminal.runs("models", "tag", new, "small", "checked")
    (found,) = json.loads(await terminal.runs("models", "verify", new, "--json"))["results"].values()
    assert (found["detail"]["works"], found["detail"]["digest"]) == (True, "same")
    await terminal.runs("models", "alias", "chat-default", new)
    shown = json.loads(await terminal.runs("models", "show", "chat-default", "--json"))
    assert (shown["alias_of"], shown["tags"]) == (new, ["checked", "small"])
    await terminal.runs("models", "delete", old, "--yes", "--drain")
    listed = json.loads(await terminal.runs("models", "list", "--json"))
    names = {one["name"] for one in (listed["items"] if isinstance(listed, dict) else listed)}
    assert new in names
    assert old not in names
    await terminal.runs("models", "show", old, code=1)
    await terminal.runs("models", "alias", "--remove", "chat-default")
    await terminal.runs("models", "delete", new, "--yes", "--force")


@dataclass(frozen=True)
class Terminal:
    """Somebody's own, with what the command keeps in a folder of its own."""

    url: str
    home: Path

    async def runs(self, *words: str, said: str = "", code: int = 0) -> str:
        """What `ollamanet …` prints; it ends with that code."""
        environment = {
            **os.environ,
            "OLLAMANET_URL": self.url,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", *words, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate(f"{said}\n".encode())
        assert process.returncode == code, f"{words}: {out.decode()}{err.decode()}"
        return out.decode()


async def test_a_pull_is_cancelled(platform: Platform, admin: Person, registry: Registry) -> None:
    model = registry.model("slow-1000000", new_id())
    command = await orders(admin, "POST", MODELS, {"name": model, "insecure": True})
    async with admin.edge(0).stream("GET", str(command["stream"])) as response:
        names: list[str] = []
        async for event in events(response):
            names.append(event.name)
            if event.data.get("completed") and names.count("cancelled") == 0:
                await orders(admin, "POST", f"/api/admin/commands/{command['id']}/cancel")
    assert names[-1] == "cancelled"
    digest, _ = registry.weights(model)
    await eventually(lambda: all(one.ended_at for one in registry.requests(digest)))


async def test_a_pull_outlives_its_worker(platform: Platform, admin: Person, registry: Registry) -> None:
    """With another worker its follower sees no gap; embedded, where all there is was killed, it goes on after the restart."""
    model = registry.model("slow-20000000", new_id())
    command = await orders(admin, "POST", MODELS, {"name": model, "insecure": True})
    following = asyncio.create_task(follows(admin, command)) if platform.kind == "distributed" else None

    async def under_way() -> bool:
        progress = (await admin.edge(0).get(f"/api/admin/commands/{command['id']}")).json()["progress"]
        return bool(progress and progress["completed"])

    await eventually(under_way)
    if following is None:
        platform.kill("platform")
        platform.restart("platform")
        told = await follows(admin, command)
    else:
        platform.kill("catalog")
        launch(platform, "catalog-2", "workers.catalog.main", {})
        async with asyncio.timeout(60):
            told = await following
        platform.restart("catalog")
        numbers = [int(str(event.id).split("-")[1]) for event in told]
        assert numbers == list(range(len(told)))
    assert told[-1].name == "completed", told[-1]
    digest, size = registry.weights(model)
    assert sum(one.sent for one in registry.requests(digest)) < 1.5 * size
    await follows(admin, await orders(admin, "DELETE", f"{MODELS}/{model}"))
