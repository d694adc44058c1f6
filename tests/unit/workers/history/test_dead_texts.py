"""Dead letters of texts that were to be embedded: kept, and whoever waits is told."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import EmbedTexts
from contracts.embeddings import NotEmbedded, Vectors
from contracts.topology import embed_texts_queue
from tests.factories import embed_texts
from tests.unit.workers.history.historian import Died, Historian, dead

SOON = timedelta(seconds=0.05)


@pytest.mark.parametrize(
    ("reason", "code", "retryable"),
    [("delivery_limit", "quarantined", False), ("rejected", "internal", True)],
)
async def test_who_waits_is_told(historian: Historian, reason: str, code: str, *, retryable: bool) -> None:
    command = embed_texts("A poisonous text.")
    await historian.settling.settle(dead(command, Died(reason, embed_texts_queue().name, deliveries=10)))
    told = await historian.embeddings.wait(command.embedding_id, command.deadline)
    assert isinstance(told, NotEmbedded)
    assert (told.code, told.retryable) == (code, retryable)
    kept = await historian.only_letter()
    assert (kept.type, kept.subject, kept.owner) == (EmbedTexts.type, command.embedding_id, command.owner)
    assert (kept.reason, kept.queue, kept.attempts) == (reason, embed_texts_queue().name, 10)
    assert historian.bus.published == []


async def test_a_body_that_nobody_can_read(historian: Historian) -> None:
    command = embed_texts()
    await historian.settling.settle(dead(command, body=b"{"))
    assert isinstance(await historian.embeddings.wait(command.embedding_id, command.deadline), NotEmbedded)
    assert (await historian.only_letter()).body == "{"


async def test_vectors_that_came_stand(historian: Historian) -> None:
    command = embed_texts()
    vectors = Vectors(b"\0\0\0\0", 1)
    await historian.embeddings.put(command.embedding_id, vectors, command.deadline)
    await historian.settling.settle(dead(command))
    assert await historian.embeddings.wait(command.embedding_id, command.deadline) == vectors


async def test_nobody_waits_any_more(historian: Historian) -> None:
    command = embed_texts(deadline=datetime.now(UTC) - timedelta(seconds=1))
    await historian.settling.settle(dead(command))
    assert await historian.embeddings.wait(command.embedding_id, datetime.now(UTC) + SOON) is None
    assert (await historian.only_letter()).subject == command.embedding_id
