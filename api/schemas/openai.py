"""JSON of OpenAI's API: what is asked. What cannot be honoured is refused by name, and nothing is left out silently."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import Unsupported
from api.replies import Ask
from api.schemas.chats import Name, Penalty
from api.schemas.openai_messages import ChatMessage, asked, told, turns_of
from api.schemas.refusing import refuse_other_tools, refuse_unknown
from api.schemas.text import FreeJson, Text
from contracts.commands import SamplingOptions

HARMLESS = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
}  # fmt: skip
"""What changes nothing about an answer: for OpenAI's own books."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("none",),
    "parallel_tool_calls": (True,),
    "best_of": (1,),
    "echo": (False,),
}
"""What asks for nothing that is not done anyway."""
Count = Annotated[int, Field(ge=1, lt=2**31)]


class StreamOptions(BaseModel):
    """`include_usage`: a last chunk with the tokens, and without choices."""

    include_usage: bool | None = None


class Schema(BaseModel):
    """A JSON schema with its name."""

    model_config = ConfigDict(populate_by_name=True)

    body: FreeJson | None = Field(default=None, alias="schema")


class ResponseFormat(BaseModel):
    """What the answer is to be: text, any JSON, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class CompletionBody(BaseModel):
    """A conversation to go on with. The platform adds nothing to it and leaves nothing out."""

    model_config = ConfigDict(extra="allow")

    model: Name = Field(examples=["smollm2"])
    messages: list[ChatMessage] = Field(
        min_length=1, max_length=4096, examples=[[{"role": "user", "content": "Why is the sky blue?"}]]
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0, lt=2**31, description="Not OpenAI's own, but many servers have it.")
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: Text | Annotated[list[Text], Field(max_length=16)] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    tools: list[FreeJson] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def ask(self) -> Ask:
        """The question. Raises Unsupported for what cannot be honoured."""
        self._refuse()
        turns = turns_of(self.messages)
        return Ask(
            model=self.model,
            content=asked(turns),
            system=told(turns),
            options=self._options(),
            think=None if self.reasoning_effort is None else self.reasoning_effort != "none",
            format=self._format(),
            tools=() if self.tool_choice == "none" else tuple(self.tools or ()),
            context=turns,
        )

    def _refuse(self) -> None:
        asked_for = {name: value for name, value in (self.model_extra or {}).items() if name not in HARMLESS}
        refuse_unknown(asked_for, NEUTRAL)
        if self.tools and self.tool_choice not in (None, "auto", "none"):
            raise Unsupported("tool_choice", "No model here can be made to call a tool: use `auto` or `none`.")
        refuse_other_tools(self.tools or ())

    def _options(self) -> SamplingOptions:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return SamplingOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=tuple(one for one in stop if one),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )

    def _format(self) -> dict[str, object] | Literal["json"] | None:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        schema = wanted.json_schema.body if wanted.type == "json_schema" and wanted.json_schema else None
        if wanted.type == "json_schema" and schema is None:
            raise Unsupported("response_format.json_schema", "response_format.json_schema.schema is missing.")
        return schema or "json"
