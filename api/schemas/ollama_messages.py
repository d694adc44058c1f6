"""Ollama's messages, and the turns that a model reads of them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from api.errors import Unsupported
from api.schemas.images import InlineImages
from api.schemas.text import FreeJson, Text
from contracts.commands import Turn
from contracts.generation import ToolCallData


class OllamaFunction(BaseModel):
    """What an assistant called."""

    name: Text = Field(max_length=200)
    arguments: FreeJson | None = None


class OllamaCall(BaseModel):
    """A call that an assistant made. Ids are newer than the API: many clients send none."""

    id: Text | None = Field(default=None, max_length=200)
    function: OllamaFunction


class OllamaMessage(BaseModel):
    """One message of a conversation. `tool_name` or `tool_call_id`: the call that a tool's message answers, by default the next one.

    `thinking` of an earlier answer may come along; models do not read it again. `images`: base64, in messages of the user.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: Text | None = None
    thinking: Text | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = Field(default=None, max_length=128)
    tool_name: Text | None = Field(default=None, max_length=200)
    tool_call_id: Text | None = Field(default=None, max_length=200)

    @property
    def calls(self) -> Sequence[OllamaCall]:
        """What it calls: nothing, unless it is the assistant's."""
        return (self.tool_calls or ()) if self.role == "assistant" else ()

    def turn(self, number: int, images: InlineImages) -> Turn:
        """What a model reads. `number`: of the message; with it calls that have no id get one that is the same every time."""
        if self.images and self.role != "user":
            at = f"messages[{number}].images"
            raise Unsupported(at, f"{at} is not supported here: only messages of the user may have images.")
        calls = [
            ToolCallData(
                id=one.id or f"call_{number}_{place}", name=one.function.name, arguments=one.function.arguments or {}
            )
            for place, one in enumerate(self.calls)
        ]
        shown = [
            images.base64(one, f"messages[{number}].images[{place}]") for place, one in enumerate(self.images or ())
        ]
        return Turn(role=self.role, content=self.content or "", tool_calls=tuple(calls), images=tuple(shown))

    def answers(self, call: OllamaCall) -> bool:
        """Whether it may be a tool's answer to that call."""
        if self.tool_call_id and call.id:
            return self.tool_call_id == call.id
        return not self.tool_name or self.tool_name == call.function.name


def turns_of(messages: Sequence[OllamaMessage], images: InlineImages) -> tuple[Turn, ...]:
    """The whole conversation. What tools answered stands in the order of the calls, for turns keep no ids of them.

    Raises Unsupported for what no model here could be told: an image that is no user's, an answer to no call, a call without one.
    """
    turns: list[Turn] = []
    calls: Sequence[OllamaCall] = ()
    answers: dict[int, Turn] = {}
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        turn = message.turn(number, images)
        if message.role == "tool":
            places = [place for place, one in enumerate(calls) if place not in answers and message.answers(one)]
            if not places:
                raise Unsupported(at, f"{at} does not answer a call of the message before it.")
            answers[places[0]] = turn
            continue
        turns += _in_order(calls, answers, at)
        calls, answers = message.calls, {}
        turns.append(turn)
    return (*turns, *_in_order(calls, answers, "The end of messages"))


def _in_order(calls: Sequence[OllamaCall], answers: dict[int, Turn], at: str) -> list[Turn]:
    missing = [one.function.name for place, one in enumerate(calls) if place not in answers]
    if missing:
        raise Unsupported("messages", f"{at} comes before an answer to the call of {missing[0]!r}.")
    return [answers[place] for place in range(len(calls))]
