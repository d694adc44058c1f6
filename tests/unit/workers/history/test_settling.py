"""Dead letters: each is kept for an operator, and what it would have begun ends for the person, once."""

import asyncio

import pytest

from contracts.commands import GenerateReply
from contracts.errors import Transient, Unavailable
from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ids import new_id
from contracts.ports.streams import Answer, Closed, GenerationStreams
from contracts.sealing import TRIES, sealed_unrun
from contracts.topology import HISTORY
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.story import (
    accepted,
    cancelled,
    closed,
    created,
    end,
    sealed,
    stands,
    tokens,
    told,
)
from tests.eventually import eventually
from tests.factories import completed, question
from tests.unit.workers.history.historian import REPLIES, Died, Historian, command, dead
from workers.history.letters import MOST_BODY


@pytest.mark.parametrize(
    ("reason", "code"),
    [("expired", "expired"), ("delivery_limit", "quarantined"), ("rejected", "internal"), ("maxlen", "internal")],
)
async def test_a_command_that_died_ends_its_generation_as_failed(
    historian: Historian, streams: GenerationStreams, reason: str, code: str
) -> None:
    asked = await accepted(streams)
    died = Died(reason, why="A handler's own sentence.", deliveries=7)
    letter = dead(command(asked), died)
    await historian.settling.settle(letter)
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.question, outcome.code, outcome.retryable, outcome.text) == (asked, code, True, "")
    assert (await stands(streams, asked.generation_id)).outcome == outcome
    kept = await historian.only_letter()
    assert (kept.queue, kept.reason, kept.why) == (REPLIES, reason, "A handler's own sentence.")
    assert (kept.type, kept.subject, kept.owner) == (GenerateReply.type, asked.generation_id, asked.owner)
    assert (kept.correlationid, kept.attributes) == (letter.attributes["correlationid"], letter.attributes)
    assert (kept.body, kept.died_at, kept.status) == (letter.body.decode(), letter.at, "waiting")
    assert kept.attempts == 0  # no worker ever took it, however often it was delivered
    await historian.records()
    assert (await stands(streams, asked.generation_id)).state == "closed"
    assert await streams.open(asked.owner) == []


async def test_a_letter_keeps_the_trace_of_its_request(historian: Historian) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    letter = dead(command())
    await historian.settling.settle(dead(command(), attributes={**letter.attributes, "traceparent": trace}))
    assert (await historian.only_letter()).traceparent == trace


async def test_while_a_worker_holds_the_generation_its_letter_waits(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    it = await told(streams, "Blue", " and")
    settling = asyncio.create_task(historian.settling.settle(dead(command(it.question), Died("delivery_limit"))))
    letter = await eventually(historian.only_letter)
    assert letter.attempts == 1
    await streams.append(it.id, it.epoch, it.next, tokens(" wide"))
    assert not settling.done()
    assert (await stands(streams, it.id)).state == "running"
    assert historian.outcomes == []
    await place.overrun(it.id)
    await settling
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.text, outcome.attempt, outcome.backend) == ("quarantined", "Blue and wide", 1, "one")


async def test_a_worker_that_ends_it_meanwhile_has_said_all(historian: Historian, streams: GenerationStreams) -> None:
    it = await told(streams, "Blue.")
    settling = asyncio.create_task(historian.settling.settle(dead(command(it.question))))
    await eventually(historian.only_letter)
    await end(streams, it)
    await settling
    assert historian.bus.published == []
    assert (await stands(streams, it.id)).kind == "completed"


async def test_what_somebody_sealed_and_did_not_live_to_publish_is_published(
    historian: Historian, streams: GenerationStreams, place: Place
) -> None:
    it = await sealed(streams, "Blue.")
    await place.overrun(it.id)
    await historian.settling.settle(dead(command(it.question)))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyCompleted)
    assert outcome.text == "Blue."


async def test_a_generation_that_was_closed_is_not_ended_again(
    historian: Historian, streams: GenerationStreams
) -> None:
    it = await closed(streams, "Blue.")
    await historian.settling.settle(dead(command(it.question)))
    assert historian.bus.published == []
    assert (await historian.only_letter()).attempts == 1


async def test_a_question_that_was_taken_back_gets_no_outcome(historian: Historian, streams: GenerationStreams) -> None:
    asked = await created(streams)
    assert await streams.abort(asked.generation_id) is Answer.OK
    await historian.settling.settle(dead(command(asked)))
    assert historian.bus.published == []
    assert await historian.only_letter()


async def test_a_cancel_that_came_first_wins(historian: Historian, streams: GenerationStreams, place: Place) -> None:
    it = await told(streams, "Blue")
    await streams.cancel(it.question.owner, it.id, cancelled(it.question))
    await place.overrun(it.id)
    await historian.settling.settle(dead(command(it.question)))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyCancelled)
    assert outcome.text == "Blue"


async def test_without_a_log_what_is_recorded_stays(historian: Historian) -> None:
    asked = question()
    await historian.records(completed(asked, "Blue."))
    heard = list(historian.bus.published)
    await historian.settling.settle(dead(command(asked)))
    assert historian.bus.published == heard


async def test_without_a_log_and_a_record_it_fails_unsealed(historian: Historian, streams: GenerationStreams) -> None:
    asked = question()
    await historian.settling.settle(dead(command(asked), Died("expired", deliveries=3)))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.code, outcome.question) == ("expired", asked)
    assert (await historian.only_letter()).attempts == 3
    assert await streams.head(asked.generation_id) is None


@pytest.mark.parametrize("kind", ["outcome", "question"])
async def test_what_died_on_its_way_to_the_record_is_only_kept(
    historian: Historian, streams: GenerationStreams, kind: str
) -> None:
    it = await told(streams, "Blue.")
    event = completed(it.question, "Blue.") if kind == "outcome" else QuestionAsked(question=it.question)
    await historian.settling.settle(dead(event, Died(queue=HISTORY.name, deliveries=4)))
    letter = await historian.only_letter()
    assert (letter.type, letter.owner, letter.attempts) == (event.type, it.question.owner, 4)
    assert historian.bus.published == []
    assert (await stands(streams, it.id)).state == "running"


async def test_a_command_whose_body_nobody_can_read_still_ends_its_generation(
    historian: Historian, streams: GenerationStreams
) -> None:
    asked = await accepted(streams)
    await historian.settling.settle(dead(command(asked), body=b'{"question": 1}'))
    (outcome,) = historian.outcomes
    assert isinstance(outcome, ReplyFailed)
    assert (outcome.question, outcome.code) == (asked, "internal")
    letter = await historian.only_letter()
    assert letter.why == "A body is not a valid net.ollamanet.GenerateReply.v1."
    assert (letter.owner, letter.body) == (asked.owner, '{"question": 1}')


ODD = {
    "nothing": ({}, b""),
    "no type": ({"id": "x", "subject": new_id()}, b"{}"),
    "unknown type": ({"type": "net.example.Unknown.v1", "subject": "$x"}, b"{}"),
    "subject is no id": ({"type": GenerateReply.type, "subject": "{g:x}"}, b"{}"),
    "not text": ({"type": GenerateReply.type, "a.b": "\0", "$c": "é"}, b"\xff\x00{"),
    "nobody's": ({"type": GenerateReply.type, "subject": new_id()}, b"{}"),
}


@pytest.mark.parametrize("name", ODD)
async def test_nonsense_is_kept_and_ends_nothing(historian: Historian, name: str) -> None:
    attributes, body = ODD[name]
    await historian.settling.settle(dead(command(), attributes=attributes, body=body))
    letter = await historian.only_letter()
    assert letter.attributes == attributes
    assert letter.body == body.decode("utf-8", "backslashreplace")
    assert letter.why == "A message came without valid CloudEvents attributes."
    assert historian.bus.published == []


async def test_a_body_is_kept_up_to_a_size(historian: Historian) -> None:
    await historian.settling.settle(dead(command(), body=b"\xff" * (MOST_BODY + 1)))
    letter = await historian.only_letter()
    assert letter.body == "\\xff" * MOST_BODY
    assert letter.why is not None
    assert f"first {MOST_BODY} of its {MOST_BODY + 1} bytes" in letter.why


async def test_a_letter_that_comes_again_is_kept_once(historian: Historian, streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    letters = [
        dead(command(asked)),
        dead(completed(question()), Died(queue=HISTORY.name)),
        dead(command(), attributes={}),
    ]
    for one in letters * 2:
        await historian.settling.settle(one)
    assert len((await historian.letters.page(10, None)).items) == 3
    first, again = historian.outcomes
    assert first == again  # published again, in case the first was lost; recorded once


async def test_a_command_that_died_twice_is_one_letter_and_an_outcome_two(historian: Historian) -> None:
    asked, outcome = command(), completed(question())
    for hour in (1, 2):
        for one in (asked, outcome):
            letter = dead(one)
            await historian.settling.settle(dead(one, at=letter.at.replace(year=2020, hour=hour)))
    types = [one.type for one in (await historian.letters.page(10, None)).items]
    assert sorted(types, key=str) == sorted((GenerateReply.type, ReplyCompleted.type, ReplyCompleted.type))


async def test_one_message_that_died_in_two_queues_is_two_letters(historian: Historian) -> None:
    outcome = completed(question())
    letter = dead(outcome)
    for queue in ("one", "two"):
        await historian.settling.settle(dead(outcome, at=letter.at, queue=queue))
    ids = {one.id for one in (await historian.letters.page(10, None)).items}
    assert len(ids) == 2
    assert all(len(one) == 36 for one in ids)


async def test_letters_without_an_id_are_told_apart_by_their_body(historian: Historian) -> None:
    at = dead(command()).at
    for body in (b"1", b"2", b"1"):
        await historian.settling.settle(dead(command(), attributes={}, body=body, at=at))
    bodies = [one.body for one in (await historian.letters.page(10, None)).items]
    assert sorted(bodies) == ["1", "2"]


async def test_what_stopped_half_way_is_finished_when_the_letter_comes_again(
    historian: Historian, streams: GenerationStreams
) -> None:
    asked = await accepted(streams)
    letter = dead(command(asked), Died("expired"))
    historian.bus.fails = [Unavailable("The broker is down.")]
    with pytest.raises(Unavailable):
        await historian.settling.settle(letter)
    assert await historian.only_letter()  # first of all it is kept
    assert (await stands(streams, asked.generation_id)).state == "sealed"
    await historian.settling.settle(letter)
    (outcome,) = historian.outcomes
    assert (await stands(streams, asked.generation_id)).outcome == outcome


async def test_with_the_store_away_nothing_is_decided(historian: Historian) -> None:
    asked = question()
    historian.chats.fails = [Unavailable("The store is down.")]
    letter = dead(command(asked))
    with pytest.raises(Unavailable):
        await historian.settling.settle(letter)
    assert historian.bus.published == []
    await historian.settling.settle(letter)
    assert len(historian.outcomes) == 1


async def test_what_is_written_between_reading_and_sealing_is_in_the_outcome(
    streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await told(streams, "Blue")
    seal, late = streams.seal, [tokens(" and"), tokens(" wide")]

    async def seal_late(generation_id: str, epoch: int | None, expected: int, outcome: ReplyFailed) -> object:
        if late:
            await streams.append(it.id, it.epoch, expected, late.pop(0))
        return await seal(generation_id, epoch, expected, outcome)

    monkeypatch.setattr(streams, "seal", seal_late)
    stood = await sealed_unrun(streams, failure(it.question))
    assert not isinstance(stood, Answer)
    assert stood.text == "Blue and wide"


async def test_sealing_gives_up_on_one_that_is_written_on_and_on(
    streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await told(streams)
    seal, tries = streams.seal, 0

    async def seal_late(generation_id: str, epoch: int | None, expected: int, outcome: ReplyFailed) -> object:
        nonlocal tries
        tries += 1
        await streams.append(it.id, it.epoch, expected, tokens("x"))
        return await seal(generation_id, epoch, expected, outcome)

    monkeypatch.setattr(streams, "seal", seal_late)
    with pytest.raises(Transient, match="still being written"):
        await sealed_unrun(streams, failure(it.question))
    assert tries == TRIES


async def test_a_cancel_between_reading_and_sealing_wins(
    streams: GenerationStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await told(streams, "Blue")
    seal, cancels = streams.seal, [cancelled(it.question)]

    async def seal_late(generation_id: str, epoch: int | None, expected: int, outcome: ReplyFailed) -> object:
        if cancels:
            await streams.cancel(it.question.owner, it.id, cancels.pop())
        return await seal(generation_id, epoch, expected, outcome)

    monkeypatch.setattr(streams, "seal", seal_late)
    stood = await sealed_unrun(streams, failure(it.question))
    assert isinstance(stood, ReplyCancelled)
    assert stood.text == "Blue"


async def test_sealing_may_be_repeated(streams: GenerationStreams) -> None:
    asked = await accepted(streams)
    first = await sealed_unrun(streams, failure(asked))
    assert await sealed_unrun(streams, failure(asked)) == first
    assert not isinstance(first, Answer)
    assert isinstance(await streams.recorded(asked.generation_id, first), Closed)
    assert await sealed_unrun(streams, failure(asked)) is Answer.CLOSED
    assert await sealed_unrun(streams, failure(question())) is Answer.NOLOG


def failure(asked: object) -> ReplyFailed:
    """How a generation ends that nobody ran."""
    outcome = completed(asked)  # type: ignore[arg-type]
    return ReplyFailed(question=outcome.question, code="internal", message="x", ended_at=outcome.ended_at)
