"""`History` in SQLite: what workers/history writes."""

import sqlite3
from collections.abc import Sequence

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
    chat = chat_of(question)
    connection.execute(
        "INSERT INTO chats (id, owner, title, model, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (chat.id, chat.owner, chat.title, chat.model, stored(chat.created_at), stored(chat.updated_at)),
    )
    moved = connection.execute(
        "UPDATE chats SET updated_at = max(updated_at, ?) WHERE id = ? AND owner = ? AND deleted_at IS NULL",
        (stored(question.asked_at), question.chat_id, question.owner),
    )
    if moved.rowcount == 0:
        return False
    _put_message(connection, message_of_question(question))
    return True


def _put_outcome(connection: sqlite3.Connection, outcome: Outcome) -> Message | None:
    if not _put_question(connection, outcome.question):
        return None
    _put_message(connection, message_of_outcome(outcome))
    connection.execute(
        "UPDATE chats SET updated_at = max(updated_at, ?), model = ? WHERE id = ?",
        (stored(outcome.ended_at), outcome.question.model, outcome.question.chat_id),
    )
    row = connection.execute("SELECT record FROM messages WHERE id = ?", (outcome.question.reply_id,)).fetchone()
    return Message.model_validate_json(row["record"])


def _put_message(connection: sqlite3.Connection, message: Message) -> None:
    connection.execute(
        "INSERT INTO messages (id, chat_id, owner, generation_id, role, record) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (message.id, message.chat_id, message.owner, message.generation_id, message.role, message.model_dump_json()),
    )
