"""What every `History` does. The suite is the port's definition."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest

from contracts.commands import Question
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, ToolCallData, Usage
from contracts.ids import new_id
from contracts.ports.stores import History
from contracts.recording import message_of_outcome, message_of_question
from contracts.records import Message
from tests.contract.ports.stores import HOSTILE, Stores, now
from tests.factories import completed, question

BATCH = 200
SECOND = timedelta(seconds=1)


@pytest.fixture
def history(stores: Stores) -> History:
    return stores.history


def asked(**changes: object) -> Question:
    return question(**{"asked_at": now(), **changes})


def whole(one: Question, text: str = "Rayleigh scattering.", **changes: object) -> ReplyCompleted:
    return completed(one, text, **{"ended_at": one.asked_at + SECOND, **changes})


async def messages(stores: Stores, one: Question) -> Sequence[Message]:
    return await stores.chats.messages(one.owner, one.chat_id)


async def title(stores: Stores, one: Question) -> str:
    chat = await stores.chats.get(one.owner, one.chat_id)
    assert chat is not None
    return chat.title


async def test_a_question_makes_its_chat_and_its_message(stores: Stores) -> None:
    one = asked(system="Be brief.")
    await stores.history.record_questions([one])
    chat = await stores.chats.get(one.owner, one.chat_id)
    assert chat is not None
    assert (chat.title, chat.model, chat.created_at, chat.updated_at) == (
        "Why is the sky blue?",
        "small",
        one.asked_at,
        one.asked_at,
    )
    assert await messages(stores, one) == [message_of_question(one)]


OUTCOMES = (
    lambda one: ReplyCompleted(
        question=one, text="Because. 🌈", thinking="Hm.", finish_reason="length", attempt=2, backend="gpu-1", last_event_id="7-9",
        usage=Usage(input_tokens=3, output_tokens=5), ended_at=now(),
        timings=Timings(queue_ms=1, load_ms=2, ttft_ms=3, total_ms=4, tokens_per_second=5.5),
        tool_calls=(ToolCallData(id="1", name="look", arguments={"up": [1, None, {"deep": True}], "f": 0.5}), ToolCallData(id="2", name="wait")),
    ),
    lambda one: ReplyFailed(question=one, text="Bec", code="backend_cut", message="It broke.", retryable=True, ended_at=now()),
    lambda one: ReplyCancelled(question=one, text="", ended_at=now()),
)  # fmt: skip


@pytest.mark.parametrize("make", OUTCOMES, ids=["completed", "failed", "cancelled"])
async def test_an_outcome_is_kept_whole_and_given_as_the_store_holds_it(stores: Stores, make) -> None:
    one = asked()
    outcome: Outcome = make(one)
    (held,) = await stores.history.record_outcomes([outcome])
    assert held == message_of_outcome(outcome)
    assert await messages(stores, one) == [message_of_question(one), held]
    assert await stores.chats.reply(one.owner, one.generation_id) == held


async def test_nothing_is_recorded_of_nothing(history: History) -> None:
    await history.record_questions([])
    assert list(await history.record_outcomes([])) == []


async def test_any_order_and_repetition_of_events_ends_in_the_same(stores: Stores) -> None:
    """Each order of the same four events, twice over, in a chat of its own."""
    ends: list[tuple[object, ...]] = []
    begun = now()
    for order in itertools.permutations(range(4)):
        first = asked(content="First", asked_at=begun, model="old")
        second = asked(
            content="Second", asked_at=begun + 5 * SECOND, owner=first.owner, chat_id=first.chat_id,
            parent_id=first.reply_id, model="new",
        )  # fmt: skip
        events = (first, whole(first, "One"), second, whole(second, "Two"))
        for event in [events[place] for place in order + order]:
            if isinstance(event, Question):
                await stores.history.record_questions([event])
            else:
                assert await stores.history.record_outcomes([event]) == [message_of_outcome(event)]
        chat = await stores.chats.get(first.owner, first.chat_id)
        assert chat is not None
        texts = tuple(one.content for one in await messages(stores, first))
        ends.append((chat.title, chat.model, chat.created_at, chat.updated_at, texts))
    assert set(ends) == {("First", "new", begun, begun + 6 * SECOND, ("First", "One", "Second", "Two"))}


async def test_a_question_after_its_outcome_changes_nothing(stores: Stores) -> None:
    one = asked()
    await stores.history.record_outcomes([whole(one)])
    before = await messages(stores, one), await stores.chats.get(one.owner, one.chat_id)
    await stores.history.record_questions([one])
    assert (await messages(stores, one), await stores.chats.get(one.owner, one.chat_id)) == before


async def test_the_first_outcome_of_a_reply_wins(stores: Stores) -> None:
    one = asked()
    await stores.history.record_outcomes([whole(one, "First")])
    failed = ReplyFailed(question=one, text="Second", code="internal", message="x", ended_at=now())
    (held,) = await stores.history.record_outcomes([failed])
    assert held == message_of_outcome(whole(one, "First"))
    assert [two.content for two in await messages(stores, one)] == [one.content, "First"]


async def test_the_first_outcome_wins_within_a_batch_too(stores: Stores) -> None:
    one, other = asked(), asked()
    held = await stores.history.record_outcomes([whole(one, "First"), whole(other), whole(one, "Second")])
    assert [two and two.content for two in held] == ["First", "Rayleigh scattering.", "First"]
    assert [two.content for two in await messages(stores, one)] == [one.content, "First"]


async def test_of_outcomes_at_once_all_are_told_the_one_that_stands(stores: Stores) -> None:
    one = asked()
    told = await asyncio.gather(*(stores.history.record_outcomes([whole(one, f"Text {n}")]) for n in range(10)))
    (stands,) = [two for two in await messages(stores, one) if two.role == "assistant"]
    assert all(list(each) == [stands] for each in told)


async def test_a_chat_begun_by_many_questions_at_once_keeps_them_all(stores: Stores) -> None:
    first = asked(content="First")
    later = [
        asked(owner=first.owner, chat_id=first.chat_id, asked_at=first.asked_at + n * SECOND) for n in range(1, 10)
    ]
    await asyncio.gather(*(stores.history.record_questions([one]) for one in [*reversed(later), first]))
    chat = await stores.chats.get(first.owner, first.chat_id)
    assert chat is not None
    assert (chat.title, chat.created_at, chat.updated_at) == ("First", first.asked_at, later[-1].asked_at)
    assert len(await messages(stores, first)) == 10


async def test_a_batch_of_many_chats_and_owners_is_recorded_in_its_order(stores: Stores) -> None:
    owners, begun = [new_id() for _ in range(7)], now()
    chats = [(new_id(), owners[number % 7]) for number in range(31)]
    questions = [
        asked(owner=chats[n % 31][1], chat_id=chats[n % 31][0], content=f"Question {n}", asked_at=begun + n * SECOND) for n in range(BATCH)
    ]  # fmt: skip
    outcomes = [whole(one, f"Reply to {one.content}") for one in questions]
    held = await stores.history.record_outcomes(outcomes)
    assert held == [message_of_outcome(one) for one in outcomes]
    assert await stores.history.record_outcomes(outcomes) == held
    for place, (chat_id, owner) in enumerate(chats):
        expected = [text for n in range(place, BATCH, 31) for text in (f"Question {n}", f"Reply to Question {n}")]
        assert [one.content for one in await stores.chats.messages(owner, chat_id)] == expected
        assert await title(stores, questions[place]) == f"Question {place}"
    assert sum([len((await stores.chats.page(owner, 100, None)).items) for owner in owners]) == 31


@pytest.mark.parametrize("with_reply", [False, True], ids=["question", "outcome"])
async def test_nothing_is_recorded_in_somebody_elses_chat(stores: Stores, with_reply: bool) -> None:
    mine = asked()
    await stores.history.record_outcomes([whole(mine)])
    before = await messages(stores, mine), await stores.chats.get(mine.owner, mine.chat_id)
    foreign = asked(chat_id=mine.chat_id, content="Intruder", asked_at=mine.asked_at - SECOND)
    fine = asked(owner=foreign.owner)
    if with_reply:
        held = await stores.history.record_outcomes([whole(foreign), whole(fine)])
        assert [one and one.id for one in held] == [None, fine.reply_id]
    else:
        await stores.history.record_questions([foreign, fine])
    assert (await messages(stores, mine), await stores.chats.get(mine.owner, mine.chat_id)) == before
    assert await messages(stores, foreign) == []
    assert await stores.chats.reply(foreign.owner, foreign.generation_id) is None
    assert [one.id for one in (await stores.chats.page(foreign.owner, 10, None)).items] == [fine.chat_id]


async def test_of_two_owners_of_one_new_chat_in_a_batch_one_has_it(stores: Stores) -> None:
    ann = asked()
    bob = asked(chat_id=ann.chat_id)
    held = await stores.history.record_outcomes([whole(ann), whole(bob)])
    assert sum(one is not None for one in held) == 1
    winner, loser = (ann, bob) if held[0] else (bob, ann)
    assert len(await messages(stores, winner)) == 2
    assert await messages(stores, loser) == []
    assert await stores.chats.reply(loser.owner, loser.generation_id) is None


async def test_an_id_that_stands_elsewhere_is_not_told_or_overwritten(stores: Stores) -> None:
    mine = asked()
    await stores.history.record_outcomes([whole(mine, "Private")])
    thief = asked(reply_id=mine.reply_id, message_id=mine.message_id)
    assert await stores.history.record_outcomes([whole(thief, "Stolen")]) == [None]
    assert [one.content for one in await messages(stores, mine)] == [mine.content, "Private"]
    assert await messages(stores, thief) == []


async def test_no_late_event_writes_under_a_deleted_chat(stores: Stores) -> None:
    one = asked()
    await stores.history.record_questions([one])
    await stores.chats.delete(one.owner, one.chat_id, now())
    late = asked(owner=one.owner, chat_id=one.chat_id)
    fine = asked(owner=one.owner)
    held = await stores.history.record_outcomes([whole(one), whole(fine), whole(late)])
    assert [two and two.id for two in held] == [None, fine.reply_id, None]
    await stores.history.record_questions([one, late])
    assert await stores.chats.deleted(one.owner, one.chat_id)
    assert await stores.chats.get(one.owner, one.chat_id) is None
    assert await messages(stores, one) == []
    assert await stores.chats.reply(one.owner, one.generation_id) is None
    assert not await stores.chats.delete(one.owner, one.chat_id, now())


async def test_a_recorded_chat_that_was_deleted_is_not_told_again(stores: Stores) -> None:
    one = asked()
    await stores.history.record_outcomes([whole(one)])
    await stores.chats.delete(one.owner, one.chat_id, now())
    assert await stores.history.record_outcomes([whole(one)]) == [None]


async def test_a_deletion_at_the_same_moment_leaves_a_whole_tombstone(stores: Stores) -> None:
    questions = [asked() for _ in range(20)]
    await stores.history.record_questions(questions[::2])
    await asyncio.gather(
        stores.history.record_outcomes([whole(one) for one in questions]),
        *(stores.chats.delete(one.owner, one.chat_id, now()) for one in questions),
    )
    for one in questions:
        assert await stores.chats.deleted(one.owner, one.chat_id)
        assert await messages(stores, one) == []
        assert (await stores.chats.page(one.owner, 10, None)).items == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Sky?", "Sky?"), ("\n \n  Sky?  \nmore", "Sky?"), ("", ""), ("x" * 60, "x" * 60), ("x" * 61, "x" * 59 + "…"),
        ("🦙" * 61, "🦙" * 59 + "…"), ("$title", "$title"), ("$$ROOT\nx", "$$ROOT"), ("{$gt: 1}", "{$gt: 1}"),
    ],
)  # fmt: skip
async def test_the_first_line_of_the_first_question_titles_a_chat(stores: Stores, content: str, expected: str) -> None:
    one = asked(content=content)
    await stores.history.record_questions([one])
    assert await title(stores, one) == expected


@pytest.mark.parametrize("together", [True, False])
async def test_the_earliest_question_titles_a_chat_whichever_comes_first(stores: Stores, together: bool) -> None:
    first = asked(content="First")
    second, third = [
        asked(content=text, owner=first.owner, chat_id=first.chat_id, asked_at=first.asked_at + n * SECOND)
        for n, text in enumerate(("Second", "Third"), 1)
    ]
    batches = [[third, first, second]] if together else [[second], [third], [first]]
    for batch in batches:
        await stores.history.record_questions(batch)
    assert await title(stores, first) == "First"


async def test_a_chats_moment_never_goes_back(stores: Stores) -> None:
    one = asked()
    await stores.history.record_outcomes([whole(one, ended_at=one.asked_at + 60 * SECOND)])
    earlier = asked(owner=one.owner, chat_id=one.chat_id, asked_at=one.asked_at + 10 * SECOND)
    await stores.history.record_questions([earlier, one])
    await stores.history.record_outcomes([whole(earlier, ended_at=one.asked_at + 20 * SECOND)])
    chat = await stores.chats.get(one.owner, one.chat_id)
    assert chat is not None
    assert chat.updated_at == one.asked_at + 60 * SECOND


async def test_the_end_of_the_stream_is_amended(stores: Stores) -> None:
    one, other = asked(), asked()
    await stores.history.record_outcomes([whole(one, last_event_id="1-5"), whole(other, last_event_id="1-5")])
    await stores.history.amend_last_event_id(one.reply_id, "2-7")
    await stores.history.amend_last_event_id(one.message_id, "2-7")
    await stores.history.amend_last_event_id(new_id(), "2-7")
    assert [two.last_event_id for two in await messages(stores, one)] == [None, "2-7"]
    assert [two.last_event_id for two in await messages(stores, other)] == [None, "1-5"]
    (held,) = await stores.history.record_outcomes([whole(one, last_event_id="1-5")])
    assert held is not None
    assert held.last_event_id == "2-7"


@pytest.mark.parametrize("text", [*HOSTILE, "\ufffe\uffff\x7f\x85", "a\r\n\tb"], ids=range(len(HOSTILE) + 2))
async def test_texts_are_kept_to_the_last_character(stores: Stores, text: str) -> None:
    one = asked(content=text, system=text, model=text)
    arguments = {text: text, "nested": {text: [text]}}
    outcome = whole(
        one, text, thinking=text, backend=text, tool_calls=(ToolCallData(id=text, name=text, arguments=arguments),)
    )
    (held,) = await stores.history.record_outcomes([outcome])
    assert held == message_of_outcome(outcome)
    assert await messages(stores, one) == [message_of_question(one), held]
    chat = await stores.chats.get(one.owner, one.chat_id)
    assert chat is not None
    assert chat.model == text


@pytest.mark.parametrize("text", HOSTILE[:4], ids=range(4))
async def test_texts_of_a_chat_that_stands_are_only_texts(stores: Stores, text: str) -> None:
    one = asked()
    await stores.history.record_questions([one])
    earlier = asked(owner=one.owner, chat_id=one.chat_id, content=text, asked_at=one.asked_at - SECOND)
    later = asked(owner=one.owner, chat_id=one.chat_id, model=text, asked_at=one.asked_at + SECOND)
    await stores.history.record_questions([earlier, later])
    chat = await stores.chats.get(one.owner, one.chat_id)
    assert chat is not None
    assert (chat.title, chat.model, chat.owner) == (text, text, one.owner)


@pytest.mark.parametrize("field", ["chat_id", "owner", "message_id", "reply_id", "parent_id", "generation_id"])
async def test_ids_that_look_like_queries_are_ids(stores: Stores, field: str) -> None:
    bystander = asked()
    await stores.history.record_outcomes([whole(bystander)])
    for text in HOSTILE:
        one = asked(**{field: text})
        assert await stores.history.record_outcomes([whole(one)]) == [message_of_outcome(whole(one))]
        assert await stores.chats.reply(one.owner, one.generation_id) == message_of_outcome(whole(one))
        await stores.history.amend_last_event_id(text, "9-9")
    assert await messages(stores, bystander) == [message_of_question(bystander), message_of_outcome(whole(bystander))]


async def test_big_texts_and_long_ids_are_kept(stores: Stores) -> None:
    one = asked(chat_id="c" * 20_000, owner="o" * 1000, content="🦙" * 65_536)
    outcome = whole(one, "é" * 524_288)
    assert await stores.history.record_outcomes([outcome]) == [message_of_outcome(outcome)]
    assert await messages(stores, one) == [message_of_question(one), message_of_outcome(outcome)]
    assert [two.id for two in (await stores.chats.page(one.owner, 1, None)).items] == [one.chat_id]


async def test_keys_and_numbers_that_a_model_made_up_are_kept(stores: Stores) -> None:
    arguments = {
        "$where": 1,
        "a.b": {"$set": {"": None}},
        "\0": -(1 << 70),
        "": [1e308, True, "\u2028"],
        "_id": "x",
        "__proto__": {},
    }
    one = asked()
    outcome = whole(one, tool_calls=(ToolCallData(id="", name="$eval", arguments=arguments),))
    (held,) = await stores.history.record_outcomes([outcome])
    assert held is not None
    assert held.tool_calls[0].arguments == arguments
    assert (await messages(stores, one))[-1] == held


async def test_a_figure_beyond_all_numbers_keeps_no_reply_from_being_recorded(stores: Stores) -> None:
    one = asked()
    (held,) = await stores.history.record_outcomes([whole(one, usage=Usage(input_tokens=1 << 80, output_tokens=5))])
    assert held is not None
    assert held.usage is not None
    assert held.usage.input_tokens > 1 << 60
    assert held.usage.output_tokens == 5


@pytest.mark.parametrize("broken", [{"content": "a\ud800"}, {"model": "\udfff"}, {"chat_id": "\ud800"}], ids=str)
async def test_half_a_character_is_refused_and_spoils_nothing_else(stores: Stores, broken: dict[str, str]) -> None:
    """No JSON that we read has one; the caller tries a refused batch item by item."""
    fine, bad = asked(), asked(**broken)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        await stores.history.record_outcomes([whole(fine), whole(bad)])
    assert await stores.history.record_outcomes([whole(fine)]) == [message_of_outcome(whole(fine))]
    with pytest.raises(ValueError, match="surrogates not allowed"):
        await stores.history.record_questions([bad])
    assert len(await messages(stores, fine)) == 2
