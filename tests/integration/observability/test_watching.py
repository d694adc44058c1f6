"""One question, watched: one trace through every process, logs with ids, and the figures an operator asks first."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.ids import new_id
from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, embedded
from tests.eventually import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
CONSOLE = {"OTEL_TRACES_EXPORTER": "console"}


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp(f"watched-{request.param}")
    if request.param == "embedded":
        running = embedded(folder, more={**CONSOLE, "OLLAMANET_OPS_PORT": "0"})
    else:
        running = distributed(folder, request.getfixturevalue("new_servers")(), more=CONSOLE)
    yield running
    running.stop()


async def test_a_question_can_be_watched_from_the_request_to_the_record(watched: Platform) -> None:
    person = await Person.signs_up(watched.edges)
    request_id = new_id()
    for edge in range(len(watched.edges)):
        person.edge(edge).headers.update({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-Id": request_id})

    async def models() -> bool:
        return bool((await person.edge().get("/api/models")).json()["items"])

    await eventually(models)
    answer = await person.ask("Why is the sky blue?")
    accepted = answer.first("accepted")

    async def recorded() -> bool:
        return (await person.chat(accepted["chat_id"]))["messages"][-1]["status"] == "complete"  # type: ignore[index]

    await eventually(recorded)
    await person.leaves()
    metrics = _metrics(watched)
    for name in watched.processes:
        watched.kill(name, signal.SIGTERM)

    spans = {span["name"] for span in _spans(watched.folder) if span["context"]["trace_id"] == f"0x{TRACE}"}
    assert {
        "POST /api/chats/stream",
        "GenerateReply.v1 handle",
        "generation",
        "backend chat",
        "internal.ReplyCompleted.v1 handle",
    } <= spans
    lines = _lines(watched.folder)
    request = [one for one in lines if one.get("event") == "question_accepted"][-1]
    ids = (request["request_id"], request["trace_id"], request["generation_id"], request["chat_id"])
    assert ids == (request_id, TRACE, accepted["generation_id"], accepted["chat_id"])
    for event in ("reply_completed", "reply_recorded"):
        line = next(one for one in lines if one.get("event") == event)
        assert (line["trace_id"], line["generation_id"]) == (TRACE, accepted["generation_id"])
    if metrics:
        _check_figures(metrics)


def _metrics(platform: Platform) -> dict[str, str]:
    """What each process says of itself, where it has an ops port."""
    urls = {name: ready for name, (_, own, ready) in platform.commands.items() if "OLLAMANET_OPS_PORT" in own}
    found: dict[str, str] = {}
    for name, ready in urls.items():
        with urllib.request.urlopen(ready.replace("/readyz", "/metrics"), timeout=5) as response:
            found[name] = response.read().decode()
    return found


def _check_figures(metrics: dict[str, str]) -> None:
    def total(*names: str) -> dict[str, float]:
        lines = [line for name in names for line in metrics[name].splitlines() if not line.startswith("#")]
        found: dict[str, float] = {}
        for line in lines:
            key, _, value = line.rpartition(" ")
            bare = key.partition("{")[0]
            found[bare] = found.get(bare, 0) + float(value)
        return found

    edges, workers = total("edge-1", "edge-2"), total("inference-1", "inference-2")
    assert edges["ollamanet_edge_questions_total"] == 1
    assert edges["ollamanet_edge_followers"] == 0
    assert edges["ollamanet_edge_accept_seconds_count"] == 1
    assert workers["ollamanet_inference_queue_wait_seconds_count"] == 1
    assert workers["ollamanet_inference_first_token_seconds_count"] == 1
    assert workers["ollamanet_inference_tokens_total"] > 5
    assert workers["ollamanet_inference_outcomes_total"] == 1
    assert total("history")["ollamanet_history_recorded_total"] == 1
    assert total("catalog")["ollamanet_backend_healthy"] == 1


def _lines(folder: Path) -> list[dict[str, str]]:
    """The log lines of every process."""
    found: list[dict[str, str]] = []
    for file in folder.glob("*.log"):
        for line in file.read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                found.append(json.loads(line))
    return found


def _spans(folder: Path) -> list[dict]:
    """The spans that the processes printed: objects over several lines, between the log's."""
    found: list[dict] = []
    for file in folder.glob("*.log"):
        text, decoder = file.read_text(), json.JSONDecoder()
        start = text.find('{\n    "name"')
        while start >= 0:
            span, end = decoder.raw_decode(text, start)
            found.append(span)
            start = text.find('{\n    "name"', end)
    return found
