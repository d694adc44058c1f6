"""The queue in the open: `queued` frames, caps per person, and when to come back."""

import asyncio

import httpx
import pytest

from api import waiting
from contracts.commands import GenerateReply
from contracts.errors import Overloaded, Unroutable
from contracts.ports.lines import PoolLane
from tests.contract.http.chatting import answered
from tests.contract.http.conftest import StartWorld
from tests.contract.http.following import followers, raw, watching
from tests.contract.http.problems import STREAM, asks, problem
from tests.contract.http.worlds import Person, World
from tests.e2e.client import Answer
from tests.eventually import eventually
from tests.factories import generate_reply


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST", 0.02)


async def line(world: World, waiting: int, *, slots: int = 2, ms: float = 1000.0, pool: str = "default") -> None:
    """So many of other people wait already."""
    if slots:
        await world.streams.beat(pool, "worker", slots)
    if ms:
        await world.streams.served(pool, "small", ms)
    for _ in range(waiting):
        one = generate_reply()
        await world.streams.create(
            one.question, starts_before=one.starts_before, deadline=one.deadline, lane=PoolLane(pool, "interactive")
        )


async def looked(world: World) -> None:
    """This edge knows the line."""
    world.edge._lines._seen.clear()
    await world.edge._lines.look("default")


def places(answer: Answer) -> list[tuple[object, object]]:
    return [(one.data["position"], one.data["eta_ms"]) for one in answer.events if one.name == "queued"]


async def asking(person: Person, answer: Answer) -> None:
    async for event in person.asking("Why?"):
        answer.events.append(event)


# Places


async def test_a_queued_question_is_told_its_place_until_it_begins(world: World, person: Person) -> None:
    await line(world, 3)
    answer = Answer()
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer))
    assert (answer.names, places(answer)) == (["accepted", "queued"], [(4, 2000)])
    assert answer.events[1].id is None
    hand = await world.by_hand(str(answer.first("accepted")["generation_id"]))
    await hand.says("Because.")
    await hand.ends()
    await watch
    assert answer.names == ["accepted", "queued", "started", "token", "completed"]


async def test_places_move_up_with_the_line(world: World, person: Person) -> None:
    first, answer = generate_reply(), Answer()
    await line(world, 0)
    await world.streams.create(
        first.question, starts_before=first.starts_before, deadline=first.deadline,
        lane=PoolLane("default", "interactive"),
    )  # fmt: skip
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer) == [(2, 1000)])
    await world.streams.claim(first.question.generation_id, "worker")
    await eventually(lambda: places(answer) == [(2, 1000), (1, 500)])
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


@pytest.mark.parametrize(("slots", "ms"), [(0, 1000.0), (2, 0.0)], ids=["no worker", "no mean"])
async def test_where_nobody_can_tell_the_time_is_null(world: World, person: Person, slots: int, ms: float) -> None:
    await line(world, 1, slots=slots, ms=ms)
    answer = Answer()
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer) == [(2, None)])
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_bulk_stands_behind_interactive(world: World, person: Person, other_person: Person) -> None:
    await line(world, 0)
    for _ in range(2):
        await person.begins()
    answer = Answer()
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer) == [(3, 1500)])
    await other_person.begins()
    await eventually(lambda: places(answer) == [(3, 1500), (4, 2000)])
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_who_resumes_is_told_the_place_on_any_edge(world: World, person: Person) -> None:
    """From the start, and after `accepted`; the edge that is asked need not be the one that accepted it."""
    await line(world, 1)
    begun = await person.begins()
    (asked,) = await world.streams.open(person.account.id)
    log = world.streams.logs.by_id[asked.generation_id]
    world.edge._lines._models.clear()
    path = f"/api/generations/{begun['generation_id']}/stream"
    for after, names in ((None, ["accepted", "queued"]), (log.events[0].id, ["queued"])):
        seen = await first_names(person, path, after, len(names))
        assert seen == names


async def first_names(person: Person, path: str, after: str | None, count: int) -> list[str]:
    headers = {"Last-Event-ID": after} if after else {}
    names: list[str] = []
    async with person.http.stream("GET", path, headers=headers) as response:
        async for raw_line in response.aiter_lines():
            if raw_line.startswith("event: "):
                names.append(raw_line.removeprefix("event: "))
            if len(names) == count:
                break
    return names


async def test_a_place_is_not_replayed(world: World, person: Person, recording: None) -> None:
    await line(world, 1)
    answer = Answer()
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer))
    hand = await world.by_hand(str(answer.first("accepted")["generation_id"]))
    await hand.ends()
    await watch
    assert b"queued" not in await raw(person, hand)
    again = Answer()
    await watching(person, hand, again)
    assert again.names == ["accepted", "started", "completed"]


async def test_what_is_cancelled_in_the_queue_leaves_the_line(world: World, person: Person, recording: None) -> None:
    await line(world, 0)
    answer = Answer()
    watch = asyncio.create_task(asking(person, answer))
    await eventually(lambda: places(answer) == [(1, 500)])
    generation = answer.first("accepted")["generation_id"]
    assert (await person.http.post(f"/api/generations/{generation}/cancel")).status_code == 202
    await watch
    assert answer.names == ["accepted", "queued", "cancelled"]
    assert not any((await world.streams.line("default")).waiting.values())


async def test_many_who_wait_cost_one_look_a_second(world: World, person: Person) -> None:
    looks = counted(world)
    begun = await person.begins()
    async with httpx.AsyncClient(base_url=world.url, headers=person.headers, timeout=30) as http:
        path = f"/api/generations/{begun['generation_id']}/stream"
        many = [asyncio.create_task(http.get(path)) for _ in range(50)]
        await eventually(lambda: len(world.edge._waiting) == 50)
        began, before = asyncio.get_running_loop().time(), len(looks)
        await eventually(lambda: len(looks) >= before + 2)
        assert len(looks) - before <= (asyncio.get_running_loop().time() - began) / 0.95 + 1
        for one in many:
            one.cancel()
        await asyncio.gather(*many, return_exceptions=True)
    await eventually(lambda: len(world.edge._waiting) == 0)


async def test_an_idle_platform_looks_at_no_line_for_its_followers(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST", 5.0)
    looks = counted(world)
    begun = await person.begins()
    hand = await world.by_hand(begun["generation_id"])
    following = asyncio.create_task(person.follow(begun["generation_id"]))
    await eventually(lambda: followers(hand) == 1)
    await hand.ends()
    await following
    assert looks == []


def counted(world: World) -> list[str]:
    """The pools that are looked at from now on."""
    looks: list[str] = []
    real = world.streams.line

    async def look(pool: str) -> object:
        looks.append(pool)
        return await real(pool)

    world.edge._lines._streams = type("Counted", (), {"line": staticmethod(look)})()
    return looks


# Caps


async def test_beyond_the_cap_a_person_is_told_when_to_come_back(start: StartWorld) -> None:
    world = await start(live_generations=2)
    person, other = await world.person(), await world.person()
    await line(world, 0, slots=1, ms=3000.0)
    begun = [await person.begins() for _ in range(2)]
    told = await person.http.post(STREAM, json=asks())
    body = problem(told, 429, "too_many_generations")
    assert body["limit"] == 2
    assert (told.headers["retry-after"], told.headers["retry-after-ms"]) == ("6", "6000"), "the first begins in 3 s"
    assert len(await world.streams.open(person.account.id)) == 2
    await other.begins()
    hand = await world.by_hand(begun[0]["generation_id"])
    await hand.ends()
    await world.streams.settle(person.account.id, begun[0]["generation_id"])
    await person.begins()


async def test_the_cap_is_a_persons_not_a_chats(start: StartWorld) -> None:
    world = await start(live_generations=1)
    person = await world.person()
    async with world.recording():
        hand = await answered(person)
        await person.begins()
        path = f"/api/chats/{hand.question.chat_id}/messages"
        problem(await person.http.post(path, json=asks()), 429, "too_many_generations")


# Full and long queues


async def test_a_full_queue_says_when_its_end_is_served(world: World, person: Person) -> None:
    await line(world, 9, slots=4, ms=2000.0)
    world.bus.fails[GenerateReply] = Overloaded("The queue is full.")
    told = await person.http.post(STREAM, json=asks())
    problem(told, 503, "overloaded")
    assert told.headers["retry-after-ms"] == "5000"
    assert told.headers["retry-after"] == "5"
    assert await world.nothing_is_left(person.account.id)
    assert len((await world.streams.line("default")).waiting["interactive"]) == 9


async def test_a_full_queue_of_which_nothing_is_known_says_a_constant(world: World, person: Person) -> None:
    world.bus.fails[GenerateReply] = Overloaded("The queue is full.")
    told = await person.http.post(STREAM, json=asks())
    problem(told, 503, "overloaded")
    assert told.headers["retry-after"] == "5"


async def test_without_workers_the_wait_is_a_constant(world: World, person: Person) -> None:
    world.bus.fails[GenerateReply] = Unroutable("Nobody serves it.")
    told = await person.http.post(STREAM, json=asks())
    problem(told, 503, "no_worker")
    assert told.headers["retry-after"] == "10"


async def test_what_would_expire_unanswered_is_refused_and_leaves_nothing(world: World, person: Person) -> None:
    await line(world, 100, slots=2, ms=8000.0)  # 400 s, of which a question waits 300
    await looked(world)
    told = await person.http.post(STREAM, json=asks())
    problem(told, 503, "overloaded")
    assert abs(int(told.headers["retry-after"]) - 100) <= 1
    assert await world.nothing_is_left(person.account.id)
    assert world.bus.published == []
    assert not world.streams.logs.live
    await line(world, 0, slots=8)
    await looked(world)
    await person.begins()
