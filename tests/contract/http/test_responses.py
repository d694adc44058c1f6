"""OpenAI's Responses API at the edge: what is answered whole, whose it is, what is refused."""

import asyncio
import json

import httpx
import pytest

from contracts.generation import ToolCallData, Usage
from contracts.ports.backend import CallTool, Done, ThinkingText
from tests.contract.http.chatting import answered, contents, recorded
from tests.contract.http.responding import (
    CALL,
    OUTPUT,
    PATH,
    TOOL,
    asks,
    begun,
    created,
    got,
    id_of,
    refusal,
    said,
    user,
)
from tests.contract.http.test_openai import accepted, failure
from tests.contract.http.wire import Line
from tests.contract.http.worlds import Person, World, bearing
from tests.eventually import eventually
from tests.unit.workers.scripted import ScriptedBackend, never, says

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}


# Whole


async def test_a_whole_response_and_the_same_one_later(world: World, person: Person, recording: None) -> None:
    async with world.working(ScriptedBackend(says("Be", "cause."))):
        response = await person.http.post(PATH, json=asks())
    assert response.status_code == 200, response.text
    body = response.json()
    generation = (await person.http.get(f"/api/generations/{body['id'].removeprefix('resp_')}")).json()
    assert body["output"] == [
        {
            "type": "message",
            "id": f"msg_{generation['reply_id']}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Because.", "annotations": [], "logprobs": []}],
        }
    ]
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", "small")
    assert (body["error"], body["incomplete_details"]) == (None, None)
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"], body["usage"]["total_tokens"]) == (3, 2, 5)
    assert isinstance(body["created_at"], int)
    assert await contents(person, generation["chat_id"]) == [
        ("user", "Why?", "complete"),
        ("assistant", "Because.", "complete"),
    ]
    await eventually(lambda: world.ports.chats.reply(person.account.id, generation["id"]))
    assert (await person.http.get(f"{PATH}/{body['id']}")).json() == body
    world.forgets(generation["id"])
    assert (await person.http.get(f"{PATH}/{body['id']}")).json() == body


async def test_thinking_and_calls_of_a_whole_response(world: World, person: Person) -> None:
    call = CallTool(ToolCallData(id="c1", name="look", arguments={"at": "sky"}))
    backend = ScriptedBackend([ThinkingText("Hm."), call, Done("tool_calls", Usage(input_tokens=1, output_tokens=1))])
    async with world.working(backend):
        body = (await person.http.post(PATH, json=asks(tools=[TOOL], reasoning={"effort": "low"}))).json()
    thought, called = body["output"]
    assert (thought["type"], thought["content"]) == ("reasoning", [{"type": "reasoning_text", "text": "Hm."}])
    assert (called["type"], called["call_id"], called["name"]) == ("function_call", "c1", "look")
    assert json.loads(called["arguments"]) == {"at": "sky"}
    function = {name: TOOL[name] for name in ("name", "description", "parameters", "strict")}
    assert backend.calls[0].tools == ({"type": "function", "function": function},)
    assert backend.calls[0].think is True


async def test_a_response_that_was_cut_short_is_incomplete(world: World, person: Person) -> None:
    script = [*says("Be")[:1], Done("length", Usage(input_tokens=1, output_tokens=1))]
    async with world.working(ScriptedBackend(script)):
        body = (await person.http.post(PATH, json=asks(max_output_tokens=1))).json()
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert body["output"][0]["status"] == "incomplete"
    assert said(body) == "Be"


async def test_a_failure_of_a_whole_response_is_a_status(world: World, person: Person) -> None:
    asking = asyncio.create_task(person.http.post(PATH, json=asks()))
    question = (await eventually(lambda: world.streams.open(person.account.id)))[0]
    await eventually(lambda: accepted(world, question.generation_id))
    hand = await world.by_hand(question.generation_id)
    await hand.ends(failure(hand, "backend_cut", retryable=True))
    response = await asking
    refusal(response, 502, "backend_cut")
    assert response.headers["x-should-retry"] == "true"


async def test_who_hangs_up_cancels_it(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    async with world.working(backend):
        async with Line(world.url) as line:
            await line.asks("POST", PATH, person.headers, asks())
            await eventually(lambda: backend.running == 1)
        await eventually(lambda: backend.running == 0)
    await eventually(lambda: len(world.edge.streams) == 0)


# In the background


async def test_in_the_background_from_the_queue_to_the_end(world: World, person: Person, recording: None) -> None:
    body = await created(person)
    assert (body["status"], body["output"], body["usage"]) == ("queued", [], None)
    hand = await world.by_hand(body["id"].removeprefix("resp_"))
    assert (await got(person, hand))["status"] == "in_progress"
    await hand.says("Because.")
    assert (await got(person, hand))["output"] == []
    await hand.ends()
    ended = await got(person, hand)
    assert (ended["status"], said(ended)) == ("completed", "Because.")
    await recorded(hand)
    assert await got(person, hand) == ended


async def test_how_a_failed_one_stands(world: World, person: Person, recording: None) -> None:
    hand = await begun(world, person)
    await hand.says("Half")
    await hand.ends(failure(hand, "context_too_long", retryable=False))
    body = await got(person, hand)
    assert (body["status"], said(body)) == ("failed", "Half")
    assert body["error"] == {"code": "context_length_exceeded", "message": "It broke."}
    await recorded(hand)
    assert await got(person, hand) == body


async def test_a_key_gives_the_same_response_again(world: World, person: Person) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await person.http.post(PATH, json=asks(background=True), headers=headers)
    again = await person.http.post(PATH, json=asks(background=True), headers=headers)
    assert first.json() == again.json()
    assert len(await world.streams.open(person.account.id)) == 1
    other = await person.http.post(PATH, json=asks(background=True, instructions="No."), headers=headers)
    refusal(other, 422, "idempotency_mismatch")


# Cancelling


async def test_cancelling_a_running_one(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend([*says("Half")[:1], never])
    async with world.working(backend):
        body = await created(person)
        await eventually(lambda: backend.running == 1)
        response = await person.http.post(f"{PATH}/{body['id']}/cancel")
        assert response.status_code == 200, response.text
    assert (response.json()["status"], said(response.json())) == ("cancelled", "Half")
    assert response.json()["incomplete_details"] is None
    again = await person.http.post(f"{PATH}/{body['id']}/cancel")
    assert again.json() == response.json()


async def test_cancelling_one_that_waits(person: Person, recording: None) -> None:
    body = await created(person)
    response = await person.http.post(f"{PATH}/{body['id']}/cancel")
    assert (response.json()["status"], response.json()["output"]) == ("cancelled", [])


async def test_cancelling_one_that_has_ended_changes_nothing(world: World, person: Person) -> None:
    hand = await begun(world, person)
    await hand.says("Because.")
    await hand.ends()
    response = await person.http.post(f"{PATH}/{id_of(hand)}/cancel")
    assert response.json() == await got(person, hand)
    assert response.json()["status"] == "completed"


async def test_a_cancel_whose_worker_does_not_answer_says_how_it_stands(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.responses.CANCELS_WITHIN", 0.05)
    hand = await begun(world, person)
    await hand.says("Half")
    response = await person.http.post(f"{PATH}/{id_of(hand)}/cancel")
    assert response.json()["status"] == "in_progress"
    assert world.streams.logs.by_id[hand.question.generation_id].cancel


# Whose it is


async def test_a_response_is_its_callers_alone(world: World, person: Person, other_person: Person) -> None:
    hand = await begun(world, person)
    one = f"{PATH}/{id_of(hand)}"
    for response in (
        await other_person.http.get(one),
        await other_person.http.get(one, params={"stream": "true"}),
        await other_person.http.post(f"{one}/cancel"),
        await other_person.http.post(PATH, json=asks(previous_response_id=id_of(hand))),
        await person.http.get(f"{PATH}/{hand.question.generation_id}"),
        await person.http.get(f"{PATH}/resp_1"),
        await person.http.post(PATH, json=asks(previous_response_id="resp_1")),
    ):
        refusal(response, 404, "not_found")
    assert not world.streams.logs.by_id[hand.question.generation_id].cancel


async def test_a_key_that_reads_may_get_and_not_ask(world: World, person: Person) -> None:
    hand = await begun(world, person)
    one = f"{PATH}/{id_of(hand)}"
    reads = bearing(await person.key("read"))
    async with httpx_of(world, reads) as program:
        assert (await program.get(one)).json()["status"] == "in_progress"
        refusal(await program.post(PATH, json=asks()), 403, "not_permitted")
        refusal(await program.post(f"{one}/cancel"), 403, "not_permitted")


def httpx_of(world: World, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=world.url, headers=headers, timeout=30)


async def test_what_began_in_a_chat_is_a_response_and_the_other_way_round(
    world: World, person: Person, recording: None
) -> None:
    hand = await answered(person, reply="Because.")
    assert said(await got(person, hand)) == "Because."
    body = await created(person)
    told = await person.http.get(f"/api/generations/{body['id'].removeprefix('resp_')}")
    assert told.json()["status"] == "queued"


# What is refused


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"store": False}, "store"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"include": ["reasoning.encrypted_content"]}, "include"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"max_tool_calls": 3}, "max_tool_calls"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"truncation": "auto"}, "truncation"),
    ({"truncation": "disabled", "previous_response_id": "resp_1"}, "truncation"),
    ({"made_up": 1}, "made_up"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
    ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1]"),
    ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"input": " "}, "input"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": [user([{"type": "input_text", "text": "x"}, IMAGE])]}, "input[0].content[1].image_url"),
    ({"input": [{"role": "narrator", "content": "x"}]}, "input[0].role"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
    ({"input": [user("x"), OUTPUT]}, "input[1].call_id"),
    ({"input": [user("x"), CALL]}, "input"),
    ({"input": [user("x"), CALL, user("y")]}, "input"),
    ({"input": [user("x"), CALL, CALL, OUTPUT]}, "input[2].call_id"),
    ({"input": [user("x"), CALL, OUTPUT, OUTPUT]}, "input[3].call_id"),
    ({"input": [user("x"), {**CALL, "arguments": "["}]}, "input[1].arguments"),
    ({"input": [user("x"), {"type": "function_call", "name": "f"}]}, "input[1]"),
]  # fmt: skip
INVALID: list[tuple[dict[str, object], str]] = [
    ({"temperature": 3}, "temperature"),
    ({"input": []}, "input"),
    ({"input": None}, "input"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"model": None}, "model"),
    ({"input": "\ud800"}, "input"),
    ({"reasoning": {"effort": "huge"}}, "reasoning"),
]


async def test_what_cannot_be_honoured_is_refused_by_name(world: World, person: Person) -> None:
    for more, param in REFUSED:
        error = refusal(await person.http.post(PATH, json=asks(**more)), 400, "unsupported_parameter")
        assert (error["param"], error["type"]) == (param, "invalid_request_error"), more
    assert not await world.streams.open(person.account.id)


async def test_a_body_against_the_schema_is_400(person: Person) -> None:
    for more, param in INVALID:
        content = json.dumps(asks(**more)).encode()
        response = await person.http.post(PATH, content=content, headers={"Content-Type": "application/json"})
        assert str(refusal(response, 400, "invalid_value")["param"]).startswith(param), more


async def test_what_a_get_cannot_honour(world: World, person: Person) -> None:
    one = f"{PATH}/{id_of(await begun(world, person))}"
    for query, param in (
        ("include[]=message.output_text.logprobs", "include"),
        ("include_obfuscation=true", "include_obfuscation"),
        ("starting_after=3", "starting_after"),
    ):
        assert refusal(await person.http.get(f"{one}?{query}"), 400, "unsupported_parameter")["param"] == param
    refusal(await person.http.get(f"{one}?stream=true&starting_after=-1"), 400, "invalid_value")
    assert (await person.http.get(f"{one}?stream=false&include_obfuscation=false")).status_code == 200


async def test_unknown_models_and_no_token(world: World, person: Person) -> None:
    refusal(await person.http.post(PATH, json=asks(model="nothing")), 404, "model_not_found")
    async with httpx_of(world, {}) as nobody:
        refusal(await nobody.post(PATH, json=asks()), 401, "invalid_api_key")
        refusal(await nobody.get(f"{PATH}/resp_1"), 401, "invalid_api_key")
