"""The edge's side of the protocol: admit, create the log, publish the command, confirm; undone where it cannot be published."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from api.admitting import AT_LEAST_MS, Admitting
from api.errors import KeyMismatch
from contracts.commands import GenerateReply, Question
from contracts.errors import Conflict, OllamaNetError, Overloaded, RateLimited, Unavailable
from contracts.events import QuestionAsked
from contracts.ports.bus import Bus
from contracts.ports.lines import PoolLane
from contracts.ports.streams import Admitted, Answer, Exists, GenerationStreams, IdempotencyKey, Same

log = structlog.get_logger()
T = TypeVar("T")

TRIES = 4
PAUSE = 0.1
"""Seconds before another try at the streams, doubled each time: 0.7 s in all."""
TELLING = 200
"""Events that may be on their way to the bus at once; more are left to the outcome, which carries the question too."""


class TakenBack(Unavailable):
    """Somebody aborted it before it was accepted."""

    def __init__(self) -> None:
        super().__init__("The question could not be accepted: try again.")


class Accepting:
    """Makes questions durable. What was begun, and what is told in the background, is finished before the context is left."""

    def __init__(self, bus: Bus, streams: GenerationStreams, admitting: Admitting) -> None:
        self._bus = bus
        self._streams = streams
        self._admitting = admitting
        self._lines = admitting.lines
        self._accepting: set[asyncio.Task[Any]] = set()
        self._telling: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def accept(
        self, command: GenerateReply, *, explicit_parent: bool, key: IdempotencyKey | None = None
    ) -> Same | None:
        """When it returns None the question is accepted. Same: that key was admitted before, as another generation.

        Raises Conflict("reply_in_progress"), KeyMismatch, TooManyGenerations, Unroutable, Overloaded, Unavailable; then nothing
        is left. Not interrupted by a client that hangs up: it is accepted or refused as a whole.
        """
        return await self._whole(self._accept(command, explicit_parent, key))

    async def resume(self, command: GenerateReply) -> bool:
        """Go on with what an edge admitted and did not accept: it may have died anywhere before the confirm, or be at it still.

        True: it is accepted. False: it was taken back, and nothing is left. Raises as `accept`. Two edges that do this at once
        publish it twice: workers claim by the generation's id.
        """
        return await self._whole(self._resume(command))

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)
        return await asyncio.shield(task)

    async def _accept(self, command: GenerateReply, explicit_parent: bool, key: IdempotencyKey | None) -> Same | None:
        self._admitting.refuse_in_vain(command, "interactive")
        try:
            answer = await self._admitting.admit(command, explicit_parent, key)
            if isinstance(answer, Same) and answer.generation_id != command.question.generation_id:
                return answer
            if isinstance(answer, Admitted):
                command = command.model_copy(update={"lane": answer.lane})
                self._admitting.refuse_in_vain(command, answer.lane)
        except (Conflict, KeyMismatch, RateLimited):  # nothing was begun
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing is to be left, and it is raised again
            await self._undo(command.question, error)
        await self._go_through(command)
        return None

    async def _resume(self, command: GenerateReply) -> bool:
        question = command.question
        if datetime.now(UTC) > command.starts_before:  # nobody would begin it any more
            if await self._streams.abort(question.generation_id) is not Answer.OK:
                return True
            await self._streams.drop(question.owner, question.generation_id)
            return False
        try:
            await self._go_through(command)
        except TakenBack:
            return False
        return True

    async def _go_through(self, command: GenerateReply) -> None:
        """From the log to the confirm."""
        question = command.question
        try:
            await self._begin(command)
        except Exception as error:  # noqa: BLE001 - as above
            await self._undo(question, error)  # returns when the command reached a worker all the same
        else:
            await self._confirm(question)
        self._tell(QuestionAsked(question=question))
        self._lines.expect(command.pool)

    async def _begin(self, command: GenerateReply) -> None:
        created = await self._streams.create(
            command.question,
            starts_before=command.starts_before,
            deadline=command.deadline,
            lane=PoolLane(command.pool, command.lane),
        )
        if isinstance(created, Exists) and created.state != "admitted":
            if created.state == "aborted":
                raise TakenBack
            return  # another edge went on with it
        seconds = (command.deadline - datetime.now(UTC)).total_seconds()
        try:
            await self._bus.publish(command, expires_in=seconds)
        except Overloaded as error:
            raise await self._told_when(error, command) from error

    async def _told_when(self, error: Overloaded, command: GenerateReply) -> Overloaded:
        """A full queue takes more when who is its last now is served."""
        seen = await self._lines.tried(command.pool)
        ms = None if seen is None else seen.end_ms(command.lane)
        return error if ms is None else Overloaded(str(error), max(AT_LEAST_MS, ms))

    async def _confirm(self, question: Question) -> None:
        """A log that is gone is no reason to refuse: the command is durable, and its worker begins the log again."""
        try:
            answer = await _again(lambda: self._streams.confirm(question.generation_id))
        except Unavailable as error:
            await self._undo(question, error)
            return
        if answer is Answer.ABORTED:
            await self._streams.drop(question.owner, question.generation_id)
            raise TakenBack

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
