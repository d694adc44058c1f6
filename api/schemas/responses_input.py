"""The `input` of OpenAI's Responses API, and the turns that a model reads of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.errors import Unsupported
from api.schemas.images import InlineImages
from api.schemas.text import FreeJson, Text
from contracts.commands import Turn
from contracts.generation import ToolCallData
from contracts.images import ImageReference
from contracts.records import MessageRole

_ARGUMENTS = TypeAdapter(FreeJson)
ROLES: dict[str | None, MessageRole] = {
    "user": "user", "assistant": "assistant", "system": "system", "developer": "system",
}  # fmt: skip
TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
IMAGE = "input_image"
UNREAD = ("reasoning",)
"""What a model thought before is not read again, here as everywhere on this platform."""


class InputPart(BaseModel):
    """A piece of content. Text is read, and images (`input_image`, as `data:` URLs) of the user: sound and files are refused.

    `detail` is let pass: models are sent the whole image.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=100, examples=["input_text"])
    text: Text | None = None
    refusal: Text | None = None
    image_url: str | None = None
    file_id: str | None = None


Content = Text | list[InputPart]


class InputItem(BaseModel):
    """A message, a call that the model made (`function_call`), or what came of one (`function_call_output`)."""

    model_config = ConfigDict(extra="allow")

    type: str | None = Field(default=None, max_length=100, examples=["message"])
    role: str | None = Field(default=None, max_length=100, examples=["user"])
    content: Content | None = None
    call_id: Text | None = Field(default=None, max_length=200)
    name: Text | None = Field(default=None, max_length=200)
    arguments: Text | None = None
    output: Content | None = None


class _Turns:
    """Turns as they come to be. What functions answered stands in the order of the calls, for turns keep no ids of them."""

    def __init__(self, calls: Sequence[ToolCallData]) -> None:
        self.made: list[Turn] = []
        self._wanted = dict.fromkeys(one.id for one in calls)
        self._needed = False
        """Whether the calls are of this input, or one of them was answered."""
        self._answers: dict[str | None, Turn] = {}
        self._adds = False
        """Whether a call goes to the turn before it."""

    def add(self, turn: Turn, at: str) -> None:
        self.settle(at)
        self._adds = turn.role == "assistant"
        self.made.append(turn)

    def call(self, call: ToolCallData, at: str) -> None:
        if not self._adds:
            self.add(Turn(role="assistant", content=""), at)
        if call.id in self._wanted:
            raise Unsupported(f"{at}.call_id", f"{at} has the call_id of another call.")
        last = self.made[-1]
        self.made[-1] = last.model_copy(update={"tool_calls": (*last.tool_calls, call)})
        self._wanted[call.id] = None
        self._needed = True

    def answer(self, call_id: str | None, text: str, at: str) -> None:
        if call_id not in self._wanted or call_id in self._answers:
            raise Unsupported(f"{at}.call_id", f"{at} does not answer a call that came before it.")
        self._answers[call_id] = Turn(role="tool", content=text)
        self._needed, self._adds = True, False

    def settle(self, at: str) -> None:
        """The calls so far are over."""
        missing = [one for one in self._wanted if one not in self._answers] if self._needed else []
        if missing:
            raise Unsupported("input", f"{at} comes before an output of the function call {missing[0][:200]!r}.")
        self.made += [self._answers[one] for one in self._wanted] if self._needed else []
        self._wanted, self._answers, self._needed = {}, {}, False


def turns_of(items: Iterable[InputItem], images: InlineImages, calls: Sequence[ToolCallData] = ()) -> tuple[Turn, ...]:
    """The whole input. `calls`: of the reply that it continues, which it may answer.

    Raises Unsupported for what no model here could be told: sound, an image that is no user's, an output of no call, a call without one.
    """
    turns = _Turns(calls)
    for number, item in enumerate(items):
        at = f"input[{number}]"
        match item.type or "message":
            case "message" if item.role in ROLES:
                turns.add(_message(item, ROLES[item.role], f"{at}.content", images), at)
            case "message":
                raise Unsupported(f"{at}.role", f"{at}.role is none of {', '.join(str(one) for one in ROLES)}.")
            case "function_call":
                turns.call(_call(item, at), at)
            case "function_call_output":
                turns.answer(item.call_id, _text(item.output, f"{at}.output"), at)
            case unread if unread in UNREAD:
                continue
            case other:
                raise Unsupported(f"{at}.type", f"{at} is of the type {other!r}, which is not supported here.")
    turns.settle("The end of input")
    return tuple(turns.made)


def _call(item: InputItem, at: str) -> ToolCallData:
    if not item.call_id or not item.name:
        raise Unsupported(at, f"{at} needs a call_id and a name.")
    try:
        arguments = _ARGUMENTS.validate_json(item.arguments or "{}")
    except ValidationError as error:
        raise Unsupported(f"{at}.arguments", f"{at}.arguments is not a JSON object.") from error
    return ToolCallData(id=item.call_id, name=item.name, arguments=arguments)


def _message(item: InputItem, role: MessageRole, at: str, images: InlineImages) -> Turn:
    """Its text, and its images where it is the user's."""
    if role != "user" or not isinstance(item.content, list):
        return Turn(role=role, content=_text(item.content, at))
    parts = [(one, f"{at}[{number}]") for number, one in enumerate(item.content)]
    text = "\n".join(_part(one, place) for one, place in parts if one.type != IMAGE)
    shown = tuple(_image(one, place, images) for one, place in parts if one.type == IMAGE)
    return Turn(role=role, content=text, images=shown)


def _image(part: InputPart, at: str, images: InlineImages) -> ImageReference:
    if part.file_id is not None:
        raise Unsupported(f"{at}.file_id", f"{at}.file_id: there are no files here: send a data: URL as image_url.")
    return images.url(part.image_url, f"{at}.image_url")


def _text(content: Content | None, at: str) -> str:
    if isinstance(content, list):
        return "\n".join(_part(one, f"{at}[{number}]") for number, one in enumerate(content))
    return content or ""


def _part(part: InputPart, at: str) -> str:
    text: dict[Any, str | None] = {**dict.fromkeys(TEXTS, part.text), "refusal": part.refusal}
    found = text.get(part.type)
    if found is None:
        raise Unsupported(at, f"{at} is of the type {part.type!r}, which is not supported here: send text.")
    return found
