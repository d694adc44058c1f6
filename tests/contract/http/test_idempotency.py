"""`Idempotency-Key`: the same caller, key and body give the same generation, however often and however far it came."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api import repeating
from contracts.commands import GenerateReply
from contracts.errors import Overloaded, Unavailable
from contracts.ids import new_id
from contracts.ports.lines import PoolLane
from tests.contract.http.chatting import answered, contents, recorded
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import STREAM, asks, problem
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World
from tests.e2e.client import Answer, events
from tests.eventually import eventually

KEY = {"Idempotency-Key": "retry-1"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "PATIENCE", 0.2)


def commands(world: World) -> list[GenerateReply]:
    return [one for one in world.bus.published if isinstance(one, GenerateReply)]


def asked_ids(world: World) -> set[str]:
    return {one.question.generation_id for one in commands(world)}


async def begins(person: Person, body: object = None, headers: dict[str, str] = KEY) -> dict[str, object]:
    """The first event of the stream; then the client hangs up."""
    async with person.http.stream("POST", STREAM, json=body or asks(), headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        async for event in events(response):
            return event.data
    raise AssertionError("The stream was empty.")


async def streamed(person: Person, body: object = None) -> Answer:
    """The whole stream."""
    answer = Answer()
    async with person.http.stream("POST", STREAM, json=body or asks(), headers=KEY) as response:
        assert response.status_code == 200, await response.aread()
        answer.events += [one async for one in events(response)]
    return answer


async def posted(person: Person, chat_id: object, body: object = None, **headers: str) -> httpx.Response:
    path = f"/api/chats/{chat_id}/messages"
    return await person.http.post(path, json=body or asks("And?"), headers=KEY | headers)


# The same question


async def test_a_repeat_gets_the_stream_of_the_same_generation_from_its_start(world: World, person: Person) -> None:
    first = await begins(person)
    hand = await world.by_hand(str(first["generation_id"]))
    await hand.says("Because ")
    following = asyncio.create_task(streamed(person))
    await eventually(lambda: len(world.edge.streams) == 1)
    await hand.says("air.")
    await hand.ends()
    answer = await following
    assert answer.first("accepted") == first
    assert answer.text == "Because air."
    assert answer.end().name == "completed"
    assert (await streamed(person)).events == answer.events, "after the end too"
    assert asked_ids(world) == {first["generation_id"]}
    assert len(commands(world)) == 1


async def test_a_repeat_without_watching_gets_the_same_answer(world: World, person: Person, recording: None) -> None:
    chat = (await answered(person)).question.chat_id
    answers = [await posted(person, chat) for _ in range(3)]
    hand = await world.by_hand(answers[0].json()["generation_id"])
    await hand.ends()
    answers.append(await posted(person, chat))
    await recorded(hand)
    world.forgets(hand.question.generation_id)
    answers.append(await posted(person, chat))
    assert [one.status_code for one in answers] == [202] * 5
    assert all(one.json() == answers[0].json() for one in answers)
    assert len(commands(world)) == 2
    assert len(await contents(person, chat)) == 4


async def test_both_routes_know_the_same_question(world: World, person: Person, recording: None) -> None:
    chat = (await answered(person)).question.chat_id
    quiet = (await posted(person, chat)).json()
    loud = await begins(person, asks("And?", chat_id=chat))
    assert {name: loud[name] for name in ("chat_id", "message_id", "generation_id", "reply_id")} == {
        name: quiet[name] for name in ("chat_id", "message_id", "generation_id", "reply_id")
    }


async def test_a_repeat_after_the_log_expired_is_answered_from_the_store(
    world: World, person: Person, recording: None
) -> None:
    first = await begins(person)
    hand = await world.by_hand(str(first["generation_id"]))
    await hand.says("Because air.")
    await hand.ends()
    await recorded(hand)
    world.forgets(hand.question.generation_id)
    answer = await streamed(person)
    assert answer.names == ["accepted", "token", "completed"]
    assert answer.first("accepted") == first
    assert answer.text == "Because air."
    assert len(commands(world)) == 1


async def test_what_means_the_same_is_the_same(world: World, person: Person) -> None:
    first = await begins(person, {"model": "small", "content": "Why?", "options": {"temperature": 1, "top_k": 3}})
    for body in (
        {"options": {"top_k": 3, "temperature": 1.0}, "content": "Why?", "model": "small:latest"},
        {"model": "small", "content": "Why?", "options": {"temperature": 1, "top_k": 3, "seed": None}, "tools": []},
    ):
        assert await begins(person, body) == first
    assert len(commands(world)) == 1


async def test_a_repeat_is_not_counted(start: StartWorld) -> None:
    world = await start(chats_per_minute=1)
    person = await world.person()
    first = await begins(person)
    for _ in range(3):
        assert await begins(person) == first
    problem(await person.http.post(STREAM, json=asks()), 429, "rate_limited")
    problem(await person.http.post(STREAM, json=asks(), headers={"Idempotency-Key": "another"}), 429, "rate_limited")


async def test_a_repeat_takes_no_place_among_the_live_ones(start: StartWorld) -> None:
    world = await start(live_generations=1)
    person = await world.person()
    first = await begins(person)
    assert await begins(person) == first
    problem(await person.http.post(STREAM, json=asks()), 429, "too_many_generations")


async def test_a_failed_reply_is_not_asked_again(world: World, person: Person, recording: None) -> None:
    first = await begins(person)
    assert (await person.http.post(f"/api/generations/{first['generation_id']}/cancel")).status_code == 202
    answer = await streamed(person)
    assert answer.names == ["accepted", "cancelled"]
    assert len(commands(world)) == 1


# Another question, another caller


@pytest.mark.parametrize(
    "change",
    [
        {"content": "Why not?"}, {"model": "other"}, {"system": "Be brief."}, {"options": {"seed": 1}},
        {"think": True}, {"format": "json"}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"chat_id": new_id()},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
async def test_a_key_that_came_with_another_body_is_refused(
    world: World, person: Person, change: dict[str, object]
) -> None:
    first = await begins(person)
    told = await person.http.post(STREAM, json=asks() | change, headers=KEY)
    problem(told, 422, "idempotency_mismatch")
    assert await begins(person) == first
    assert len(commands(world)) == 1


async def test_a_key_that_came_for_another_chat_is_refused(world: World, person: Person, recording: None) -> None:
    one, two = (await answered(person)).question.chat_id, (await answered(person)).question.chat_id
    assert (await posted(person, one)).status_code == 202
    problem(await posted(person, two), 422, "idempotency_mismatch")


async def test_equal_keys_of_two_callers_never_meet(world: World, person: Person, other_person: Person) -> None:
    mine, theirs = await begins(person), await begins(other_person, asks("Something else?"))
    assert mine["generation_id"] != theirs["generation_id"]
    assert await begins(person) == mine
    assert await begins(other_person, asks("Something else?")) == theirs


async def test_without_a_key_every_question_is_a_new_one(world: World, person: Person) -> None:
    assert await begins(person, headers={}) != await begins(person, headers={})
    assert len(commands(world)) == 2


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "a\tb", "ключ".encode(), b"caf\xe9"])
async def test_a_key_is_visible_ascii(person: Person, key: str | bytes) -> None:
    raw = key if isinstance(key, bytes) else key.encode()
    answer = await person.http.post(STREAM, json=asks(), headers=[(b"Idempotency-Key", raw)])
    told = problem(answer, 422, "invalid")
    assert told["errors"][0]["pointer"] == "/Idempotency-Key"


@pytest.mark.parametrize(
    "key", ["x", "a" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!#$%&'*+-./:;<=>?@[]^_`{|}~"]
)
async def test_any_visible_ascii_is_a_key(world: World, person: Person, key: str) -> None:
    first = await begins(person, headers={"Idempotency-Key": key})
    assert await begins(person, headers={"Idempotency-Key": key}) == first


# At once


async def test_of_many_at_once_one_runs_and_all_get_it(world: World, person: Person) -> None:
    many = await asyncio.gather(*(begins(person) for _ in range(8)))
    assert {str(one["generation_id"]) for one in many} == asked_ids(world)
    assert len(commands(world)) == 1


async def test_of_many_at_once_in_one_chat_none_stands_in_the_others_way(
    world: World, person: Person, recording: None
) -> None:
    chat = (await answered(person)).question.chat_id
    many = await asyncio.gather(*(posted(person, chat) for _ in range(8)))
    assert [one.status_code for one in many] == [202] * 8
    assert len({one.json()["generation_id"] for one in many}) == 1
    assert len(commands(world)) == 2


async def test_a_double_click_at_the_end_of_an_allowance_gets_its_answer(start: StartWorld) -> None:
    world = await start(chats_per_minute=1)
    person = await world.person()
    one, two = await asyncio.gather(begins(person), begins(person))
    assert one == two


async def test_of_many_at_once_one_is_counted(start: StartWorld) -> None:
    world = await start(chats_per_minute=2)
    person = await world.person()
    assert len({str(one) for one in await asyncio.gather(*(begins(person) for _ in range(8)))}) == 1
    await begins(person, headers={})
    problem(await person.http.post(STREAM, json=asks()), 429, "rate_limited")
    assert not world.edge.replies.repeating._turns


async def test_a_client_that_hung_up_before_the_answer_finds_its_generation(world: World, person: Person) -> None:
    gate = asyncio.Event()
    publishing = asyncio.Event()

    async def slowly() -> None:
        publishing.set()
        await gate.wait()

    world.bus.before = slowly
    async with Line(world.url) as line:
        await line.asks("POST", STREAM, person.headers | KEY, asks())
        await publishing.wait()
    again = asyncio.create_task(begins(person))
    await eventually(lambda: not again.done())
    world.bus.before = None
    gate.set()
    assert str((await again)["generation_id"]) in asked_ids(world)
    assert len(asked_ids(world)) == 1


# What was refused, or deleted


@pytest.mark.parametrize("error", [Overloaded("full"), Unavailable("away")])
async def test_what_was_refused_is_a_new_question_the_next_time(world: World, person: Person, error: Exception) -> None:
    world.bus.fails[GenerateReply] = error
    refused = await person.http.post(STREAM, json=asks(), headers=KEY)
    assert refused.status_code == 503
    assert await world.nothing_is_left(person.account.id)
    del world.bus.fails[GenerateReply]
    first = await begins(person)
    assert await begins(person) == first
    assert len(commands(world)) == 1


async def test_what_was_refused_for_its_body_frees_its_key(world: World, person: Person) -> None:
    problem(await person.http.post(STREAM, json=asks(model="nothing"), headers=KEY), 404, "unknown_model")
    assert await begins(person)


async def test_what_was_deleted_is_gone_and_not_asked_again(world: World, person: Person, recording: None) -> None:
    first = await begins(person)
    hand = await world.by_hand(str(first["generation_id"]))
    await hand.ends()
    await recorded(hand)
    assert (await person.http.delete(f"/api/chats/{first['chat_id']}")).status_code == 204
    for _ in range(2):
        problem(await person.http.post(STREAM, json=asks(), headers=KEY), 404, "not_found")
        world.streams.logs.by_id.pop(hand.question.generation_id, None)  # the second time without its log
    assert len(commands(world)) == 1
    assert await begins(person, headers={"Idempotency-Key": "new"})


async def test_what_is_deleted_while_it_waits_is_gone_too(world: World, person: Person, recording: None) -> None:
    first = await begins(person)
    assert (await person.http.delete(f"/api/chats/{first['chat_id']}")).status_code == 204
    problem(await person.http.post(STREAM, json=asks(), headers=KEY), 404, "not_found")
    assert len(commands(world)) == 1


# Edges that died on their way: each is left as it was after one of its calls


async def left_by_a_dead_edge(world: World, person: Person, *, calls: int, chat_id: str | None = None) -> GenerateReply:
    """A question as an edge leaves it that died after so many calls: admit, create, publish."""
    gate, dead = asyncio.Event(), asyncio.Event()

    async def never() -> None:
        dead.set()
        await gate.wait()

    world.bus.before = never
    body = asks() if chat_id is None else asks("And?", chat_id=chat_id)
    asking = asyncio.create_task(person.http.post(STREAM, json=body, headers=KEY))
    await dead.wait()
    (accepting,) = world.edge._accepting._accepting
    accepting.cancel()  # it gets to nothing any more, as a process that is killed
    await asyncio.gather(accepting, asking, return_exceptions=True)
    world.bus.before = None
    (question,) = [
        one for one in await world.streams.open(person.account.id) if one.chat_id == (chat_id or one.chat_id)
    ]
    deadline = question.asked_at + timedelta(seconds=900)
    command = GenerateReply(
        question=question, pool="default", context=(), starts_before=question.asked_at + timedelta(seconds=300),
        deadline=deadline,
    )  # fmt: skip
    if calls == 1:
        world.forgets(question.generation_id)
    if calls == 3:
        await world.bus.publish(command)
    return command


@pytest.mark.parametrize("calls", [1, 2, 3], ids=["admitted", "logged", "published"])
async def test_a_repeat_goes_on_with_what_a_dead_edge_left(world: World, person: Person, calls: int) -> None:
    left = await left_by_a_dead_edge(world, person, calls=calls)
    first = await begins(person)
    asked = left.question
    assert first == {
        "generation_id": asked.generation_id, "chat_id": asked.chat_id, "message_id": asked.message_id,
        "reply_id": asked.reply_id, "model": "small",
    }  # fmt: skip
    assert asked_ids(world) == {asked.generation_id}
    assert [one.content for one in commands(world)[-1].context] == ["Why?"]
    assert commands(world)[-1].question == asked
    assert await begins(person) == first
    assert len(commands(world)) == 1 + (calls == 3)


async def test_a_repeat_rebuilds_the_context_at_the_question_s_parent(
    world: World, person: Person, recording: None
) -> None:
    hand = await answered(person, "One", "1")
    left = await left_by_a_dead_edge(world, person, calls=2, chat_id=hand.question.chat_id)
    again = await posted(person, hand.question.chat_id)
    assert again.json()["generation_id"] == left.question.generation_id
    last = commands(world)[-1]
    assert [one.content for one in last.context] == ["One", "1", "And?"]
    assert (last.question, last.starts_before) == (left.question, left.starts_before)


async def test_a_repeat_of_what_a_worker_took_from_a_dead_edge_follows_it(world: World, person: Person) -> None:
    left = await left_by_a_dead_edge(world, person, calls=3)
    hand = await world.by_hand(left.question.generation_id)
    await hand.says("Because.")
    await hand.ends()
    answer = await streamed(person)
    assert answer.text == "Because."
    assert len(commands(world)) == 1


@pytest.mark.parametrize("dropped", [True, False])
async def test_a_repeat_of_what_a_dead_edge_aborted_is_a_new_question(
    world: World, person: Person, dropped: bool
) -> None:
    left = (await left_by_a_dead_edge(world, person, calls=2)).question
    await world.streams.abort(left.generation_id)
    if dropped:
        await world.streams.drop(left.owner, left.generation_id)
    first = await begins(person)
    assert first["generation_id"] != left.generation_id
    assert await begins(person) == first
    assert asked_ids(world) == {first["generation_id"]}


async def test_a_repeat_waits_for_an_edge_that_is_still_at_it(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "PATIENCE", 10.0)
    left = await left_by_a_dead_edge(world, person, calls=2)
    asking = asyncio.create_task(begins(person))
    await eventually(lambda: not asking.done())
    await world.streams.confirm(left.question.generation_id)
    assert (await asking)["generation_id"] == left.question.generation_id
    assert commands(world) == [], "nothing was published a second time"


async def test_many_repeats_at_once_of_what_a_dead_edge_left_run_it_once(world: World, person: Person) -> None:
    left = await left_by_a_dead_edge(world, person, calls=2)
    many = await asyncio.gather(*(begins(person) for _ in range(4)))
    assert {one["generation_id"] for one in many} == {left.question.generation_id} == asked_ids(world)


async def test_a_repeat_stays_in_the_lane_of_its_first(world: World, person: Person) -> None:
    left = await left_by_a_dead_edge(world, person, calls=1)
    await world.streams.create(
        left.question, starts_before=left.starts_before, deadline=left.deadline, lane=PoolLane("default", "bulk")
    )
    await begins(person)
    assert commands(world)[-1].lane == "bulk"


async def test_what_was_left_longer_than_it_may_wait_is_a_new_question(world: World, person: Person) -> None:
    left = (await left_by_a_dead_edge(world, person, calls=2)).question
    old = left.model_copy(update={"asked_at": datetime.now(UTC) - timedelta(seconds=400)})
    world.streams.logs.by_id[left.generation_id].question = old
    first = await begins(person)
    assert first["generation_id"] != left.generation_id
    assert world.streams.logs.by_id[left.generation_id].state == "aborted"
