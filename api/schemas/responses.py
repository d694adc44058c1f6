"""JSON of OpenAI's Responses API: what is asked. What cannot be honoured is refused by name, and nothing is left out silently."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import Unsupported
from api.options import More
from api.schemas.chats import Name
from api.schemas.images import InlineImages
from api.schemas.options import must_call, thinking
from api.schemas.refusing import refuse_other_tools, refuse_unknown
from api.schemas.responses_input import InputItem, turns_of
from api.schemas.text import FreeJson, Text
from contracts.commands import Effort, SamplingOptions, Turn
from contracts.generation import ToolCallData

HARMLESS = {
    "user", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
}  # fmt: skip
"""What changes nothing about an answer: for OpenAI's own books."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "store": (True,),
    "metadata": ({},),
    "include": ([],),
    "top_logprobs": (0,),
    "context_management": ([],),
}
"""What asks for nothing that is not done anyway."""
_TOOL = {"name", "description", "parameters", "strict"}


class TextFormat(BaseModel):
    """What the answer is to be: text, any JSON, or JSON of a schema."""

    model_config = ConfigDict(populate_by_name=True)

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: Text | None = Field(default=None, max_length=200)
    body: FreeJson | None = Field(default=None, alias="schema")


class TextWanted(BaseModel):
    """How the answer is to be written."""

    model_config = ConfigDict(extra="allow")

    format: TextFormat | None = None


class ReasoningWanted(BaseModel):
    """How much the model is to think; any `effort` but `none` lets it. What it thinks is told as it is."""

    model_config = ConfigDict(extra="allow")

    effort: Effort | Literal["none"] | None = None


class StreamWanted(BaseModel):
    """How a stream is to be."""

    model_config = ConfigDict(extra="allow")


class ResponseBody(BaseModel):
    """What a model is to answer. After `previous_response_id` it goes on in that response's chat."""

    model_config = ConfigDict(extra="allow")

    model: Name = Field(examples=["smollm2"])
    input: Text | Annotated[list[InputItem], Field(min_length=1, max_length=4096)] = Field(
        examples=["Why is the sky blue?"]
    )
    instructions: Text | None = Field(default=None, description="For this answer; those before it do not hold on.")
    previous_response_id: str | None = Field(default=None, max_length=100)
    stream: bool | None = None
    stream_options: StreamWanted | None = None
    background: bool | None = Field(default=None, description="It goes on when nobody waits for it.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    tools: list[FreeJson] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextWanted | None = None
    reasoning: ReasoningWanted | None = None
    truncation: Literal["auto", "disabled"] | None = None

    def refuse(self) -> None:
        """Raises Unsupported for what cannot be honoured."""
        asked_for = {name: value for name, value in (self.model_extra or {}).items() if name not in HARMLESS}
        refuse_unknown(asked_for, NEUTRAL)
        refuse_unknown(
            self.stream_options and self.stream_options.model_extra,
            {"include_obfuscation": (False,)},
            "stream_options.",
        )
        refuse_unknown(self.text and self.text.model_extra, {"verbosity": ("medium",)}, "text.")
        refuse_unknown(
            self.reasoning and self.reasoning.model_extra,
            {"summary": ("auto",), "generate_summary": ("auto",)},
            "reasoning.",
        )
        if self.truncation == "auto" or (self.truncation and self.previous_response_id):
            told = "What does not fit is refused, and of a chat that is continued its oldest turns are left out: leave truncation out."
            raise Unsupported("truncation", told)

    def turns(self, images: InlineImages, calls: tuple[ToolCallData, ...] = ()) -> tuple[Turn, ...]:
        """What is new for the model to read. `calls`: of the reply that it continues. Raises Unsupported."""
        if isinstance(self.input, str):
            return (Turn(role="user", content=self.input),)
        return turns_of(self.input, images, calls)

    def options(self) -> SamplingOptions:
        """How to sample."""
        return SamplingOptions(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_output_tokens)

    @property
    def think(self) -> bool | None:
        """Whether the model is to think; None leaves it to the model."""
        return thinking(self.reasoning and self.reasoning.effort)[0]

    def more(self) -> More:
        """What else is asked for. Raises Unsupported."""
        _, effort = thinking(self.reasoning and self.reasoning.effort)
        return More(effort, must_call(self.tool_choice, self.functions()), self.parallel_tool_calls)

    def format(self) -> dict[str, object] | Literal["json"] | None:
        """What the answer must be. Raises Unsupported."""
        wanted = self.text and self.text.format
        if wanted is None or wanted.type == "text":
            return None
        if wanted.type == "json_schema" and wanted.body is None:
            raise Unsupported("text.format.schema", "text.format.schema is missing.")
        return wanted.body if wanted.type == "json_schema" and wanted.body else "json"

    def functions(self) -> tuple[dict[str, object], ...]:
        """The tools, as models' servers are told of them. Raises Unsupported for those that are no functions."""
        found = [_function(one, f"tools[{number}]") for number, one in enumerate(self.tools or ())]
        refuse_other_tools(found)
        return () if self.tool_choice == "none" else tuple(found)


def _function(tool: dict[str, object], at: str) -> dict[str, object]:
    if tool.get("type") != "function":
        return tool
    refuse_unknown(
        {name: value for name, value in tool.items() if name not in {*_TOOL, "type"}}, {"async": (False,)}, f"{at}."
    )
    if not isinstance(tool.get("name"), str):
        raise Unsupported(f"{at}.name", f"{at}.name is missing.")
    return {"type": "function", "function": {name: tool[name] for name in sorted(_TOOL) if tool.get(name) is not None}}
