"""OpenAI's Responses API at the edge: what a model reads of what is asked, and of the chat that it goes on in."""

from datetime import UTC, datetime

from contracts.commands import Question, Turn
from contracts.events import ReplyCompleted
from contracts.generation import ToolCall, ToolCallData
from tests.contract.http.chatting import answered, last_command, recorded
from tests.contract.http.responding import CALL, OUTPUT, PATH, TOOL, asks, begun, created, id_of, refusal, user
from tests.contract.http.worlds import Person, World
from tests.unit.workers.scripted import ScriptedBackend, says

# What the model reads


async def test_what_a_model_reads_of_a_string(world: World, person: Person, recording: None) -> None:
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        await person.http.post(
            PATH, json=asks(instructions="Be brief.", temperature=0.5, top_p=0.9, max_output_tokens=7)
        )
    call = backend.calls[0]
    assert call.context == (Turn(role="system", content="Be brief."), Turn(role="user", content="Why?"))
    assert call.options.model_dump(exclude_defaults=True) == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7}
    question = (await last_command(world)).question
    assert (question.content, question.system) == ("Why?", "Be brief.")


async def test_what_a_model_reads_of_items(world: World, person: Person, recording: None) -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        user([{"type": "input_text", "text": "One"}, {"type": "input_text", "text": "two"}]),
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        CALL,
        {**CALL, "call_id": "b", "arguments": ""},
        {**OUTPUT, "call_id": "b", "output": [{"type": "input_text", "text": "B"}]},
        OUTPUT,
        user("Go on."),
    ]  # fmt: skip
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        response = await person.http.post(PATH, json=asks(input=items, instructions="In English."))
        assert response.status_code == 200, response.text
    calls = (ToolCallData(id="a", name="look", arguments={"at": "sky"}), ToolCallData(id="b", name="look"))
    assert backend.calls[0].context == (
        Turn(role="system", content="In English."),
        Turn(role="system", content="Be brief."),
        Turn(role="user", content="One\ntwo"),
        Turn(role="assistant", content="Looking.", tool_calls=calls),
        Turn(role="tool", content="blue"),
        Turn(role="tool", content="B"),
        Turn(role="user", content="Go on."),
    )
    question = (await last_command(world)).question
    assert (question.content, question.system) == ("blue\n\nB\n\nGo on.", "In English.")


async def test_formats(world: World, person: Person) -> None:
    schema = {"type": "object"}
    for wanted, format_ in (
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "name": "x", "strict": True, "schema": schema}, schema),
    ):
        await created(person, text={"format": wanted, "verbosity": "medium"}, tools=[TOOL], tool_choice="none")
        command = await last_command(world)
        assert (command.format, command.tools) == (format_, ())


async def test_thinking(world: World, person: Person) -> None:
    for effort, think in ((None, None), ("none", False), ("high", True)):
        await created(person, reasoning={"effort": effort, "summary": "auto"})
        assert (await last_command(world)).think is think


async def test_what_changes_nothing_is_accepted(person: Person) -> None:
    await created(
        person, store=True, metadata={}, include=[], parallel_tool_calls=True, user="u", service_tier="auto", prompt_cache_key="k",
        truncation="disabled", previous_response_id=None, conversation=None, tools=[], tool_choice="auto", top_logprobs=0,
        stream_options={"include_obfuscation": False}, text={}, reasoning={}, instructions=None,
    )  # fmt: skip


# Going on


async def test_it_goes_on_in_the_chat_of_the_response_before(world: World, person: Person, recording: None) -> None:
    first = await begun(world, person, instructions="Be brief.")
    await first.says("Because.")
    await first.ends()
    second = await begun(world, person, input="And then?", previous_response_id=id_of(first))
    assert (second.question.chat_id, second.question.parent_id) == (first.question.chat_id, first.question.reply_id)
    assert (await last_command(world)).context == (  # instructions do not hold on
        Turn(role="user", content="Why?"),
        Turn(role="assistant", content="Because."),
        Turn(role="user", content="And then?"),
    )
    await second.says("Night.")
    await second.ends()
    branch = await begun(world, person, input=[user("Or?")], previous_response_id=id_of(first))
    assert branch.question.parent_id == first.question.reply_id
    assert [one.content for one in (await last_command(world)).context] == ["Why?", "Because.", "Or?"]


async def test_it_goes_on_in_a_chat_of_the_page(world: World, person: Person, recording: None) -> None:
    hand = await answered(person, system="Rhyme.")
    await created(person, input="And?", previous_response_id=id_of(hand), instructions="In prose.")
    context = (await last_command(world)).context
    assert [one.content for one in context] == ["In prose.", "Why?", "Because.", "And?"]


async def test_outputs_of_the_functions_that_the_response_before_called(
    world: World, person: Person, recording: None
) -> None:
    first = await begun(world, person, tools=[TOOL])
    await first.appends(ToolCall(id="a", name="look", arguments={"at": "sky"}))
    calls = (ToolCallData(id="a", name="look", arguments={"at": "sky"}),)
    await first.ends(completed(first.question, calls))
    await recorded(first)
    wrong = await person.http.post(
        PATH, json=asks(input=[{**OUTPUT, "call_id": "z"}], previous_response_id=id_of(first))
    )
    assert refusal(wrong, 400, "unsupported_parameter")["param"] == "input[0].call_id"
    await created(person, input=[OUTPUT], previous_response_id=id_of(first), instructions="Short.")
    command = await last_command(world)
    assert command.context == (
        Turn(role="system", content="Short."),
        Turn(role="user", content="Why?"),
        Turn(role="assistant", content="", tool_calls=calls),
        Turn(role="tool", content="blue"),
    )
    assert (command.question.content, command.question.parent_id) == ("blue", first.question.reply_id)


def completed(question: Question, calls: tuple[ToolCallData, ...]) -> ReplyCompleted:
    return ReplyCompleted(
        question=question, tool_calls=calls, finish_reason="tool_calls", attempt=1, ended_at=datetime.now(UTC)
    )


async def test_a_response_that_is_still_written_is_not_gone_on_from(world: World, person: Person) -> None:
    hand = await begun(world, person)
    response = await person.http.post(PATH, json=asks(previous_response_id=id_of(hand)))
    refusal(response, 409, "reply_in_progress")
