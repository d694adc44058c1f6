"""Streams whose log is lost, stalls, or whose chat is deleted."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api import following
from contracts.events import ReplyCancelled
from infra.sqlite.history import SqliteHistory
from tests.contract.http.following import WORDS, path, watching
from tests.contract.http.worlds import ByHand, Person, World
from tests.e2e.client import Answer, Event
from tests.eventually import eventually


async def test_after_the_log_expired_the_store_answers_in_three_forms(person: Person, ended: ByHand) -> None:
    whole = (await person.follow(ended.question.generation_id)).events
    last = whole[-1]
    ended.world.forgets(ended.question.generation_id)
    from_start = (await person.follow(ended.question.generation_id)).events
    assert from_start == [
        Event("accepted", whole[0].data, None), Event("token", {"text": "".join(WORDS)}, None), last,
    ]  # fmt: skip
    assert (await person.follow(ended.question.generation_id, after=last.id)).events == [last]
    elsewhere = (await person.follow(ended.question.generation_id, after=whole[3].id)).events
    assert elsewhere == [
        Event("restarted", {"attempt": 1, "reason": "log_lost"}, None),
        Event("token", {"text": "".join(WORDS)}, None), last,
    ]  # fmt: skip


async def test_a_log_that_is_lost_under_a_follower_is_answered_by_the_store(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    outcome = await running.ends(closes=False)
    await history(running.world).record_outcomes([outcome])
    running.world.forgets(running.question.generation_id)
    await watch
    assert answer.names == ["accepted", "started", "token", "restarted", "token", "completed"]
    assert answer.text == WORDS[0]


async def test_a_log_that_begins_again_replaces_what_was_shown(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    asked, streams = running.question, running.world.streams
    log = streams.logs.by_id[asked.generation_id]
    running.world.forgets(asked.generation_id)
    await streams.create(asked, starts_before=log.starts_before, deadline=log.deadline)
    again = await running.world.by_hand(asked.generation_id)
    await again.says("Anew.")
    await again.ends()
    await watch
    assert answer.names[3:] == ["restarted", "accepted", "started", "token", "completed"]
    assert answer.events[3].id is None
    assert answer.text == "Anew."


async def test_a_stalled_log_whose_reply_is_recorded_ends_from_the_store(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    await history(running.world).record_outcomes([await running.ends(closes=False)])
    stall(running)
    await watch
    assert answer.text == WORDS[0]
    assert answer.end().name == "completed"


async def test_a_stalled_log_of_a_deleted_chat_ends_as_cancelled(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    await person.http.delete(f"/api/chats/{running.question.chat_id}")  # its worker was told, and is gone
    stall(running)
    await watch
    assert answer.end().name == "cancelled"


def stall(hand: ByHand) -> None:
    """Its worker is silent for longer than its lease."""
    log = hand.world.streams.logs.by_id[hand.question.generation_id]
    log.owner, log.lease = None, log.lease - 60
    for follower in log.followers:
        follower.set()


def history(world: World) -> SqliteHistory:
    return SqliteHistory(world.database)


async def test_what_nobody_ended_is_told_as_failed_a_minute_after_its_hard_deadline(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "GIVE_UP", timedelta(seconds=1))
    monkeypatch.setattr(following, "ASK_AGAIN", 0.02)
    begun = await person.begins()
    person.world.forgets(begun["generation_id"])
    answer = await person.follow(begun["generation_id"])
    assert answer.names == ["failed"]
    assert (answer.end().data["code"], answer.end().data["retryable"]) == ("log_lost", True)


async def test_a_log_that_comes_back_is_followed_again(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "ASK_AGAIN", 0.02)
    begun = await person.begins()
    streams, identity = person.world.streams, begun["generation_id"]
    log = streams.logs.by_id[identity]
    person.world.forgets(identity)
    watch = asyncio.create_task(person.follow(identity))
    await eventually(lambda: len(person.world.edge.streams) == 1)
    await streams.create(log.question, starts_before=log.starts_before, deadline=log.deadline)
    hand = await person.world.by_hand(identity)
    await hand.says("Found.")
    await hand.ends()
    answer = await watch
    assert answer.names == ["accepted", "started", "token", "completed"]


async def test_deletion_ends_the_stream_of_a_queued_question(world: World, person: Person, recording: None) -> None:
    begun = await person.begins()
    following = asyncio.create_task(person.follow(begun["generation_id"]))
    await eventually(lambda: len(world.edge.streams) == 1)
    assert (await person.http.delete(f"/api/chats/{begun['chat_id']}")).status_code == 204
    assert (await following).names == ["accepted", "cancelled"]


async def test_deletion_while_streaming_ends_the_stream_once_the_worker_heard(
    person: Person, running: ByHand, recording: None
) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    assert (await person.http.delete(f"/api/chats/{running.question.chat_id}")).status_code == 204
    log = running.world.streams.logs.by_id[running.question.generation_id]
    assert log.cancel
    await running.ends(ReplyCancelled(question=running.question, text=running.text, ended_at=datetime.now(UTC)))
    await watch
    assert answer.end().name == "cancelled"
    assert (await person.http.get(f"/api/chats/{running.question.chat_id}")).status_code == 404


async def test_the_text_of_a_deleted_chat_is_served_no_more(person: Person, ended: ByHand) -> None:
    assert (await person.http.delete(f"/api/chats/{ended.question.chat_id}")).status_code == 204
    for at in (path(ended), path(ended).removesuffix("/stream")):
        assert (await person.http.get(at)).status_code == 404
    ended.world.forgets(ended.question.generation_id)
    assert (await person.http.get(path(ended))).status_code == 404
