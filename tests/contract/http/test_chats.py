"""Chats as their person sees them: recorded, being written, or neither yet."""

import asyncio
from datetime import UTC, datetime

from api.schemas.chats import MessageBody
from contracts.events import ReplyCancelled, ReplyFailed
from contracts.generation import ToolCallData
from contracts.ids import new_id
from contracts.public import ChatDeleted, ChatRenamed
from contracts.records import Message
from tests.contract.http.chatting import answered, contents, post, recorded
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually


async def test_a_chat_and_its_messages_have_these_fields(person: Person, recording: None) -> None:
    hand = await answered(person, "Why is the sky blue?\nIn short.", "Rayleigh.")
    chat = await person.chat(hand.question.chat_id)
    question, reply = chat.pop("messages")
    asked = hand.question
    assert set(chat) == {"id", "title", "model", "pinned", "archived", "folder_id", "created_at", "updated_at"}
    assert (chat["id"], chat["title"], chat["model"]) == (asked.chat_id, "Why is the sky blue?", "small")
    assert (chat["pinned"], chat["archived"], chat["folder_id"]) == (False, False, None)
    assert datetime.fromisoformat(chat["created_at"]).tzinfo is not None
    assert (question["id"], question["parent_id"], question["role"]) == (asked.message_id, None, "user")
    assert (reply["id"], reply["parent_id"], reply["role"]) == (asked.reply_id, asked.message_id, "assistant")
    assert (reply["content"], reply["status"], reply["model"]) == ("Rayleigh.", "complete", "small")
    assert reply["generation_id"] == asked.generation_id
    assert reply["usage"] == {"input_tokens": 1, "output_tokens": 2}
    assert "owner" not in question | reply | chat
    assert "last_event_id" not in reply


async def test_a_question_is_there_as_soon_as_it_is_accepted(person: Person) -> None:
    """Nobody records anything: all of it is read from the open entries and logs."""
    begun = await person.begins("Why?")
    assert await contents(person, begun["chat_id"]) == [("user", "Why?", "complete"), ("assistant", "", "streaming")]
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.says("Because")
    assert (await contents(person, begun["chat_id"]))[1] == ("assistant", "Because", "streaming")
    await hand.says(".")
    await hand.ends()
    assert (await contents(person, begun["chat_id"]))[1] == ("assistant", "Because.", "complete")
    listed = (await person.http.get("/api/chats")).json()
    assert [(one["id"], one["title"]) for one in listed["items"]] == [(begun["chat_id"], "Why?")]


async def test_failed_and_cancelled_replies_say_so(person: Person, recording: None) -> None:
    hand = await answered(person)
    begun = (await post(person, hand)).json()
    failing = await person.world.by_hand(begun["generation_id"])
    await failing.says("Half")
    fields = {"question": failing.question, "text": "Half", "attempt": 1, "ended_at": datetime.now(UTC)}
    await failing.ends(ReplyFailed(**fields, code="backend_cut", message="It went away.", retryable=True))
    await recorded(failing)
    begun = (await post(person, hand, content="Again?")).json()
    stopping = await person.world.by_hand(begun["generation_id"])
    await stopping.says("Part")
    fields = {"question": stopping.question, "text": "Part", "attempt": 1, "ended_at": datetime.now(UTC)}
    await stopping.ends(ReplyCancelled(**fields))
    await recorded(stopping)
    messages = (await person.chat(hand.question.chat_id))["messages"]
    assert [one["status"] for one in messages if one["role"] == "assistant"] == ["complete", "failed", "cancelled"]
    assert messages[3]["error"] == {"code": "backend_cut", "message": "It went away.", "retryable": True}


async def test_chats_are_listed_newest_first_page_by_page(person: Person, recording: None) -> None:
    chats = [(await answered(person, f"Question {number}")).question.chat_id for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while cursor or not pages:
        page = (
            await person.http.get("/api/chats", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == chats[::-1]
    assert pages == 3


async def test_a_page_has_no_more_than_its_limit_also_with_chats_not_recorded_yet(person: Person) -> None:
    begun = [(await person.begins(f"Question {number}"))["chat_id"] for number in range(4)]
    page = (await person.http.get("/api/chats", params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == begun[:1:-1]
    async with person.world.recording():
        await eventually(lambda: four_are_recorded(person))
    page = (await person.http.get("/api/chats", params={"limit": 3})).json()
    assert [one["id"] for one in page["items"]] == begun[:0:-1]
    rest = (await person.http.get("/api/chats", params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in rest["items"]] == begun[:1]
    assert rest["next_cursor"] is None


async def test_chats_not_recorded_yet_come_first_and_push_none_out(world: World, person: Person) -> None:
    async with world.recording():
        old = [(await answered(person, f"Question {number}")).question.chat_id for number in range(3)]
    fresh = (await person.begins("Newest"))["chat_id"]
    page = (await person.http.get("/api/chats", params={"limit": 2})).json()
    assert [one["id"] for one in page["items"]] == [fresh, old[2]]
    rest = (await person.http.get("/api/chats", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in rest["items"]] == [old[1], old[0]]


async def four_are_recorded(person: Person) -> bool:
    return len((await person.world.ports.chats.page(person.account.id, 10, None)).items) == 4


async def test_a_chat_being_recorded_is_listed_once(person: Person, recording: None) -> None:
    begun = await person.begins()
    await eventually(lambda: person.world.ports.chats.get(person.account.id, begun["chat_id"]))
    assert [one["id"] for one in (await person.http.get("/api/chats")).json()["items"]] == [begun["chat_id"]]
    assert len(await contents(person, begun["chat_id"])) == 2


async def test_a_question_that_was_never_accepted_is_shown_nowhere(world: World, person: Person) -> None:
    begun = await person.begins()
    log = world.streams.logs.by_id[begun["generation_id"]]
    log.state = "admitted"  # as while it is published
    assert (await person.http.get(f"/api/chats/{begun['chat_id']}")).status_code == 404
    assert (await person.http.get("/api/chats")).json()["items"] == []


async def test_a_chat_is_renamed_by_its_person(world: World, person: Person, recording: None) -> None:
    hand = await answered(person)
    path = f"/api/chats/{hand.question.chat_id}"
    renamed = await person.http.patch(path, json={"title": "  Skies 😀 "})
    assert renamed.json()["title"] == "Skies 😀"
    assert (await person.chat(hand.question.chat_id))["title"] == "Skies 😀"
    assert next(one for one in world.bus.published if isinstance(one, ChatRenamed)).chat_id == hand.question.chat_id
    for same in ({}, {"title": None}):
        assert (await person.http.patch(path, json=same)).json()["title"] == "Skies 😀"
    await answered(person, "More", chat_id=hand.question.chat_id)
    assert (await person.chat(hand.question.chat_id))["title"] == "Skies 😀"


async def test_a_chat_that_is_not_recorded_yet_is_renamed_once_it_is(world: World, person: Person) -> None:
    begun = await person.begins()
    renaming = asyncio.create_task(person.http.patch(f"/api/chats/{begun['chat_id']}", json={"title": "Early"}))
    async with world.recording():
        assert (await renaming).json()["title"] == "Early"
        assert (await person.chat(begun["chat_id"]))["title"] == "Early"


async def test_a_chat_that_stays_unrecorded_cannot_be_renamed_now(world: World, person: Person) -> None:
    begun = await person.begins()
    refused = await person.http.patch(f"/api/chats/{begun['chat_id']}", json={"title": "Early"})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


async def test_a_deleted_chat_is_gone_and_stays_gone(world: World, person: Person, recording: None) -> None:
    hand = await answered(person)
    path = f"/api/chats/{hand.question.chat_id}"
    assert (await person.http.delete(path)).status_code == 204
    for response in (
        await person.http.get(path), await person.http.delete(path), await person.http.patch(path, json={"title": "x"}),
        await person.http.post(f"{path}/messages", json={"model": "small", "content": "x"}),
        await person.http.get(f"/api/generations/{hand.question.generation_id}"),
        await person.http.post(f"/api/generations/{hand.question.generation_id}/cancel"),
    ):  # fmt: skip
        assert response.status_code == 404, response.request
    assert (await person.http.get("/api/chats")).json()["items"] == []
    assert next(one for one in world.bus.published if isinstance(one, ChatDeleted)).chat_id == hand.question.chat_id


async def test_a_chat_deleted_before_it_was_recorded_is_never_recorded(world: World, person: Person) -> None:
    begun = await person.begins()
    assert (await person.http.delete(f"/api/chats/{begun['chat_id']}")).status_code == 204
    assert (await person.http.get(f"/api/chats/{begun['chat_id']}")).status_code == 404
    assert (await person.http.get("/api/chats")).json()["items"] == []
    async with world.recording():
        await eventually(lambda: not world.streams.logs.open.get(person.account.id))
    assert (await person.http.get(f"/api/chats/{begun['chat_id']}")).status_code == 404


async def test_somebody_elses_chat_survives_every_try(person: Person, other_person: Person, recording: None) -> None:
    hand = await answered(person)
    begun = (await post(person, hand)).json()
    asked, http = hand.question, other_person.http
    for response in (
        await http.get(f"/api/chats/{asked.chat_id}"),
        await http.patch(f"/api/chats/{asked.chat_id}", json={"title": "Mine"}),
        await http.delete(f"/api/chats/{asked.chat_id}"),
        await http.post(f"/api/chats/{asked.chat_id}/messages", json={"model": "small", "content": "x"}),
        await http.post("/api/chats/stream", json={"model": "small", "content": "x", "chat_id": asked.chat_id}),
        await http.get(f"/api/generations/{begun['generation_id']}"),
        await http.get(f"/api/generations/{begun['generation_id']}/stream"),
        await http.post(f"/api/generations/{begun['generation_id']}/cancel"),
        await http.get(f"/api/generations/{asked.generation_id}/stream", headers={"Last-Event-ID": "1-1"}),
    ):
        assert response.status_code == 404, response.request
        assert response.json()["code"] == "not_found"
    assert (await http.get("/api/chats")).json()["items"] == []
    assert not person.world.streams.logs.by_id[begun["generation_id"]].cancel
    assert len(await contents(person, asked.chat_id)) == 4


def test_a_message_shows_what_its_record_holds() -> None:
    call = ToolCallData(id="1", name="look", arguments={"at": "sky"})
    fields = {
        "id": new_id(),
        "chat_id": new_id(),
        "owner": new_id(),
        "parent_id": None,
        "created_at": datetime.now(UTC),
    }
    message = Message(**fields, role="assistant", content="", tool_calls=(call,))
    assert MessageBody.of(message).tool_calls == (call,)
    assert MessageBody.of(message.model_copy(update={"tool_calls": ()})).tool_calls is None
