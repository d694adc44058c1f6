"""`CommandLogs` on every adapter: whoever tells, everybody who follows sees one stream without a gap, to its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import orjson
import pytest
import redis.asyncio

from contracts.errors import LogMissing
from contracts.generation import decode, name_of
from contracts.ids import new_id
from contracts.ports.administration import CommandLogs
from contracts.ports.streams import Batch, LogEvent
from contracts.progress import (
    CommandAccepted,
    CommandCancelled,
    CommandCompleted,
    CommandEvent,
    CommandFailed,
    CommandProgress,
    encode_command_event,
)
from infra.memory.commands import MemoryCommandLogs
from infra.redis.commands import RedisCommandLogs
from infra.redis.streams import RedisGenerationStreams
from tests.eventually import eventually

ENDS: dict[str, CommandEvent] = {
    "completed": CommandCompleted(results={"one": {"digest": "sha256:0"}}),
    "failed": CommandFailed(code="disk_full", message="«λ»\u2028"),
    "cancelled": CommandCancelled(),
}
LOOK, STALLED, MOST = 0.2, 0.5, 50


@pytest.fixture(scope="module")
def redis_url_of_commands(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("new_redis_url")()


@pytest.fixture(params=["memory", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[CommandLogs, CommandLogs], None]:
    """The edge's and the worker's; of memory there is but one. They look often, and their logs are short."""
    if request.param == "memory":
        async with MemoryCommandLogs(look=LOOK, stalled=STALLED, most=MOST) as only:
            yield only, only
        return
    url = request.getfixturevalue("redis_url_of_commands")
    async with (
        RedisCommandLogs(url, look=LOOK, stalled=STALLED, most=MOST) as edge,
        RedisCommandLogs(url, look=LOOK, stalled=STALLED, most=MOST) as worker,
    ):
        yield edge, worker


@pytest.fixture
def edge(processes: tuple[CommandLogs, CommandLogs]) -> CommandLogs:
    return processes[0]


@pytest.fixture
def worker(processes: tuple[CommandLogs, CommandLogs]) -> CommandLogs:
    return processes[1]


def accepted(command_id: str) -> bytes:
    return encode_command_event(CommandAccepted(command_id=command_id, kind="PullModel", model="smol"))


def progress(completed: int, backend: str = "one") -> bytes:
    return encode_command_event(CommandProgress(backend=backend, status="pulling", completed=completed))


def end(name: str = "completed") -> bytes:
    return encode_command_event(ENDS[name])


async def tell(logs: CommandLogs, command_id: str, *events: bytes) -> None:
    await logs.tell(command_id, accepted(command_id), events)


async def followed(logs: CommandLogs, command_id: str, after: str | None = None) -> list[LogEvent]:
    """Everything, to the end."""
    async with aclosing(logs.follow(command_id, after)) as batches:
        return [event async for batch in batches for event in batch.events]


@asynccontextmanager
async def following(
    logs: CommandLogs, command_id: str, after: str | None = None
) -> AsyncGenerator[AsyncIterator[Batch], None]:
    async with aclosing(logs.follow(command_id, after)) as batches:
        yield batches


async def some(batches: AsyncIterator[Batch]) -> tuple[LogEvent, ...]:
    """The next batch that is not empty."""
    while not (batch := await anext(batches)).events:
        pass
    return batch.events


def encoded(events: list[LogEvent] | tuple[LogEvent, ...]) -> list[bytes]:
    return [one.encoded for one in events]


def seqs(events: list[LogEvent]) -> list[int]:
    assert len({str(one.id).split("-")[0] for one in events}) == 1, "one epoch"
    return [int(str(one.id).split("-")[1]) for one in events]


# Telling


async def test_a_log_begins_with_accepted_and_is_given_as_it_was_told(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it)
    await tell(worker, it, progress(1), progress(2))
    await tell(worker, it, end())
    events = await followed(edge, it)
    assert encoded(events) == [accepted(it), progress(1), progress(2), end()]
    assert seqs(events) == [0, 1, 2, 3]


async def test_what_is_told_first_may_be_more_than_accepted(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it, progress(1), end("failed"))
    assert encoded(await followed(edge, it)) == [accepted(it), progress(1), end("failed")]


@pytest.mark.parametrize("name", sorted(ENDS))
async def test_nothing_comes_after_an_end(edge: CommandLogs, worker: CommandLogs, name: str) -> None:
    it = new_id()
    await tell(worker, it, progress(1), end(name), progress(2))
    for late in (progress(3), end("completed"), end("failed")):
        await tell(edge, it, late)
    assert encoded(await followed(edge, it)) == [accepted(it), progress(1), end(name)]


async def test_logs_know_nothing_of_each_other(edge: CommandLogs, worker: CommandLogs) -> None:
    one, other = new_id(), new_id()
    await tell(worker, one, progress(1), end())
    await tell(worker, other, progress(2), end("cancelled"))
    assert encoded(await followed(edge, one)) == [accepted(one), progress(1), end()]
    assert encoded(await followed(edge, other)) == [accepted(other), progress(2), end("cancelled")]


async def test_a_log_that_is_full_takes_only_its_end(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    for number in range(0, MOST * 2, 3):
        await tell(worker, it, *(progress(number + more) for more in range(3)))
    await tell(worker, it, progress(-1), end())
    events = await followed(edge, it)
    assert encoded(events) == [accepted(it), *map(progress, range(MOST - 1)), end()]
    assert seqs(events) == list(range(MOST + 1))


async def test_many_who_tell_at_once_make_one_log_without_a_gap(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    reading = [asyncio.create_task(_patiently(edge, it)) for _ in range(5)]

    async def teller(logs: CommandLogs, name: str) -> None:
        for number in range(5):
            await tell(logs, it, progress(number, name))

    await asyncio.gather(*(teller(logs, f"{place}-{number}") for number in range(4) for place, logs in
                           (("edge", edge), ("worker", worker))))  # fmt: skip
    await tell(worker, it, end())
    everything = await asyncio.gather(*reading)
    events = everything[0]
    assert all(one == events for one in everything)
    assert seqs(events) == list(range(1 + 40 + 1))
    told = [orjson.loads(one.encoded)["data"] for one in events[1:-1]]
    for name in {one["backend"] for one in told}:
        assert [one["completed"] for one in told if one["backend"] == name] == list(range(5)), "in its order"


async def _patiently(logs: CommandLogs, command_id: str) -> list[LogEvent]:
    """Followed from before there is a log."""
    while True:
        try:
            return await followed(logs, command_id)
        except LogMissing:
            await asyncio.sleep(0)


# Following


async def test_a_follower_sees_each_event_as_it_comes(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it)
    async with following(edge, it) as batches:
        assert encoded(await some(batches)) == [accepted(it)]
        for number in range(3):
            await tell(worker, it, progress(number))
            assert encoded(await some(batches)) == [progress(number)]
        await tell(worker, it, end("cancelled"))
        assert encoded(await some(batches)) == [end("cancelled")]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)


async def test_a_late_follower_sees_everything(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it, progress(1), progress(2))
    async with following(edge, it) as late:
        first = await some(late)
        assert encoded(first) == [accepted(it), progress(1), progress(2)]
        await tell(worker, it, progress(3), end())
        rest = [event async for batch in late for event in batch.events]
    assert encoded(rest) == [progress(3), end()]
    assert seqs([*first, *rest]) == [0, 1, 2, 3, 4]


async def test_resuming_from_every_event_gives_exactly_the_rest(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it, progress(1), progress(2), end())
    whole = await followed(edge, it)
    for place, event in enumerate(whole[:-1]):
        assert await followed(edge, it, event.id) == whole[place + 1 :]
    assert await followed(edge, it, whole[-1].id) == whole[-1:], "the end is given again"


async def test_resuming_live_at_the_last_event_gives_what_comes_next(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it, progress(1))
    async with following(edge, it) as batches:
        last = (await some(batches))[-1].id
    async with following(edge, it, last) as resumed:
        assert await anext(resumed) == Batch()
        await tell(worker, it, progress(2))
        assert encoded(await some(resumed)) == [progress(2)]


@pytest.mark.parametrize("unknown", ["1-0", "9007199254740991-3", "", "-", "$", "nonsense", "٣-1", "1" * 5000, "\n"])
async def test_an_id_that_the_log_does_not_hold_gives_everything(
    edge: CommandLogs, worker: CommandLogs, unknown: str
) -> None:
    it = new_id()
    await tell(worker, it, progress(1), end())
    assert await followed(edge, it, unknown) == await followed(edge, it)


async def test_without_a_log_there_is_nothing_to_follow(edge: CommandLogs) -> None:
    with pytest.raises(LogMissing):
        await followed(edge, new_id())


async def test_a_quiet_log_gives_batches_and_is_stalled_until_something_is_told(
    edge: CommandLogs, worker: CommandLogs
) -> None:
    it = new_id()
    await tell(worker, it, progress(1))
    async with following(edge, it) as quiet:
        assert (await anext(quiet)).stalled is False
        assert (await anext(quiet)).events == ()

        async def stalled() -> bool:
            return (await anext(quiet)).stalled

        assert await eventually(stalled, seconds=5)
        await tell(worker, it, progress(2))
        batch = await anext(quiet)
        assert (encoded(batch.events), batch.stalled) == ([progress(2)], False)
    await tell(worker, it, end())
    async with following(edge, it) as late:
        assert (await anext(late)).stalled is False


async def test_a_slow_follower_misses_nothing(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it)
    async with following(edge, it) as slow:
        events = list((await anext(slow)).events)
        for number in range(MOST - 1):
            await tell(worker, it, progress(number, "x" * 10_000))
        await tell(worker, it, end())
        events += [event async for batch in slow for event in batch.events]
    assert seqs(events) == list(range(MOST + 1))


async def test_followers_that_come_and_go_do_not_disturb_each_other(edge: CommandLogs, worker: CommandLogs) -> None:
    it = new_id()
    await tell(worker, it)
    steady = asyncio.create_task(followed(edge, it))
    for number in range(20):
        async with following(edge, it) as passing:
            await anext(passing)
        await tell(worker, it, progress(number))
    await tell(worker, it, end())
    assert encoded(await steady) == [accepted(it), *map(progress, range(20)), end()]


# Loss


async def lose(logs: CommandLogs, url: str, command_id: str) -> None:
    if isinstance(logs, MemoryCommandLogs):
        logs.logs.pop(command_id).wake()
        return
    async with redis.asyncio.Redis.from_url(url) as client:
        assert await client.delete(f"{{g:{command_id}}}", f"{{g:{command_id}}}:s") == 2


async def test_a_lost_log_begins_again_and_who_followed_it_sees_it_whole(
    edge: CommandLogs, worker: CommandLogs, request: pytest.FixtureRequest
) -> None:
    it = new_id()
    await tell(worker, it, progress(1), progress(2), progress(3))
    async with following(edge, it) as batches:
        first = list(await some(batches))
        await lose(worker, _url(worker, request), it)
        await tell(worker, it, progress(4))
        await tell(worker, it, end())
        rest = [event async for batch in batches for event in batch.events]
    assert encoded(rest) == [accepted(it), progress(4), end()]
    assert seqs(rest) == [0, 1, 2]
    assert str(rest[0].id).split("-")[0] > str(first[0].id).split("-")[0], "under an epoch of its own"


async def test_a_log_that_is_lost_while_it_is_followed_is_missing(
    edge: CommandLogs, worker: CommandLogs, request: pytest.FixtureRequest
) -> None:
    it = new_id()
    await tell(worker, it)
    async with following(edge, it) as batches:
        await anext(batches)
        await lose(worker, _url(worker, request), it)
        rest = asyncio.create_task(_rest(batches))
        with pytest.raises(LogMissing):
            await asyncio.wait_for(rest, 5)


async def _rest(batches: AsyncIterator[Batch]) -> list[Batch]:
    return [batch async for batch in batches]


def _url(logs: CommandLogs, request: pytest.FixtureRequest) -> str:
    return "" if isinstance(logs, MemoryCommandLogs) else request.getfixturevalue("redis_url_of_commands")


# What only one of them promises


async def test_memory_keeps_only_so_many_logs_and_forgets_those_told_to_the_longest_ago() -> None:
    async with MemoryCommandLogs(most_logs=3) as logs:
        first, second, third, fourth = (new_id() for _ in range(4))
        for one in (first, second, third, first, fourth):
            await tell(logs, one, progress(1))
        for kept in (first, third, fourth):
            await tell(logs, kept, end())
            assert name_of((await followed(logs, kept))[-1].encoded) == "completed"
        with pytest.raises(LogMissing):
            await followed(logs, second)


async def test_memory_forgets_a_log_after_its_time() -> None:
    async with MemoryCommandLogs(keep=0.05) as logs:
        it = new_id()
        await tell(logs, it, end())

        async def missing() -> bool:
            try:
                await followed(logs, it)
            except LogMissing:
                return True
            return False

        assert await eventually(missing)
        assert logs.logs == {}


async def test_redis_keeps_a_log_for_a_day_after_its_last_event(redis_url_of_commands: str) -> None:
    it = new_id()
    async with (
        RedisCommandLogs(redis_url_of_commands) as logs,
        redis.asyncio.Redis.from_url(redis_url_of_commands) as client,
    ):
        for events in ([], [progress(1)], [end()]):
            await tell(logs, it, *events)
            for key in (f"{{g:{it}}}", f"{{g:{it}}}:s"):
                assert 86_390 < await client.ttl(key) <= 86_400


async def test_a_command_is_nobodys_generation(redis_url_of_commands: str) -> None:
    it = new_id()
    async with (
        RedisCommandLogs(redis_url_of_commands) as logs,
        RedisGenerationStreams(redis_url_of_commands) as streams,
    ):
        await tell(logs, it, progress(1))
        assert await streams.head(it) is None
        assert list(await streams.read([it])) == [None]


def test_events_of_a_command_are_none_of_a_generation() -> None:
    with pytest.raises((ValueError, KeyError)):
        decode(progress(1))
