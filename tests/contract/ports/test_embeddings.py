"""`EmbeddingResults` on every adapter: what is put is fetched once, whenever and by whichever process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from contracts.embeddings import EmbeddingResult, NotEmbedded, Vectors, packed
from contracts.ids import new_id
from contracts.ports.embeddings import EmbeddingResults
from infra.memory.embeddings import MemoryEmbeddingResults
from infra.redis.embeddings import RedisEmbeddingResults
from tests.eventually import eventually

FOUND = Vectors(packed([0.5, -0.25, 1.0]) + packed([1e-30, 0.0, -3.0]), 3, input_tokens=7, load_ms=12)
OTHER = Vectors(packed([9.0]), 1)
REFUSED = NotEmbedded("model_cannot_embed", "This model cannot embed: «λ» \n", retryable=False)


def soon(seconds: float = 30.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def redis_url_of_embeddings(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("new_redis_url")()


@pytest.fixture(params=["memory", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[EmbeddingResults, EmbeddingResults], None]:
    """The edge's and the worker's; of memory there is but one."""
    if request.param == "memory":
        async with MemoryEmbeddingResults() as only:
            yield only, only
        return
    opening: Callable[[], RedisEmbeddingResults] = lambda: RedisEmbeddingResults(  # noqa: E731
        request.getfixturevalue("redis_url_of_embeddings")
    )
    async with opening() as edge, opening() as worker:
        yield edge, worker


@pytest.fixture
def edge(processes: tuple[EmbeddingResults, EmbeddingResults]) -> EmbeddingResults:
    return processes[0]


@pytest.fixture
def worker(processes: tuple[EmbeddingResults, EmbeddingResults]) -> EmbeddingResults:
    return processes[1]


@pytest.mark.parametrize("result", [FOUND, REFUSED], ids=["vectors", "failure"])
async def test_what_was_put_before_is_there(
    edge: EmbeddingResults, worker: EmbeddingResults, result: EmbeddingResult
) -> None:
    name = new_id()
    await worker.put(name, result, soon())
    assert await edge.wait(name, soon()) == result


@pytest.mark.parametrize("result", [FOUND, REFUSED], ids=["vectors", "failure"])
async def test_who_waits_is_woken(edge: EmbeddingResults, worker: EmbeddingResults, result: EmbeddingResult) -> None:
    name = new_id()
    waiting = asyncio.create_task(edge.wait(name, soon()))
    await asyncio.sleep(0.05)  # so that it has looked in vain
    began = asyncio.get_running_loop().time()
    await worker.put(name, result, soon())
    assert await waiting == result
    assert asyncio.get_running_loop().time() - began < 1


async def test_the_first_result_stands(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    name = new_id()
    for one in (FOUND, OTHER, REFUSED):
        await worker.put(name, one, soon())
    assert await edge.wait(name, soon()) == FOUND


async def test_what_was_fetched_is_wanted_no_more(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    name = new_id()
    assert await worker.wanted(name)
    await worker.put(name, FOUND, soon())
    assert not await worker.wanted(name)
    await edge.wait(name, soon())
    await worker.put(name, OTHER, soon())
    assert not await worker.wanted(name)
    assert await edge.wait(name, soon(0.1)) is None


async def test_who_gives_up_wants_nothing_any_more(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    name = new_id()
    waiting = asyncio.create_task(edge.wait(name, soon()))
    await asyncio.sleep(0.02)
    assert await worker.wanted(name)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async def known() -> bool:
        return not await worker.wanted(name)

    await eventually(known, seconds=2)
    await worker.put(name, FOUND, soon())
    assert await edge.wait(name, soon(0.1)) is None


async def test_nothing_comes_after_its_moment(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    name = new_id()
    assert await edge.wait(name, soon(0.05)) is None
    assert await edge.wait(name, soon(-1)) is None
    late, short = new_id(), new_id()
    await worker.put(late, FOUND, soon(-1))
    assert await worker.wanted(late)
    await worker.put(short, FOUND, soon(0.05))
    assert not await worker.wanted(short)

    async def expired() -> bool:
        return await worker.wanted(short)

    await eventually(expired, seconds=2)
    assert await edge.wait(short, soon(0.05)) is None


async def test_a_hundred_wait_each_for_their_own(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    names = [new_id() for _ in range(100)]
    waiting = [asyncio.create_task(edge.wait(one, soon())) for one in names]
    await asyncio.sleep(0)
    await asyncio.gather(
        *(worker.put(one, Vectors(packed([float(n)]), 1), soon()) for n, one in enumerate(reversed(names)))
    )
    found = await asyncio.gather(*waiting)
    assert found == [Vectors(packed([float(n)]), 1) for n in reversed(range(100))]


async def test_megabytes_arrive_whole(edge: EmbeddingResults, worker: EmbeddingResults) -> None:
    large = Vectors(bytes(range(256)) * 16 * 1024, 1024)
    name = new_id()
    waiting = asyncio.create_task(edge.wait(name, soon()))
    await worker.put(name, large, soon())
    found = await waiting
    assert found == large
    assert isinstance(found, Vectors)
    assert (len(found), {len(one) for one in found}) == (1024, {4096})


async def test_it_answers(edge: EmbeddingResults) -> None:
    await edge.check()
