"""A dead question asked again: the same words in the same chat, as a new generation with a reply of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from api.accepting import Accepting
from api.errors import Stopping
from api.explore import Explore, pool_of
from api.replies import LONGEST, QUEUE_WAIT
from contracts.commands import GenerateReply
from contracts.errors import Conflict
from contracts.ids import id_at, moment_of
from contracts.ports.stores import Chats
from contracts.ports.streams import GenerationReading

Began = Literal["yes", "no", "taken back"]


@dataclass(frozen=True)
class AskingAgain:
    """`generation_timeout` in seconds, from the claim. `ends`: whether this edge stops."""

    streams: GenerationReading
    chats: Chats
    explore: Explore
    accepting: Accepting
    generation_timeout: float
    ends: Callable[[], bool]

    async def renewed(self, command: GenerateReply, generation_id: str) -> GenerateReply:
        """The command of the new generation, with time of its own, for the pool that serves the model now.

        Its reply stands beside the dead one, not behind what was said since: a next question goes on from the chat's newest
        message. Raises Stopping, Conflict("chat_deleted"), UnknownModel, ModelRetired, ModelUnavailable.
        """
        if self.ends():
            raise Stopping
        dead = command.question
        if await self.chats.deleted(dead.owner, dead.chat_id):
            raise Conflict("chat_deleted", "The chat of this question was deleted: discard the letter.")
        model = await self.explore.chatting(dead.model)
        now = datetime.now(UTC)
        question = dead.model_copy(
            update={
                "generation_id": generation_id,
                "reply_id": id_at(moment_of(dead.reply_id) + 1, generation_id),
                "replay_of": dead.generation_id,
                "asked_at": now,
            }
        )
        return command.model_copy(
            update={
                "question": question,
                "pool": pool_of(model),
                "starts_before": now + timedelta(seconds=QUEUE_WAIT),
                "deadline": now + timedelta(seconds=min(LONGEST, QUEUE_WAIT + self.generation_timeout)),
            }
        )

    async def accept(self, command: GenerateReply) -> None:
        """As any question is accepted; only what its own parent still writes stands in its way."""
        await self.accepting.accept(command, explicit_parent=True)

    async def began(self, owner: str, generation_id: str) -> Began:
        """Whether a generation was accepted, as its log or the store knows."""
        shown = await self.streams.head(generation_id)
        if shown is not None and shown.state == "aborted":
            return "taken back"
        if shown is not None and shown.state != "admitted":
            return "yes"
        return "no" if await self.chats.reply(owner, generation_id) is None else "yes"
