"""Every option of memory-bank/options.md, through every door and to both kinds of back-ends; what is refused, and by which name."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.errors import Unsupported
from api.replies import Ask
from api.schemas.chats import AskBody
from api.schemas.ollama import NEUTRAL as OLLAMA_NEUTRAL
from api.schemas.ollama import NEUTRAL_OPTIONS, OllamaChatBody
from api.schemas.openai import HARMLESS, NEUTRAL, CompletionBody
from api.schemas.options import kept
from api.schemas.refusing import HARDWARE
from api.schemas.responses import ResponseBody
from contracts.commands import NamedTool, SamplingOptions, Turn
from contracts.options import UNABLE
from contracts.ports.backend import ChatRequest
from contracts.records import BackendHealth, BackendKind
from infra.ollama.wire import body as ollama_body
from infra.openai.speech import LLAMA_CPP, OPENAI, VLLM
from infra.openai.wire import body as openai_body
from tests.contract.http.ollama_calls import CHAT, asks, error_of
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World
from tests.unit.workers.scripted import ScriptedBackend, says

PAGE = Path(__file__).parents[3] / "memory-bank" / "options.md"
USER = {"role": "user", "content": "Why?"}
TOOL = {"type": "function", "function": {"name": "f"}}
VALUES: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "typical_p": 0.8, "seed": 3, "max_tokens": 9, "stop": ["END"],
    "presence_penalty": 0.1, "frequency_penalty": -0.1, "repeat_penalty": 1.3, "repeat_last_n": 32, "mirostat": 2, "mirostat_tau": 4.5,
    "mirostat_eta": 0.2, "num_keep": 5, "logit_bias": {"17": -100.0},
}  # fmt: skip


def rows() -> dict[str, list[list[str]]]:
    """The names in each cell of the table of sampling, by our name."""
    table = PAGE.read_text("utf-8").split("## Sampling")[1].split("\n## ")[0]
    cells = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    return {re.findall(r"`(\w+)`", one[0])[0]: [re.findall(r"`(\w+)`", cell) for cell in one] for one in cells}


ROWS = rows()


def openai(**more: object) -> Ask:
    return CompletionBody.model_validate({"model": "small", "messages": [USER], **more}).ask()


def ollama(**more: object) -> Ask:
    ask = OllamaChatBody.model_validate({"model": "small", "messages": [USER], **more}).ask()
    assert ask is not None
    return ask


def native(**more: object) -> Ask:
    return AskBody.model_validate({"model": "small", "content": "Why?", **more}).ask(None)


def request(**fields: Any) -> ChatRequest:
    return ChatRequest(model="small", context=(Turn(role="user", content="Why?"),), **fields)


def test_the_page_has_every_option() -> None:
    assert ROWS.keys() == SamplingOptions.model_fields.keys() == VALUES.keys()
    said = set(re.findall(r"`(\w+)`", PAGE.read_text("utf-8")))
    assert said >= {*HARDWARE, *NEUTRAL, *HARMLESS, *NEUTRAL_OPTIONS}
    assert said >= {one for one in OLLAMA_NEUTRAL if one[0] != "_"}


@pytest.mark.parametrize("name", ROWS)
def test_an_option_comes_in_by_every_door_that_has_it(name: str) -> None:
    _, _, at_ollama, at_openai, _, _ = ROWS[name]
    value, meant = VALUES[name], SamplingOptions.model_validate({name: VALUES[name]})
    assert native(options={name: value}).options == meant
    for theirs in at_openai:
        assert openai(**{theirs: value}).options == meant
    for theirs in at_ollama:
        assert ollama(options={theirs: value}).options == meant
    if not at_ollama:
        with pytest.raises(Unsupported, match=f"options.{name}"):
            ollama(options={name: value})


@pytest.mark.parametrize("name", ROWS)
def test_an_option_goes_to_each_kind_by_its_name(name: str) -> None:
    *_, to_ollama, to_openai = ROWS[name]
    asked = request(options=SamplingOptions.model_validate({name: VALUES[name]}))
    sent: Any = ollama_body(asked, 4096, ())["options"]
    assert {one: sent.get(one) for one in to_ollama} == dict.fromkeys(to_ollama, VALUES[name])
    assert bool(to_ollama) == (name not in UNABLE["ollama"])
    assert sent.keys() == {*to_ollama, "num_ctx"}
    told: dict[str, Any] = {**openai_body(asked, speech=LLAMA_CPP)}
    found = told[to_openai[0]]
    assert (list(found) if name == "stop" else found) == VALUES[name]
    others = {"repeat_penalty": VLLM, "max_tokens": OPENAI}
    if name in others:
        assert openai_body(asked, speech=others[name])[to_openai[1]] == VALUES[name]


def test_thinking_by_levels_comes_and_goes() -> None:
    for ask in (
        openai(reasoning_effort="low"),
        ollama(think="low"),
        native(think="low"),
        openai(chat_template_kwargs={"reasoning_effort": "low", "enable_thinking": True}),
    ):
        assert (ask.think, ask.more.effort) == (True, "low")
    for ask in (
        openai(reasoning_effort="none"),
        ollama(think=False),
        native(think=False),
        openai(chat_template_kwargs={"enable_thinking": False}),
    ):
        assert (ask.think, ask.more.effort) == (False, None)
    asked = request(think=True, effort="xhigh")
    assert ollama_body(asked, 4096, ())["think"] is True
    assert ollama_body(asked, 4096, (), levels=True)["think"] == "high"
    assert openai_body(asked, speech=OPENAI)["reasoning_effort"] == "xhigh"
    assert openai_body(asked, speech=VLLM)["reasoning_effort"] == "high"
    template = {"enable_thinking": True, "reasoning_effort": "high"}
    assert openai_body(asked, speech=LLAMA_CPP)["chat_template_kwargs"] == template
    assert openai_body(request(think=False), speech=OPENAI)["reasoning_effort"] == "none"


def test_a_tool_that_must_be_called_comes_and_goes() -> None:
    named = {"type": "function", "function": {"name": "f"}}
    for choice, meant in (("required", "required"), (named, NamedTool(name="f")), ("auto", None)):
        for ask in (openai(tools=[TOOL], tool_choice=choice), native(tools=[TOOL], tool_choice=choice)):
            assert (ask.tools, ask.more.tool_choice) == ((TOOL,), meant)
    flat = {"type": "function", "name": "f"}
    response = ResponseBody.model_validate({"model": "small", "input": "Why?", "tools": [flat], "tool_choice": flat})
    assert response.more().tool_choice == NamedTool(name="f")
    assert openai(tools=[TOOL], tool_choice="none").tools == ()
    other = {"type": "function", "function": {"name": "g"}}
    asked = request(tools=(other, TOOL), tool_choice=NamedTool(name="f"), parallel_tool_calls=False)
    assert openai_body(asked, speech=VLLM)["tool_choice"] == named
    sent = openai_body(asked, speech=LLAMA_CPP)
    assert (sent["tools"], sent["tool_choice"], sent["parallel_tool_calls"]) == ((TOOL,), "required", False)


@pytest.mark.parametrize(
    "choice", [{"type": "function", "function": {"name": "g"}}, {"name": "f"}, {"type": "custom"}, {}]
)
def test_a_choice_of_no_tool_is_refused(choice: object) -> None:
    with pytest.raises(Unsupported, match="tool_choice is none of"):
        openai(tools=[TOOL], tool_choice=choice)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("10m", 600), ("1h30m", 3600), ("1.5h", 3600), ("450000ms", 450), (900, 900), ("20s", 300), (1e-9, 300), (-1, 3600),
        ("-1m", 3600), (1e300, 3600), (None, None),
    ],
)  # fmt: skip
def test_a_model_is_kept_from_five_minutes_to_an_hour(said: float | str | None, seconds: int | None) -> None:
    assert kept(said) == seconds
    if said is not None:
        assert ollama(keep_alive=said).more.keep_alive == native(keep_alive=said).more.keep_alive == seconds
    assert ollama_body(request(keep_alive=seconds), 4096, ()).get("keep_alive") == seconds


@pytest.mark.parametrize("said", [0, "0", "0s", "-0.0m", "10", "soon", "", "1d", "٣m"])
def test_nobody_unloads_a_model_for_everybody(said: float | str) -> None:
    for door in (ollama, native):
        with pytest.raises(Unsupported) as refused:
            door(keep_alive=said)
        assert refused.value.param == "keep_alive"


@pytest.mark.parametrize("name", HARDWARE)
def test_what_is_the_machines_is_the_administrators(name: str) -> None:
    with pytest.raises(Unsupported, match=f"options.{name} is set by administrators"):
        ollama(options={name: 77})
    for neutral in HARDWARE[name]:
        assert ollama(options={name: neutral}).options == SamplingOptions()


# What the model's back-ends cannot do


async def served_by(world: World, kind: BackendKind) -> None:
    """The model's back-end is of that kind, as the catalog last saw it."""
    (model,) = await world.ports.models.all()
    name, now = model.served_by[0].backend, datetime.now(UTC)
    await world.ports.models.put_health(
        [BackendHealth(name=name, kind=kind, pool="default", healthy=True, checked_at=now)]
    )


async def test_what_the_models_back_end_cannot_do_is_refused_by_name(world: World, person: Person) -> None:
    await served_by(world, "ollama")
    for more, place in (
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"mirostat": 2}, "mirostat"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
    ):
        said = await person.http.post("/v1/chat/completions", json={"model": "small", "messages": [USER], **more})
        assert (said.status_code, said.json()["error"]["param"]) == (400, place), said.text
    assert "options.mirostat" in error_of(await person.http.post(CHAT, json=asks(options={"mirostat": 1})), 400)
    body = {"model": "small", "content": "Why?", "options": {"logit_bias": {"5": 1}}}
    refused = problem(await person.http.post("/api/chats/stream", json=body), 400, "unsupported")
    assert refused["param"] == "options.logit_bias"
    wide = {"model": "small", "content": "Why?", "options": {"num_ctx": 4097}}
    refused = problem(await person.http.post("/api/chats/stream", json=wide), 400, "unsupported")
    assert refused["param"] == "options.num_ctx"
    assert not await world.streams.open(person.account.id)
    assert not world.bus.published


async def test_what_it_can_do_reaches_it(world: World, person: Person) -> None:
    await served_by(world, "openai")
    more = {
        "logit_bias": {"5": 1},
        "mirostat": 2,
        "tools": [TOOL],
        "tool_choice": "required",
        "reasoning_effort": "high",
    }
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        said = await person.http.post("/v1/chat/completions", json={"model": "small", "messages": [USER], **more})
        assert said.status_code == 200, said.text
    call = backend.calls[0]
    assert (call.options.logit_bias, call.options.mirostat) == ({"5": 1.0}, 2)
    assert (call.think, call.effort, call.tool_choice, call.tools) == (True, "high", "required", (TOOL,))


async def test_what_changes_nothing_is_let_pass(world: World, person: Person) -> None:
    await served_by(world, "ollama")
    options = {"mirostat": 0, "mirostat_tau": 5.0, "num_ctx": 4096, "repeat_penalty": 1.1}
    backend = ScriptedBackend(says("So."))
    async with world.working(backend):
        said = await person.http.post(CHAT, json=asks(options=options, keep_alive="20m", think="high", stream=False))
        assert said.status_code == 200, said.text
    call = backend.calls[0]
    assert (call.options.repeat_penalty, call.keep_alive, call.effort) == (1.1, 1200, "high")
