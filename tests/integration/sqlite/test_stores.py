"""The file beneath the stores: reopened, brought to a newer schema, refused from the future."""

import sqlite3
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from contracts.ids import new_id
from contracts.records import Session, SessionToken
from infra.sqlite.chats import SqliteChats
from infra.sqlite.database import SchemaTooNew, SqliteDatabase
from infra.sqlite.history import SqliteHistory
from infra.sqlite.sessions import KEPT, SqliteSessions
from tests.factories import completed, question


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "ollamanet.db"


def scripts() -> list[str]:
    """The migrations, in their order."""
    found = sorted(files("infra.sqlite").joinpath("migrations").iterdir(), key=lambda one: one.name)
    return [one.read_text() for one in found if one.name.endswith(".sql")]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_what_was_recorded_is_there_after_opening_again(path: Path) -> None:
    one = question()
    async with SqliteDatabase(path) as database:
        await SqliteHistory(database).record_outcomes([completed(one)])
    async with SqliteDatabase(path) as database:
        assert len(await SqliteChats(database).messages(one.owner, one.chat_id)) == 2


async def test_only_its_owner_reads_the_file(path: Path) -> None:
    async with SqliteDatabase(path):
        assert mode(path) == 0o600


async def test_chats_of_the_first_schema_are_kept_and_titled_on(path: Path) -> None:
    one = question(content="Later")
    path.parent.mkdir()
    with sqlite3.connect(path) as old:
        old.executescript(f"{scripts()[0]}; PRAGMA user_version = 1;")
        at = int(one.asked_at.timestamp() * 1000)
        old.execute(
            "INSERT INTO chats (id, owner, title, model, created_at, updated_at) VALUES (?, ?, 'Later', 'small', ?, ?)",
            (one.chat_id, one.owner, at, at),
        )
    old.close()
    async with SqliteDatabase(path) as database:
        first = question(
            owner=one.owner, chat_id=one.chat_id, content="First", asked_at=one.asked_at - timedelta(seconds=1)
        )
        await SqliteHistory(database).record_questions([first])
        chat = await SqliteChats(database).get(one.owner, one.chat_id)
        assert chat is not None
        assert chat.title == "First"


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    async with SqliteDatabase(path) as database:
        await database.write(lambda connection: connection.execute("PRAGMA user_version = 999"))
    before = content(path)
    with pytest.raises(SchemaTooNew, match="update OllamaNet"):
        async with SqliteDatabase(path):
            pass
    assert content(path) == before


async def test_sessions_that_expired_long_ago_are_forgotten(path: Path) -> None:
    now = datetime.now(UTC)

    def session(expires_at: datetime) -> Session:
        token = SessionToken(hash=new_id())
        return Session(id=new_id(), account_id="a", tokens=(token,), created_at=now, expires_at=expires_at)

    long_ago, lately, current = [session(now + age) for age in (-KEPT - timedelta(hours=1), -timedelta(hours=1), KEPT)]
    async with SqliteDatabase(path) as database:
        sessions = SqliteSessions(database)
        for one in (long_ago, lately, current):
            await sessions.add(one)
        assert [await sessions.get(one.id) is not None for one in (long_ago, lately, current)] == [False, True, True]
        count = "SELECT count(*) FROM session_tokens"
        assert await database.read(lambda connection: connection.execute(count).fetchone()[0]) == 2
