"""What a batch of questions and outcomes means for its chats: one update each, the same in any order of events."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from contracts.commands import Question
from contracts.events import Outcome
from contracts.recording import title_of
from infra.mongo.documents import milliseconds, same

ChatKey = tuple[str, str]
"""Id and owner: what stands under the same id for somebody else is another chat."""


@dataclass
class Touch:
    """The earliest question titles the chat and dates it; the latest moment says which model it is with."""

    first: Question
    last: datetime
    model: str


@dataclass
class Touches:
    """The chats of a batch."""

    _touches: dict[ChatKey, Touch] = field(default_factory=dict)

    def asked(self, question: Question) -> None:
        """A question was asked."""
        self._add(question, milliseconds(question.asked_at))

    def ended(self, outcome: Outcome) -> None:
        """A question was asked, and its generation ended."""
        self.asked(outcome.question)
        self._add(outcome.question, milliseconds(outcome.ended_at))

    @property
    def touched(self) -> set[ChatKey]:
        """Whose chats these are."""
        return set(self._touches)

    def chat(self, key: ChatKey) -> dict[str, Any]:
        """The document of a chat that is nowhere yet."""
        touch = self._touches[key]
        chat_id, owner = key
        return {
            "_id": chat_id, "owner": owner, "deleted": False, "title": title_of(touch.first.content), "model": touch.model,
            "created_at": milliseconds(touch.first.asked_at), "updated_at": touch.last,
        }  # fmt: skip

    def change(self, key: ChatKey) -> UpdateOne:
        """The update of a chat that stands. Under a tombstone or somebody else's chat it finds nothing."""
        chat_id, owner = key
        return UpdateOne({"_id": same(chat_id), "owner": same(owner), "deleted": False}, _update(self._touches[key]))

    def _add(self, question: Question, at: datetime) -> None:
        touch = self._touches.setdefault((question.chat_id, question.owner), Touch(question, at, question.model))
        if question.asked_at < touch.first.asked_at:
            touch.first = question
        if at >= touch.last:
            touch.last, touch.model = at, question.model


def _update(touch: Touch) -> list[dict[str, Any]]:
    """A pipeline; texts are literals, because `$` begins the name of a field in it."""
    asked_at = milliseconds(touch.first.asked_at)
    earlier = {"$and": [{"$lt": [asked_at, "$created_at"]}, {"$ne": ["$renamed", True]}]}
    title, model = {"$literal": title_of(touch.first.content)}, {"$literal": touch.model}
    return [
        {
            "$set": {
                "title": {"$cond": [earlier, title, "$title"]},
                "model": {"$cond": [{"$gte": [touch.last, "$updated_at"]}, model, "$model"]},
                "created_at": {"$min": ["$created_at", asked_at]},
                "updated_at": {"$max": ["$updated_at", touch.last]},
            }
        }
    ]
