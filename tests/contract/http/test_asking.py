"""Questions: where they continue, when they have to wait, what reaches the worker."""

import asyncio
import time
from datetime import UTC, datetime

from contracts.events import ReplyCompleted
from contracts.ids import new_id
from tests.contract.http.chatting import answered, contents, last_command, post
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, says


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
    assert 1.9 < time.monotonic() - began < 15
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


async def test_a_real_worker_answers_and_continues_with_the_branch(world: World, person: Person) -> None:
    backend = ScriptedBackend(says("Because ", "air."), says("More."))
    async with world.recording(), world.working(backend):
        first = await person.ask("Why?")
        assert (first.text, first.end().name) == ("Because air.", "completed")
        chat = str(first.first("accepted")["chat_id"])
        second = await person.ask("And?", chat_id=chat)
        assert second.text == "More."
    assert [one.content for one in backend.calls[-1].context] == ["Why?", "Because air.", "And?"]
