"""The edge's side of the protocol: admit, create the log, publish the command, confirm; undone where it cannot be published."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import structlog

from contracts.commands import GenerateReply, Question
from contracts.errors import Conflict, OllamaNetError, Unavailable
from contracts.events import QuestionAsked
from contracts.ports.bus import Bus
from contracts.ports.streams import Admitted, Answer, GenerationStreams, ReplyOpen

log = structlog.get_logger()
T = TypeVar("T")

TRIES = 4
PAUSE = 0.1
"""Seconds before another try at the streams, doubled each time: 0.7 s in all."""
ABANDONED = timedelta(seconds=15)
"""A question that was admitted and not confirmed for this long belongs to an edge that died: publishing is bounded to 5 s."""
TELLING = 200
"""Events that may be on their way to the bus at once; more are left to the outcome, which carries the question too."""


class Accepting:
    """Makes questions durable. What was begun, and what is told in the background, is finished before the context is left."""

    def __init__(self, bus: Bus, streams: GenerationStreams) -> None:
        self._bus = bus
        self._streams = streams
        self._accepting: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def accept(self, command: GenerateReply, *, explicit_parent: bool) -> None:
        """When it returns the question is accepted. Raises Conflict("reply_in_progress"), Unroutable, Overloaded, Unavailable.

        Not interrupted by a client that hangs up: it is accepted or refused as a whole.
        """
        accepting = asyncio.create_task(self._accept(command, explicit_parent))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)
        await asyncio.shield(accepting)

    async def _accept(self, command: GenerateReply, explicit_parent: bool) -> None:
        question = command.question
        try:
            await self._admit(command, explicit_parent)
            await self._streams.create(question, starts_before=command.starts_before, deadline=command.deadline)
            seconds = (command.deadline - datetime.now(UTC)).total_seconds()
            await self._bus.publish(command, expires_in=seconds)
        except Conflict:  # nothing was begun
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing is to be left, and it is raised again
            await self._undo(question, error)  # returns when the command reached a worker all the same
        else:
            await self._confirm(question)
        self._tell(QuestionAsked(question=question))

    async def _admit(self, command: GenerateReply, explicit_parent: bool) -> None:
        answer = await self._ask_to_admit(command, explicit_parent)
        if isinstance(answer, ReplyOpen) and await self._over(command.question.owner, answer.generation_id):
            answer = await self._ask_to_admit(command, explicit_parent)
        if isinstance(answer, ReplyOpen):
            raise reply_in_progress(answer.generation_id)

    async def _ask_to_admit(self, command: GenerateReply, explicit_parent: bool) -> Admitted | ReplyOpen:
        return await self._streams.admit(command.question, explicit_parent=explicit_parent, deadline=command.deadline)

    async def _over(self, owner: str, generation_id: str) -> bool:
        """Whether a generation that still holds the person's slot has ended: its end is shown before the slot is freed."""
        (shown,) = await self._streams.read([generation_id])
        if shown is not None and shown.state == "closed":
            await self._streams.settle(owner, generation_id)
            return True
        asked_at = shown.question.asked_at if shown else await self._asked_at(owner, generation_id)
        abandoned = shown is None or shown.state == "admitted"
        if not abandoned or datetime.now(UTC) - asked_at < ABANDONED:
            return False
        if await self._streams.abort(generation_id) is not Answer.OK:
            return False
        await self._streams.drop(owner, generation_id)
        return True

    async def _asked_at(self, owner: str, generation_id: str) -> datetime:
        asked = {one.generation_id: one.asked_at for one in await self._streams.open(owner)}
        return asked.get(generation_id, datetime.now(UTC))

    async def _confirm(self, question: Question) -> None:
        """A log that is gone is no reason to refuse: the command is durable, and its worker begins the log again."""
        try:
            answer = await _again(lambda: self._streams.confirm(question.generation_id))
        except Unavailable as error:
            await self._undo(question, error)
            return
        if answer is Answer.ABORTED:
            await self._streams.drop(question.owner, question.generation_id)
            raise Unavailable("The question could not be accepted: try again.")

    async def _undo(self, question: Question, error: Exception) -> None:
        """Take back what was begun and raise `error`; returns when it is too late, because a worker has it."""
        try:
            answer = await _again(lambda: self._streams.abort(question.generation_id))
            if answer is not Answer.OK:
                log.warning("accepted_after_all", state=str(answer), why=str(error))
                return
            await _again(lambda: self._streams.drop(question.owner, question.generation_id))
        except Unavailable as again:
            log.warning("not_taken_back", why=str(again))
        raise error

    def _tell(self, event: QuestionAsked) -> None:
        """In the background, best effort: the outcome carries the question too."""
        if len(self._telling) < TELLING:
            task = asyncio.create_task(self._publish(event))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _publish(self, event: QuestionAsked) -> None:
        try:
            await self._bus.publish(event)
        except OllamaNetError as error:
            log.warning("event_not_published", type=event.type, why=str(error))


def reply_in_progress(generation_id: str) -> Conflict:
    """The branch's reply is not whole yet."""
    return Conflict(
        "reply_in_progress",
        "The last reply of this chat is still being written: wait for its end, or cancel it.",
        generation_id=generation_id,
    )


async def _again(call: Callable[[], Awaitable[T]]) -> T:
    """What `call()` gives, tried four times while the streams do not answer."""
    pause = PAUSE
    for _ in range(TRIES - 1):
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(pause)
            pause *= 2
    return await call()
