"""From a delivery to a claim; again when another epoch fenced the run."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from contracts.commands import GenerateReply
from contracts.errors import BackendFailed, Transient, Unavailable, UnknownModel
from contracts.ports.lines import PoolLane
from contracts.ports.stores import Chats
from contracts.ports.streams import Answer, GenerationStreams, Held, Run, Sealed
from workers.inference import metrics
from workers.inference.affinity import Wish
from workers.inference.claim import Fenced
from workers.inference.continuing import Reason
from workers.inference.control import Control
from workers.inference.ending import EXPIRED, QUARANTINED, Endings
from workers.inference.patience import patiently, seconds_until
from workers.inference.running import Running
from workers.inference.slots import Slot, Slots
from workers.inference.suspects import Chance, Suspects
from workers.inference.tasks import Tasks

log = structlog.get_logger()

FIRST_ASK_AGAIN, ASK_AGAIN = 0.02, 0.25
"""Seconds between claims while another worker holds the generation, doubled from the first: the broker may notice a worker's death some
milliseconds before Redis does."""
OVERTIME = timedelta(seconds=60)
"""Past the hard deadline, after which nobody can still hold a generation: a lease lasts 10 s."""


@dataclass
class _Turn:
    """One delivery's way to a claim. `created`: its log was gone and this process made it anew. `held`: how
    often another worker held it."""

    command: GenerateReply
    redelivered: bool
    created: bool = False
    held: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def generation_id(self) -> str:
        return self.command.question.generation_id

    def reason(self, run: Run) -> Reason | None:
        """Why what followers may have seen is void, unless it is gone on from; None when they have seen nothing."""
        if run.shown:
            return "worker_lost"
        return "log_lost" if self.created and self.redelivered else None


@dataclass(frozen=True)
class Claiming:
    """Takes generations for this process, one claim at a time each."""

    streams: GenerationStreams
    chats: Chats
    slots: Slots
    control: Control
    endings: Endings
    tasks: Tasks
    running: Running
    worker: str
    suspects: Suspects = field(default_factory=Suspects)

    async def until_it_ends(self, command: GenerateReply, *, redelivered: bool) -> None:
        """Returns when the delivery may be acked, or when it is not in this process' hands any more."""
        turn = _Turn(command, redelivered)
        while True:
            with self.tasks.waiting(turn.generation_id):
                slot = None if await self._ended(turn) else await self._slot(turn)
            try:
                answer = await self._claim_and_run(turn, slot)
            except Fenced:
                metrics.FENCED.inc()
                log.warning("fenced")
                turn.redelivered = True
                continue
            finally:
                if slot is not None:
                    slot.free()
            if answer is None:
                return None
            if (stands := await self._waited(turn, answer)) is not None:
                return await self._without_running(command, stands)

    async def _ended(self, turn: _Turn) -> bool:
        """Whether another worker ended it: that is to be told now, not when a slot is free."""
        if not turn.redelivered:
            return False
        try:
            found = await self.streams.head(turn.generation_id)
        except Unavailable:
            return False
        return found is not None and found.state in ("sealed", "closed", "aborted")

    async def _slot(self, turn: _Turn) -> Slot | None:
        """A free slot; None when none came before the question expires, or no back-end serves its model or can be reached."""
        command = turn.command
        wish = Wish(command.question.model, prefers=command.prefers)
        try:
            async with asyncio.timeout(seconds_until(command.starts_before)):
                return await self.slots.take(wish, lane=command.lane, since=turn.since)
        except (TimeoutError, UnknownModel, BackendFailed):
            return None

    async def _claim_and_run(self, turn: _Turn, slot: Slot | None) -> Held | Sealed | Answer | None:
        """Claim it and, if this process may, run it to its end (None). Raises Fenced."""
        if not self.tasks.delivered(turn.generation_id):
            log.info("delivery_gone")
            return None
        losses = self.control.losses
        with self.suspects.chance() as chance:
            answer = await self._claim(turn.command, chance)
            if not isinstance(answer, Run):
                return answer
            clean = answer.attempt == 1 and not (turn.redelivered or turn.created or self.control.losses > losses)
            await self.running.run(turn.command, answer, slot, clean=clean, reason=turn.reason(answer))
        return None

    async def _claim(self, command: GenerateReply, chance: Chance) -> Run | Held | Sealed | Answer:
        """Unavailable after the hard deadline counts as expired."""
        generation_id = command.question.generation_id
        try:
            async with asyncio.timeout(seconds_until(command.deadline)):
                await self.control.subscribed()
            answer = await patiently(
                "streams",
                lambda: self.streams.claim(generation_id, self.worker, suspects=chance.suspects),
                until=command.deadline,
            )
        except (TimeoutError, Unavailable):
            answer = Answer.EXPIRED
        chance.claimed(answer.deaths if isinstance(answer, Run) else 0)
        return answer

    async def _waited(self, turn: _Turn, answer: Held | Sealed | Answer) -> Held | Sealed | Answer | None:
        """None, to claim again, after waiting for what may change meanwhile, without a slot; else what there is to be told."""
        with self.tasks.waiting(turn.generation_id):
            if isinstance(answer, Held) and seconds_until(turn.command.deadline + OVERTIME) > 0:
                await asyncio.sleep(min(answer.ms / 1000, ASK_AGAIN, FIRST_ASK_AGAIN * 2**turn.held))
                turn.held = min(turn.held + 1, 10)
                return None
            if answer is Answer.NOLOG:
                try:
                    if not await self._known(turn.command):
                        return await self._create(turn)
                except Unavailable:  # until the hard deadline: nothing may run any more
                    return Answer.EXPIRED
        return answer

    async def _known(self, command: GenerateReply) -> bool:
        """Whether the store says how it ended: its log was kept only for a while after that."""
        question = command.question
        recorded = await patiently(
            "store", lambda: self.chats.reply(question.owner, question.generation_id), command.deadline
        )
        return recorded is not None or await patiently(
            "store", lambda: self.chats.deleted(question.owner, question.chat_id), command.deadline
        )

    async def _create(self, turn: _Turn) -> None:
        """The log is gone, or this process is the first after a restart: begin it again from the command."""
        log.warning("log_created_again")
        command = turn.command
        await patiently(
            "streams",
            lambda: self.streams.create(
                command.question,
                starts_before=command.starts_before,
                deadline=command.deadline,
                lane=PoolLane(command.pool, command.lane),
            ),
            until=command.deadline,
        )
        turn.created = True

    async def _without_running(self, command: GenerateReply, answer: Held | Sealed | Answer) -> None:
        match answer:
            case Sealed():
                await self.endings.publish(answer.outcome)
                await self.endings.settle(command)
            case Answer.EXPIRED:
                await self.endings.end_unrun(command, *EXPIRED, retryable=True)
            case Answer.QUARANTINE:
                await self.endings.end_unrun(command, *QUARANTINED, retryable=False)
            case Answer.CLOSED | Answer.ABORTED:
                await self.endings.settle(command)
            case Answer.NOLOG:
                log.info("ended_long_ago")
                await self.endings.settle(command)
            case _:
                raise Transient(f"The generation cannot be claimed: {answer}.")
