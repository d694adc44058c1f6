"""JSON of OpenAI's Responses API: what is answered, as the OpenAPI document shows it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(BaseModel):
    """What the model said."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class OutputMessage(BaseModel):
    """A message of the model's."""

    type: Literal["message"]
    id: str
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]


class ReasoningText(BaseModel):
    """What the model thought."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(BaseModel):
    """The model's thinking, where it thinks."""

    type: Literal["reasoning"]
    id: str
    summary: list[Any]
    content: list[ReasoningText]
    status: ItemStatus


class OutputCall(BaseModel):
    """A function that the model calls; `arguments` is a JSON object, as text."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


class FailedResponse(BaseModel):
    """Why it failed."""

    code: str
    message: str


class IncompleteDetails(BaseModel):
    """Why it is not whole."""

    reason: Literal["max_output_tokens", "content_filter"]


class InputTokens(BaseModel):
    """Models' servers do not tell what they had cached: 0."""

    cached_tokens: int


class OutputTokens(BaseModel):
    """Models' servers do not tell thinking and text apart: 0."""

    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """Tokens as the model's server counted them."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ResponseAnswer(BaseModel):
    """A response. `id` is `resp_` and the generation's id; `output` is there when it has ended. What was asked is not repeated."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
    error: FailedResponse | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[Annotated[OutputMessage | OutputReasoning | OutputCall, Field(discriminator="type")]]
    parallel_tool_calls: Literal[True]
    tool_choice: Literal["auto"]
    tools: list[Any]
    metadata: dict[str, str]
    store: Literal[True]
    usage: ResponseUsage | None


def streamed() -> dict[str, Any]:
    """The streamed form of an answer; for `responses=`."""
    told = (
        "event: {type}, data: {type, sequence_number, …}; response.completed, .incomplete, .failed or error is the last"
    )
    return {
        "description": "The response, or with `stream` its events.",
        "content": {"text/event-stream": {"schema": {"type": "string", "description": told}}},
    }
