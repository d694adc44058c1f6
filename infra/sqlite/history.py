"""`History` in SQLite: what workers/history writes."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from contracts.commands import Question
from contracts.events import Outcome
from contracts.ports.stores import History
from contracts.recording import chat_of, message_of_outcome, message_of_question
from contracts.records import Message
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.times import stored


class SqliteHistory(History):
    """One transaction a batch; what stands already stays."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def record_questions(self, questions: Sequence[Question]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for question in questions:
                _put_question(connection, question)

        await self._database.write(work)

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[Message | None]:
        return await self._database.write(lambda connection: [_put_outcome(connection, one) for one in outcomes])

    async def amend_last_event_id(self, reply_id: str, last_event_id: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE messages SET record = json_set(record, '$.last_event_id', ?) WHERE id = ? AND role = 'assistant'",
                (last_event_id, reply_id),
            )
        )


def _put_question(connection: sqlite3.Connection, question: Question) -> bool:
    """Chat and user message, where missing; False when the chat was deleted or is not the owner's."""
    if not _touch_chat(connection, question, question.asked_at):
        return False
    _put_message(connection, message_of_question(question))
    return True


def _put_outcome(connection: sqlite3.Connection, outcome: Outcome) -> Message | None:
    question = outcome.question
    if not _put_question(connection, question):
        return None
    _put_message(connection, message_of_outcome(outcome))
    _touch_chat(connection, question, outcome.ended_at)
    row = connection.execute(
        "SELECT record FROM messages WHERE id = ? AND chat_id = ? AND owner = ?",
        (question.reply_id, question.chat_id, question.owner),
    ).fetchone()
    return Message.model_validate_json(row["record"]) if row else None


def _touch_chat(connection: sqlite3.Connection, question: Question, at: datetime) -> bool:
    """The same in any order of events: the earliest question titles and dates the chat, the latest moment says which model it
    is with. False when the chat was deleted or is not the owner's.
    """
    chat = chat_of(question)
    touched = connection.execute(
        "INSERT INTO chats (id, owner, title, model, created_at, updated_at)"
        " VALUES (:id, :owner, :title, :model, :asked_at, :at) ON CONFLICT (id) DO UPDATE SET"
        " title = CASE WHEN :asked_at < created_at AND NOT renamed THEN :title ELSE title END,"
        " model = CASE WHEN :at >= updated_at THEN :model ELSE model END,"
        " created_at = min(created_at, :asked_at), updated_at = max(updated_at, :at)"
        " WHERE owner = :owner AND deleted_at IS NULL",
        {
            "id": chat.id, "owner": chat.owner, "title": chat.title, "model": chat.model,
            "asked_at": stored(question.asked_at), "at": stored(at),
        },
    )  # fmt: skip
    return touched.rowcount > 0


def _put_message(connection: sqlite3.Connection, message: Message) -> None:
    connection.execute(
        "INSERT INTO messages (id, chat_id, owner, generation_id, role, record) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (message.id, message.chat_id, message.owner, message.generation_id, message.role, message.model_dump_json()),
    )
    connection.executemany(
        "INSERT INTO message_images (owner, image_id, message_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(message.owner, one.id, message.id) for one in message.images],
    )
