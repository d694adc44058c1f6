"""Ollama's calls about models: what is sent, what its lines and errors mean, and how long it may be silent."""

import json

import pytest

from contracts.errors import BackendFailed
from contracts.ports.backend import Backend
from contracts.ports.management import ModelManagement, NewModel, Pulled
from infra.ollama.managed import LONGEST_SILENCE, MOST_LAYERS, Listening, Progress
from infra.ollama.shown import DESCRIPTION, Card, Shown
from tests.eventually import eventually
from tests.unit.backends.raw import RawServer, Reply, json_reply

PULL, CREATE = "/api/pull", "/api/create"
DIGEST = f"sha256:{'ab' * 32}"
OTHER = f"sha256:{'cd' * 32}"
LAYER = {"status": "pulling abababababab", "digest": DIGEST, "total": 100}
SUCCESS = {"status": "success"}


@pytest.fixture
def managed(ollama: Backend) -> ModelManagement:
    management = ollama.management
    assert management is not None
    return management


def lines(*values: object, ending: str = "whole") -> Reply:
    pieces = tuple(json.dumps(value).encode() + b"\n" for value in values)
    return Reply(pieces, headers=("Content-Type: application/x-ndjson",), ending=ending)  # type: ignore[arg-type]


async def pulled(managed: ModelManagement, patience: float = 5.0) -> list[Pulled]:
    return [one async for one in managed.pull("small", patience=patience)]


async def failure(managed: ModelManagement, patience: float = 5.0) -> BackendFailed:
    with pytest.raises(BackendFailed) as failed:
        await pulled(managed, patience)
    return failed.value


async def test_a_pull_is_said_as_ollama_has_it(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines(SUCCESS))
    assert [one async for one in managed.pull("hub/small:v2", insecure=True)] == [Pulled("success")]
    assert raw.body() == {"model": "hub/small:v2", "insecure": True, "stream": True}


async def test_layers_are_told_in_bytes(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines({"status": "pulling manifest"}, LAYER, {**LAYER, "completed": 40}, SUCCESS))
    manifest, begun, under_way, end = await pulled(managed)
    assert (manifest, end) == (Pulled("pulling manifest"), Pulled("success"))
    assert begun == Pulled("pulling abababababab", DIGEST, 100, 0)  # zeros are left out
    assert under_way == Pulled("pulling abababababab", DIGEST, 100, 40)


async def test_a_layer_without_a_status_has_one(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines({"digest": DIGEST, "total": 100, "completed": 100}, SUCCESS))
    assert (await pulled(managed))[0] == Pulled("pulling abababababab", DIGEST, 100, 100)


async def test_nothing_after_success_is_waited_for(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines(SUCCESS, ending="silent"))
    assert await pulled(managed) == [Pulled("success")]


async def test_only_success_is_an_end(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines(LAYER))
    assert (await failure(managed)).code == "backend_cut"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense", b"[]", b"{}", b'{"status": 7}', b'{"status": "a\xff"}', b'{"digest": "d", "total": -1}',
        b'{"digest": "d", "total": 1e300}', b'{"digest": "d", "completed": 9007199254740993}', b"<html>",
    ],
)  # fmt: skip
async def test_a_line_of_another_shape_is_garbage(raw: RawServer, managed: ModelManagement, line: bytes) -> None:
    raw.says(PULL, Reply((line + b"\n",)))
    assert (await failure(managed)).code == "backend_garbage"


ERRORS = [
    ("write /root/.ollama/models/blobs/sha256-ab-partial: no space left on device", "disk_full", False),
    ("write C:\\models\\blobs: There is not enough space on the disk.", "disk_full", False),
    ("write /blobs/x: disk quota exceeded", "disk_full", False),
    ("digest mismatch, file must be downloaded again: want sha256:1, got sha256:2", "digest_mismatch", True),
    ("pull model manifest: file does not exist", "model_not_found", False),
    ('model "small" not found', "model_not_found", False),
    ("pull model manifest: 412: a newer version of Ollama is required", "backend_error", False),
    ("pull model manifest: 401: ", "backend_error", False),
    ("pull model manifest: 429: slow down", "backend_error", True),
    ("pull model manifest: 503: later", "backend_error", True),
    ("insecure protocol http", "backend_error", False),
    ('Get "https://hub/v2/": tls: first record does not look like a TLS handshake', "backend_error", False),
    ("max retries exceeded: EOF", "backend_error", True),
    ("context canceled", "backend_error", True),
]


@pytest.mark.parametrize(("words", "code", "retryable"), ERRORS, ids=[one[0][:40] for one in ERRORS])
async def test_an_error_line_means_what_it_says(
    raw: RawServer, managed: ModelManagement, words: str, code: str, *, retryable: bool
) -> None:
    raw.says(PULL, lines(LAYER, {"error": words}))
    failed = await failure(managed)
    assert (failed.code, failed.retryable) == (code, retryable)
    assert str(failed) == f"gpu-1 broke off: {words}"


async def test_an_error_line_with_a_status_is_one(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines({"error": "template error", "status": 400}))
    failed = await failure(managed)
    assert (failed.code, failed.retryable) == ("backend_error", False)


@pytest.mark.parametrize(
    ("status", "words", "code", "retryable"),
    [
        ("404 Not Found", "model 'small' not found", "model_not_found", False),
        ("404 Not Found", "404 page not found", "backend_error", False),
        ("400 Bad Request", "invalid model name", "backend_error", False),
        ("500 Internal Server Error", "open /x: no space left on device", "disk_full", False),
        ("503 Service Unavailable", "later", "backend_error", True),
        ("401 Unauthorized", "model 'small' not found", "backend_error", False),
        ("307 Temporary Redirect", "", "backend_error", False),
    ],
    ids=["unknown", "no-ollama", "invalid", "full", "busy", "secretive", "elsewhere"],
)
async def test_an_error_status_means_what_its_words_say(
    raw: RawServer, managed: ModelManagement, status: str, words: str, code: str, *, retryable: bool
) -> None:
    raw.says(PULL, json_reply({"error": words}, status))
    raw.says("/api/delete", json_reply({"error": words}, status))
    failed = await failure(managed)
    assert (failed.code, failed.retryable) == (code, retryable)
    with pytest.raises(BackendFailed) as refused:
        await managed.delete("small")
    assert (refused.value.code, refused.value.retryable) == (code, retryable)


async def test_silence_is_a_stall(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines({"status": "pulling manifest"}, ending="silent"))
    failed = await failure(managed, patience=0.2)
    assert (failed.code, failed.retryable, str(failed)) == ("pull_stalled", True, "gpu-1 told nothing new for 0.2 s.")


async def test_no_answer_at_all_is_a_stall(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, Reply(status="", ending="silent"))
    assert (await failure(managed, patience=0.2)).code == "pull_stalled"


def news(listening: Listening, said: Progress) -> bool:
    """Whether that prolongs the waiting."""
    before = listening.begun
    listening.begun = False
    listening.listen(said)
    heard, listening.begun = listening.begun, before or listening.begun
    return heard


def test_the_same_again_is_no_news() -> None:
    listening = Listening(60, 60)
    layer = Progress("pulling", DIGEST, 100, 10)
    assert [news(listening, layer) for _ in range(2)] == [True, False]
    # a newer Ollama tells every layer each time
    assert news(listening, Progress("pulling", OTHER, 100, 0))
    assert not news(listening, layer)
    assert news(listening, Progress("pulling", DIGEST, 100, 11))


def test_verifying_may_take_as_long_as_reading_all_layers() -> None:
    listening = Listening(60, 60, patience=60)
    listening.listen(Progress("pulling", DIGEST, 40_000_000_000, 40_000_000_000))
    assert listening.between == 60
    listening.listen(Progress("verifying sha256 digest"))
    assert listening.between == 60 + 800
    listening.listen(Progress("pulling", OTHER, 2**53, 1))
    assert listening.between == 60
    listening.listen(Progress("verifying sha256 digest"))
    assert listening.between == LONGEST_SILENCE


def test_layers_without_end_are_no_news() -> None:
    listening = Listening(60, 60)
    told = [news(listening, Progress("pulling", f"sha256:{number}", 1)) for number in range(MOST_LAYERS + 2)]
    assert told.count(True) == len(listening.layers) == MOST_LAYERS
    assert not any(told[MOST_LAYERS:])


async def test_a_create_says_what_is_given_and_nothing_else(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(CREATE, lines(SUCCESS))
    await anext(managed.create(NewModel(name="mine", files={"m.gguf": DIGEST})))
    assert raw.body() == {"model": "mine", "stream": True, "files": {"m.gguf": DIGEST}}
    raw.says("/api/show", json_reply({}))
    new = NewModel(
        name="mine",
        base="small",
        template="{{ .Prompt }}",
        system="",
        license=("MIT",),
        parameters={"stop": ["a"], "temperature": 0},
        messages=({"role": "user", "content": "Hi"},),
        quantize="q4_K_M",
    )
    await anext(managed.create(new))
    assert raw.body() == {
        "model": "mine", "stream": True, "from": "small", "template": "{{ .Prompt }}", "system": "", "license": ["MIT"],
        "parameters": {"stop": ["a"], "temperature": 0}, "messages": [{"role": "user", "content": "Hi"}], "quantize": "q4_K_M",
    }  # fmt: skip


async def test_a_base_is_looked_for_before_anything_is_made(raw: RawServer, managed: ModelManagement) -> None:
    raw.says("/api/show", json_reply({"error": "model 'absent' not found"}, "404 Not Found"))
    with pytest.raises(BackendFailed) as failed:
        await anext(managed.create(NewModel(name="mine", base="absent")))
    assert failed.value.code == "model_not_found"
    assert [one.path for one in raw.asked] == ["/api/show"]


async def test_copies_and_deletions_are_said_as_ollama_has_them(raw: RawServer, managed: ModelManagement) -> None:
    raw.says("/api/copy", Reply())
    await managed.copy("a", "b")
    assert raw.body() == {"source": "a", "destination": "b"}
    raw.says("/api/delete", Reply())
    await managed.delete("a")
    assert raw.body() == {"model": "a"}


@pytest.mark.parametrize(
    ("modelfile", "layer"),
    [
        (f"# FROM small\n\nFROM /root/.ollama/models/blobs/sha256-{'ab' * 32}\nTEMPLATE x", DIGEST),
        (f"FROM C:\\Users\\me\\.ollama\\blobs\\sha256-{'ab' * 32}\r\nFROM /blobs/sha256-{'cd' * 32}\n", DIGEST),
        (f"# FROM /blobs/sha256-{'ab' * 32}\n", None),
        ("FROM small:latest\n", None),
        ("", None),
        (None, None),
    ],
    ids=["linux", "windows-and-a-projector", "comment", "name", "empty", "none"],
)
def test_the_weights_layer_is_the_first_that_the_modelfile_names(modelfile: str | None, layer: str | None) -> None:
    assert Card(modelfile=modelfile).card("small:latest", "d1").layer == layer


async def test_a_card_is_asked_anew(raw: RawServer, managed: ModelManagement) -> None:
    shown = {"capabilities": ["completion", "tools"], "license": "MIT\nmore\n", "modelfile": "FROM x"}
    raw.says("/api/show", json_reply(shown))
    raw.says("/api/tags", json_reply({"models": [{"name": "Hub/Small:latest", "digest": "d1"}]}))
    card = await managed.card("hub/small")
    assert (card.name, card.digest, card.layer, card.license) == ("hub/small", "d1", None, "MIT\nmore")
    assert (card.modelfile, card.capabilities) == ("FROM x", ("chat", "tools"))
    raw.says("/api/tags", json_reply({"models": [{"name": "hub/small:latest", "digest": "d2"}]}))
    assert (await managed.card("hub/small:latest")).digest == "d2"


@pytest.mark.parametrize(
    ("said", "description"),
    [(" A small model. ", "A small model."), ("", None), (7, None), (None, None), ("a" * 2000, "a" * DESCRIPTION)],
    ids=["words", "empty", "number", "none", "long"],
)
def test_a_model_is_described_in_its_files_words(said: object, description: str | None) -> None:
    assert Shown(model_info={"general.description": said}).description == description


@pytest.mark.parametrize("said", [{}, {"version": 7}, []], ids=["empty", "number", "list"])
async def test_a_version_of_another_shape_is_garbage(raw: RawServer, managed: ModelManagement, said: object) -> None:
    raw.says("/api/version", json_reply(said))
    with pytest.raises(BackendFailed) as failed:
        await managed.version()
    assert failed.value.code == "backend_garbage"


async def test_leaving_a_pull_closes_its_connection(raw: RawServer, managed: ModelManagement) -> None:
    raw.says(PULL, lines(LAYER, ending="silent"))
    told = managed.pull("small")
    await anext(told)
    assert raw.open == 1
    await told.aclose()
    await eventually(lambda: raw.open == 0)
