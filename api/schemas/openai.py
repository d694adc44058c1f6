"""JSON of OpenAI's API: what is asked. What cannot be honoured is refused by name, and nothing is left out silently."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import Unsupported
from api.options import More, Needs
from api.replies import Ask
from api.schemas.chats import Name
from api.schemas.images import InlineImages
from api.schemas.openai_messages import ChatMessage, asked, told, turns_of
from api.schemas.options import Beyond, LogitBias, Penalty, RepeatPenalty, Tokens, must_call, thinking
from api.schemas.refusing import refuse_other_tools, refuse_unknown
from api.schemas.text import FreeJson, Text
from contracts.commands import Effort, SamplingOptions

HARMLESS = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
}  # fmt: skip
"""What changes nothing about an answer: for OpenAI's own books."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("none",),
    "best_of": (1,),
    "echo": (False,),
    "verbosity": ("medium",),
}
"""What asks for nothing that is not done anyway."""
Count = Annotated[int, Field(ge=1, lt=2**31)]


class StreamOptions(BaseModel):
    """`include_usage`: a last chunk with the tokens, and without choices."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class Schema(BaseModel):
    """A JSON schema with its name."""

    model_config = ConfigDict(populate_by_name=True)

    body: FreeJson | None = Field(default=None, alias="schema")


class ResponseFormat(BaseModel):
    """What the answer is to be: text, any JSON, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class TemplateWanted(BaseModel):
    """What vLLM and llama.cpp hand to a model's template: whether, and how much, to think."""

    model_config = ConfigDict(extra="allow")

    enable_thinking: bool | None = None
    reasoning_effort: Effort | Literal["none"] | None = None


class CompletionBody(Beyond):
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
    logit_bias: LogitBias | None = None
    repetition_penalty: RepeatPenalty | None = Field(default=None, description="vLLM's name for repeat_penalty.")
    n_keep: Tokens | None = Field(default=None, description="llama.cpp's name for num_keep.")
    tools: list[FreeJson] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | Literal["none"] | None = None
    chat_template_kwargs: TemplateWanted | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def ask(self) -> Ask:
        """The question. Raises Unsupported for what cannot be honoured."""
        self._refuse()
        tools = () if self.tool_choice == "none" else tuple(self.tools or ())
        think, effort = self._thinking()
        images = InlineImages()
        turns = turns_of(self.messages, images)
        question = asked(turns)
        return Ask(
            model=self.model,
            content=question.content,
            images=tuple(one.id for one in question.images),
            pictures=images.pictures,
            inline=images.characters,
            system=told(turns),
            options=self._options(),
            think=think,
            format=self._format(),
            tools=tools,
            context=turns,
            more=More(effort, must_call(self.tool_choice, tools), self.parallel_tool_calls),
            needs=Needs(within=""),
        )

    def _refuse(self) -> None:
        asked_for = {name: value for name, value in (self.model_extra or {}).items() if name not in HARMLESS}
        refuse_unknown(asked_for, NEUTRAL)
        refuse_unknown(
            self.stream_options and self.stream_options.model_extra,
            {"include_obfuscation": (False,)},
            "stream_options.",
        )
        refuse_unknown(self.chat_template_kwargs and self.chat_template_kwargs.model_extra, {}, "chat_template_kwargs.")
        refuse_other_tools(self.tools or ())

    def _thinking(self) -> tuple[bool | None, Effort | None]:
        template = self.chat_template_kwargs or TemplateWanted()
        think, effort = thinking(self.reasoning_effort or template.reasoning_effort)
        switched = template.enable_thinking
        if switched is not None and think not in (None, switched):
            place = "chat_template_kwargs.enable_thinking"
            raise Unsupported(place, f"{place} contradicts reasoning_effort.")
        return switched if think is None else think, effort

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
            logit_bias=self.logit_bias or None,
            **{
                **self.beyond(),
                "repeat_penalty": _first(self.repeat_penalty, self.repetition_penalty),
                "num_keep": _first(self.num_keep, self.n_keep),
            },
        )

    def _format(self) -> dict[str, object] | Literal["json"] | None:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        schema = wanted.json_schema.body if wanted.type == "json_schema" and wanted.json_schema else None
        if wanted.type == "json_schema" and schema is None:
            raise Unsupported("response_format.json_schema", "response_format.json_schema.schema is missing.")
        return schema or "json"


def _first(*values: Any) -> Any:
    """The first that is given."""
    return next((one for one in values if one is not None), None)
