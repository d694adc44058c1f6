"""Streams of OpenAI's Responses API: told, left, resumed on any edge, begun anew, expired."""

import asyncio

import pytest

from api import following
from contracts.generation import Restarted, Thinking, ToolCall
from tests.contract.http.chatting import answered, recorded
from tests.contract.http.responding import (
    PATH,
    Watch,
    asks,
    begun,
    followed,
    got,
    id_of,
    names,
    numbers,
    parts,
    refusal,
    said,
    streaming,
    text,
    watched,
)
from tests.contract.http.test_openai import failure
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says


@pytest.fixture
async def hand(world: World, person: Person) -> ByHand:
    """A response in the background that has said a word."""
    hand = await begun(world, person)
    await hand.says("Be")
    return hand


async def test_a_stream_from_its_first_event_to_its_last(person: Person, recording: None) -> None:
    hand, watch = await streaming(person)
    await hand.appends(Thinking(text="Hm."), ToolCall(id="c1", name="f", arguments={"x": 1}))
    await hand.says("Be\u2028", "cause.\n\n")
    await hand.ends()
    events = await watch.ended()
    assert names(events)[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert names(events)[-1] == "completed"
    assert numbers(events) == list(range(len(events)))
    assert text(events) == "Be\u2028cause.\n\n"
    assert events[0]["response"]["id"] == events[-1]["response"]["id"] == id_of(hand)
    whole = await got(person, hand)
    assert {**whole, "output": []} == {**events[-1]["response"], "output": []}
    assert said(whole) == said(events[-1]["response"]) == text(events)
    assert await followed(person, hand) == events


async def test_the_rest_after_a_number(person: Person, hand: ByHand) -> None:
    watch = await watched(person, hand)
    await watch.has("Be")
    seen = numbers(watch.events)[-1]
    rest = await watched(person, hand, after=1)
    await rest.has("Be")
    assert numbers(rest.events) == numbers(watch.events)[2:]
    await hand.says("cause.")
    await hand.ends()
    events = await watch.ended()
    assert await rest.ended() == events[2:]
    assert await followed(person, hand, seen) == events[seen + 1 :]
    assert text(await followed(person, hand, seen)) == "cause."


async def test_a_stream_in_the_background_goes_on_without_its_client(
    world: World, person: Person, recording: None
) -> None:
    gate = asyncio.Event()
    backend = ScriptedBackend([*says("Half")[:1], gate.wait, *says(" and half")])
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, person.headers, asks(stream=True, background=True))
            await line.begins()
            await line.chunk()
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: len(world.edge.streams) == 0)
        (question,) = await world.streams.open(person.account.id)
        assert not world.streams.logs.by_id[question.generation_id].cancel
        gate.set()
        response = await person.http.get(f"{PATH}/resp_{question.generation_id}", params={"stream": "true"})
    assert said(parts(response.content)[-1]["response"]) == "Half and half"


async def test_who_hangs_up_on_a_stream_cancels_it(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, person.headers, asks(stream=True))
            await line.begins()
            await line.chunk()
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: backend.running == 0)


async def test_who_sent_a_key_may_hang_up(world: World, person: Person) -> None:
    async with Line(world.url) as line:
        await line.asks("POST", PATH, {**person.headers, "Idempotency-Key": "k"}, asks(stream=True))
        await line.begins()
        await line.chunk()
    await eventually(lambda: len(world.edge.streams) == 0)
    (question,) = await world.streams.open(person.account.id)
    assert not len(world.edge.abandoning)
    assert not world.streams.logs.by_id[question.generation_id].cancel


async def test_who_only_follows_may_hang_up(world: World, person: Person, hand: ByHand) -> None:
    watch = await watched(person, hand)
    assert watch.task is not None
    watch.task.cancel()
    await asyncio.gather(watch.task, return_exceptions=True)
    await eventually(lambda: len(world.edge.streams) == 0)
    assert not len(world.edge.abandoning)
    assert not world.streams.logs.by_id[hand.question.generation_id].cancel


async def test_a_silent_stream_is_kept_alive_before_the_next_event(world: World, person: Person) -> None:
    world.edge.streams.alive_every = 0.02
    async with Line(world.url) as line:
        await line.asks("POST", PATH, person.headers, asks(stream=True, background=True))
        await line.begins()
        assert line.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert b"response.created" in await line.chunk()
        assert [await line.chunk() for _ in range(2)] == [b": alive\n"] * 2
        question = (await world.streams.open(person.account.id))[0]
        hand = await world.by_hand(question.generation_id)
        await hand.says("Still here.")
        await hand.ends()
        assert text(parts(await line.rest())) == "Still here."


# Begun anew


async def test_what_began_anew_before_it_was_told(person: Person, hand: ByHand) -> None:
    await hand.appends(Restarted(attempt=2, reason="worker_lost"))
    hand.text = ""
    await hand.says("Because.")
    await hand.ends()
    events = await followed(person, hand)
    assert text(events) == "Because."
    assert "error" not in names(events)
    assert numbers(events) == sorted(set(numbers(events)))


async def test_what_began_anew_after_it_was_told_ends_that_stream_alone(person: Person, recording: None) -> None:
    hand, watch = await streaming(person)
    await hand.says("Wrong")
    await watch.has("Wrong")
    await hand.appends(Restarted(attempt=2, reason="worker_lost"))
    events = await watch.ended()
    assert (names(events)[-1], events[-1]["code"]) == ("error", "restarted")
    assert events[-1]["error"]["type"] == "server_error"
    assert not hand.world.streams.logs.by_id[hand.question.generation_id].cancel
    rest = await watched(person, hand, after=events[-1]["sequence_number"])
    hand.text = ""
    await hand.says("Right.")
    await hand.ends()
    assert text(await rest.ended()) == "Right."
    seen = events[-2]["sequence_number"]
    assert names(await followed(person, hand, seen)) == ["error"]
    await recorded(hand)
    assert said(await got(person, hand)) == "Right."


async def test_a_log_that_another_one_replaces_is_never_joined_to_it(
    world: World, person: Person, hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ASK_AGAIN", 0.02)
    watch = await watched(person, hand)
    await watch.has("Be")
    asked, streams = hand.question, world.streams
    log = streams.logs.by_id[asked.generation_id]
    world.forgets(asked.generation_id)
    assert log.question == asked
    await asyncio.sleep(1.1)  # a log that is born within the same second has the same numbers
    await streams.create(asked, starts_before=log.starts_before, deadline=log.deadline)
    again = await world.by_hand(asked.generation_id)
    await again.says("Anew.")
    await again.ends()
    events = await watch.ended()
    assert (text(events), names(events)[-1], events[-1]["code"]) == ("Be", "error", "restarted")
    (error,) = await followed(person, hand, events[-1]["sequence_number"])
    assert error["code"] == "restarted"
    assert text(await followed(person, hand, error["sequence_number"])) == "Anew."


# Expired


async def test_after_the_log_expired(world: World, person: Person, recording: None) -> None:
    hand = await answered(person, reply="Because.")
    live = await followed(person, hand)
    world.forgets(hand.question.generation_id)
    events = await followed(person, hand)
    assert text(events) == "Because."
    assert events[-1]["response"] == live[-1]["response"]
    (end,) = await followed(person, hand, 4)
    assert end["response"] == live[-1]["response"]
    assert end["sequence_number"] > 4


async def test_a_log_that_its_worker_did_not_close_ends_with_its_record(
    world: World, person: Person, hand: ByHand, recording: None
) -> None:
    watch = await watched(person, hand)
    await watch.has("Be")
    await hand.ends(closes=False)
    await eventually(lambda: world.ports.chats.reply(person.account.id, hand.question.generation_id))
    events = await watch.ended()
    assert (names(events)[-1], text(events)) == ("completed", "Be")


# Ends


async def test_a_cancelled_stream_ends_as_nodes_client_can_read(person: Person, recording: None) -> None:
    async with person.world.working(ScriptedBackend([*says("Half")[:1], never])):
        watch = Watch()
        watch.task = asyncio.create_task(watch.follows(person, "POST", PATH, json=asks(stream=True)))
        await watch.has("Half")
        await person.http.post(f"{PATH}/{watch.events[0]['response']['id']}/cancel")
        events = await watch.ended()
    assert names(events)[-1] == "incomplete"
    assert (events[-1]["response"]["status"], said(events[-1]["response"])) == ("cancelled", "Half")


async def test_a_failed_stream(person: Person) -> None:
    hand, watch = await streaming(person)
    await hand.says("Half")
    await hand.ends(failure(hand, "backend_cut", retryable=True))
    events = await watch.ended()
    assert names(events)[-1] == "failed"
    response = events[-1]["response"]
    assert (response["status"], response["error"]) == ("failed", {"code": "backend_cut", "message": "It broke."})
    assert response == await got(person, hand)


async def test_an_edge_that_stops_is_left_and_the_rest_is_had_elsewhere(world: World, person: Person) -> None:
    hand, watch = await streaming(person)
    await hand.says("Half")
    await watch.has("Half")
    world.edge.streams.end_all()
    events = await watch.ended()
    assert (names(events)[-1], events[-1]["code"]) == ("error", "stopping")
    assert events[-1]["sequence_number"] == events[-2]["sequence_number"]
    assert not len(world.edge.abandoning)
    assert not world.streams.logs.by_id[hand.question.generation_id].cancel


async def test_an_edge_that_stops_lets_streams_go_on_for_a_while(world: World, person: Person) -> None:
    hand, watch = await streaming(person)
    world.edge.streams.end_all(30)
    refusal(await person.http.post(PATH, json=asks(background=True)), 503, "stopping")
    await hand.says("Whole.")
    await hand.ends()
    assert names(await watch.ended())[-1] == "completed"


async def test_a_session_that_ends_ends_its_stream(world: World, person: Person, hand: ByHand) -> None:
    watch = await watched(person, hand)
    for stream in world.edge.streams._open:
        stream.end()
    assert (await watch.ended())[-1]["code"] == "invalid_api_key"
