"""What was admitted and not noted as recorded, in Redis."""

from collections.abc import Sequence
from datetime import UTC, datetime

from contracts.ports.lines import Due, GenerationSweeping
from infra.redis.admission import milliseconds
from infra.redis.connection import Connection
from infra.redis.keys import SWEEPS, note_of, sweep_of


class RedisGenerationSweeping(GenerationSweeping):
    """The notes that `admit` leaves."""

    connection: Connection

    async def due(self, before: datetime, limit: int) -> Sequence[Due]:
        pages = await self.connection.each(
            *(
                ("ZRANGEBYSCORE", f"sweep:{one}", "-inf", f"({milliseconds(before)}", "WITHSCORES", "LIMIT", 0, limit)
                for one in range(SWEEPS)
            )
        )
        late = sorted((int(at), note) for page in pages for note, at in zip(page[::2], page[1::2], strict=True))
        return [_due(note.decode(), at) for at, note in late[:limit]]

    async def swept(self, owner: str, generation_id: str) -> None:
        await self.connection.call("ZREM", sweep_of(generation_id), note_of(owner, generation_id))


def _due(note: str, at_ms: int) -> Due:
    owner, _, generation_id = note.rpartition(":")
    return Due(owner, generation_id, datetime.fromtimestamp(at_ms / 1000, UTC))
