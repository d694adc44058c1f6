"""Values for tests: real contracts with unimportant fields filled in."""

from datetime import UTC, datetime, timedelta

from contracts.commands import EmbedTexts, GenerateReply, Question, Turn
from contracts.events import ReplyCompleted
from contracts.ids import new_id


def question(**changes: object) -> Question:
    """A question of a new person in a new chat."""
    fields = {
        "generation_id": new_id(), "owner": new_id(), "chat_id": new_id(), "message_id": new_id(), "reply_id": new_id(),
        "content": "Why is the sky blue?", "model": "small", "asked_at": datetime.now(UTC),
    }  # fmt: skip
    return Question.model_validate({**fields, **changes})


def generate_reply(asked: Question | None = None, **changes: object) -> GenerateReply:
    """The command for a question."""
    asked = asked or question()
    now = datetime.now(UTC)
    fields = {
        "question": asked, "pool": "default", "context": (Turn(role="user", content=asked.content),),
        "starts_before": now + timedelta(minutes=5), "deadline": now + timedelta(minutes=15),
    }  # fmt: skip
    return GenerateReply.model_validate({**fields, **changes})


def embed_texts(*texts: str, **changes: object) -> EmbedTexts:
    """The command for these texts, or one."""
    fields = {
        "embedding_id": new_id(), "owner": new_id(), "model": "embed", "pool": "default", "inputs": texts or ("The sea.",),
        "deadline": datetime.now(UTC) + timedelta(minutes=1),
    }  # fmt: skip
    return EmbedTexts.model_validate({**fields, **changes})


def completed(asked: Question, text: str = "Rayleigh scattering.", **changes: object) -> ReplyCompleted:
    """Its whole reply."""
    fields = {"question": asked, "text": text, "attempt": 1, "ended_at": datetime.now(UTC)}
    return ReplyCompleted.model_validate({**fields, **changes})
