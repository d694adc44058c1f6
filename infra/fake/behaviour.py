"""What the fake back-end says and how it fails, chosen by the model's name. The same messages give the same answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

CONTEXT_LENGTH = 8192
FAST_TOKENS = 64
STALLED_AFTER = 3


@dataclass(frozen=True)
class Model:
    """`rate`: tokens a second, 0 = as fast as it can. `status`: refuses with it. `ending`: how a run ends."""

    says: str
    rate: float = 50.0
    status: int = 200
    fails_first: bool = False
    ending: str = "finished"


MODELS: dict[str, Model] = {
    "small": Model("echoes the question, 50 tokens a second"),
    "slow": Model("counts to 400, 20 tokens a second", rate=20),
    "paced": Model("counts as far as it is allowed, 50 tokens a second"),
    "fast": Model("counts as far as it is allowed, without pause", rate=0),
    "stall": Model("says three words and then nothing", ending="stalled"),
    "silent": Model("never says anything", ending="silent"),
    "flaky": Model("fails the first time it hears a question", fails_first=True),
    "cut": Model("cuts the line in mid-stream", ending="cut"),
    "garbage": Model("sends garbage in mid-stream", ending="garbage"),
    "error": Model("sends an error object in mid-stream", ending="error"),
    "refuse": Model("refuses with 400", status=400),
    "down": Model("answers 503", status=503),
}


@dataclass(frozen=True)
class Said:
    """One token."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The run ends here, like this: finished, length (it would have said more), cut, garbage or error."""

    how: str


async def run(
    name: str, messages: Sequence[dict[str, object]], max_tokens: int | None, ttft: float, stops: Sequence[str] = ()
) -> AsyncGenerator[Said | Ended, None]:
    """The tokens of one answer at the model's pace, `ttft` seconds before the first, up to the first of `stops`."""
    model = MODELS[name]
    if model.ending == "silent":
        await asyncio.Event().wait()
    if ttft:
        await asyncio.sleep(ttft)
    loop = asyncio.get_running_loop()
    began = loop.time()
    tokens, ending = _limited(_until(stops, _tokens(name, messages, max_tokens)), max_tokens)
    for number, token in enumerate(tokens):
        if model.ending != "finished" and number == STALLED_AFTER:
            if model.ending == "stalled":
                await asyncio.Event().wait()
            yield Ended(model.ending)
            return
        if model.rate:
            await asyncio.sleep(max(0.0, began + number / model.rate - loop.time()))
        yield Said(token)
    yield Ended(ending)


def _tokens(name: str, messages: Sequence[dict[str, object]], max_tokens: int | None) -> list[str]:
    """All that the model has to say; those that count until they are stopped have one token more than they may say."""
    if name in ("fast", "paced"):
        return [f"{number} " for number in range(max_tokens + 1 if max_tokens else FAST_TOKENS)]
    if name == "slow":
        return [f"{number} " for number in range(400)]
    question = str(messages[-1].get("content", "")) if messages else ""
    words = f"[{len(messages)} messages] You said: {question}".split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _until(stops: Sequence[str], tokens: list[str]) -> list[str]:
    """The tokens before the first of the stop strings."""
    text = "".join(tokens)
    end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    kept: list[str] = []
    for token in tokens:
        if end <= 0:
            break
        kept.append(token[:end])
        end -= len(token)
    return kept


def _limited(tokens: list[str], max_tokens: int | None) -> tuple[list[str], str]:
    """As many as allowed, and how that ends."""
    if max_tokens is None or len(tokens) <= max_tokens:
        return tokens, "finished"
    return tokens[:max_tokens], "length"
