"""OpenAI's messages, and the turns that a model reads of them."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.errors import Unsupported
from api.schemas.chats import LONGEST_SYSTEM
from api.schemas.images import InlineImages
from api.schemas.text import FreeJson, Text
from contracts.commands import Turn
from contracts.generation import ToolCallData
from contracts.images import ImageReference
from contracts.records import MessageRole

_ARGUMENTS = TypeAdapter(FreeJson)
ROLES: dict[str, MessageRole] = {"developer": "system"}


class ImageUrl(BaseModel):
    """An image, as a `data:` URL. `detail` is let pass: models are sent the whole image."""

    url: str | None = None


class Part(BaseModel):
    """A piece of a message's content. Text is read, and images in messages of the user: sound and files are refused."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=100, examples=["text"])
    text: Text | None = None
    refusal: Text | None = None
    image_url: ImageUrl | None = None


class CalledFunction(BaseModel):
    """What an assistant called; `arguments` is a JSON object, as text."""

    name: Text = Field(max_length=200)
    arguments: Text = ""


class Called(BaseModel):
    """A call that an assistant made."""

    id: Text = Field(max_length=200)
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(BaseModel):
    """One message of a conversation. `tool_call_id`: the call that a tool's message answers."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    refusal: Text | None = None
    tool_calls: list[Called] | None = Field(default=None, max_length=128)
    tool_call_id: Text | None = None
    audio: Any = None
    function_call: Any = None

    def turn(self, at: str, images: InlineImages) -> Turn:
        """What a model reads. `at`: where it stands in the body, for Unsupported."""
        for name in ("audio", "function_call"):
            if getattr(self, name) is not None:
                raise Unsupported(f"{at}.{name}", f"{at}.{name} is not supported here: leave it out.")
        calls = () if self.role != "assistant" else (self.tool_calls or ())
        role = ROLES.get(self.role) or self.role
        return Turn(
            role=role,  # pyright: ignore[reportArgumentType] - a developer is none any more
            content=self._text(at),
            images=self._images(at, images),
            tool_calls=tuple(_call(one, f"{at}.tool_calls[{number}]") for number, one in enumerate(calls)),
        )

    def _text(self, at: str) -> str:
        if isinstance(self.content, list):
            parts = [(one, f"{at}.content[{number}]") for number, one in enumerate(self.content)]
            return "\n".join(_part(one, place) for one, place in parts if not self._shows(one))
        return self.content or self.refusal or ""

    def _images(self, at: str, images: InlineImages) -> tuple[ImageReference, ...]:
        parts = self.content if isinstance(self.content, list) else ()
        return tuple(
            images.url(one.image_url and one.image_url.url, f"{at}.content[{number}].image_url")
            for number, one in enumerate(parts)
            if self._shows(one)
        )

    def _shows(self, part: Part) -> bool:
        return part.type == "image_url" and self.role == "user"


def _part(part: Part, at: str) -> str:
    text = {"text": part.text, "refusal": part.refusal}.get(part.type)
    if text is None:
        raise Unsupported(at, f"{at} is of the type {part.type!r}, which is not supported here: send text.")
    return text


def _call(called: Called, at: str) -> ToolCallData:
    try:
        arguments = _ARGUMENTS.validate_json(called.function.arguments or "{}")
    except ValidationError as error:
        raise Unsupported(f"{at}.function.arguments", f"{at}.function.arguments is not a JSON object.") from error
    return ToolCallData(id=called.id, name=called.function.name, arguments=arguments)


def turns_of(messages: Sequence[ChatMessage], images: InlineImages) -> tuple[Turn, ...]:
    """The whole conversation. What tools answered stands in the order of the calls, for turns keep no ids of them.

    Raises Unsupported for what no model here could be told: sound, an image that is no user's, an answer to no call, a call without one.
    """
    turns: list[Turn] = []
    answers: dict[str, Turn] = {}
    wanted: list[str] = []
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        turn = message.turn(at, images)
        if message.role == "tool":
            if message.tool_call_id not in wanted or message.tool_call_id in answers:
                raise Unsupported(f"{at}.tool_call_id", f"{at} does not answer a call of the message before it.")
            answers[message.tool_call_id] = turn
            continue
        turns += _in_order(wanted, answers, at)
        wanted, answers = [one.id for one in turn.tool_calls], {}
        turns.append(turn)
    return (*turns, *_in_order(wanted, answers, "The end of messages"))


def _in_order(wanted: Sequence[str], answers: dict[str, Turn], at: str) -> list[Turn]:
    missing = [one for one in wanted if one not in answers]
    if missing:
        raise Unsupported("messages", f"{at} comes before an answer to the tool call {missing[0][:200]!r}.")
    return [answers[one] for one in wanted]


def asked(turns: Sequence[Turn]) -> Turn:
    """What a chat keeps as the question: what the user said last; in a conversation without one, what was said last."""
    said = [one for one in turns if one.content.strip()]
    found = [one for one in said if one.role == "user"] or said
    if not found:
        raise Unsupported("messages", "messages should say something.")
    return found[-1]


def told(turns: Sequence[Turn]) -> str | None:
    """The system prompt that a conversation begins with, as far as a chat keeps one."""
    first = turns[0]
    return first.content if first.role == "system" and 0 < len(first.content) <= LONGEST_SYSTEM else None
