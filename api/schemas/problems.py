"""Errors as the OpenAPI document shows them."""

from pydantic import BaseModel, Field


class Mistake(BaseModel):
    """One thing wrong with a body. `pointer`: a JSON pointer into it."""

    pointer: str = Field(examples=["/options/top_p"])
    detail: str = Field(examples=["Input should be less than or equal to 1"])


class ProblemDetails(BaseModel):
    """RFC 9457. `code` is what programs compare; `errors` on 422 only."""

    type: str = Field(examples=["urn:ollamanet:problem:unknown_model"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no model named 'x'."])
    code: str = Field(examples=["unknown_model"])
    request_id: str | None
    errors: list[Mistake] | None = None
