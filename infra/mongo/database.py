"""One MongoDB: a client per event loop, what a write has to survive, and what its errors mean to us."""

from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError, WriteConcernError

from contracts.errors import Unavailable
from infra.mongo.documents import UTC
from infra.mongo.indexes import INDEXES

T = TypeVar("T")
Document = dict[str, Any]
Collection = AsyncCollection[Document]

DATABASE = "ollamanet"
"""Where the URL names none."""
OPTIONS: Mapping[str, Any] = {
    "appname": "ollamanet",
    "tz_aware": True,
    "tzinfo": UTC,
    # "recorded" promises that neither a crash nor an election takes it back, and nobody reads what one still may
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "retryWrites": True,
    "retryReads": True,
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 10_000,
    "wTimeoutMS": 5000,
    "waitQueueTimeoutMS": 3000,
    "maxPoolSize": 50,
}
"""They win over the same ones in the URL; milliseconds."""
PASSING = frozenset({
    6, 7, 50, 64, 89, 91, 112, 133, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 14031,
})  # fmt: skip
"""Codes of MongoDB that say "not now": host unreachable or not found, out of time, write concern not met in time, network
time-out, shutdown, write conflict, no primary, no majority yet, stepped down, socket, interrupted, disk full."""


class MongoDatabase:
    """The database that the URL's path names (`ollamanet` without one), with its indexes, while entered.

    Raises Unavailable when entered while the server does not answer. `prepare` False: for who reads now and then; entering asks
    the server nothing, the indexes are made by others.
    """

    def __init__(self, url: str, *, prepare: bool = True) -> None:
        self._url = url
        self._prepare = prepare
        self._client: AsyncMongoClient[Document] | None = None

    async def __aenter__(self) -> Self:
        client = self._client = AsyncMongoClient[Document](self._url, **OPTIONS)
        if not self._prepare:
            return self
        try:
            await self.check()
            for name, indexes in INDEXES.items():
                await self.run(self.collection(name).create_indexes(list(indexes)))
        except BaseException:
            await client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    def collection(self, name: str) -> Collection:
        """One collection of this database."""
        return self._database()[name]

    async def check(self) -> None:
        """Raises Unavailable when the server does not answer now."""
        await self.run(self._database().command("ping"))

    async def run(self, call: Awaitable[T]) -> T:
        """The call's result. Raises Unavailable where the server does not answer or cannot now; other errors as they are."""
        try:
            return await call
        except PyMongoError as error:
            if _passes(error):
                raise Unavailable(f"MongoDB does not answer: {str(error)[:200]}") from error
            raise

    def _database(self) -> AsyncDatabase[Document]:
        if self._client is None:
            raise RuntimeError("This MongoDatabase was not entered.")
        return self._client.get_default_database(DATABASE)


def _passes(error: PyMongoError) -> bool:
    """Whether the same call may succeed later: nothing was wrong with the call itself."""
    if isinstance(error, ConnectionFailure | WriteConcernError) or error.timeout:
        return True
    if isinstance(error, BulkWriteError):
        codes = {one.get("code") for one in error.details.get("writeErrors", ())}
        return bool(error.details.get("writeConcernErrors")) or bool(codes & PASSING)
    return isinstance(error, OperationFailure) and error.code in PASSING
