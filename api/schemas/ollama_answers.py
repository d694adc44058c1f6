"""JSON of Ollama's API: what is answered, as the OpenAPI document shows it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class OllamaDetails(BaseModel):
    """What is known of a model's file; empty where no back-end tells."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaListed(BaseModel):
    """A model. `size` in bytes, 0 where no back-end tells; `digest`: the back-end's, else the SHA-256 of the name."""

    name: str = Field(examples=["smollm2:latest"])
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails


class OllamaModels(BaseModel):
    """All models that can be asked now."""

    models: list[OllamaListed]


class OllamaShown(BaseModel):
    """A model in full. What its Modelfile says stays with the back-ends."""

    license: str
    modelfile: str
    parameters: str
    template: str
    details: OllamaDetails
    model_info: dict[str, Any] = Field(examples=[{"general.architecture": "llama", "llama.context_length": 8192}])
    capabilities: list[str] = Field(examples=[["completion", "tools"]])
    modified_at: str


class OllamaResident(BaseModel):
    """A model in memory. Bytes in all and on a GPU, 0 where its back-end does not tell."""

    name: str = Field(examples=["smollm2:latest"])
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str
    size_vram: int
    context_length: int


class OllamaLoaded(BaseModel):
    """Models in memory."""

    models: list[OllamaResident]


class OllamaVersion(BaseModel):
    """The version of Ollama whose API is spoken."""

    version: str = Field(examples=["0.9.6"])


class OllamaCalledFunction(BaseModel):
    """What is called; `index`: its place among the calls of this answer."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaToolCall(BaseModel):
    """A call that the model makes."""

    id: str
    function: OllamaCalledFunction


class OllamaAnswerMessage(BaseModel):
    """The answer. `thinking`: the model's, where it thinks."""

    role: Literal["assistant"]
    content: str
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None


class OllamaAnswer(BaseModel):
    """A whole answer. Durations in nanoseconds; without them and the counts it only says that the model can be asked (`load`)."""

    model: str
    created_at: str
    done: Literal[True]
    done_reason: Literal["stop", "length", "load"]
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaChatAnswer(OllamaAnswer):
    """A whole answer to a conversation."""

    message: OllamaAnswerMessage


class OllamaGenerateAnswer(OllamaAnswer):
    """A whole answer to one question. There is no `context`: a conversation goes on by `/ollama/api/chat`."""

    response: str
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None


class OllamaError(BaseModel):
    """An error as Ollama tells one."""

    error: str = Field(examples=['model "x" not found, try pulling it first'])


def streamed(piece: str) -> dict[str, Any]:
    """The streamed form of an answer; for `responses=`."""
    told = f'{{"{piece}": …, "done": false}}, one a line; the last has `done: true`, the reason and the counts.'
    return {
        "description": "The answer in lines, or with `stream: false` whole.",
        "content": {"application/x-ndjson": {"schema": {"type": "string", "description": told}}},
    }
