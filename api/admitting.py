"""Whether a question may begin now: the branch is free, the person has not too many, and it would not wait in vain."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.errors import KeyMismatch, TooManyGenerations
from api.lines import Lines
from contracts.commands import GenerateReply, Lane
from contracts.errors import Conflict, Overloaded, Unavailable
from contracts.ports.streams import (
    Admitted,
    Answer,
    GenerationStreams,
    IdempotencyKey,
    Limited,
    ReplyOpen,
    Same,
)

AT_LEAST_MS = 1000
"""Until somebody comes back to a full queue."""
SOON_MS = 5000
"""Told to who has too many live generations where nobody knows how long one takes."""
NO_CAP = 1_000_000
"""Live generations of a person where they are not limited."""
ABANDONED = timedelta(seconds=15)
"""A question that was admitted and not confirmed for this long belongs to an edge that died: publishing is bounded to 5 s."""


@dataclass(frozen=True)
class Admitting:
    """`cap`: live generations of a person; 0 = no limit."""

    streams: GenerationStreams
    lines: Lines
    cap: int

    async def admit(self, command: GenerateReply, explicit_parent: bool, key: IdempotencyKey | None) -> Admitted | Same:
        """Admitted, or the one that this key admitted before. Raises Conflict("reply_in_progress"), KeyMismatch, TooManyGenerations (then
        nothing was begun), Unavailable."""
        answer = await self._ask_to_admit(command, explicit_parent, key)
        if isinstance(answer, ReplyOpen) and await self._over(command.question.owner, answer.generation_id):
            answer = await self._ask_to_admit(command, explicit_parent, key)
        match answer:
            case Admitted() | Same():
                return answer
            case ReplyOpen():
                raise reply_in_progress(answer.generation_id)
            case Limited():
                raise TooManyGenerations(self.cap, await self._free_in(command, answer.ms))
            case Answer.MISMATCH:
                raise KeyMismatch
            case _:
                raise Unavailable(f"A question was not admitted: {answer}.")

    async def _ask_to_admit(
        self, command: GenerateReply, explicit_parent: bool, key: IdempotencyKey | None
    ) -> Admitted | Same | ReplyOpen | Limited | Answer:
        return await self.streams.admit(
            command.question,
            explicit_parent=explicit_parent,
            deadline=command.deadline,
            key=key,
            cap=self.cap or NO_CAP,
            batch=command.lane == "batch",
        )

    async def _free_in(self, command: GenerateReply, at_most: int) -> int:
        """Milliseconds until one of the person's generations probably ends."""
        live = [one.generation_id for one in await self.streams.open(command.question.owner)]
        ms = await self.lines.first_end_ms(command.pool, live)
        return max(1, min(at_most, SOON_MS if ms is None else ms))

    def refuse_in_vain(self, command: GenerateReply, lane: Lane) -> None:
        """Raise Overloaded for what would wait in that lane until it expires, as far as this edge knows the line."""
        seen = self.lines.known(command.pool)
        ms = None if seen is None else seen.end_ms(lane)
        if ms is None:
            return
        patience = (command.starts_before - datetime.now(UTC)).total_seconds() * 1000
        if ms > patience:
            raise Overloaded(
                "More questions wait than can be answered in time: try again later.",
                max(AT_LEAST_MS, round(ms - patience)),
            )

    async def _over(self, owner: str, generation_id: str) -> bool:
        """Whether a generation that still holds the person's slot has ended: its end is shown before the slot is freed."""
        shown = await self.streams.head(generation_id)
        if shown is not None and shown.state == "closed":
            await self.streams.settle(owner, generation_id)
            return True
        if shown is None or shown.state == "admitted":
            asked_at = shown.question.asked_at if shown else await self._asked_at(owner, generation_id)
            if datetime.now(UTC) - asked_at < ABANDONED:
                return False
        elif shown.state != "aborted":
            return False
        if await self.streams.abort(generation_id) is not Answer.OK:
            return False
        await self.streams.drop(owner, generation_id)
        return True

    async def _asked_at(self, owner: str, generation_id: str) -> datetime:
        asked = {one.generation_id: one.asked_at for one in await self.streams.open(owner)}
        return asked.get(generation_id, datetime.now(UTC))


def reply_in_progress(generation_id: str) -> Conflict:
    """The branch's reply is not whole yet."""
    return Conflict(
        "reply_in_progress",
        "The last reply of this chat is still being written: wait for its end, or cancel it.",
        generation_id=generation_id,
    )
