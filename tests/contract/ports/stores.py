"""The stores of one database, as the suites get them: opened on each technology."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from contracts.ports.administration import Audit, Commands, Steps
from contracts.ports.images import Images
from contracts.ports.secrets import Cipher
from contracts.ports.stores import Accounts, ApiKeys, Backends, Chats, DeadLetters, History, Leases, Models, Sessions
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.mongo.accounts import MongoAccounts
from infra.mongo.api_keys import MongoApiKeys
from infra.mongo.audit import MongoAudit
from infra.mongo.backends import MongoBackends
from infra.mongo.chats import MongoChats
from infra.mongo.commands import MongoCommands
from infra.mongo.database import MongoDatabase
from infra.mongo.dead_letters import MongoDeadLetters
from infra.mongo.history import MongoHistory
from infra.mongo.images import MongoImages
from infra.mongo.leases import MongoLeases
from infra.mongo.models import MongoModels
from infra.mongo.sessions import MongoSessions
from infra.mongo.steps import MongoSteps
from infra.sqlite.accounts import SqliteAccounts
from infra.sqlite.api_keys import SqliteApiKeys
from infra.sqlite.audit import SqliteAudit
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.chats import SqliteChats
from infra.sqlite.commands import SqliteCommands
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.dead_letters import SqliteDeadLetters
from infra.sqlite.history import SqliteHistory
from infra.sqlite.images import SqliteImages
from infra.sqlite.leases import SqliteLeases
from infra.sqlite.models import SqliteModels
from infra.sqlite.sessions import SqliteSessions
from infra.sqlite.steps import SqliteSteps

T = TypeVar("T")

CIPHER = FernetCipher([new_secrets_key()])
"""What the run's registries of back-ends encrypt with."""

HOSTILE = (
    "$owner", "$$ROOT", "a.b", '{"$gt": ""}', "' OR 1=1 --", "%", "a\0b", "\u2028", "🦙" * 20, "../..", "é" * 5000,
)  # fmt: skip
"""Texts that some query language would read as more than text."""
NOT_TEXT = ({"$gt": ""}, {"$ne": None}, ["a"], None, 1)
"""What a careless caller could pass where a text belongs."""

ANY_JSON: dict[str, object] = {
    "a.b": {"$gt": "", "": None}, "$set": [1, 1.5, 1 << 80, True, [], {}], "_id": "\0", "é🦙": {"deep": {"deeper": ["$$ROOT"]}},
}  # fmt: skip
"""An object that is JSON, and neither a document nor a row."""


@dataclass(frozen=True)
class Stores:
    """All on one new database."""

    accounts: Accounts
    sessions: Sessions
    chats: Chats
    history: History
    models: Models
    leases: Leases
    dead_letters: DeadLetters
    api_keys: ApiKeys
    backends: Backends
    backends_with: Callable[[Cipher], Backends]
    """The same registry, as a process with other keys sees it."""
    commands: Commands
    steps: Steps
    audit: Audit
    images: Images


@asynccontextmanager
async def on_sqlite(path: Path) -> AsyncGenerator[Stores]:
    """In a file."""
    async with SqliteDatabase(path) as one:
        yield Stores(
            SqliteAccounts(one), SqliteSessions(one), SqliteChats(one), SqliteHistory(one), SqliteModels(one), SqliteLeases(one),
            SqliteDeadLetters(one), SqliteApiKeys(one), SqliteBackends(one, CIPHER), partial(SqliteBackends, one),
            SqliteCommands(one), SqliteSteps(one), SqliteAudit(one),
            SqliteImages(one),
        )  # fmt: skip


@asynccontextmanager
async def on_mongo(url: str) -> AsyncGenerator[Stores]:
    """In the database that the URL names."""
    async with MongoDatabase(url) as one:
        yield Stores(
            MongoAccounts(one), MongoSessions(one), MongoChats(one), MongoHistory(one), MongoModels(one), MongoLeases(one),
            MongoDeadLetters(one), MongoApiKeys(one), MongoBackends(one, CIPHER), partial(MongoBackends, one),
            MongoCommands(one), MongoSteps(one), MongoAudit(one),
            MongoImages(one),
        )  # fmt: skip


def now() -> datetime:
    """The moment in whole milliseconds, which is how stores keep it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def given(call: Awaitable[T]) -> T | None:
    """What the call gave; None where a driver refused the kind of its arguments, which is as good as finding nothing."""
    try:
        return await call
    except Exception:  # noqa: BLE001 - every driver has its own
        return None
