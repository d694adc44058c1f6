"""Generations: how they stand, and stopping them."""

import asyncio
import json
from datetime import UTC, datetime

import httpx

from contracts.events import ReplyCompleted, ReplyFailed
from contracts.generation import Timings, Usage
from contracts.ids import new_id
from tests.contract.http.chatting import answered, contents, recorded
from tests.contract.http.following import WORDS
from tests.contract.http.problems import problem
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says


async def stands(person: Person, generation_id: str) -> dict[str, object]:
    response = await person.http.get(f"/api/generations/{generation_id}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_generation_says_how_it_stands(person: Person, recording: None) -> None:
    begun = await person.begins()
    identity = begun["generation_id"]
    queued = await stands(person, identity)
    assert (queued["status"], queued["attempt"], queued["usage"]) == ("queued", 0, None)
    assert (queued["id"], queued["chat_id"], queued["model"]) == (identity, begun["chat_id"], "small")
    hand = await person.world.by_hand(identity)
    assert ((await stands(person, identity))["status"], (await stands(person, identity))["attempt"]) == ("running", 1)
    await hand.says("x")
    fields = {"question": hand.question, "text": "x", "attempt": 1, "ended_at": datetime.now(UTC)}
    usage = Usage(input_tokens=3, output_tokens=4)
    await hand.ends(ReplyCompleted(**fields, usage=usage, timings=Timings(total_ms=5)))
    for _ in range(2):
        ended = await stands(person, identity)
        assert (ended["status"], ended["usage"]) == ("completed", {"input_tokens": 3, "output_tokens": 4})
        assert ended["timings"]["total_ms"] == 5
        assert (ended["message_id"], ended["reply_id"]) == (begun["message_id"], begun["reply_id"])
        await recorded(hand)
        person.world.streams.logs.by_id.pop(identity, None)  # the second time from the store


async def test_a_generation_whose_log_is_lost_is_still_known(person: Person) -> None:
    begun = await person.begins()
    person.world.forgets(begun["generation_id"])
    assert (await stands(person, begun["generation_id"]))["status"] == "queued"
    refused = await person.http.post(f"/api/generations/{begun['generation_id']}/cancel")
    assert refused.status_code == 503


async def test_a_failed_generation_says_why(person: Person, recording: None) -> None:
    begun = await person.begins()
    hand = await person.world.by_hand(begun["generation_id"])
    fields = {"question": hand.question, "attempt": 1, "ended_at": datetime.now(UTC)}
    await hand.ends(ReplyFailed(**fields, code="backend_cut", message="It went away.", retryable=True))
    for _ in range(2):
        ended = await stands(person, begun["generation_id"])
        assert ended["error"] == {"code": "backend_cut", "message": "It went away.", "retryable": True}
        assert ended["status"] == "failed"
        await recorded(hand)
        person.world.streams.logs.by_id.pop(begun["generation_id"], None)


async def test_a_cancel_ends_a_queued_question(person: Person, recording: None) -> None:
    begun = await person.begins()
    following = asyncio.create_task(person.follow(begun["generation_id"]))
    cancelled = await cancel(person, begun)
    assert cancelled.json()["generation_id"] == begun["generation_id"]
    assert (await following).names == ["accepted", "cancelled"]
    assert (await stands(person, begun["generation_id"]))["status"] == "cancelled"
    assert await contents(person, begun["chat_id"]) == [("user", "Why?", "complete"), ("assistant", "", "cancelled")]


async def cancel(person: Person, begun: dict[str, str]) -> httpx.Response:
    response = await person.http.post(f"/api/generations/{begun['generation_id']}/cancel")
    assert response.status_code == 202, response.text
    return response


async def test_a_cancel_stops_a_running_model_and_keeps_what_it_said(world: World, person: Person) -> None:
    backend = ScriptedBackend([*says("Half")[:-1], never])
    async with world.recording(), world.working(backend):
        begun = await person.begins()
        await eventually(lambda: world.streams.logs.by_id[begun["generation_id"]].shown().text == "Half")
        following = asyncio.create_task(person.follow(begun["generation_id"]))
        await cancel(person, begun)
        answer = await following
        assert (answer.text, answer.end().name) == ("Half", "cancelled")
        await eventually(lambda: backend.closed == 1)
        assert (await contents(person, begun["chat_id"]))[1] == ("assistant", "Half", "cancelled")


async def test_a_cancel_after_the_end_changes_nothing(person: Person, recording: None) -> None:
    hand = await answered(person)
    begun = {"generation_id": hand.question.generation_id}
    for _ in range(2):
        assert (await cancel(person, begun)).json()["status"] == "completed"
        person.world.streams.logs.by_id.pop(hand.question.generation_id, None)
    assert (await contents(person, hand.question.chat_id))[1][2] == "complete"


async def test_a_cancel_publishes_what_a_dead_worker_sealed_and_did_not_tell(
    world: World, person: Person, recording: None
) -> None:
    hand = await world.by_hand((await person.begins())["generation_id"])
    await hand.says("Whole.")
    fields = {"question": hand.question, "text": "Whole.", "attempt": 1, "ended_at": datetime.now(UTC)}
    sealed = ReplyCompleted(**fields, last_event_id=f"{hand.epoch}-{hand.next}")
    await world.streams.seal(hand.question.generation_id, hand.epoch, hand.next, sealed)
    following = asyncio.create_task(person.follow(hand.question.generation_id))
    await cancel(person, {"generation_id": hand.question.generation_id})
    answer = await following
    assert (answer.text, answer.end().name) == ("Whole.", "completed")
    assert (await contents(person, hand.question.chat_id))[1] == ("assistant", "Whole.", "complete")


async def test_what_is_being_written_in_a_chat_is_followed_by_the_chat(
    person: Person, other_person: Person, running: ByHand, recording: None
) -> None:
    path = f"/api/chats/{running.question.chat_id}/stream"
    async with person.http.stream("GET", path) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        await running.says(*WORDS[1:])
        await running.ends()
        raw = "".join([part async for part in response.aiter_text()])
    events = [one.split("\n") for one in raw.strip().split("\n\n") if "event: " in one]
    told = {
        name: [json.loads(lines[-1].removeprefix("data: ")) for lines in events if f"event: {name}" in lines]
        for name in ("accepted", "token", "completed")
    }
    assert told["accepted"][0]["generation_id"] == running.question.generation_id
    assert "".join(one["text"] for one in told["token"]) == "".join(WORDS)
    assert len(told["completed"]) == 1
    await recorded(running)
    ended = await person.http.get(path)
    assert (ended.status_code, ended.content) == (204, b"")
    for nobodys in (await other_person.http.get(path), await person.http.get(f"/api/chats/{new_id()}/stream")):
        problem(nobodys, 404, "not_found")
