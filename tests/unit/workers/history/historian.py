"""A history worker without a bus that delivers: what it publishes is kept, and recorded when a test says so."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.commands import GenerateReply
from contracts.envelope import Message, to_headers, wrap
from contracts.events import Outcome, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ids import new_id
from contracts.ports.bus import DeadMessage
from contracts.ports.streams import GenerationStreams
from contracts.public import PublicReply, PublicReplyCancelled, PublicReplyCompleted, PublicReplyFailed
from contracts.records import DeadLetter
from contracts.records import Message as Recorded
from contracts.topology import generate_reply_queue
from infra.memory.embeddings import MemoryEmbeddingResults
from infra.sqlite.chats import SqliteChats
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.dead_letters import SqliteDeadLetters
from infra.sqlite.history import SqliteHistory
from infra.sqlite.leases import SqliteLeases
from tests.contract.ports.stores import now
from tests.factories import generate_reply
from tests.unit.workers.scripted import KeepingBus, delivery
from workers.history.afterwards import Afterwards
from workers.history.handlers import Recorder
from workers.history.settling import Settling
from workers.history.sweeping import Sweeper

REPLIES = generate_reply_queue().name


class FaultyChats(SqliteChats):
    """`fails`: raised by the next calls of `reply`, one each."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.fails: list[Exception] = []

    async def reply(self, owner: str, generation_id: str) -> Recorded | None:
        if self.fails:
            raise self.fails.pop(0)
        return await super().reply(owner, generation_id)


class Historian:
    """All of a history worker over these streams; its stores are in a file."""

    def __init__(self, streams: GenerationStreams, path: Path) -> None:
        self.streams = streams
        self.bus = KeepingBus()
        self.database = SqliteDatabase(path)
        self.chats, self.letters = FaultyChats(self.database), SqliteDeadLetters(self.database)
        self.history = SqliteHistory(self.database)
        self.afterwards = Afterwards(self.bus, streams, self.history)
        self.embeddings = MemoryEmbeddingResults()
        self.settling = Settling(self.bus, streams, self.chats, self.letters, self.embeddings)
        self.sweeper = self.another()
        self.recorder = Recorder(self.history, self.afterwards)

    async def __aenter__(self) -> Self:
        await self.database.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.database.__aexit__(kind, error, trace)

    def another(self, *, holder: str | None = None, every: float = 60.0) -> Sweeper:
        """A sweeper of another process."""
        return Sweeper(self.afterwards, self.chats, SqliteLeases(self.database), holder or new_id(), every=every)

    @property
    def outcomes(self) -> list[Outcome]:
        """What was published for the record."""
        return [one for one in self.bus.published if isinstance(one, ReplyCompleted | ReplyFailed | ReplyCancelled)]

    @property
    def told(self) -> list[PublicReply]:
        """What developers heard."""
        kinds = PublicReplyCompleted | PublicReplyFailed | PublicReplyCancelled
        return [one for one in self.bus.published if isinstance(one, kinds)]

    async def records(self, *outcomes: Outcome) -> None:
        """These, or else whatever was published."""
        for one in outcomes or self.outcomes:
            await self.recorder.record(one, delivery(one))

    async def only_letter(self) -> DeadLetter:
        """The one that was kept."""
        letters = (await self.letters.page(10, None)).items
        assert len(letters) == 1
        return letters[0]


@dataclass(frozen=True)
class Died:
    """How a message died."""

    reason: str = "rejected"
    queue: str = REPLIES
    why: str | None = None
    deliveries: int = 0


def dead(message: Message, died: Died = Died(), **changes: object) -> DeadMessage:
    """The message as the bus hands over its letter. `changes`: of its fields."""
    named = {name.removeprefix("cloudEvents_"): value for name, value in to_headers(wrap(message, "test")).items()}
    fields: dict[str, object] = {
        "attributes": named, "body": message.model_dump_json().encode(), "queue": died.queue, "reason": died.reason,
        "deliveries": died.deliveries, "at": now(), "why": died.why,
    }  # fmt: skip
    return DeadMessage(**{**fields, **changes})  # type: ignore[arg-type]


def command(asked: object = None) -> GenerateReply:
    """The command of that question, or of a new one."""
    return generate_reply(asked)  # type: ignore[arg-type]
