"""What the history worker does with dead letters: keep them for an operator, and end what they would have begun."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from structlog.contextvars import bound_contextvars

from contracts.commands import EmbedTexts, Question
from contracts.embeddings import NotEmbedded
from contracts.events import ReplyFailed
from contracts.ports.bus import Bus, DeadMessage
from contracts.ports.embeddings import EmbeddingResults
from contracts.ports.stores import Chats, DeadLetters
from contracts.ports.streams import Answer, GenerationStreams
from contracts.records import DeadLetter
from contracts.sealing import sealed_unrun
from workers.history import metrics
from workers.history.letters import Reading, letter_of, read

log = structlog.get_logger()

ASK_AGAIN = 0.25
"""Seconds between two looks at a generation that a worker still holds; it ends by its hard deadline, and the letter waits for that."""
FAILURES = {
    "expired": ("expired", "The question waited too long for a free model."),
    "delivery_limit": (
        "quarantined",
        "This question was given to many workers without an answer and is not run again.",
    ),
}
OTHERWISE = ("internal", "This question could not be handled.")
TEXTS_FAILURE = "These texts could not be handled."
TEXTS_WAITED_FOR = timedelta(minutes=1)
"""By an edge, at most, where the command itself cannot be read."""
REASONS = frozenset({"rejected", "expired", "delivery_limit", "maxlen"})


@dataclass(frozen=True)
class Settling:
    """Settles dead letters. A handler that fails is tried again; all of it may be repeated at will."""

    bus: Bus
    streams: GenerationStreams
    chats: Chats
    letters: DeadLetters
    embeddings: EmbeddingResults

    async def settle(self, dead: DeadMessage) -> None:
        """Keep the letter, then end the generation that it would have begun, or tell whoever waits for vectors.

        An outcome that died waits for its replay.
        """
        reading = read(dead)
        generation_id = reading.generation_id
        now = None if generation_id is None else await self.streams.head(generation_id)
        letter = letter_of(reading, now)
        with bound_contextvars(letter_id=letter.id, generation_id=generation_id):
            await self.letters.keep(letter)
            _note(letter)
            question = reading.question or (now.question if now else None)
            if generation_id is not None and question is not None:
                await self._end(question, dead.reason)
            if (embedding_id := reading.embedding_id) is not None:
                code, _ = FAILURES.get(dead.reason, OTHERWISE)
                failed = NotEmbedded(code, TEXTS_FAILURE, retryable=code != "quarantined")
                await self.embeddings.put(embedding_id, failed, _waited_for(reading))

    async def _end(self, question: Question, reason: str) -> None:
        """As failed, unless it ended otherwise; publish what stands."""
        await self._no_lease(question.generation_id)
        outcome = _failed(question, reason)
        stands = await sealed_unrun(self.streams, outcome)
        if stands is Answer.NOLOG and await self.chats.reply(question.owner, question.generation_id) is None:
            stands = outcome  # unsealed: history records it, unless another one is recorded first
        if not isinstance(stands, Answer):
            await self.bus.publish(stands)
            log.warning("generation_ended", kind=stands.kind, code=getattr(stands, "code", None))

    async def _no_lease(self, generation_id: str) -> None:
        """Returns when no worker holds it: not while one may still be writing [m]."""
        while True:
            now = await self.streams.head(generation_id)
            if now is None or not now.leased or now.state == "closed":
                return
            await asyncio.sleep(ASK_AGAIN)


def _waited_for(reading: Reading) -> datetime:
    known = reading.message
    return known.deadline if isinstance(known, EmbedTexts) else datetime.now(UTC) + TEXTS_WAITED_FOR


def _failed(question: Question, reason: str) -> ReplyFailed:
    code, message = FAILURES.get(reason, OTHERWISE)
    return ReplyFailed(question=question, code=code, message=message, retryable=True, ended_at=datetime.now(UTC))


def _note(letter: DeadLetter) -> None:
    metrics.DEAD_LETTERS.labels(letter.queue, letter.reason if letter.reason in REASONS else "other").inc()
    log.warning(
        "dead_letter_kept",
        queue=letter.queue,
        reason=letter.reason,
        why=letter.why,
        type=letter.type,
        subject=letter.subject,
        attempts=letter.attempts,
    )
