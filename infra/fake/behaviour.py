"""What the fake back-end says and how it fails, chosen by the model's name. The same messages give the same answer.

An answer is fixed by its question alone, so that going on from the beginning of one gives exactly the rest of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from infra.fake.shaping import calls, shaped

CONTEXT_LENGTH = 8192
FAST_TOKENS = 64
STALLED_AFTER = 3

Joins = Literal["exactly", "anew", "nearly"]


@dataclass(frozen=True)
class Model:
    """`rate`: tokens a second, 0 = as fast as it can. `status`: refuses with it. `ending`: how a run ends.

    `first`: how the run ends in which it hears a question for the first time, where that is another way.
    `joins`: what it does with the beginning of its own answer: goes on exactly there, begins anew, or says its last word again.
    `does`: its capabilities, as Ollama names them. `owner`: whose server it says to be where OpenAI's protocol is spoken.
    """

    says: str
    rate: float = 50.0
    status: int = 200
    fails_first: bool = False
    first: str = ""
    ending: str = "finished"
    joins: Joins = "exactly"
    does: tuple[str, ...] = ("completion",)
    owner: str = "llamacpp"


MODELS: dict[str, Model] = {
    "small": Model("echoes the question, 50 tokens a second"),
    "letters": Model("echoes the question, each character a token, without pause", rate=0),
    "thinker": Model("thinks, then echoes the question", rate=0, does=("completion", "thinking")),
    "caller": Model(
        "calls every tool it is offered, then says what they answered", rate=0, does=("completion", "tools")
    ),
    "seer": Model("reads images, too, and echoes the question", rate=0, does=("completion", "vision")),
    "formal": Model("answers with the JSON that it is asked for", rate=0, owner="vllm"),
    "slow": Model("counts to 400, 20 tokens a second", rate=20),
    "paced": Model("counts as far as it is allowed, 50 tokens a second"),
    "fast": Model("counts as far as it is allowed, without pause", rate=0),
    "anew": Model("counts as far as it is allowed and never goes on from an answer that was begun", joins="anew"),
    "nearly": Model("counts as far as it is allowed and goes on with the last word said again", joins="nearly"),
    "stall": Model("says three words and then nothing", ending="stalled"),
    "silent": Model("never says anything", ending="silent", does=("completion", "embedding")),
    "flaky": Model("fails the first time it hears a question", fails_first=True, does=("completion", "embedding")),
    "frail": Model(
        "counts as far as it is allowed; cuts the line the first time somebody asks a question", first="cut"
    ),
    "waits": Model(
        "counts as far as it is allowed; says three words and then nothing the first time it hears a question",
        rate=0,
        first="stalled",
    ),
    "waits-anew": Model(
        "the same, and never goes on from an answer that was begun", rate=0, first="stalled", joins="anew"
    ),
    "cut": Model("cuts the line in mid-stream", ending="cut", does=("completion", "embedding")),
    "garbage": Model("sends garbage in mid-stream", ending="garbage", does=("completion", "embedding")),
    "error": Model("sends an error object in mid-stream", ending="error"),
    "embed": Model("turns texts into vectors and does not chat", rate=0, does=("embedding",)),
    "embed-slow": Model("turns texts into vectors, each in half a second", rate=2, does=("embedding",)),
    "refuse": Model("refuses with 400", status=400),
    "down": Model("answers 503", status=503),
}
COUNTING = ("paced", "fast", "anew", "nearly", "frail", "waits", "waits-anew")


@dataclass(frozen=True)
class Asked:
    """What a call asks for. `model`: the entry of MODELS; `name`: what it was called by. `said`: the beginning of the answer that
    the model is to go on from; `breaks`: how this run ends, if not as the model's do.
    """

    model: str
    name: str
    messages: Sequence[dict[str, object]]
    max_tokens: int | None = None
    stops: Sequence[str] = ()
    said: str = ""
    breaks: str = ""
    tools: Sequence[Mapping[str, object]] = ()
    format: object = None
    sent: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def goes_on(self) -> bool:
        """Whether the model takes the beginning of its answer for what it is."""
        return bool(self.said) and MODELS[self.model].joins != "anew"


@dataclass(frozen=True)
class Said:
    """One token, of the answer or of the thinking before it."""

    text: str
    thinking: bool = False


@dataclass(frozen=True)
class Called:
    """A tool is called."""

    name: str
    arguments: object


@dataclass(frozen=True)
class Ended:
    """The run ends here, like this: finished, length (it would have said more), cut, garbage or error."""

    how: str


async def run(asked: Asked, ttft: float) -> AsyncGenerator[Said | Called | Ended, None]:
    """The tokens of one answer at the model's pace, `ttft` seconds before the first, up to the first of the stop strings."""
    model = MODELS[asked.model]
    breaking = asked.breaks or model.ending
    if breaking == "silent":
        await asyncio.Event().wait()
    if ttft:
        await asyncio.sleep(ttft)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for piece in _before(asked):
        yield piece
        if isinstance(piece, Ended):
            return
    tokens, ending = _limited(_until(asked.stops, _rest(asked)), asked.max_tokens)
    for number, token in enumerate(tokens):
        if breaking != "finished" and number == STALLED_AFTER:
            if breaking == "stalled":
                await asyncio.Event().wait()
            yield Ended(breaking)
            return
        if model.rate:
            await asyncio.sleep(max(0.0, began + number / model.rate - loop.time()))
        yield Said(token)
    yield Ended(ending)


def _before(asked: Asked) -> list[Said | Called | Ended]:
    """What comes before an answer in words, or in its place."""
    if asked.model == "thinker":
        return [Said("Let me ", thinking=True), Said("think.", thinking=True)]
    if asked.model == "caller" and asked.tools and asked.messages[-1].get("role") != "tool":
        return [*(Called(name, arguments) for name, arguments in calls(asked.tools)), Ended("finished")]
    return []


def _rest(asked: Asked) -> list[str]:
    """What is left to say after the beginning; all of it where there is none, or none of this very answer."""
    whole = _whole(asked)
    if not asked.goes_on:
        return whole
    nearly = MODELS[asked.model].joins == "nearly"
    said = asked.said.rpartition(" ")[0] if nearly else asked.said
    return _after(said, whole) if "".join(whole).startswith(said) else whole


def _whole(asked: Asked) -> list[str]:
    """All that the model has to say to the question; those that count until they are stopped have one token more than they may say."""
    if asked.model in COUNTING:
        most = FAST_TOKENS if asked.max_tokens is None else asked.max_tokens + 1 + len(asked.said.split())
        return [f"{number} " for number in range(most)]
    if asked.model == "slow":
        return [f"{number} " for number in range(400)]
    question = str(asked.messages[-1].get("content", "")) if asked.messages else ""
    if asked.model == "formal":
        return shaped(asked.format)
    if asked.model == "letters":
        return list(question)
    words = f"[{len(asked.messages)} messages] You said: {question}".split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _after(said: str, tokens: list[str]) -> list[str]:
    """The tokens after that text. A blank that it left out of its last token goes with the next one, as in real vocabularies."""
    left, at = len(said), 0
    while at < len(tokens) and left >= len(tokens[at]):
        left -= len(tokens[at])
        at += 1
    first, others = "".join(tokens[at : at + 1])[left:], tokens[at + 1 :]
    if first.isspace() and others:
        return [first + others[0], *others[1:]]
    return [first, *others] if first else others


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
