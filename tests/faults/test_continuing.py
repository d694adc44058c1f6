"""A worker that dies in the middle of an answer: the next one goes on from the text already shown where the model does so, and begins
again where it does not. Two runs are never spliced."""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from contracts.records import Probe
from infra.local.weights import NAME
from tests.e2e.client import Answer, Person
from tests.e2e.compositions import Platform, distributed
from tests.eventually import eventually
from tests.faults.stand import WORKERS, Stand
from tests.servers.settings import NewServers
from workers.inference.probing import AGAIN

TOKENS = 100
"""Two seconds of the fake back-end's models."""
TEXT = "".join(f"{number} " for number in range(TOKENS))
KILLED_AT = 10

# from its fourth token on the small model is 1.7 nats and more from another one: to read the text that it is to go on from differs a
# little, in numbers, from having written it
QUESTION = "Repeat exactly: " + "one two three four five six seven eight nine ten " * 4
GREEDY = {"temperature": 0, "max_tokens": 48}


@pytest.fixture
async def person(stand: Stand) -> AsyncIterator[Person]:
    await stand.whole()
    (someone,) = await stand.people(1)
    yield someone
    await someone.leaves()
    await stand.whole()


async def known(redis: Redis, backend: str, model: str) -> Probe | None:
    """What was found out."""
    record = await redis.hget(f"probes:{backend}", model)  # type: ignore[misc]
    return Probe.model_validate_json(record) if record else None


async def probed(stand: Stand, person: Person, model: str) -> list[Probe]:
    """Each worker has used the model, which was probed on each one's back-end."""

    async def on_both() -> list[Probe]:
        await person.ask(f"Warm up. {uuid4()}", model=model, options={"max_tokens": 4})
        found = [await known(stand.redis, name, model) for name in WORKERS]
        return [one for one in found if one] if all(found) else []

    found = await eventually(
        on_both, AGAIN * 2 + 10
    )  # a probe that a kill of the test before broke off is tried again after that
    assert found
    return list(found)


@pytest.mark.parametrize(("model", "continues"), [("paced", True), ("anew", False), ("nearly", False)])
async def test_a_killed_worker_is_gone_on_from_where_the_model_does_that(
    stand: Stand, person: Person, recorded, model: str, *, continues: bool
) -> None:
    assert {one.continues for one in await probed(stand, person, model)} == {continues}
    question, answer, killed = f"Count. {uuid4()}", Answer(), ""
    async for event in person.asking(question, model=model, options={"max_tokens": TOKENS}):
        answer.events.append(event)
        if answer.names.count("token") == KILLED_AT and not killed:
            killed = str(answer.first("started")["backend"])
            stand.kill(killed)
    assert ("restarted" in answer.names) is not continues
    assert answer.text == TEXT
    assert (await recorded(person, answer.first("accepted")))["content"] == TEXT
    calls = [one for one in stand.platform.calls() if one["messages"][0]["content"] == question]  # type: ignore[index]
    assert [one["continued"] for one in calls] == [False, continues]
    assert not any(one["probe"] for one in calls)
    assert answer.end().data["finish_reason"] == "length"
    usage = answer.end().data["usage"]
    assert isinstance(usage, dict)
    assert usage["output_tokens"] == TOKENS
    spent = usage["spent_output_tokens"]
    assert spent == TOKENS if continues else spent > TOKENS + KILLED_AT / 2


async def test_a_back_end_that_breaks_off_is_gone_on_from(stand: Stand, person: Person, recorded) -> None:
    await probed(stand, person, "frail")
    question = f"Count. {uuid4()}"
    answer = await person.ask(question, model="frail", options={"max_tokens": 20})
    assert answer.end().name == "completed"
    assert answer.text == "".join(f"{number} " for number in range(20))
    assert "restarted" not in answer.names
    assert (await recorded(person, answer.first("accepted")))["content"] == answer.text
    calls = [one for one in stand.platform.calls() if one["messages"][0]["content"] == question]  # type: ignore[index]
    assert [(one["ended"], one["continued"]) for one in calls] == [("cut", False), ("length", True)]


REAL = {"small-model": ((NAME, True),), "ollama": (("open", True), ("small", False))}
"""Each server's models, and whether they go on: the template of `small` ends the turn that it would go on with."""
EXACT = "small-model"
"""The server whose greedy answers repeat to the letter. Ollama reads a text in other batches than it wrote it in: of two words that are
nearly as likely it may then take the other one."""


@pytest.fixture(scope="module", params=REAL)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_servers: NewServers
) -> Iterator[tuple[str, Platform]]:
    """A real model's server by its name, and a platform over it, which stops without waiting for answers."""
    if request.param == "ollama":
        backend = {"kind": "ollama", "url": request.getfixturevalue("ollama_url")}
    else:
        backend = json.loads(request.getfixturevalue("small_model").model_dump_json())
    named = {**backend, "name": request.param, "slots": 2}
    running = distributed(
        tmp_path_factory.mktemp("real"), new_servers(), backends=[named], more={"OLLAMANET_DRAIN": "0.1"}
    )
    yield request.param, running
    running.stop()


@pytest.fixture
async def reader(real: tuple[str, Platform]) -> AsyncIterator[Person]:
    someone = await Person.signs_up(real[1].edges)
    yield someone
    await someone.leaves()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_a_real_model_goes_on_with_its_own_words(
    real: tuple[str, Platform], reader: Person, recorded, end: signal.Signals
) -> None:
    server, platform = real
    for model, continues in REAL[server]:
        whole = await reader.ask(QUESTION, model=model, options=GREEDY)
        async with Redis.from_url(platform.environment["OLLAMANET_REDIS_URL"]) as redis:
            found = await eventually(lambda of=redis, one=model: known(of, server, one), 20)
        assert found is not None
        assert found.continues is continues
        answer = await _interrupted(platform, reader, model, end)
        assert ("restarted" in answer.names) is not continues
        assert [one.data["attempt"] for one in answer.events if one.name == "started"] == [1, 2]
        assert (await recorded(reader, answer.first("accepted")))["content"] == answer.text
        if server == EXACT:
            assert answer.text == whole.text
            assert _output(answer) == _output(whole)
        elif continues:
            assert answer.text.startswith(before := _before_the_second(answer))
            assert whole.text.startswith(before)
            assert _output(answer) <= GREEDY["max_tokens"]


def _before_the_second(answer: Answer) -> str:
    """The text that the first attempt showed."""
    second = [one.name for one in answer.events].index("started", answer.names.index("started") + 1)
    shown = "".join(str(one.data["text"]) for one in answer.events[:second] if one.name == "token")
    assert shown
    return shown


def _output(answer: Answer) -> int:
    return answer.end().data["usage"]["output_tokens"]  # type: ignore[index,return-value]


async def _interrupted(platform: Platform, person: Person, model: str, end: signal.Signals) -> Answer:
    """The answer to QUESTION whose worker ended in the middle; it was started again."""
    answer, ended = Answer(), ""
    async for event in person.asking(QUESTION, model=model, options=GREEDY):
        answer.events.append(event)
        if answer.names.count("token") == KILLED_AT and not ended:
            ended = next(name for name in WORKERS if platform.running_generations(name) > 0)
            platform.kill(ended, end)
    assert answer.end().name == "completed"
    platform.restart(ended)
    return answer
