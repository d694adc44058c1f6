"""Letters of messages that died."""

from datetime import UTC, datetime

from contracts.commands import GenerateReply
from contracts.envelope import Message, wrap
from contracts.events import QuestionAsked, ReplyCancelled, ReplyCompleted, ReplyFailed
from contracts.ids import new_id
from contracts.records import DeadLetter
from tests.factories import generate_reply

WHY = "BackendFailed: nobody foresaw it"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def died(message: Message | None = None, **changes: object) -> DeadLetter:
    """The letter of a message that died; a question's, unless told otherwise."""
    message = message or generate_reply()
    envelope = wrap(message, "test")
    attributes = {name: str(value) for name, value in envelope.model_dump(mode="json", exclude_none=True).items()}
    told = (GenerateReply, QuestionAsked, ReplyCompleted, ReplyFailed, ReplyCancelled)
    fields = {
        "id": new_id(), "queue": "inference.generate-reply.default.interactive", "reason": "rejected", "why": WHY,
        "type": message.type, "subject": message.subject, "attempts": 2, "attributes": attributes,
        "owner": message.question.owner if isinstance(message, told) else None,
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "correlationid": envelope.correlationid,
        "body": message.model_dump_json(), "died_at": datetime.now(UTC),
    }  # fmt: skip
    return DeadLetter.model_validate({**fields, **changes})
