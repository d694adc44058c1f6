"""What follows once an outcome is recorded; done again for whatever may have been left half done."""

from dataclasses import dataclass

from contracts.events import Outcome
from contracts.ports.bus import Bus
from contracts.ports.stores import History
from contracts.ports.streams import Closed, GenerationStreams
from contracts.public import public_of
from contracts.records import Message


@dataclass(frozen=True)
class Afterwards:
    """The steps after recording, in order; each may be repeated at will."""

    bus: Bus
    streams: GenerationStreams
    history: History

    async def recorded(self, held: Outcome, reply: Message) -> None:
        """The log ends with what the store holds, the person is free, developers know, and the sweep has nothing left to do."""
        owner, generation_id = held.question.owner, held.question.generation_id
        closed = await self.streams.recorded(generation_id, held)
        if isinstance(closed, Closed) and closed.last_id != reply.last_event_id:
            await self.history.amend_last_event_id(reply.id, closed.last_id)
        await self.streams.leave(owner, generation_id)
        await self.bus.publish(public_of(held))
        await self.streams.swept(owner, generation_id)

    async def discarded(self, outcome: Outcome) -> None:
        """The chat was deleted meanwhile: those who follow see the end, nothing is kept or published."""
        owner, generation_id = outcome.question.owner, outcome.question.generation_id
        await self.streams.recorded(generation_id, outcome)
        await self.streams.leave(owner, generation_id)
        await self.streams.swept(owner, generation_id)
