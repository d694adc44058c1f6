"""Two back-ends of one pool, one of which dies: whoever asks gets a whole answer all the same."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import pytest

from tests.e2e.client import Answer, Person
from tests.e2e.compositions import Platform, distributed, embedded
from tests.eventually import eventually
from tests.servers.shared import free_port

PAIR = ("pair-a", "pair-b")
TOKENS = 100
"""Two seconds."""
TEXT = "".join(f"{number} " for number in range(TOKENS))


@dataclass
class Pair:
    """A platform with two fake back-ends that have the same models."""

    platform: Platform
    urls: dict[str, str]

    def start(self, name: str) -> None:
        url = self.urls[name]
        command = [sys.executable, "-m", "infra.fake", "--port", url.rpartition(":")[2]]
        self.platform.start(name, command, {}, f"{url}/api/version")


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    urls = {name: f"http://127.0.0.1:{free_port()}" for name in PAIR}
    backends: list[dict[str, object]] = [
        {"name": name, "kind": "ollama", "url": url, "slots": 8} for name, url in urls.items()
    ]
    folder = tmp_path_factory.mktemp(f"pair-{request.param}")
    own = (
        embedded
        if request.param == "embedded"
        else partial(distributed, servers=request.getfixturevalue("new_servers")())
    )
    two = Pair(own(folder, backends=backends), urls)
    for name in PAIR:
        two.start(name)
    yield two
    two.platform.stop()


@pytest.fixture
async def person(pair: Pair) -> AsyncIterator[Person]:
    for name in PAIR:
        if pair.platform.processes[name].poll() is not None:
            await asyncio.to_thread(pair.start, name)
    someone = await Person.signs_up(pair.platform.edges)
    await eventually(lambda: _served_by_both(someone), 20)
    yield someone
    await someone.leaves()


async def _served_by_both(someone: Person) -> bool:
    """As every edge shows it."""
    shown = [(await someone.edge(n).get("/api/models/paced")).json() for n in range(len(someone.edges))]
    return all(set(model.get("backends", ())) == set(PAIR) for model in shown)


async def test_an_answer_whose_back_end_dies_comes_whole_from_the_other_one(pair: Pair, person: Person) -> None:
    answer, killed = Answer(), ""
    async for event in person.asking(f"Count. {uuid4()}", model="paced", options={"max_tokens": TOKENS}):
        answer.events.append(event)
        if answer.names.count("token") == 10 and not killed:
            killed = str(answer.first("started")["backend"])
            pair.platform.kill(killed)
    assert answer.end().name == "completed"
    assert answer.text == TEXT
    assert answer.names.count("restarted") <= 1
    backends = [one.data["backend"] for one in answer.events if one.name == "started"]
    assert backends == [killed, *(name for name in PAIR if name != killed)]


@pytest.mark.parametrize("dead", PAIR)
async def test_nobody_who_asks_notices_that_a_back_end_is_gone(pair: Pair, person: Person, dead: str) -> None:
    await person.ask("Warm up.", model="fast", options={"max_tokens": 4})
    pair.platform.kill(dead)
    answers = await asyncio.gather(
        *(person.ask(f"Count. {uuid4()}", model="fast", options={"max_tokens": 20}) for _ in range(8))
    )
    assert {one.end().name for one in answers} == {"completed"}
    assert {one.text for one in answers} == {"".join(f"{number} " for number in range(20))}
    assert not any("restarted" in one.names for one in answers)
