"""Managing an Ollama's models: what our adapter sends and reads is what the official `ollama` package sends and reads."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web

from contracts.errors import BackendFailed
from contracts.ids import new_id
from contracts.ports.management import ModelManagement, NewModel, Pulled
from contracts.records import BackendSettings
from infra.backends.opening import opened
from tests.conformance.clients import PATIENCE
from tests.conformance.environments import HERE, MADE, missing
from tests.servers.shared import free_port

ENVIRONMENT = "python_ollama"
DIGEST = f"sha256:{'ab' * 32}"
BLOB = "the weights"
BLOB_DIGEST = f"sha256:{sha256(BLOB.encode()).hexdigest()}"


async def official(url: str, call: str, **given: object) -> Any:
    """What the package's own client gives back."""
    if why := missing(ENVIRONMENT):
        pytest.fail(why)
    python, program = MADE / ENVIRONMENT / "bin" / "python", HERE / ENVIRONMENT / "managing.py"
    process = await asyncio.create_subprocess_exec(
        str(python), "-P", str(program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        told, _ = await process.communicate(json.dumps({"url": url, "call": call, "given": given}).encode())
    assert process.returncode == 0
    return json.loads(told)


@dataclass
class Recorder:
    """A server that notes what it is asked, and answers every path with what it is told to."""

    url: str = ""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[tuple[str, str, object]] = field(default_factory=list[tuple[str, str, object]])

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        blob = request.path.startswith("/api/blobs/")
        self.asked.append((request.method, request.path, body.decode() if blob else json.loads(body or b"null")))
        if request.method == "HEAD":
            return web.Response(status=404)
        return web.Response(text=self.answers.get(request.path, '{"status": "success"}'))

    def at(self, path: str) -> list[tuple[str, str, object]]:
        """What was asked there, to have something done."""
        found = [one for one in self.asked if one[1] == path and one[0] != "HEAD"]
        self.asked.clear()
        return found


@pytest.fixture
async def recorder() -> AsyncGenerator[Recorder, None]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    recorder.url = f"http://127.0.0.1:{port}"
    yield recorder
    await runner.cleanup()


async def managing(url: str) -> AsyncIterator[ModelManagement]:
    async with opened(BackendSettings(name="gpu-1", kind="ollama", url=url), allow_private=True) as backend:
        managed = backend.management
        assert managed is not None
        yield managed


@pytest.fixture
async def ours(recorder: Recorder) -> AsyncGenerator[ModelManagement, None]:
    async for one in managing(recorder.url):
        yield one


@pytest.fixture
async def ours_on_the_fake(fake_url: str) -> AsyncGenerator[ModelManagement, None]:
    async for one in managing(fake_url):
        yield one


async def whole(told: AsyncGenerator[Pulled, None]) -> list[Pulled]:
    async with aclosing(told):
        return [one async for one in told]


async def content() -> AsyncIterator[bytes]:
    yield BLOB.encode()


FULL = {
    "files": {"m.gguf": DIGEST}, "template": "{{ .Prompt }}", "system": "Be brief.", "license": ["MIT", "more"],
    "parameters": {"stop": ["a", "b"], "temperature": 0.5, "num_ctx": 4096}, "messages": [{"role": "user", "content": "Hello?"}],
    "quantize": "q4_K_M",
}  # fmt: skip
NEW = NewModel(
    name="mine",
    files={"m.gguf": DIGEST},
    template="{{ .Prompt }}",
    system="Be brief.",
    license=("MIT", "more"),
    parameters={"stop": ["a", "b"], "temperature": 0.5, "num_ctx": 4096},
    messages=({"role": "user", "content": "Hello?"},),
    quantize="q4_K_M",
)
Call = Callable[[ModelManagement], Awaitable[object]]
CALLS: dict[str, tuple[str, str, dict[str, object], Call]] = {
    "pull": (
        "/api/pull",
        "pull",
        {"model": "hub/small:v2", "insecure": True},
        lambda managed: whole(managed.pull("hub/small:v2", insecure=True)),
    ),
    "create-of-files": (
        "/api/create",
        "create",
        {"model": "mine", **FULL},
        lambda managed: whole(managed.create(NEW)),
    ),
    "create-of-another": (
        "/api/create",
        "create",
        {"model": "mine", "from_": "small"},
        lambda managed: whole(managed.create(NewModel(name="mine", base="small"))),
    ),
    "blob": (
        f"/api/blobs/{BLOB_DIGEST}",
        "create_blob",
        {"content": BLOB},
        lambda managed: managed.push_blob(BLOB_DIGEST, len(BLOB), content()),
    ),
    "copy": (
        "/api/copy",
        "copy",
        {"source": "small", "destination": "hub/copy:v2"},
        lambda managed: managed.copy("small", "hub/copy:v2"),
    ),
    "delete": ("/api/delete", "delete", {"model": "small:v2"}, lambda managed: managed.delete("small:v2")),
    "show": ("/api/show", "show", {"model": "small:v2"}, lambda managed: managed.card("small:v2")),
}


@pytest.mark.parametrize("name", CALLS)
async def test_what_is_sent_is_what_the_official_client_sends(
    recorder: Recorder, ours: ModelManagement, name: str
) -> None:
    path, call, given, does = CALLS[name]
    recorder.answers = {"/api/show": '{"model_info": {}}', "/api/tags": '{"models": []}'}
    await official(recorder.url, call, **given)
    theirs = recorder.at(path)
    await does(ours)
    assert recorder.at(path) == theirs
    assert len(theirs) == 1


LINES = [
    {"status": "pulling manifest"},
    {"status": "pulling abababababab", "digest": DIGEST, "total": 98362452},
    {"status": "pulling abababababab", "digest": DIGEST, "total": 98362452, "completed": 1179648},
    {"status": "verifying sha256 digest"},
    {"status": "success", "since": "a later version"},
]
"""As Ollama 0.9.6 sends them."""


@pytest.mark.parametrize("call", ["pull", "create"])
async def test_what_is_read_is_what_the_official_client_reads(
    recorder: Recorder, ours: ModelManagement, call: str
) -> None:
    recorder.answers[f"/api/{call}"] = "".join(json.dumps(one) + "\n" for one in LINES)
    theirs = await official(recorder.url, call, model="small")
    mine = await whole(ours.pull("small") if call == "pull" else ours.create(NewModel(name="small")))
    assert [(one.status, one.digest, one.total, one.completed or None) for one in mine] == [
        (one["status"], one["digest"], one["total"], one["completed"]) for one in theirs
    ]


async def test_an_error_is_told_in_the_words_that_the_official_client_tells(
    recorder: Recorder, ours: ModelManagement
) -> None:
    recorder.answers["/api/pull"] = json.dumps({"error": "max retries exceeded: EOF"})
    theirs = await official(recorder.url, "pull", model="small")
    with pytest.raises(BackendFailed) as failed:
        await whole(ours.pull("small"))
    assert str(failed.value) == f"gpu-1 broke off: {theirs['raised']}"


async def test_a_card_is_what_the_official_client_is_shown(fake_url: str, ours_on_the_fake: ModelManagement) -> None:
    theirs = await official(fake_url, "show", model="thinker")
    card = await ours_on_the_fake.card("thinker")
    assert (card.license, card.modelfile) == (theirs["license"], theirs["modelfile"])
    assert card.capabilities == ("chat", "thinking")
    assert theirs["capabilities"] == ["completion", "thinking"]


async def test_the_fake_back_end_is_managed_by_the_official_client(
    fake_url: str, ours_on_the_fake: ModelManagement
) -> None:
    """So that what is tested on it alone holds for an Ollama."""
    pulled, made, copy, words = f"pull-fast:{new_id()}", f"of/{new_id()}", f"of/{new_id()}:v2", new_id()
    said = await official(fake_url, "pull", model=pulled)
    assert [one["status"] for one in (said[0], said[-1])] == ["pulling manifest", "success"]
    digest = await official(fake_url, "create_blob", content=words)
    assert await ours_on_the_fake.has_blob(digest)
    said = await official(fake_url, "create", model=made, files={"m.gguf": digest}, license="MIT")
    assert said[-1]["status"] == "success"
    await official(fake_url, "copy", source=made, destination=copy)
    card = await ours_on_the_fake.card(copy)
    assert (card.layer, card.license) == (digest, "MIT")
    for name in (pulled, made, copy):
        assert await official(fake_url, "delete", model=name) == {"status": "success"}
        with pytest.raises(BackendFailed) as failed:
            await ours_on_the_fake.card(name)
        assert failed.value.code == "model_not_found"
    assert await official(fake_url, "delete", model=made) == {"raised": f"model '{made}' not found"}
