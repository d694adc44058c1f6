"""What every `DeadLetters` does. The suite is the port's definition."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.cursors import write_cursor
from contracts.ids import new_id
from contracts.ports.stores import DeadLetters
from contracts.records import DeadLetter
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now

BY = "admin"


@pytest.fixture
def letters(stores: Stores) -> DeadLetters:
    return stores.dead_letters


def letter(**changes: object) -> DeadLetter:
    fields = {"id": new_id(), "queue": "history.record", "reason": "rejected", "body": "{}", "died_at": now()}
    return DeadLetter.model_validate({**fields, **changes})


async def kept(letters: DeadLetters, *ages: int, **changes: object) -> list[DeadLetter]:
    """Letters that died so many milliseconds before the first, kept in this order."""
    first = now()
    made = [letter(died_at=first - timedelta(milliseconds=age), **changes) for age in ages]
    for one in made:
        await letters.keep(one)
    return made


async def test_a_letter_is_found_as_it_was_kept(letters: DeadLetters) -> None:
    whole = letter(
        why="A body is not a valid net.ollamanet.GenerateReply.v1.", type="net.ollamanet.GenerateReply.v1", subject=new_id(),
        owner=new_id(), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", correlationid=new_id(), attempts=3,
        attributes={"id": "1", "type": "x"}, body='{"question": "é🦙"}',
    )  # fmt: skip
    bare = letter()
    await letters.keep(whole)
    await letters.keep(bare)
    assert await letters.get(whole.id) == whole
    assert await letters.get(bare.id) == bare
    assert (await letters.page(10, None)).items == tuple(sorted((whole, bare), key=_order, reverse=True))


def _order(one: DeadLetter) -> tuple[datetime, str]:
    return one.died_at, one.id


async def test_an_unknown_letter_is_nowhere(letters: DeadLetters) -> None:
    assert await letters.get(new_id()) is None
    assert (await letters.page(10, None)).items == ()


async def test_a_moment_is_kept_in_milliseconds(letters: DeadLetters) -> None:
    fine = letter(died_at=datetime(2026, 11, 24, 12, 0, 0, 123_456, UTC))
    await letters.keep(fine)
    found = await letters.get(fine.id)
    assert found is not None
    assert found.died_at == datetime(2026, 11, 24, 12, 0, 0, 123_000, UTC)


async def test_a_letter_that_comes_again_is_kept_once_as_it_stands(letters: DeadLetters) -> None:
    first = letter(why="first")
    await letters.keep(first)
    decided = await letters.decide(first.id, "discarded", by=BY, at=now())
    await letters.keep(first.model_copy(update={"why": "again"}))
    assert await letters.get(first.id) == decided
    assert len((await letters.page(10, None)).items) == 1


async def test_the_last_to_die_comes_first(letters: DeadLetters) -> None:
    made = await kept(letters, 20, 0, 10)
    assert (await letters.page(10, None)).items == (made[1], made[2], made[0])


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
async def test_pages_give_each_letter_once(letters: DeadLetters, limit: int) -> None:
    made = await kept(letters, 5, 5, 3, 3, 3, 1)  # several at one moment
    found: list[DeadLetter] = []
    cursor = None
    while True:
        page = await letters.page(limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert found == sorted(made, key=_order, reverse=True)


async def test_the_last_page_has_no_cursor(letters: DeadLetters) -> None:
    await kept(letters, 1, 2)
    assert (await letters.page(2, None)).next_cursor is None


async def test_letters_can_be_listed_by_status(letters: DeadLetters) -> None:
    made = await kept(letters, 0, 1, 2, 3)
    await letters.decide(made[1].id, "discarded", by=BY, at=now())
    first = await letters.page(2, None, status="waiting")
    rest = await letters.page(2, first.next_cursor, status="waiting")
    assert first.items + rest.items == (made[0], made[2], made[3])
    assert [one.id for one in (await letters.page(10, None, status="discarded")).items] == [made[1].id]
    assert (await letters.page(10, None, status="replayed")).items == ()


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "ä", write_cursor(datetime(2026, 1, 1, tzinfo=UTC), "x") + "=", "LTEvYQ=="]
)
async def test_a_cursor_of_somebody_elses_making_is_refused(letters: DeadLetters, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await letters.page(10, cursor)


async def test_a_decision_stands_with_who_and_when(letters: DeadLetters) -> None:
    (one,) = await kept(letters, 0)
    at, again = now(), new_id()
    decided = await letters.decide(one.id, "replayed", by=BY, at=at, replayed_as=again)
    assert decided == one.model_copy(
        update={"status": "replayed", "decided_by": BY, "decided_at": at, "replayed_as": again}
    )
    assert await letters.get(one.id) == decided
    assert (await letters.page(1, None)).items == (decided,)


async def test_only_a_waiting_letter_is_decided(letters: DeadLetters) -> None:
    (one,) = await kept(letters, 0)
    assert await letters.decide(one.id, "discarded", by=BY, at=now()) is not None
    assert await letters.decide(one.id, "replayed", by="another", at=now()) is None
    assert await letters.decide(new_id(), "replayed", by=BY, at=now()) is None
    found = await letters.get(one.id)
    assert found is not None
    assert (found.status, found.decided_by) == ("discarded", BY)


async def test_a_decision_is_taken_back_from_where_it_stands(letters: DeadLetters) -> None:
    (one,) = await kept(letters, 0)
    await letters.decide(one.id, "replayed", by=BY, at=now(), replayed_as=new_id())
    assert await letters.decide(one.id, "waiting", by=BY, at=now(), before="discarded") is None
    back = await letters.decide(one.id, "waiting", by=BY, at=now(), before="replayed")
    assert back is not None
    assert (back.status, back.replayed_as) == ("waiting", None)
    assert (await letters.page(10, None, status="waiting")).items == (back,)


async def test_of_many_who_decide_at_once_one_does(letters: DeadLetters) -> None:
    (one,) = await kept(letters, 0)
    given_ids = [new_id() for _ in range(20)]
    answers = await asyncio.gather(
        *(letters.decide(one.id, "replayed", by=BY, at=now(), replayed_as=other) for other in given_ids)
    )
    won = [answer.replayed_as for answer in answers if answer is not None]
    found = await letters.get(one.id)
    assert found is not None
    assert won == [found.replayed_as]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_letters_of_anything_are_kept(letters: DeadLetters, text: str) -> None:
    odd = letter(
        id=text,
        queue=text,
        reason=text,
        why=text,
        type=text,
        subject=text,
        owner=text,
        body=text,
        attributes={text: text},
    )
    await letters.keep(odd)
    await letters.keep(letter())
    assert await letters.get(text) == odd
    assert await letters.decide(text, "discarded", by=text, at=now()) is not None
    assert [one.id for one in (await letters.page(10, None, status="discarded")).items] == [text]


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_and_decides_nothing(letters: DeadLetters, wrong: str) -> None:
    (one,) = await kept(letters, 0)
    assert await given(letters.get(wrong)) is None
    assert await given(letters.decide(wrong, "discarded", by=BY, at=now())) is None
    assert await given(letters.decide(one.id, "discarded", by=BY, at=now(), before=wrong)) is None  # type: ignore[arg-type]
    found = await letters.get(one.id)
    assert found is not None
    assert found.status == "waiting"
