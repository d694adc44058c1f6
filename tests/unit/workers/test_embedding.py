"""What the inference worker does with texts: exactly one result where somebody waits, none where nobody does."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import EmbedTexts
from contracts.embeddings import EmbeddingResult, NotEmbedded, Vectors, unpacked
from contracts.errors import BackendFailed, HandOver, Unavailable
from infra.memory.embeddings import MemoryEmbeddingResults
from tests.eventually import eventually
from tests.factories import embed_texts
from tests.unit.workers.conftest import StartInference
from tests.unit.workers.scripted import ScriptedBackend, delivery, never
from workers.inference.embedding import TOGETHER

AWAY = BackendFailed("backend_unreachable", "one does not answer.")
CANNOT = BackendFailed("model_cannot_embed", "This model cannot embed texts on one.", retryable=False)


class FaultyResults(MemoryEmbeddingResults):
    """`fails`: raised by the next puts, one each. `puts`: how many went through."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[Exception] = []
        self.puts = 0

    async def put(self, embedding_id: str, result: EmbeddingResult, until: datetime) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.puts += 1
        await super().put(embedding_id, result, until)


@pytest.fixture
def results() -> FaultyResults:
    return FaultyResults()


async def found(results: FaultyResults, command: EmbedTexts) -> EmbeddingResult | None:
    """What the edge gets, once the worker is done with it."""
    return await results.wait(command.embedding_id, datetime.now(UTC) + timedelta(seconds=0.05))


async def handled(inference: StartInference, results: FaultyResults, command: EmbedTexts, *backends: ScriptedBackend):
    async with inference(*backends, embeddings=results) as worker:
        await worker.embed_texts(command, delivery(command))
    return await found(results, command)


async def test_texts_become_vectors_in_their_order(inference: StartInference, results: FaultyResults) -> None:
    backend = ScriptedBackend()
    command = embed_texts("a", "bbb", "cc", dimensions=1, truncate=True, model="small")
    vectors = await handled(inference, results, command, backend)
    assert isinstance(vectors, Vectors)
    assert [unpacked(one) for one in vectors] == [[1.0], [3.0], [2.0]]
    assert (vectors.input_tokens, vectors.load_ms) == (3, 2)
    (request,) = backend.embedded
    assert (request.model, request.texts, request.dimensions, request.truncate) == (
        "small",
        ("a", "bbb", "cc"),
        1,
        True,
    )
    assert 0 < request.timeout <= 60


async def test_many_texts_go_in_parts_and_come_as_one(inference: StartInference, results: FaultyResults) -> None:
    backend = ScriptedBackend()
    command = embed_texts(*("x" * (1 + number % 7) for number in range(2 * TOGETHER + 1)))
    vectors = await handled(inference, results, command, backend)
    assert isinstance(vectors, Vectors)
    assert [len(one.texts) for one in backend.embedded] == [TOGETHER, TOGETHER, 1]
    assert [unpacked(one)[0] for one in vectors] == [float(1 + number % 7) for number in range(2 * TOGETHER + 1)]
    assert vectors.input_tokens == 2 * TOGETHER + 1


async def test_another_back_end_takes_over_from_the_first_text(
    inference: StartInference, results: FaultyResults
) -> None:
    one, two = ScriptedBackend(name="one"), ScriptedBackend(name="two")
    for backend in (one, two):
        backend.serves = ("embed",)
        backend.embeds = [1, AWAY]  # whichever is first fails in its second part
    two.embeds = []
    two.settings = two.settings.model_copy(update={"slots": 1})
    command = embed_texts(*"x" * (TOGETHER + 1))
    vectors = await handled(inference, results, command, one, two)
    assert isinstance(vectors, Vectors)
    assert len(vectors) == TOGETHER + 1
    assert [len(request.texts) for request in one.embedded] == [TOGETHER, 1]
    assert [len(request.texts) for request in two.embedded] == [TOGETHER, 1]


async def test_three_tries_are_enough(inference: StartInference, results: FaultyResults) -> None:
    backend = ScriptedBackend()
    backend.embeds = [AWAY] * 9
    failed = await handled(inference, results, embed_texts(), backend)
    assert failed == NotEmbedded("backend_unreachable", "one does not answer.", retryable=True)
    assert (len(backend.embedded), results.puts) == (3, 1)


async def test_what_cannot_be_is_not_tried_again(inference: StartInference, results: FaultyResults) -> None:
    backend = ScriptedBackend()
    backend.embeds = [CANNOT]
    failed = await handled(inference, results, embed_texts(), backend)
    assert failed == NotEmbedded("model_cannot_embed", str(CANNOT), retryable=False)
    assert len(backend.embedded) == 1


async def test_a_model_that_no_back_end_has(inference: StartInference, results: FaultyResults) -> None:
    failed = await handled(
        inference, results, embed_texts(model="none"), ScriptedBackend(name="one"), ScriptedBackend(name="two")
    )
    assert isinstance(failed, NotEmbedded)
    assert (failed.code, failed.retryable) == ("unknown_model", False)


@pytest.mark.parametrize(
    ("sizes", "code"),
    [((4_000_000,), "embeddings_too_large"), ((3, 4), "backend_garbage")],
    ids=["too-large", "uneven"],
)
async def test_vectors_that_make_no_result(
    inference: StartInference, results: FaultyResults, sizes: tuple[int, ...], code: str
) -> None:
    backend = ScriptedBackend()
    backend.embeds = list(sizes) * 3
    texts = ["x"] * (2 if len(sizes) == 1 else TOGETHER + 1)
    failed = await handled(inference, results, embed_texts(*texts), backend)
    assert isinstance(failed, NotEmbedded)
    assert failed.code == code


async def test_what_is_past_its_deadline_is_dropped(inference: StartInference, results: FaultyResults) -> None:
    backend = ScriptedBackend()
    command = embed_texts(deadline=datetime.now(UTC) - timedelta(seconds=1))
    assert await handled(inference, results, command, backend) is None
    assert (backend.embedded, results.puts) == ([], 0)


async def test_what_is_not_done_by_its_deadline_is_dropped_and_its_line_closed(
    inference: StartInference, results: FaultyResults
) -> None:
    backend = ScriptedBackend()
    backend.embeds = [never]
    command = embed_texts(deadline=datetime.now(UTC) + timedelta(seconds=0.1))
    assert await handled(inference, results, command, backend) is None
    assert (backend.running, backend.closed, results.puts) == (0, 1, 0)


async def test_nobody_works_for_who_gave_up_or_has_it_already(
    inference: StartInference, results: FaultyResults
) -> None:
    backend = ScriptedBackend()
    given_up, twice = embed_texts(), embed_texts()
    async with inference(backend, embeddings=results) as worker:
        await results.wait(given_up.embedding_id, datetime.now(UTC) + timedelta(seconds=0.01))
        waiting = asyncio.create_task(results.wait(given_up.embedding_id, given_up.deadline))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await worker.embed_texts(given_up, delivery(given_up))
        assert backend.embedded == []
        for redelivered in (False, True):
            await worker.embed_texts(twice, delivery(twice, redelivered=redelivered))
    assert (len(backend.embedded), results.puts) == (1, 1)


async def test_a_result_waits_for_its_place(inference: StartInference, results: FaultyResults) -> None:
    results.fails = [Unavailable("Redis is away.")] * 2
    command = embed_texts()
    assert isinstance(await handled(inference, results, command, ScriptedBackend()), Vectors)


async def test_texts_wait_for_a_slot_like_questions(inference: StartInference, results: FaultyResults) -> None:
    gate = asyncio.Event()
    backend = ScriptedBackend(slots=2)
    backend.embeds = [gate.wait, gate.wait, 1]
    commands = [embed_texts() for _ in range(3)]
    async with inference(backend, embeddings=results) as worker:
        tasks = [asyncio.create_task(worker.embed_texts(one, delivery(one))) for one in commands]
        await eventually(lambda: len(backend.embedded) == 2)
        await asyncio.sleep(0.02)
        assert len(backend.embedded) == 2
        gate.set()
        await asyncio.gather(*tasks)
    assert backend.most_running == 2
    assert all([isinstance(await found(results, one), Vectors) for one in commands])


async def test_a_process_that_stops_gives_back_what_waits_and_ends_what_runs(
    inference: StartInference, results: FaultyResults
) -> None:
    gate = asyncio.Event()
    backend = ScriptedBackend(slots=1)
    backend.embeds = [gate.wait]
    runs, waits, late = embed_texts(), embed_texts(), embed_texts()
    async with inference(backend, embeddings=results) as worker:
        running = asyncio.create_task(worker.embed_texts(runs, delivery(runs)))
        await eventually(lambda: backend.running == 1)
        waiting = asyncio.create_task(worker.embed_texts(waits, delivery(waits)))
        await asyncio.sleep(0)
        worker.stop_taking()
        with pytest.raises(asyncio.CancelledError):  # a bus gives back what ends so
            await waiting
        with pytest.raises(HandOver):
            await worker.embed_texts(late, delivery(late))
        gate.set()
        await running
    assert isinstance(await found(results, runs), Vectors)
    assert results.puts == 1
