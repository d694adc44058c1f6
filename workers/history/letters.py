"""A dead message as an operator reads it: whose it is, what it is about, why it died; as far as anybody can tell."""

from dataclasses import dataclass
from hashlib import sha256

from contracts.commands import EmbedTexts, GenerateReply, Question
from contracts.envelope import Message, envelope_of, parse
from contracts.errors import ContractViolated
from contracts.ids import event_id, is_id
from contracts.ports.bus import DeadMessage
from contracts.ports.streams import Snapshot
from contracts.records import DeadLetter

MOST_BODY = 2 * 1024 * 1024
"""Bytes of a body that are kept. Ours stay under half of that; with what is escaped it is far below a document's limit."""


@dataclass(frozen=True)
class Reading:
    """What could be read of a dead message. `wrong`: why it could not be."""

    dead: DeadMessage
    message: Message | None = None
    wrong: str | None = None

    @property
    def generation_id(self) -> str | None:
        """The generation that this command would have begun; None of any other message. Its body need not be readable for that."""
        if isinstance(self.message, GenerateReply):
            return self.message.question.generation_id
        named = self.dead.attributes.get("subject", "")
        return named if self.dead.attributes.get("type") == GenerateReply.type and is_id(named) else None

    @property
    def embedding_id(self) -> str | None:
        """The texts that this command would have embedded; None of any other message. Its body need not be readable for that."""
        named = self.dead.attributes.get("subject", "")
        return named if self.dead.attributes.get("type") == EmbedTexts.type and is_id(named) else None

    @property
    def question(self) -> Question | None:
        """The question in it."""
        found = getattr(self.message, "question", None)
        return found if isinstance(found, Question) else None


def read(dead: DeadMessage) -> Reading:
    """Parse it as its consumer did."""
    try:
        return Reading(dead, parse(envelope_of(dead.attributes), dead.body))
    except ContractViolated as error:
        return Reading(dead, wrong=str(error))


def letter_of(reading: Reading, log: Snapshot | None) -> DeadLetter:
    """What is kept. `log`: of the generation that it would have begun, where there is one."""
    dead, whose = reading.dead, reading.question or (log.question if log else None)
    return DeadLetter(
        id=letter_id(reading),
        queue=dead.queue,
        reason=dead.reason,
        why=_why(reading),
        type=dead.attributes.get("type"),
        subject=dead.attributes.get("subject"),
        owner=whose.owner if whose else getattr(reading.message, "owner", None),
        traceparent=dead.attributes.get("traceparent"),
        correlationid=dead.attributes.get("correlationid"),
        attempts=log.attempt if log else dead.deliveries,
        attributes=dict(dead.attributes),
        body=dead.body[:MOST_BODY].decode("utf-8", "backslashreplace"),
        died_at=dead.at,
    )


def letter_id(reading: Reading) -> str:
    """The same for a letter that comes again. What may be published, and die, again under its own id has the moment in it;
    a command that died twice, because its consumer's last word was lost, is one letter."""
    dead = reading.dead
    named = dead.attributes.get("id") or sha256(dead.body).hexdigest()
    again = "" if isinstance(reading.message, GenerateReply) else f"@{dead.at.isoformat()}"
    return event_id(f"{dead.queue}/{named}{again}", "dead letter")


def _why(reading: Reading) -> str | None:
    why = reading.dead.why or (reading.wrong if reading.dead.reason == "rejected" else None)
    if len(reading.dead.body) <= MOST_BODY:
        return why
    return f"{why or ''} (Only the first {MOST_BODY} of its {len(reading.dead.body)} bytes were kept.)".strip()
