"""What every `Chats` does. The suite is the port's definition."""

import base64
from datetime import timedelta

import pytest

from contracts.commands import Question
from contracts.ids import new_id
from contracts.ports.stores import Chats
from contracts.records import Chat, Page
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now
from tests.factories import completed, question


@pytest.fixture
def chats(stores: Stores) -> Chats:
    return stores.chats


async def asked(stores: Stores, **changes: object) -> Question:
    """A recorded question, and with it its chat."""
    one = question(**{"asked_at": now(), **changes})
    await stores.history.record_questions([one])
    return one


async def answered(stores: Stores, **changes: object) -> Question:
    one = question(**{"asked_at": now(), **changes})
    await stores.history.record_outcomes([completed(one, ended_at=now())])
    return one


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


async def all_pages(chats: Chats, owner: str, limit: int) -> list[Page[Chat]]:
    pages = [await chats.page(owner, limit, None)]
    while pages[-1].next_cursor is not None:
        pages.append(await chats.page(owner, limit, pages[-1].next_cursor))
        assert len(pages) < 100
    return pages


async def test_a_chat_is_its_first_question(stores: Stores) -> None:
    one = await asked(stores, content="\n  Why is the sky blue?  \nTell me.")
    assert await stores.chats.get(one.owner, one.chat_id) == Chat(
        id=one.chat_id, owner=one.owner, title="Why is the sky blue?", model="small", created_at=one.asked_at,
        updated_at=one.asked_at,
    )  # fmt: skip


async def test_chats_come_newest_first(stores: Stores) -> None:
    owner, begun = new_id(), now()
    made = [await asked(stores, owner=owner, asked_at=begun + timedelta(seconds=second)) for second in (3, 1, 2)]
    page = await stores.chats.page(owner, 10, None)
    assert [one.id for one in page.items] == [made[0].chat_id, made[2].chat_id, made[1].chat_id]
    assert page.next_cursor is None


async def test_an_answered_chat_comes_first(stores: Stores) -> None:
    owner, begun = new_id(), now()
    old = await asked(stores, owner=owner, asked_at=begun)
    new = await asked(stores, owner=owner, asked_at=begun + timedelta(seconds=1))
    await stores.history.record_outcomes([completed(old, ended_at=begun + timedelta(seconds=2))])
    assert [one.id for one in (await stores.chats.page(owner, 10, None)).items] == [old.chat_id, new.chat_id]


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_pages_hold_every_chat_once_even_of_one_moment(stores: Stores, limit: int) -> None:
    owner, moment = new_id(), now()
    await asked(stores, asked_at=moment)  # somebody else's
    made = {(await asked(stores, owner=owner, asked_at=moment)).chat_id for _ in range(7)}
    pages = await all_pages(stores.chats, owner, limit)
    listed = [one.id for page in pages for one in page.items]
    assert listed == sorted(made, reverse=True)
    assert {len(page.items) for page in pages[:-1]} <= {limit}
    assert pages[-1].items


async def test_a_cursor_stays_good_while_chats_come_and_go(stores: Stores) -> None:
    owner, begun = new_id(), now()
    made = [await asked(stores, owner=owner, asked_at=begun + timedelta(milliseconds=number)) for number in range(6)]
    first = await stores.chats.page(owner, 2, None)
    await asked(stores, owner=owner, asked_at=begun + timedelta(seconds=9))
    await stores.chats.delete(owner, made[4].chat_id, now())  # the very chat that the cursor stands behind
    await stores.chats.delete(owner, made[3].chat_id, now())
    second = await stores.chats.page(owner, 2, first.next_cursor)
    assert [one.id for one in second.items] == [made[2].chat_id, made[1].chat_id]


async def test_an_empty_list_is_one_empty_page(chats: Chats) -> None:
    assert await chats.page(new_id(), 10, None) == Page[Chat](items=())


@pytest.mark.parametrize("name", ["a chat", *HOSTILE], ids=range(len(HOSTILE) + 1))
async def test_cursors_carry_any_id(stores: Stores, name: str) -> None:
    owner, moment = new_id(), now()
    for chat_id in (name, name + "x"):
        await asked(stores, owner=owner, chat_id=chat_id, asked_at=moment)
    pages = await all_pages(stores.chats, owner, 1)
    assert [one.id for page in pages for one in page.items] == [name + "x", name]


BAD_CURSORS = (
    "", "x", "🦙", "\ud800", "\0", "AAAA", "=", "====", "%00", "null", "0", "1764000000000/" + "0" * 36,
    encoded("1764000000000"), encoded("/"), encoded("x/y"), encoded("-1/a"), encoded("+1/a"), encoded(" 1/a"), encoded("1_0/a"),
    encoded("1.5/a"), encoded("1e3/a"), encoded("01/a"), encoded("\N{FULLWIDTH DIGIT FIVE}/a"), encoded("nan/a"),
    encoded(f"{1 << 62}/a"), encoded(f"{1 << 63}/a"), encoded(f"{1 << 80}/a"), encoded("9" * 5000 + "/a"), encoded("253402300800000/a"),
    encoded("1764000000000/ab").rstrip("="), encoded("1764000000000/a") + "\n", " " + encoded("1764000000000/a"),
    encoded("1764000000000/a") + "!!!!", base64.b64encode(b"1764000000000/\xff\xfe").decode(), base64.b32encode(b"1764000000000/a").decode(),
    "x" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("cursor", BAD_CURSORS, ids=range(len(BAD_CURSORS)))
async def test_a_cursor_that_no_list_made_is_refused(stores: Stores, cursor: str) -> None:
    one = await asked(stores)
    with pytest.raises(ValueError, match="cursor"):
        await stores.chats.page(one.owner, 10, cursor)


async def test_somebody_elses_cursor_shows_only_ones_own_chats(stores: Stores) -> None:
    ann, bob, moment = new_id(), new_id(), now()
    for owner in (ann, bob):
        for number in range(3):
            await asked(stores, owner=owner, asked_at=moment + timedelta(seconds=number))
    cursor = (await stores.chats.page(ann, 1, None)).next_cursor
    page = await stores.chats.page(bob, 10, cursor)
    assert page.items
    assert {one.owner for one in page.items} == {bob}


async def test_messages_come_oldest_first_and_whole(stores: Stores) -> None:
    first = await answered(stores, system="Be brief.")
    second = question(
        owner=first.owner, chat_id=first.chat_id, parent_id=first.reply_id, content="And at night? 🌃", asked_at=now()
    )
    await stores.history.record_outcomes([completed(second, "Dark.", ended_at=now())])
    found = await stores.chats.messages(first.owner, first.chat_id)
    assert [one.id for one in found] == [first.message_id, first.reply_id, second.message_id, second.reply_id]
    assert [one.parent_id for one in found] == [None, first.message_id, first.reply_id, second.message_id]
    assert [one.role for one in found] == ["user", "assistant"] * 2
    assert [one.content for one in found] == [
        "Why is the sky blue?",
        "Rayleigh scattering.",
        "And at night? 🌃",
        "Dark.",
    ]
    assert [one.system for one in found] == ["Be brief.", None, None, None]
    assert {(one.owner, one.chat_id) for one in found} == {(first.owner, first.chat_id)}


async def test_a_reply_is_found_by_its_generation(stores: Stores) -> None:
    one = await answered(stores)
    reply = await stores.chats.reply(one.owner, one.generation_id)
    assert reply is not None
    assert (reply.id, reply.content, reply.role) == (one.reply_id, "Rayleigh scattering.", "assistant")
    unanswered = await asked(stores)
    assert await stores.chats.reply(unanswered.owner, unanswered.generation_id) is None
    assert await stores.chats.reply(one.owner, new_id()) is None


async def test_a_renamed_chat_keeps_its_place_and_its_name(stores: Stores) -> None:
    one = await asked(stores)
    before = await stores.chats.get(one.owner, one.chat_id)
    assert before is not None
    renamed = await stores.chats.rename(one.owner, one.chat_id, "Sky")
    assert renamed == before.model_copy(update={"title": "Sky"})
    assert await stores.chats.get(one.owner, one.chat_id) == renamed
    earlier = question(
        owner=one.owner, chat_id=one.chat_id, content="Earlier", asked_at=one.asked_at - timedelta(days=1)
    )
    await stores.history.record_questions([one, earlier])
    await stores.history.record_outcomes([completed(one)])
    found = await stores.chats.get(one.owner, one.chat_id)
    assert found is not None
    assert found.title == "Sky"


@pytest.mark.parametrize("title", ["", *HOSTILE], ids=range(len(HOSTILE) + 1))
async def test_a_title_is_kept_as_it_is(stores: Stores, title: str) -> None:
    one = await asked(stores, content=title or "x")
    renamed = await stores.chats.rename(one.owner, one.chat_id, title)
    assert renamed is not None
    assert renamed.title == title
    assert await stores.chats.get(one.owner, one.chat_id) == renamed


async def test_there_is_nothing_to_rename_under_an_unknown_or_deleted_id(stores: Stores) -> None:
    one = await asked(stores)
    await stores.chats.delete(one.owner, one.chat_id, now())
    assert await stores.chats.rename(one.owner, one.chat_id, "Sky") is None
    assert await stores.chats.rename(one.owner, new_id(), "Sky") is None
    assert (await stores.chats.page(one.owner, 10, None)).items == ()


async def test_a_deleted_chat_is_nowhere(stores: Stores) -> None:
    one, other = await answered(stores), await answered(stores)
    assert not await stores.chats.deleted(one.owner, one.chat_id)
    assert await stores.chats.delete(one.owner, one.chat_id, now())
    assert await stores.chats.deleted(one.owner, one.chat_id)
    assert await stores.chats.get(one.owner, one.chat_id) is None
    assert await stores.chats.messages(one.owner, one.chat_id) == []
    assert await stores.chats.reply(one.owner, one.generation_id) is None
    assert (await stores.chats.page(one.owner, 10, None)).items == ()
    assert await stores.chats.get(other.owner, other.chat_id) is not None
    assert len(await stores.chats.messages(other.owner, other.chat_id)) == 2


async def test_deleting_again_changes_nothing(stores: Stores) -> None:
    one = await asked(stores)
    assert await stores.chats.delete(one.owner, one.chat_id, now())
    assert not await stores.chats.delete(one.owner, one.chat_id, now())
    assert await stores.chats.deleted(one.owner, one.chat_id)


async def test_a_chat_without_a_record_is_deleted_too(stores: Stores) -> None:
    one = question()
    assert not await stores.chats.delete(one.owner, one.chat_id, now())
    assert await stores.chats.deleted(one.owner, one.chat_id)
    assert await stores.chats.get(one.owner, one.chat_id) is None
    assert (await stores.chats.page(one.owner, 10, None)).items == ()
    assert await stores.history.record_outcomes([completed(one)]) == [None]
    assert await stores.chats.get(one.owner, one.chat_id) is None


async def test_somebody_elses_chat_is_not_there(stores: Stores) -> None:
    one, stranger = await answered(stores), new_id()
    chats = stores.chats
    assert await chats.get(stranger, one.chat_id) is None
    assert await chats.messages(stranger, one.chat_id) == []
    assert await chats.reply(stranger, one.generation_id) is None
    assert await chats.rename(stranger, one.chat_id, "Mine") is None
    assert (await chats.page(stranger, 10, None)).items == ()
    assert not await chats.deleted(stranger, one.chat_id)
    found = await chats.get(one.owner, one.chat_id)
    assert found is not None
    assert found.title == "Why is the sky blue?"


async def test_nobody_deletes_the_chat_of_another(stores: Stores) -> None:
    one, stranger = await answered(stores), new_id()
    assert not await stores.chats.delete(stranger, one.chat_id, now())
    assert not await stores.chats.deleted(stranger, one.chat_id)
    assert not await stores.chats.deleted(one.owner, one.chat_id)
    assert len(await stores.chats.messages(one.owner, one.chat_id)) == 2
    await stores.chats.delete(one.owner, one.chat_id, now())
    assert not await stores.chats.delete(stranger, one.chat_id, now())
    assert not await stores.chats.deleted(stranger, one.chat_id)
    assert await stores.chats.deleted(one.owner, one.chat_id)


@pytest.mark.parametrize("wrong", [*HOSTILE, *NOT_TEXT], ids=range(len(HOSTILE) + len(NOT_TEXT)))
async def test_nothing_breaks_out_of_a_query(stores: Stores, wrong: str) -> None:
    one = await answered(stores)
    chats, before = stores.chats, await stores.chats.get(one.owner, one.chat_id)
    for owner, chat_id in ((wrong, one.chat_id), (one.owner, wrong), (wrong, wrong)):
        assert await given(chats.get(owner, chat_id)) is None
        assert await given(chats.rename(owner, chat_id, "x")) is None
        assert not await given(chats.messages(owner, chat_id))
        assert not await given(chats.delete(owner, chat_id, now()))
    for owner, generation_id in ((wrong, one.generation_id), (one.owner, wrong), (wrong, wrong)):
        assert await given(chats.reply(owner, generation_id)) is None
    page = await given(chats.page(wrong, 10, None))
    assert page is None or page.items == ()
    assert await chats.get(one.owner, one.chat_id) == before
    assert len(await chats.messages(one.owner, one.chat_id)) == 2
