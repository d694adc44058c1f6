"""Chats and generations as their person sees them: recorded, being written, or neither yet."""

import asyncio
import time
from datetime import UTC, datetime

import httpx

from api.schemas.chats import MessageBody
from contracts.commands import GenerateReply
from contracts.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.generation import Timings, ToolCallData, Usage
from contracts.ids import new_id
from contracts.public import ChatDeleted, ChatRenamed
from contracts.records import Message
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says


async def answered(person: Person, content: str = "Why?", reply: str = "Because.", **body: object) -> ByHand:
    """A question with its recorded reply."""
    begun = await person.begins(content, **body)
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.says(reply)
    await hand.ends()
    await recorded(hand)
    return hand


async def recorded(hand: ByHand) -> None:
    owner, identity = hand.question.owner, hand.question.generation_id
    await eventually(lambda: hand.world.ports.chats.reply(owner, identity))
    await eventually(lambda: identity not in hand.world.streams.logs.open.get(owner, {}))


async def stands(person: Person, generation_id: str) -> dict[str, object]:
    response = await person.http.get(f"/api/generations/{generation_id}")
    assert response.status_code == 200, response.text
    return response.json()


async def contents(person: Person, chat_id: str) -> list[tuple[str, str, str]]:
    chat = await person.chat(chat_id)
    return [(one["role"], one["content"], one["status"]) for one in chat["messages"]]


def post(person: Person, hand: ByHand, **body: object) -> object:
    whole = {"model": "small", "content": "And then?", **body}
    return person.http.post(f"/api/chats/{hand.question.chat_id}/messages", json=whole)


# Reading


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


# Asking


async def test_a_chat_goes_on_after_its_newest_reply(world: World, person: Person, recording: None) -> None:
    hand = await answered(person, "One", "1")
    again = await answered(person, "Two", "2", chat_id=hand.question.chat_id)
    assert again.question.parent_id == hand.question.reply_id
    command = await last_command(world)
    assert [(one.role, one.content) for one in command.context] == [
        ("user", "One"),
        ("assistant", "1"),
        ("user", "Two"),
    ]


async def last_command(world: World) -> GenerateReply:
    return [one for one in world.bus.published if isinstance(one, GenerateReply)][-1]


async def test_a_question_may_answer_to_an_earlier_message(world: World, person: Person, recording: None) -> None:
    first = await answered(person, "One", "1")
    await answered(person, "Two", "2", chat_id=first.question.chat_id)
    branch = await answered(person, "Other", "other", chat_id=first.question.chat_id, parent_id=first.question.reply_id)
    assert [one.content for one in (await last_command(world)).context] == ["One", "1", "Other"]
    await answered(person, "More", "more", chat_id=first.question.chat_id)
    assert [one.content for one in (await last_command(world)).context] == ["One", "1", "Other", "other", "More"]
    assert branch.question.parent_id == first.question.reply_id


async def test_while_its_reply_is_written_a_branch_takes_no_question(person: Person, recording: None) -> None:
    begun = await person.begins()
    body = {"model": "small", "content": "And?"}
    path = f"/api/chats/{begun['chat_id']}/messages"
    for more in ({}, {"parent_id": begun["reply_id"]}):
        refused = await person.http.post(path, json=body | more)
        assert (refused.status_code, refused.json()["code"]) == (409, "reply_in_progress")
        assert refused.json()["generation_id"] == begun["generation_id"]
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.ends()
    assert (await person.http.post(path, json=body)).status_code == 202


async def test_another_branch_may_be_asked_meanwhile(person: Person, recording: None) -> None:
    first = await answered(person, "One", "1")
    second = await answered(person, "Two", "2", chat_id=first.question.chat_id)
    third = await post(person, second)
    assert third.status_code == 202
    for parent in (first, second):
        assert (await post(person, first, parent_id=parent.question.reply_id)).status_code == 202
    for name in ("message_id", "reply_id"):
        assert (await post(person, first, parent_id=third.json()[name])).status_code == 409


async def test_of_many_questions_at_once_one_is_taken(person: Person, recording: None) -> None:
    hand = await answered(person)
    answers = await asyncio.gather(*(post(person, hand) for _ in range(8)))
    assert sorted(one.status_code for one in answers) == [202, *[409] * 7]
    accepted = next(one.json()["generation_id"] for one in answers if one.status_code == 202)
    assert {one.json()["generation_id"] for one in answers} == {accepted}


async def test_the_slot_of_a_reply_that_ended_is_free_before_it_is_recorded(person: Person) -> None:
    begun = await person.begins("One")
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.says("1")
    await hand.ends()
    assert (await post(person, hand, content="Two")).status_code == 202
    assert [one.content for one in (await last_command(person.world)).context] == ["One", "1", "Two"]


async def test_a_parent_that_is_visible_nowhere_is_waited_for_and_refused(person: Person, recording: None) -> None:
    hand = await answered(person)
    began = time.monotonic()
    refused = await post(person, hand, parent_id=new_id())
    assert 1.9 < time.monotonic() - began < 6
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert refused.headers["retry-after"]
    assert len(await contents(person, hand.question.chat_id)) == 2


async def test_a_parent_that_becomes_visible_meanwhile_is_found(person: Person, recording: None) -> None:
    hand = await answered(person)
    late = ReplyCompleted(
        question=hand.question.model_copy(
            update={"generation_id": new_id(), "message_id": new_id(), "reply_id": new_id(), "content": "Late"}
        ),
        text="Found.", attempt=1, ended_at=datetime.now(UTC),
    )  # fmt: skip
    asking = asyncio.create_task(post(person, hand, parent_id=late.question.reply_id))
    await eventually(lambda: not asking.done())
    await person.world.bus.publish(late)
    assert (await asking).status_code == 202


async def test_a_parent_in_somebody_elses_chat_is_as_if_it_were_not(
    person: Person, other_person: Person, recording: None
) -> None:
    mine, theirs = await answered(person), await answered(other_person)
    refused = await post(person, mine, parent_id=theirs.question.reply_id)
    assert refused.status_code == 503


async def test_the_system_prompt_holds_from_its_question_on(world: World, person: Person, recording: None) -> None:
    first = await answered(person, "One", "1", system="Be brief.")
    await answered(person, "Two", "2", chat_id=first.question.chat_id)
    context = (await last_command(world)).context
    assert (context[0].role, context[0].content) == ("system", "Be brief.")
    await answered(person, "Three", "3", chat_id=first.question.chat_id, system="Be long.")
    context = (await last_command(world)).context
    assert [one.content for one in context if one.role == "system"] == ["Be long."]


async def test_what_was_asked_reaches_the_worker_whole(world: World, person: Person) -> None:
    options = {"temperature": 0.5, "seed": 7, "stop": ["END"], "max_tokens": 5}
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    await person.begins("Why?", options=options, format=schema, tools=tools, think=True)
    command = await last_command(world)
    assert command.options.model_dump(exclude_none=True, exclude_defaults=True) == options | {"stop": ("END",)}
    assert (command.format, command.think, command.tools) == (schema, True, tuple(tools))
    assert command.pool == "default"
    assert 300 < (command.deadline - command.question.asked_at).total_seconds() <= 1500


async def test_asking_without_watching_says_where_the_stream_is(person: Person, recording: None) -> None:
    hand = await answered(person)
    accepted = (await post(person, hand)).json()
    assert set(accepted) == {"chat_id", "message_id", "generation_id", "reply_id", "stream"}
    assert accepted["stream"] == f"/api/generations/{accepted['generation_id']}/stream"
    again = await person.world.by_hand(accepted["generation_id"])
    await again.ends()
    assert (await person.http.get(accepted["stream"])).status_code == 200


async def test_x_latest_is_x(world: World, person: Person) -> None:
    await world.serves("family/model:7b")
    begun = await person.begins("Why?", model="small:latest")
    assert begun["model"] == "small"
    for name in ("small", "small:latest", "family/model:7b", "family%2Fmodel%3A7b"):
        response = await person.http.get(f"/api/models/{name}")
        assert response.json()["name"] == ("small" if name.startswith("small") else "family/model:7b")


# Changing


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


# Generations


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


async def test_a_real_worker_answers_and_continues_with_the_branch(world: World, person: Person) -> None:
    backend = ScriptedBackend(says("Because ", "air."), says("More."))
    async with world.recording(), world.working(backend):
        first = await person.ask("Why?")
        assert (first.text, first.end().name) == ("Because air.", "completed")
        chat = str(first.first("accepted")["chat_id"])
        second = await person.ask("And?", chat_id=chat)
        assert second.text == "More."
    assert [one.content for one in backend.calls[1].context] == ["Why?", "Because air.", "And?"]


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
