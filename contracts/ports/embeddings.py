"""Where a worker puts vectors and the edge that asked for them gets them."""

from datetime import datetime
from typing import Protocol

from contracts.embeddings import EmbeddingResult


class EmbeddingResults(Protocol):
    """Results on their way, shared by all processes. An adapter is an async context manager.

    Nothing here is a record: what nobody fetches is gone at its moment `until`.
    """

    async def put(self, embedding_id: str, result: EmbeddingResult, until: datetime) -> None:
        """Whoever waits gets it, now or later, until that moment. Saying it again changes nothing: the first one stands.

        Nothing is kept of what was fetched already, or given up. Raises Unavailable.
        """
        ...

    async def wait(self, embedding_id: str, until: datetime) -> EmbeddingResult | None:
        """The result, as soon as there is one: fetched, so that it is kept no longer. None when that moment has passed.

        However it ends, also cancelled, nobody will ask again: the result is not `wanted` any more. Outages are waited out;
        Unavailable where one lasts until that moment.
        """
        ...

    async def wanted(self, embedding_id: str) -> bool:
        """Whether nothing was put and nobody gave up: false means that working on it is in vain. Raises Unavailable."""
        ...

    async def check(self) -> None:
        """Raises Unavailable when it does not answer now."""
        ...
