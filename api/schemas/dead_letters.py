"""JSON of dead letters."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from api.errors import problem_of
from api.replaying import Replayed
from contracts.errors import OllamaNetError
from contracts.records import DeadLetter, DeadLetterStatus, Page

LetterId = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class DeadLetterBody(BaseModel):
    """A message that nobody could handle, without what it says. `replayed_as`: the generation that a replay began."""

    id: str
    queue: str
    reason: str = Field(examples=["rejected", "expired", "delivery_limit"])
    why: str | None
    type: str | None
    subject: str | None
    owner: str | None
    attempts: int
    died_at: datetime
    status: DeadLetterStatus
    decided_by: str | None
    decided_at: datetime | None
    replayed_as: str | None
    trace_id: str | None
    correlation_id: str | None

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterBody":
        """A letter in a list."""
        return cls.model_validate(_told(letter))


class WholeDeadLetter(DeadLetterBody):
    """A letter with its CloudEvents attributes and its body, as they came: it may hold what a person wrote."""

    attributes: dict[str, str]
    body: str

    @classmethod
    def whole(cls, letter: DeadLetter) -> "WholeDeadLetter":
        """A letter that was opened."""
        return cls.model_validate(_told(letter))


class DeadLetterList(BaseModel):
    """One page of dead letters, the last to die first."""

    items: list[DeadLetterBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[DeadLetter]) -> "DeadLetterList":
        """A page as JSON."""
        return cls(items=[DeadLetterBody.of(one) for one in page.items], next_cursor=page.next_cursor)


class ReplayedLetter(BaseModel):
    """What a replay did. A question became a new generation, which its owner follows at `stream`; anything else was published again."""

    id: str
    published: bool = True
    generation_id: str | None = None
    stream: str | None = Field(default=None, examples=["/api/generations/0193…/stream"])

    @classmethod
    def of(cls, replayed: Replayed) -> "ReplayedLetter":
        """A replay as JSON."""
        generation = replayed.generation_id
        stream = f"/api/generations/{generation}/stream" if generation else None
        return cls(id=replayed.letter_id, generation_id=generation, stream=stream)


class Letters(BaseModel):
    """The letters that are meant."""

    ids: Annotated[
        list[LetterId], Field(min_length=1, max_length=100, examples=[["01930000-0000-7000-8000-000000000000"]])
    ]


class Refusal(BaseModel):
    """Why one of several was not replayed, as its own answer would have said."""

    status: int
    code: str
    detail: str


class ReplayAnswer(ReplayedLetter):
    """What happened to one of several."""

    error: Refusal | None = None

    @classmethod
    def to(cls, letter_id: str, outcome: Replayed | OllamaNetError) -> "ReplayAnswer":
        """What happened, as JSON."""
        if isinstance(outcome, Replayed):
            return cls.model_validate(ReplayedLetter.of(outcome).model_dump())
        problem = problem_of(outcome)
        refusal = Refusal(status=problem.status, code=problem.code, detail=problem.detail)
        return cls(id=letter_id, published=False, error=refusal)


class ReplayAnswers(BaseModel):
    """What happened to each, in the order in which they were named."""

    items: list[ReplayAnswer]


def _told(letter: DeadLetter) -> dict[str, Any]:
    """`trace_id`: the second part of a W3C traceparent."""
    parts = (letter.traceparent or "").split("-")
    trace_id = parts[1] if len(parts) == 4 else None
    return {**letter.model_dump(), "trace_id": trace_id, "correlation_id": letter.correlationid}
