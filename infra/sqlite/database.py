"""One SQLite file in WAL mode: a writer and a few readers, each in a thread of its own, a transaction per call."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from contracts.errors import Unavailable

log = structlog.get_logger()
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

READERS = 2
BUSY_MS = 5000


class SchemaTooNew(Exception):
    """The file was written by a newer version of OllamaNet."""


class SqliteDatabase:
    """The file at `path`, made (mode 0600) and brought to the newest schema when entered.

    Raises SchemaTooNew when entered on a file of a newer version, Unavailable when the disk is full or the file is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = ThreadPoolExecutor(1, "sqlite-writer")
        self._reading = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._threads = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def __aenter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        try:
            await self._run(self._writing, migrate)
        except BaseException:
            await asyncio.to_thread(self._close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._reading.shutdown()
        self._writing.shutdown()
        while self._opened:
            self._opened.pop().close()

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a reader's connection."""
        return await self._run(self._reading, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction, durable when it returns; what it raises rolls it back."""

        def in_transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        return await self._run(self._writing, in_transaction)

    async def check(self) -> None:
        """Raises Unavailable when the file cannot be read now."""
        await self.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def _run(self, executor: ThreadPoolExecutor, work: Work[T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, lambda: work(self._connection()))
        except sqlite3.OperationalError as error:
            raise Unavailable(f"The data file does not answer: {error}.") from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's own connection."""
        if not hasattr(self._threads, "connection"):
            connection = sqlite3.connect(
                self.path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            # FULL: a commit is on the disk when it returns, which is what "recorded" promises
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
                connection.execute(f"PRAGMA {pragma}")
            self._threads.connection = connection
            self._opened.append(connection)
        return self._threads.connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest schema; each migration is one transaction, numbered by its file name."""
    have = connection.execute("PRAGMA user_version").fetchone()[0]
    scripts = sorted((one for one in files("infra.sqlite").joinpath("migrations").iterdir()), key=lambda one: one.name)
    numbered = {int(one.name.split("_")[0]): one for one in scripts if one.name.endswith(".sql")}
    newest = max(numbered)
    if have > newest:
        raise SchemaTooNew(
            f"The data was written by a newer OllamaNet (schema {have}, this one knows {newest}): update OllamaNet."
        )
    for number in range(have + 1, newest + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {numbered[number].read_text()}; PRAGMA user_version = {number}; COMMIT;"
        )
        log.info("schema_migrated", file=os.fspath(numbered[number].name))
