"""Generations brought to where a test begins."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from contracts.commands import Question
from contracts.events import Outcome, ReplyCancelled
from contracts.generation import (
    Restarted,
    Started,
    ToolCall,
    ToolCallData,
    decode,
    encode,
    encode_text,
    name_of,
)
from contracts.ports.streams import (
    Answer,
    Batch,
    Closed,
    Created,
    GenerationStreams,
    LogEvent,
    LostLog,
    Run,
    Snapshot,
    State,
)
from tests.factories import completed, question

CALL = ToolCallData(id="call-1", name="weather", arguments={"city": "Łódź"})
STATES: tuple[State, ...] = ("admitted", "accepted", "running", "sealed", "closed", "aborted")


def soon(minutes: float = 15) -> datetime:
    """A deadline."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


def tokens(*texts: str) -> list[tuple[bytes, int]]:
    """Encoded token events."""
    return [(encode_text("token", one), 1) for one in texts]


def started(attempt: int = 1, backend: str = "one") -> tuple[bytes, int]:
    """The event that a worker begins with."""
    return encode(Started(attempt=attempt, model="small", backend=backend)), 0


def restarted(attempt: int = 2) -> tuple[bytes, int]:
    """What was shown is void."""
    return encode(Restarted(attempt=attempt, reason="worker_lost")), 0


def tool_call() -> tuple[bytes, int]:
    """The model calls a tool."""
    return encode(ToolCall.model_validate(CALL.model_dump())), 0


def cancelled(asked: Question) -> ReplyCancelled:
    """The outcome of a question that somebody stopped."""
    return ReplyCancelled(question=asked, ended_at=datetime.now(UTC))


async def created(streams: GenerationStreams, *, starts_before: datetime | None = None, **changes: object) -> Question:
    """Admitted, with a log."""
    asked = question(**changes)
    await streams.admit(asked, explicit_parent=False, deadline=soon())
    made = await streams.create(asked, starts_before=starts_before or soon(5), deadline=soon())
    assert isinstance(made, Created)
    return asked


async def accepted(streams: GenerationStreams, **changes: object) -> Question:
    """As the edge leaves it."""
    asked = await created(streams, **changes)
    assert await streams.confirm(asked.generation_id) is Answer.OK
    return asked


async def claimed(streams: GenerationStreams, asked: Question, worker: str = "worker-1") -> Run:
    """Taken by that worker."""
    run = await streams.claim(asked.generation_id, worker)
    assert isinstance(run, Run)
    return run


@dataclass(frozen=True)
class Told:
    """A generation under a claim that has written something."""

    question: Question
    epoch: int
    next: int

    @property
    def id(self) -> str:
        """The generation's."""
        return self.question.generation_id


async def told(streams: GenerationStreams, *texts: str, worker: str = "worker-1", **changes: object) -> Told:
    """Running, `started` and these tokens in the log."""
    asked = await accepted(streams, **changes)
    run = await claimed(streams, asked, worker)
    events = [started(), *tokens(*texts)]
    await streams.append(asked.generation_id, run.epoch, run.next, events)
    return Told(asked, run.epoch, run.next + len(events))


async def sealed(streams: GenerationStreams, *texts: str) -> Told:
    """Running to its end, not shown yet."""
    it = await told(streams, *texts)
    assert await streams.seal(it.id, it.epoch, it.next, completed(it.question, "".join(texts))) is Answer.OK
    return it


async def closed(streams: GenerationStreams, *texts: str) -> Told:
    """Run to its end, and shown."""
    it = await sealed(streams, *texts)
    assert isinstance(await streams.close(it.id, it.epoch), Closed)
    return Told(it.question, it.epoch, it.next + 1)


async def brought_to(streams: GenerationStreams, state: State) -> Question:
    """A generation in that state."""
    match state:
        case "admitted":
            return await created(streams)
        case "accepted":
            return await accepted(streams)
        case "running":
            return (await told(streams, "Some", " text.")).question
        case "sealed":
            return (await sealed(streams, "Some", " text.")).question
        case "closed":
            return (await closed(streams, "Some", " text.")).question
        case "aborted":
            asked = await created(streams)
            assert await streams.abort(asked.generation_id) is Answer.OK
            return asked


async def stands(streams: GenerationStreams, generation_id: str) -> Snapshot:
    """The log as it stands."""
    (snapshot,) = await streams.read([generation_id])
    assert snapshot is not None
    return snapshot


async def known(streams: GenerationStreams, it: Told, worker: str = "worker-1", **changes: object) -> LostLog:
    """The log as its worker knows it, who could write it again."""
    log = await stands(streams, it.id)
    whole = LostLog(
        it.question, soon(5), soon(), worker, it.epoch, attempt=log.attempt, cancel=log.cancel, events=log.events
    )
    return replace(whole, **changes)


async def end(streams: GenerationStreams, it: Told, outcome: Outcome | None = None) -> None:
    """Seal and close what is running."""
    text = (await stands(streams, it.id)).text
    assert await streams.seal(it.id, it.epoch, it.next, outcome or completed(it.question, text)) is Answer.OK
    assert isinstance(await streams.close(it.id, it.epoch), Closed)


async def followed(streams: GenerationStreams, generation_id: str, after: str | None = None) -> list[LogEvent]:
    """Everything until the end."""
    return [event for batch in await batches(streams, generation_id, after) for event in batch.events]


async def batches(streams: GenerationStreams, generation_id: str, after: str | None = None) -> list[Batch]:
    """Every batch until the end."""
    async with aclosing(streams.follow(generation_id, after)) as following:  # pyright: ignore[reportArgumentType]
        return [batch async for batch in following]


def text_of(events: Sequence[LogEvent]) -> str:
    """What somebody who follows ends with."""
    text: list[str] = []
    for event in events:
        if name_of(event.encoded) == "restarted":
            text.clear()
        elif name_of(event.encoded) == "token":
            text.append(getattr(decode(event.encoded), "text", ""))
    return "".join(text)


def names_of(events: Sequence[LogEvent]) -> list[str]:
    """The events' names."""
    return [name_of(event.encoded) for event in events]


def seqs_of(events: Sequence[LogEvent]) -> list[int]:
    """The events' seqs."""
    return [int(str(event.id).split("-")[1]) for event in events]
