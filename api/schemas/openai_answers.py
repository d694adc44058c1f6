"""JSON of OpenAI's API: what is answered, as the OpenAPI document shows it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class ListedModel(BaseModel):
    """A model."""

    id: str = Field(examples=["smollm2"])
    object: Literal["model"]
    created: int
    owned_by: str


class ListedModels(BaseModel):
    """All models that can be asked now."""

    object: Literal["list"]
    data: list[ListedModel]


class Function(BaseModel):
    """What is called; `arguments` is a JSON object, as text."""

    name: str
    arguments: str


class FunctionCall(BaseModel):
    """A call that the model makes."""

    id: str
    type: Literal["function"]
    function: Function


class AnswerMessage(BaseModel):
    """The answer. `reasoning_content`: the model's thinking, where it thinks."""

    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None
    tool_calls: list[FunctionCall] | None = None


class CompletionChoice(BaseModel):
    """The one choice."""

    index: Literal[0]
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length", "tool_calls"]


class CompletionUsage(BaseModel):
    """Tokens as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """A whole answer. `id` is `chatcmpl-` and the generation's id."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage


class OpenAIErrorDetail(BaseModel):
    """What went wrong. `code` is what programs compare, `param` the place in the body."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None
    code: str = Field(examples=["model_not_found"])


class OpenAIError(BaseModel):
    """An error as OpenAI tells one."""

    error: OpenAIErrorDetail


def streamed() -> dict[str, Any]:
    """The streamed form of an answer; for `responses=`."""
    told = "data: {chat.completion.chunk}, one after the other, then data: [DONE]"
    return {
        "description": "The whole answer, or with `stream: true` its chunks.",
        "content": {"text/event-stream": {"schema": {"type": "string", "description": told}}},
    }
