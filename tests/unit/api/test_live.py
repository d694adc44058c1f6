"""Sessions that live, and the streams that end with them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime

import pytest

from api.projections.native import RETRY, event_stream
from api.security import live
from api.security.live import LiveSessions, OpenStreams
from contracts.errors import Unavailable
from contracts.generation import Cancelled, Token, Usage, encode, frame
from contracts.ports.stores import Sessions
from contracts.ports.streams import LogEvent
from contracts.records import Session
from tests.eventually import eventually

TOKEN = LogEvent("1-0", encode(Token(text="a")))
END = LogEvent("1-1", encode(Cancelled(usage=Usage())))


class Store(Sessions):
    """Knows which live; counts how often it is asked."""

    def __init__(self, *alive: str) -> None:
        self.alive = set(alive)
        self.asked = 0
        self.fails: list[Exception] = []

    async def living(self, session_ids: Sequence[str]) -> set[str]:
        self.asked += 1
        if self.fails:
            raise self.fails.pop(0)
        return self.alive & set(session_ids)

    async def add(self, session: Session) -> None: ...
    async def get(self, session_id: str) -> Session | None: ...
    async def rotate(self, token_hash: str, successor_hash: str, now: datetime, grace: float) -> Session | None: ...
    async def end(self, session_id: str, account_id: str, now: datetime) -> None: ...
    async def end_by_token(self, token_hash: str, now: datetime) -> str | None: ...


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    at = [100.0]

    class Clock:
        monotonic = staticmethod(lambda: at[0])

    monkeypatch.setattr(live, "time", Clock)

    def pass_by(seconds: float) -> None:
        at[0] += seconds

    return pass_by


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BELIEVED", 0.01)


# Sessions


async def test_a_living_session_is_believed_for_a_second(later: Callable[[float], None]) -> None:
    store = Store("a")
    sessions = LiveSessions(store)
    for _ in range(3):
        assert await sessions.living("a")
    assert store.asked == 1
    later(0.99)
    assert await sessions.living("a")
    assert store.asked == 1
    later(0.02)
    store.alive.clear()
    assert not await sessions.living("a")


async def test_an_ended_session_is_asked_for_each_time(later: Callable[[float], None]) -> None:
    store = Store()
    sessions = LiveSessions(store)
    for _ in range(3):
        assert not await sessions.living("a")
    assert store.asked == 3


async def test_a_session_found_ended_is_not_believed_any_more() -> None:
    store = Store("a", "b")
    sessions = LiveSessions(store)
    assert await sessions.living("a")
    store.alive.discard("a")
    assert await sessions.ended({"a", "b"}) == {"a"}
    assert not await sessions.living("a")


async def test_a_store_that_does_not_answer_is_no_yes(later: Callable[[float], None]) -> None:
    store = Store("a")
    store.fails = [Unavailable("down")]
    with pytest.raises(Unavailable):
        await LiveSessions(store).living("a")


async def test_what_is_remembered_is_bounded(later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEPT", 10)
    names = [str(number) for number in range(100)]
    sessions = LiveSessions(Store(*names))
    for name in names:
        await sessions.living(name)
        later(0.2)
    assert len(sessions._seen) <= 11


# Streams


class Source:
    """A log that gives what it is fed. `closed`: it was left."""

    def __init__(self, *batches: tuple[LogEvent, ...]) -> None:
        self.fed: asyncio.Queue[tuple[LogEvent, ...]] = asyncio.Queue()
        for one in batches:
            self.fed.put_nowait(one)
        self.closed = False

    async def batches(self) -> AsyncGenerator[tuple[LogEvent, ...], None]:
        try:
            while True:
                yield await self.fed.get()
        finally:
            self.closed = True


class Client:
    """The ASGI side of one client. `gate`: whether it reads."""

    def __init__(self) -> None:
        self.body = b""
        self.done = self.waiting = False
        self.gone = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, object]) -> None:
        self.waiting = not self.gate.is_set()
        await self.gate.wait()
        if message["type"] == "http.response.body":
            self.body += message["body"]
            self.done = not message["more_body"]

    def watch(self, source: Source, streams: OpenStreams, session: str = "a") -> asyncio.Task[None]:
        response = event_stream(source.batches(), streams, session)
        return asyncio.create_task(response({"type": "http", "method": "GET"}, self.receive, self.send))


@pytest.fixture
async def streams() -> AsyncGenerator[OpenStreams, None]:
    async with OpenStreams(LiveSessions(Store("a", "b"))) as opened:
        yield opened
    assert len(opened) == 0


TOLD = frame(TOKEN.id, TOKEN.encoded)


async def test_a_stream_is_counted_while_it_is_open(streams: OpenStreams) -> None:
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body == TOLD)
    assert len(streams) == 1
    source.fed.put_nowait((END,))
    await watching
    assert (len(streams), source.closed, client.done) == (0, True, True)


async def test_a_client_that_hangs_up_closes_its_source(streams: OpenStreams) -> None:
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body)
    client.gone.set()
    await watching
    assert (len(streams), source.closed, client.body) == (0, True, TOLD)


async def test_a_client_that_hangs_up_while_it_does_not_read_closes_its_source(streams: OpenStreams) -> None:
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body)
    client.gate.clear()
    source.fed.put_nowait((TOKEN,))
    await eventually(lambda: source.fed.empty())
    client.gone.set()
    await watching
    assert (len(streams), source.closed) == (0, True)


async def test_a_source_that_breaks_ends_the_stream_without_a_clean_end(streams: OpenStreams) -> None:
    async def breaks() -> AsyncGenerator[tuple[LogEvent, ...], None]:
        yield (TOKEN,)
        raise RuntimeError("broken")

    client = Client()
    response = event_stream(breaks(), streams, "a")
    with pytest.raises(RuntimeError):
        await response({"type": "http", "method": "GET"}, client.receive, client.send)
    assert (len(streams), client.body, client.done) == (0, TOLD, False)


async def test_an_edge_that_stops_says_when_to_come_back(streams: OpenStreams) -> None:
    clients = [Client() for _ in range(20)]
    watching = [one.watch(Source((TOKEN,)), streams) for one in clients]
    await eventually(lambda: all(one.body for one in clients))
    streams.end_all()
    streams.end_all()  # as leaving the context does
    await asyncio.gather(*watching)
    assert {one.body for one in clients} == {TOLD + RETRY}
    assert all(one.done for one in clients)


async def test_its_last_words_are_not_interrupted(streams: OpenStreams) -> None:
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body)
    client.gate.clear()
    streams.end_all()
    await eventually(lambda: source.closed or watching.done() or client.waiting)
    streams.end_all()  # as leaving the context does
    client.gate.set()
    await watching
    assert (client.body, client.done) == (TOLD + RETRY, True)


async def test_a_stream_that_stops_while_its_client_does_not_read_ends_all_the_same(streams: OpenStreams) -> None:
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body)
    client.gate.clear()
    source.fed.put_nowait((TOKEN,))
    await eventually(lambda: source.fed.empty())
    streams.end_all()
    await asyncio.gather(watching, return_exceptions=True)
    assert (len(streams), source.closed, client.done) == (0, True, False)


async def test_a_lost_interruption_ends_the_stream_with_what_it_waited_for(streams: OpenStreams) -> None:
    """As asyncio.wait_for loses one when it comes together with its result."""
    lost = asyncio.Event()

    async def loses() -> AsyncGenerator[tuple[LogEvent, ...], None]:
        yield (TOKEN,)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.set()
        yield (TOKEN,)
        await asyncio.Event().wait()

    client = Client()
    response = event_stream(loses(), streams, "a")
    watching = asyncio.create_task(response({"type": "http", "method": "GET"}, client.receive, client.send))
    await eventually(lambda: client.body)
    streams.end_all()
    await watching
    assert lost.is_set()
    assert client.body == TOLD * 2 + RETRY


async def test_a_stream_ended_together_with_its_last_event_says_nothing_after_it(streams: OpenStreams) -> None:
    source, client = Source((TOKEN, END)), Client()
    client.gate.clear()
    watching = client.watch(source, streams)
    await eventually(lambda: len(streams) == 0 or source.fed.empty())
    streams.end_all()
    client.gate.set()
    await asyncio.gather(watching, return_exceptions=True)
    assert RETRY not in client.body


async def test_a_stream_that_opens_while_the_edge_stops_gets_its_beginning(streams: OpenStreams) -> None:
    streams.end_all()
    client = Client()
    await client.watch(Source((TOKEN,)), streams)
    assert client.body == TOLD + RETRY
    assert client.done


async def test_the_streams_of_an_ended_session_end_and_no_others(quick: None) -> None:
    store = Store("a", "b")
    async with OpenStreams(LiveSessions(store)) as streams:
        mine, other = Client(), Client()
        ending, staying = mine.watch(Source((TOKEN,)), streams, "a"), other.watch(Source((TOKEN,)), streams, "b")
        await eventually(lambda: mine.body and other.body)
        store.alive.discard("a")
        await ending
        assert mine.body == TOLD + RETRY
        assert not staying.done()
    await asyncio.gather(staying, return_exceptions=True)


@pytest.mark.parametrize("error", [Unavailable("down"), RuntimeError("nobody foresaw it")])
async def test_a_store_that_fails_does_not_end_the_watch(quick: None, error: Exception) -> None:
    store = Store("a")
    async with OpenStreams(LiveSessions(store)) as streams:
        client = Client()
        watching = client.watch(Source((TOKEN,)), streams)
        await eventually(lambda: client.body)
        store.fails = [error] * 3
        await eventually(lambda: not store.fails)
        assert not watching.done()
        store.alive.clear()
        await watching
    assert client.body == TOLD + RETRY


async def test_a_silent_stream_says_that_it_lives(streams: OpenStreams) -> None:
    streams.alive_every = 0.01
    source, client = Source((TOKEN,)), Client()
    watching = client.watch(source, streams)
    await eventually(lambda: client.body.endswith(b": alive\n\n: alive\n\n"))
    source.fed.put_nowait((END,))
    await watching
    assert client.body.replace(b": alive\n\n", b"") == TOLD + frame(END.id, END.encoded)


async def test_a_client_that_never_reads_is_let_go_without_an_error(streams: OpenStreams) -> None:
    streams.unread_for = 0.01
    source, client = Source((TOKEN,), (TOKEN,)), Client()
    reads = client.send

    async def stops_reading(message: dict[str, object]) -> None:
        await reads(message)
        client.gate.clear()

    client.send = stops_reading
    await client.watch(source, streams)
    assert (len(streams), source.closed, client.done) == (0, True, False)
