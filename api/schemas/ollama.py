"""JSON of Ollama's API: what is asked. What cannot be honoured is refused by name."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import Unsupported
from api.options import More, Needs
from api.replies import Ask
from api.schemas.chats import Name
from api.schemas.images import InlineImages
from api.schemas.ollama_messages import OllamaMessage, turns_of
from api.schemas.openai_messages import asked, told
from api.schemas.options import Beyond, KeepAlive, Penalty, kept, thinking
from api.schemas.refusing import refuse_hardware, refuse_other_tools, refuse_unknown
from api.schemas.text import FreeJson, Text
from contracts.commands import Effort, SamplingOptions, Turn

NEUTRAL: dict[str, tuple[object, ...]] = {
    "truncate": (False,),
    "shift": (True,),
    "raw": (False,),
    "suffix": ("",),
    "template": ("",),
    "context": ([],),
    "images": ([],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "width": (0,),
    "height": (0,),
    "steps": (0,),
    "_debug_render_only": (False,),
}
"""What asks for nothing that is not done anyway. Nothing is ever cut off a conversation here."""
NEUTRAL_OPTIONS: dict[str, tuple[object, ...]] = {"tfs_z": (1,), "penalize_newline": (True,)}
"""The same of options, which Ollama itself has no more."""


class OllamaOptions(Beyond):
    """How to sample. `num_predict`: tokens at most, 0 and less for no limit. `num_ctx`: tokens of context that are needed at least."""

    model_config = ConfigDict(extra="allow")

    temperature: float | None = Field(default=None, ge=0, le=5)
    top_k: int | None = Field(default=None, ge=0, lt=2**31)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63, description="-1: another one every time.")
    num_predict: int | None = Field(default=None, ge=-2, lt=2**31)
    num_ctx: int | None = Field(default=None, ge=0, lt=2**31)
    stop: Text | Annotated[list[Text], Field(max_length=16)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    def sampling(self) -> SamplingOptions:
        """The platform's own. Raises Unsupported."""
        refuse_unknown(refuse_hardware(self.model_extra, "options."), NEUTRAL_OPTIONS, "options.")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return SamplingOptions(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=None if self.seed == -1 else self.seed,
            max_tokens=self.num_predict if self.num_predict and self.num_predict > 0 else None,
            stop=tuple(one for one in stop if one),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            **self.beyond(),
        )


class OllamaBody(BaseModel):
    """What both calls have. Streamed unless `stream` is false. `keep_alive`: from five minutes to an hour, what is less or more is that."""

    model_config = ConfigDict(extra="allow")

    model: Name = Field(examples=["smollm2"])
    stream: bool | None = None
    format: Literal["", "json"] | FreeJson | None = Field(default=None, description="`json`, or a JSON schema.")
    options: OllamaOptions | None = None
    think: bool | Effort | None = Field(
        default=None, description="Whether to think, or how much where the model knows that."
    )
    keep_alive: KeepAlive | None = None

    @property
    def context_wanted(self) -> int:
        """Tokens of context that the model needs to have; 0 where the caller does not say."""
        return (self.options and self.options.num_ctx) or 0

    def _ask(
        self, turns: tuple[Turn, ...], images: InlineImages, tools: tuple[dict[str, object], ...] = ()
    ) -> Ask | None:
        """The question; None without turns, which only loads the model. Raises Unsupported."""
        refuse_unknown(self.model_extra, NEUTRAL)
        options = (self.options or OllamaOptions()).sampling()
        kept_for = kept(self.keep_alive)
        if not turns:
            return None
        think, effort = thinking(self.think)
        question = asked(turns)
        return Ask(
            model=self.model,
            content=question.content,
            images=tuple(one.id for one in question.images),
            pictures=images.pictures,
            inline=images.characters,
            system=told(turns),
            options=options,
            think=think,
            format="json" if self.format == {} else self.format or None,
            tools=tools,
            context=turns,
            more=More(effort, keep_alive=kept_for),
            needs=Needs(self.context_wanted),
        )


class OllamaChatBody(OllamaBody):
    """A conversation to go on with. The platform adds nothing to it and leaves nothing out."""

    messages: list[OllamaMessage] | None = Field(
        default=None, max_length=4096, examples=[[{"role": "user", "content": "Why is the sky blue?"}]]
    )
    tools: list[FreeJson] | None = Field(default=None, max_length=128)

    def ask(self) -> Ask | None:
        """The question; None without messages, which only loads the model. Raises Unsupported."""
        tools = tuple(self.tools or ())
        refuse_other_tools(tools)
        images = InlineImages()
        return self._ask(turns_of(self.messages or (), images), images, tools)


class OllamaGenerateBody(OllamaBody):
    """One question, with or without a system prompt."""

    prompt: Text | None = Field(default=None, examples=["Why is the sky blue?"])
    system: Text | None = None
    images: list[str] | None = Field(default=None, description="Base64.")

    def ask(self) -> Ask | None:
        """The question; None without a prompt, which only loads the model. Raises Unsupported."""
        images = InlineImages()
        if not self.prompt and not self.images:
            return self._ask((), images)
        if not self.prompt or not self.prompt.strip():
            raise Unsupported("prompt", "prompt should say something.")
        system = (Turn(role="system", content=self.system),) if self.system else ()
        shown = tuple(images.base64(one, f"images[{place}]") for place, one in enumerate(self.images or ()))
        return self._ask((*system, Turn(role="user", content=self.prompt, images=shown)), images)


class OllamaShowBody(BaseModel):
    """Which model to show. `name`: as older clients call it. `verbose`: there is no more than what is always shown."""

    model_config = ConfigDict(extra="allow")

    model: Name | None = Field(default=None, examples=["smollm2"])
    name: Name | None = None
    verbose: bool | None = None

    def wanted(self) -> str:
        """The model's name. Raises Unsupported."""
        refuse_unknown(self.model_extra, {"system": ("",), "template": ("",), "options": ({},)})
        found = self.model or self.name
        if found is None:
            raise Unsupported("model", "model is required.")
        return found
