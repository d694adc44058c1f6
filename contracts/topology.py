"""The one source of exchanges, queues, bindings, limits and dead letters. `infra/rabbitmq/definitions.json` is made from it.

A queue's arguments never change under its name (406 at the next start): a change is a new name, the old one is drained.
"""

from dataclasses import dataclass, field
from typing import Literal

from contracts.commands import LANES, MODEL_COMMANDS, EmbedTexts, GenerateReply, Lane, RefreshCatalog
from contracts.envelope import Message
from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.public import (
    BackendChanged,
    ChatDeleted,
    ChatRenamed,
    ModelAliased,
    ModelAvailable,
    ModelDeleted,
    ModelDescribed,
    ModelRetired,
    ModelTagged,
    ModelUnavailable,
    ModelVerified,
    PublicReplyCancelled,
    PublicReplyCompleted,
    PublicReplyFailed,
    UserSignedUp,
)


@dataclass(frozen=True)
class Exchange:
    """Where messages are published."""

    name: str
    kind: Literal["direct", "topic", "fanout"]


@dataclass(frozen=True)
class Binding:
    """Messages of this exchange under this key (topic pattern) reach the queue."""

    exchange: Exchange
    key: str


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue, or (`exclusive`) one that lives and dies with its process' connection.

    `max_length`: ready messages before it refuses (Overloaded). `delivery_limit`: a backstop against loops in the broker.
    """

    name: str
    bindings: tuple[Binding, ...]
    max_length: int
    delivery_limit: int = 10_000
    dead_letters: bool = True
    exclusive: bool = False
    arguments: dict[str, object] = field(default_factory=dict[str, object])

    def broker_arguments(self) -> dict[str, object]:
        """The `x-…` arguments it is declared with."""
        if self.exclusive:
            return {"x-max-length": self.max_length, "x-overflow": "drop-head", **self.arguments}
        dead = {"x-dead-letter-exchange": DEAD_LETTERS.name, "x-dead-letter-strategy": "at-least-once"}
        return {
            "x-queue-type": "quorum",
            "x-max-length": self.max_length,
            "x-overflow": "reject-publish",
            "x-delivery-limit": self.delivery_limit,
            **(dead if self.dead_letters else {}),
            **self.arguments,
        }


COMMANDS = Exchange("commands", "direct")
EVENTS_INTERNAL = Exchange("events.internal", "topic")
EVENTS_PUBLIC = Exchange("events.public", "topic")
DEAD_LETTERS = Exchange("dead-letters", "topic")
EXCHANGES = (COMMANDS, EVENTS_INTERNAL, EVENTS_PUBLIC, DEAD_LETTERS)

DEFAULT_POOL = "default"

LANE_SHARES: dict[Lane, int] = {"interactive": 1, "bulk": 2, "batch": 4}
"""A worker holds as many deliveries of a lane as it has slots, divided by this: no flood of a lane that can wait holds every slot."""

HISTORY = Queue(
    "history.record",
    (Binding(EVENTS_INTERNAL, "question.asked"), Binding(EVENTS_INTERNAL, "reply.*")),
    max_length=100_000,
)
CATALOG_COMMANDS = Queue("catalog.commands", (Binding(COMMANDS, "catalog.commands"),), max_length=1_000)
DEAD = Queue("history.dead-letters", (Binding(DEAD_LETTERS, "#"),), max_length=100_000, dead_letters=False)


def generate_reply_queue(pool: str = DEFAULT_POOL, lane: Lane = "interactive") -> Queue:
    """The one queue of a pool's lane."""
    name = f"inference.generate-reply.{pool}.{lane}"
    return Queue(name, (Binding(COMMANDS, name),), max_length=1_000, delivery_limit=100)


def embed_texts_queue(pool: str = DEFAULT_POOL) -> Queue:
    """The one queue of a pool's texts to be embedded.

    Somebody waits a minute at most for each: a longer queue would be served in vain, and more deliveries are a text that ends workers.
    """
    name = f"inference.embed-texts.{pool}"
    return Queue(name, (Binding(COMMANDS, name),), max_length=256, delivery_limit=10)


def lane_slots(slots: int, lane: Lane) -> int:
    """Of a worker's slots those that a lane may hold, rounded up."""
    return -(-slots // LANE_SHARES[lane])


def edge_queue(process: str) -> Queue:
    """One edge's own copy of the events about models; gone with its connection."""
    bindings = (Binding(EVENTS_PUBLIC, "model.*"),)
    return Queue(f"edge.{process}", bindings, max_length=10_000, dead_letters=False, exclusive=True)


def durable_queues(pools: tuple[str, ...] = (DEFAULT_POOL,)) -> tuple[Queue, ...]:
    """What every process declares at its start, the dead letters' queue first: what dies before it is bound is lost."""
    lanes = (generate_reply_queue(pool, lane) for pool in pools for lane in LANES)
    return (DEAD, HISTORY, CATALOG_COMMANDS, *lanes, *map(embed_texts_queue, pools))


_KEYS: dict[type[Message], tuple[Exchange, str]] = {
    **dict.fromkeys((RefreshCatalog, *MODEL_COMMANDS), (COMMANDS, "catalog.commands")),
    QuestionAsked: (EVENTS_INTERNAL, "question.asked"),
    ReplyCompleted: (EVENTS_INTERNAL, "reply.completed"),
    ReplyFailed: (EVENTS_INTERNAL, "reply.failed"),
    ReplyCancelled: (EVENTS_INTERNAL, "reply.cancelled"),
    PublicReplyCompleted: (EVENTS_PUBLIC, "reply.completed"),
    PublicReplyFailed: (EVENTS_PUBLIC, "reply.failed"),
    PublicReplyCancelled: (EVENTS_PUBLIC, "reply.cancelled"),
    ModelAvailable: (EVENTS_PUBLIC, "model.available"),
    ModelUnavailable: (EVENTS_PUBLIC, "model.unavailable"),
    ModelTagged: (EVENTS_PUBLIC, "model.tagged"),
    ModelDescribed: (EVENTS_PUBLIC, "model.described"),
    ModelAliased: (EVENTS_PUBLIC, "model.aliased"),
    ModelVerified: (EVENTS_PUBLIC, "model.verified"),
    ModelRetired: (EVENTS_PUBLIC, "model.retired"),
    ModelDeleted: (EVENTS_PUBLIC, "model.deleted"),
    BackendChanged: (EVENTS_PUBLIC, "backend.changed"),
    ChatRenamed: (EVENTS_PUBLIC, "chat.renamed"),
    ChatDeleted: (EVENTS_PUBLIC, "chat.deleted"),
    UserSignedUp: (EVENTS_PUBLIC, "user.signed-up"),
}


def route(message: Message) -> Binding:
    """The exchange and routing key of a message."""
    if isinstance(message, GenerateReply):
        return Binding(COMMANDS, generate_reply_queue(message.pool, message.lane).name)
    if isinstance(message, EmbedTexts):
        return Binding(COMMANDS, embed_texts_queue(message.pool).name)
    return Binding(*_KEYS[type(message)])


def must_be_owned(message: Message) -> bool:
    """Whether a queue has to take it (`mandatory`): commands and outcomes; public events may find nobody."""
    return route(message).exchange != EVENTS_PUBLIC
