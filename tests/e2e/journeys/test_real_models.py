"""The main job with real models: on both compositions, and with only OLLAMANET_BACKENDS changed between model servers.

Small models babble, so what they say is not looked at: that it comes, in pieces, once, and is kept, is.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from contracts.records import BackendSettings
from tests.e2e.client import Person
from tests.e2e.compositions import Platform, distributed, embedded
from tests.eventually import eventually

SERVERS = {"small_model": ("small_model",), "real_ollama": ("real_ollama",), "both": ("small_model", "real_ollama")}
CASES = [(kind, server) for kind in ("embedded", "distributed") for server in SERVERS]


MODEL = "smollm2"
"""Both servers have it under this name."""


@pytest.fixture(scope="session")
def real_ollama(ollama_url: str) -> BackendSettings:
    return BackendSettings(name="ollama", kind="ollama", url=ollama_url, slots=2)


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    kind, server = request.param
    own = embedded if kind == "embedded" else partial(distributed, servers=request.getfixturevalue("new_servers")())
    settings: list[BackendSettings] = [request.getfixturevalue(one) for one in SERVERS[server]]
    backends = [one.model_dump(exclude_none=True) for one in settings]
    running = own(tmp_path_factory.mktemp(f"{kind}-{server}"), backends=backends)
    yield running
    running.stop()


@pytest.fixture
async def person(platform: Platform) -> AsyncIterator[Person]:
    someone = await Person.signs_up(platform.edges)
    yield someone
    await someone.leaves()


@pytest.fixture
async def model(person: Person) -> str:
    async def shown() -> bool:
        items = (await person.edge(1).get("/api/models")).json()["items"]
        return any(one["name"] == MODEL and one["status"] == "available" for one in items)

    await eventually(shown, 20)
    return MODEL


async def test_a_real_answer_streams_is_recorded_and_is_followed_elsewhere(person: Person, model: str) -> None:
    answer = await person.ask("Count from one to ten.", model=model, options={"max_tokens": 24, "temperature": 0})
    end, accepted = answer.end(), answer.first("accepted")
    assert end.name == "completed"
    assert end.data["usage"]["output_tokens"] > 1  # type: ignore[index]
    assert answer.names.count("token") > 1
    followed = await person.follow(accepted["generation_id"], edge=1)
    assert [one.data for one in followed.events] == [one.data for one in answer.events]

    async def recorded() -> bool:
        reply = (await person.chat(accepted["chat_id"], edge=1))["messages"][-1]  # type: ignore[index]
        return reply["status"] == "complete" and reply["content"] == answer.text

    await eventually(recorded)


async def test_the_second_question_reads_the_first_turn_too(person: Person, model: str) -> None:
    short = {"max_tokens": 8, "temperature": 0}
    first = await person.ask("Say hello.", model=model, options=short)
    chat_id = first.first("accepted")["chat_id"]
    second = await person.ask("Once more.", model=model, options=short, chat_id=chat_id, edge=1)
    read = [one.end().data["usage"]["input_tokens"] for one in (first, second)]  # type: ignore[index]
    assert read[1] > read[0] + 8


async def test_a_real_answer_is_cancelled_from_another_device(person: Person, model: str) -> None:
    names: list[str] = []
    async for event in person.asking("Tell me a very long story.", model=model, options={"max_tokens": 2000}):
        names.append(event.name)
        if event.name == "accepted":
            generation = event.data["generation_id"]
        if event.name == "token" and names.count("token") == 2:
            assert (await person.edge(1).post(f"/api/generations/{generation}/cancel")).status_code == 202
    assert names[-1] == "cancelled"


async def test_a_question_that_cannot_fit_is_refused_with_the_limit(person: Person, model: str) -> None:
    response = await person.edge().post("/api/chats/stream", json={"model": model, "content": "word " * 40_000})
    assert (response.status_code, response.json()["code"]) == (413, "context_too_long")
    assert response.json()["limit"] > 0
