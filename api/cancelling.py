"""Stopping a generation, from any device of its person."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.following import Following, Known
from contracts.commands import Question
from contracts.errors import NotFound, OllamaNetError, Unavailable
from contracts.events import Outcome, ReplyCancelled
from contracts.ports.bus import Bus
from contracts.ports.streams import Answer, ClosedAs, Flagged, GenerationAdmission, Sealed

log = structlog.get_logger()


@dataclass(frozen=True)
class Cancelling:
    """Says the word: who runs the generation ends it; where nobody does, it ends here."""

    bus: Bus
    streams: GenerationAdmission
    following: Following

    async def cancel(self, owner: str, generation_id: str) -> Known:
        """The generation as it stood before. Harmless when it has ended. Raises NotFound, Unavailable."""
        known = await self.following.find(owner, generation_id)
        if known.question is not None:
            await self.stop(known.question)
        return known

    async def stop(self, question: Question) -> None:
        """Cancel a generation of the caller's own. Raises NotFound, Unavailable."""
        outcome = ReplyCancelled(question=question, ended_at=datetime.now(UTC))
        answer = await self.streams.cancel(question.owner, question.generation_id, outcome)
        match answer:
            case Sealed():
                await self._publish(answer.outcome)
            case Flagged():
                log.info("cancel_told", generation_id=question.generation_id, worker=answer.owner)
            case ClosedAs():
                return
            case Answer.ABORTED:
                raise NotFound("There is no such generation.")
            case _:  # its log is lost: a worker is about to begin it again, or history to record it
                raise Unavailable("This reply cannot be reached right now: try again.")

    async def _publish(self, outcome: Outcome) -> None:
        try:
            await self.bus.publish(outcome)
        except OllamaNetError as error:  # sealed all the same: the worker that gets the command publishes it
            log.warning("outcome_not_published", generation_id=outcome.question.generation_id, why=str(error))
