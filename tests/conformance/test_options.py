"""Every parameter that the official clients have: each reaches the back-end under its name there, or is refused by its own name.

The back-end is of Ollama's kind here; that the other kind gets all of them too is told by tests/contract.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conformance.clients import Raised
from tests.conformance.using import Using, question
from tests.e2e.compositions import Platform

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
OWN = {
    "self",
    "model",
    "messages",
    "prompt",
    "stream",
    "options",
    "extra_headers",
    "extra_query",
    "extra_body",
    "timeout",
}
"""What is no parameter of an answer, or told by other tests."""


@dataclass(frozen=True)
class Case:
    """`sent`: what the back-end gets by it, at the top of its body or in its options; None: refused. `beside`: what it makes sense with."""

    value: object
    sent: dict[str, Any] | None = None
    beside: dict[str, Any] = field(default_factory=dict)


def same(name: str, value: object, theirs: str | None = None) -> tuple[str, Case]:
    return name, Case(value, {theirs or name: value})


IN_BOOKS = (
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user",
)  # fmt: skip
BOOKED: dict[str, object] = {"metadata": {"a": "b"}, "service_tier": "default", "store": False}
OPENAI: dict[str, Case] = {
    "audio": Case({"voice": "alloy", "format": "wav"}), "function_call": Case("auto"), "functions": Case([{"name": "f"}]),
    "logit_bias": Case({"5": 1}), "logprobs": Case(True), "modalities": Case(["text", "audio"]), "moderation": Case({"model": "m"}),
    "n": Case(2), "parallel_tool_calls": Case(False, beside={"tools": [TOOL]}), "prediction": Case({"type": "content", "content": "x"}),
    "prompt_cache_options": Case({"mode": "explicit"}), "tool_choice": Case("required", beside={"tools": [TOOL]}),
    "top_logprobs": Case(2), "verbosity": Case("low"), "web_search_options": Case({}), "stream_options": Case({"include_obfuscation": True}),
    **dict([
        same("frequency_penalty", 0.1), same("presence_penalty", -0.1), same("seed", 7), same("temperature", 0.3), same("top_p", 0.8),
        same("max_tokens", 9, "num_predict"), same("max_completion_tokens", 9, "num_predict"), same("tools", [TOOL]),
    ]),
    "stop": Case("zzz", {"stop": ["zzz"]}),
    "reasoning_effort": Case("high", {"think": True}), "response_format": Case({"type": "json_object"}, {"format": "json"}),
    **{name: Case(BOOKED.get(name, "x" if name != "prompt_cache_retention" else "24h"), {}) for name in IN_BOOKS},
}  # fmt: skip
OPTIONS: dict[str, Case] = {
    **dict([
        same("num_keep", 5), same("seed", 7), same("num_predict", 9), same("top_k", 11), same("top_p", 0.8), same("typical_p", 0.9),
        same("repeat_last_n", 32), same("temperature", 0.3), same("repeat_penalty", 1.2), same("presence_penalty", 0.1),
        same("frequency_penalty", 0.2), same("stop", ["zzz"]),
    ]),
    "num_ctx": Case(1024, {"num_ctx": 8192}),
    **{name: Case(2) for name in ("num_batch", "num_gpu", "main_gpu", "num_thread", "mirostat")},
    **{name: Case(True) for name in ("numa", "low_vram", "logits_all", "vocab_only", "use_mmap", "use_mlock", "embedding_only")},
    "f16_kv": Case(False), "penalize_newline": Case(False), "tfs_z": Case(0.5),
    "mirostat_tau": Case(4.5, beside={"mirostat": 2}), "mirostat_eta": Case(0.2, beside={"mirostat": 2}),
}  # fmt: skip
CHAT: dict[str, Case] = {
    "tools": Case([TOOL], {}), "think": Case("low", {"think": True}), "logprobs": Case(True), "top_logprobs": Case(2),
    "format": Case("json", {"format": "json"}), "keep_alive": Case("20m", {"keep_alive": 1200}),
}  # fmt: skip
PROMPT: dict[str, Case] = {
    **{name: case for name, case in CHAT.items() if name != "tools"},
    "suffix": Case("x"), "template": Case("{{ .Prompt }}"), "context": Case([1]), "raw": Case(True), "width": Case(64), "height": Case(64),
    "steps": Case(2),
}  # fmt: skip
TOLD_ELSEWHERE = {"system", "images"}


async def arrives(using: Using, platform: Platform, call: str, name: str, case: Case) -> None:
    asked = question()
    given = {**case.beside, name: case.value}
    if case.sent is None:
        with pytest.raises(Raised) as raised:
            await using.client.does(call, model="small", question=asked, given=given)
        assert raised.value.status == 400, (name, raised.value)
        assert name in raised.value.words or next(iter(case.beside), name) in raised.value.words, (name, raised.value)
        return
    await using.client.does(call, model="small", question=asked, given=given)
    (heard,) = [one for one in platform.calls() if one["messages"][-1].get("content") == asked]  # type: ignore[index]
    sent: dict[str, Any] = heard["sent"]  # type: ignore[assignment]
    got = {**sent, **sent["options"]}
    assert {one: got.get(one) for one in case.sent} == case.sent, name


@pytest.mark.parametrize("using", ["openai-python"], indirect=True)
async def test_openais_parameters(using: Using, platform: Platform) -> None:
    assert {*await using.client.does("parameters")} - OWN == OPENAI.keys()
    for name, case in OPENAI.items():
        await arrives(using, platform, "sends", name, case)


@pytest.mark.parametrize("using", ["ollama-python"], indirect=True)
async def test_ollamas_parameters(using: Using, platform: Platform) -> None:
    known = await using.client.does("parameters")
    assert {*known["options"]} == OPTIONS.keys()
    assert {*known["chat"]} - OWN == CHAT.keys()
    assert {*known["generate"]} - OWN - TOLD_ELSEWHERE == PROMPT.keys()
    for name, case in OPTIONS.items():
        await arrives(using, platform, "sends_options", name, case)
    for name, case in CHAT.items():
        await arrives(using, platform, "sends", name, case)
    for name, case in PROMPT.items():
        await arrives(using, platform, "sends_prompt", name, case)
