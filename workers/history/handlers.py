"""What the history worker does with questions and outcomes: record them, then tell those who wait for the record."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog
from structlog.contextvars import bound_contextvars

from contracts.commands import Question
from contracts.events import Outcome, QuestionAsked
from contracts.ports.bus import Delivery
from contracts.ports.stores import History
from contracts.recording import outcome_of
from contracts.records import Message
from workers.history import metrics
from workers.history.afterwards import Afterwards
from workers.history.batching import Batches

log = structlog.get_logger()


class Recorder:
    """Records, idempotently and in any order.

    A handler returns, and so acks, when everything that follows from its event is done: what ends half way comes again, and a
    duplicate does the steps after recording once more.
    """

    def __init__(self, history: History, afterwards: Afterwards) -> None:
        self._history = history
        self._afterwards = afterwards
        self._questions: Batches[Question, None] = Batches(self._write_questions)
        self._outcomes: Batches[Outcome, Message | None] = Batches(history.record_outcomes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._questions.end()
        await self._outcomes.end()

    async def record(self, event: QuestionAsked | Outcome, delivery: Delivery) -> None:
        """Whatever the queue brings."""
        if isinstance(event, QuestionAsked):
            await self.record_question(event, delivery)
        else:
            await self.record_reply(event, delivery)

    async def record_question(self, event: QuestionAsked, delivery: Delivery) -> None:
        """The chat and the user's message, before there is a reply."""
        question = event.question
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            await self._questions.put(question)
            metrics.QUESTIONS.inc()

    async def record_reply(self, outcome: Outcome, delivery: Delivery) -> None:
        """Question and reply; then the log ends with what the store holds, the person's slot is free, and developers know."""
        question = outcome.question
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            message = await self._outcomes.put(outcome)
            if message is None:
                await self._discarded(outcome)
            else:
                await self._recorded(outcome_of(message, question), message)

    async def _recorded(self, held: Outcome, reply: Message) -> None:
        await self._afterwards.recorded(held, reply)
        metrics.RECORDED.labels(held.kind).inc()
        metrics.DELAY.observe(max(0.0, (datetime.now(UTC) - held.ended_at).total_seconds()))
        log.info("reply_recorded", kind=held.kind, attempt=held.attempt)

    async def _discarded(self, outcome: Outcome) -> None:
        await self._afterwards.discarded(outcome)
        metrics.DISCARDED.inc()
        log.info("reply_discarded", kind=outcome.kind)

    async def _write_questions(self, questions: Sequence[Question]) -> Sequence[None]:
        await self._history.record_questions(questions)
        return [None] * len(questions)
