"""The main job, as a person lives it."""

import asyncio

import pytest

from tests.e2e.client import Person
from tests.e2e.compositions import Platform
from tests.eventually import eventually


async def test_a_question_is_answered_on_a_stream_and_recorded_with_the_same_text(person: Person) -> None:
    answer = await person.ask("Why is the sky blue?")
    assert answer.end().name == "completed"
    assert answer.names[:2] == ["accepted", "started"]
    accepted = answer.first("accepted")

    async def recorded() -> bool:
        chat = await person.chat(accepted["chat_id"])
        question, reply = chat["messages"]  # type: ignore[misc]
        assert question["content"] == "Why is the sky blue?"
        assert reply["id"] == accepted["reply_id"]
        return reply["status"] == "complete" and reply["content"] == answer.text

    assert answer.text
    await eventually(recorded)


async def test_ids_are_dense_and_of_one_epoch(person: Person) -> None:
    answer = await person.ask("Count.")
    assert [int(one.split("-")[1]) for one in answer.ids] == list(range(len(answer.events)))


async def test_a_stream_is_followed_on_another_edge_from_its_start_and_from_the_middle(person: Person) -> None:
    first = await person.ask("Tell me a story.")
    generation = first.first("accepted")["generation_id"]
    assert [e.data for e in (await person.follow(generation, edge=1)).events] == [e.data for e in first.events]
    middle = len(first.events) // 2
    rest = await person.follow(generation, after=first.events[middle].id, edge=1)
    assert [e.data for e in rest.events] == [e.data for e in first.events[middle + 1 :]]


async def test_hanging_up_is_not_a_cancel(person: Person) -> None:
    generation: object = None
    async for event in person.asking("Go on without me."):
        if event.name == "accepted":
            generation = event.data["generation_id"]
        if event.name == "token":
            break
    answer = await person.follow(generation)
    assert answer.end().name == "completed"


async def test_the_second_question_sent_right_after_completed_sees_the_first_reply(
    person: Person, platform: Platform
) -> None:
    first = await person.ask("My number is seven.")
    chat_id = first.first("accepted")["chat_id"]
    second = await person.ask("Which number?", chat_id=chat_id, edge=1)
    assert second.end().name == "completed"
    turns = platform.calls()[-1]["messages"]
    assert [turn["content"] for turn in turns] == ["My number is seven.", first.text, "Which number?"]  # type: ignore[union-attr]


async def test_a_reply_is_cancelled_from_another_device(person: Person) -> None:
    async def cancel(generation: object) -> None:
        response = await person.edge(1).post(f"/api/generations/{generation}/cancel")
        assert response.status_code == 202, response.text

    names: list[str] = []
    async for event in person.asking("Talk for ever.", model="stall"):
        names.append(event.name)
        if event.name == "accepted":
            generation = event.data["generation_id"]
        if event.name == "token" and names.count("token") == 1:
            await cancel(generation)
    assert names[-1] == "cancelled"


@pytest.mark.parametrize(
    ("model", "code"),
    [("cut", "backend_cut"), ("garbage", "backend_garbage"), ("error", "backend_error"), ("refuse", "backend_error")],
)
async def test_a_failing_back_end_ends_in_one_failed_with_its_code(person: Person, model: str, code: str) -> None:
    answer = await person.ask("Hello?", model=model)
    end = answer.end()
    assert (end.name, end.data["code"]) == ("failed", code)

    async def recorded() -> bool:
        chat = await person.chat(answer.first("accepted")["chat_id"])
        reply = chat["messages"][-1]  # type: ignore[index]
        return reply["status"] == "failed" and reply["content"] == answer.text

    await eventually(recorded)


async def test_an_unknown_model_is_refused_before_anything_is_queued(person: Person) -> None:
    response = await person.edge().post("/api/chats/stream", json={"model": "nobody", "content": "Hello?"})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    assert (await person.edge().get("/api/chats")).json()["items"] == []


async def test_a_chat_is_listed_renamed_and_deleted(person: Person) -> None:
    chat_id = (await person.ask("Hello there")).first("accepted")["chat_id"]

    async def listed() -> bool:
        items = (await person.edge(1).get("/api/chats")).json()["items"]
        return [item["id"] for item in items] == [chat_id]

    await eventually(listed)
    renamed = await person.edge().patch(f"/api/chats/{chat_id}", json={"title": "Greetings"})
    assert (renamed.status_code, renamed.json()["title"]) == (200, "Greetings")
    assert (await person.edge(1).delete(f"/api/chats/{chat_id}")).status_code == 204
    assert (await person.edge().get(f"/api/chats/{chat_id}")).status_code == 404


async def test_an_open_chat_shows_the_reply_that_is_being_written(person: Person) -> None:
    async for event in person.asking("Stop in the middle.", model="stall"):
        if event.name == "accepted":
            accepted = event.data
        if event.name == "token":
            reply = (await person.chat(accepted["chat_id"], edge=1))["messages"][-1]  # type: ignore[index]
            assert reply["status"] == "streaming"
            response = await person.edge().post(
                "/api/chats/stream", json={"model": "small", "content": "More", "chat_id": accepted["chat_id"]}
            )
            assert (response.status_code, response.json()["code"]) == (409, "reply_in_progress")
            break
    await person.edge().post(f"/api/generations/{accepted['generation_id']}/cancel")
    assert (await person.follow(accepted["generation_id"])).end().name == "cancelled"


async def test_fifty_streams_at_once_each_get_their_own_answer(platform: Platform, person: Person) -> None:
    people = [person, *[await Person.signs_up(platform.edges) for _ in range(4)]]
    answers = await asyncio.gather(*(people[n % 5].ask(f"Question {n}", edge=n // 5) for n in range(50)))
    for n, answer in enumerate(answers):
        assert answer.end().name == "completed"
        assert f"Question {n}" in answer.text
    await asyncio.gather(*(one.leaves() for one in people[1:]))
