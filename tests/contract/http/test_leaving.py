"""Connections that end before their generation: edges stop, clients leave or do not read, sessions end."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
from structlog.testing import capture_logs

from contracts.generation import Restarted
from contracts.ids import new_id
from contracts.records import Session
from tests.contract.http.following import WORDS, followers, path, raw
from tests.contract.http.problems import STREAM, asks, problem
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually


async def test_an_edge_that_stops_sends_its_streams_elsewhere(person: Person, running: ByHand) -> None:
    async with Line(running.world.url) as line, asyncio.timeout(5):
        await line.asks("GET", path(running), person.headers)
        await line.begins()
        await line.chunk()
        running.world.edge.streams.end_all()
        assert await line.rest() == b"retry: 500\n\n"
    assert len(running.world.edge.streams) == 0
    assert followers(running) == 0


async def test_a_stream_that_opens_while_the_edge_stops_says_what_to_resume(person: Person, running: ByHand) -> None:
    running.world.edge.streams.end_all()
    async with Line(running.world.url) as line, asyncio.timeout(5):
        await line.asks("GET", path(running), person.headers)
        await line.begins()
        body = await line.rest()
    assert body.startswith(b"id: ")
    assert b"event: accepted\n" in body
    assert body.endswith(b"\n\nretry: 500\n\n")


async def test_an_edge_that_stops_takes_no_questions(world: World, person: Person) -> None:
    world.edge.streams.end_all()
    for where in (STREAM, f"/api/chats/{new_id()}/messages"):
        answer = await person.http.post(where, json=asks(), headers={"Idempotency-Key": "k"})
        problem(answer, 503, "stopping")
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "1000")
    assert await world.nothing_is_left(person.account.id)


async def test_a_question_that_is_being_accepted_when_the_edge_stops_is_accepted(world: World, person: Person) -> None:
    publishing, gate = asyncio.Event(), asyncio.Event()
    world.bus.before = lambda: _waits(publishing, gate)
    asking = asyncio.create_task(person.http.post(STREAM, json=asks()))
    await publishing.wait()
    world.edge.streams.end_all()
    gate.set()
    answer = await asking
    assert answer.status_code == 200
    assert b"event: accepted\n" in answer.content
    assert answer.content.endswith(b"\n\nretry: 500\n\n")


async def _waits(publishing: asyncio.Event, gate: asyncio.Event) -> None:
    publishing.set()
    await gate.wait()


async def test_the_end_of_a_stream_is_not_followed_by_retry(person: Person, ended: ByHand) -> None:
    ended.world.edge.streams.end_all()
    body = await raw(person, ended)
    assert b"retry:" not in body
    assert body.rpartition(b"event: ")[2].startswith(b"completed\n")


async def test_a_hundred_streams_end_promptly_with_their_edge(world: World, person: Person, running: ByHand) -> None:
    async with asyncio.TaskGroup() as group, httpx.AsyncClient(base_url=world.url, headers=person.headers) as http:
        many = [group.create_task(http.get(path(running), timeout=30)) for _ in range(100)]
        await eventually(lambda: followers(running) == 100)
        world.edge.streams.end_all()
        async with asyncio.timeout(5):
            bodies = [(await one).content for one in many]
    assert all(one.endswith(b"retry: 500\n\n") for one in bodies)
    assert len(world.edge.streams) == 0


async def test_a_client_that_does_not_read_holds_nobody_else_up(person: Person, running: ByHand) -> None:
    big = "Q" * 30_000
    async with Line(running.world.url, window=4096) as line:
        await line.asks("GET", path(running), person.headers)
        await eventually(lambda: followers(running) == 1)
        other = asyncio.create_task(person.follow(running.question.generation_id))
        await eventually(lambda: followers(running) == 2)
        for _ in range(30):
            await running.says(big)
        await running.ends()
        assert len((await other).text) == len(WORDS[0]) + 30 * len(big)
        await line.begins()
        assert (await line.rest()).count(b"Q") == 30 * len(big)


async def test_a_client_that_never_reads_is_let_go(person: Person, running: ByHand) -> None:
    running.world.edge.streams.unread_for = running.world.edge.streams.alive_every = 0.1
    with capture_logs() as logs:
        await never_reads(person, running)
    told = [one["event"] for one in logs]
    assert "slow_client_cut" in told
    assert "request_crashed" not in told


async def never_reads(person: Person, running: ByHand) -> None:
    async with Line(running.world.url, window=4096) as line:
        await line.asks("GET", path(running), person.headers)
        await eventually(lambda: followers(running) == 1)
        for _ in range(10):  # more than the system keeps for one connection
            await running.appends(Restarted(attempt=1, reason="backend_lost"))
            await running.says("Q" * 900_000)
        await eventually(lambda: len(running.world.edge.streams) == 0)
        await eventually(lambda: followers(running) == 0)


async def test_hanging_up_at_any_byte_leaves_nothing_behind(person: Person, running: ByHand) -> None:
    world = running.world
    async with Line(world.url) as line:
        await line.asks("GET", path(running), person.headers)
        await line.begins()
        whole = line.head + len(await line.chunk())
    await eventually(lambda: followers(running) == 0)
    before = tasks()
    for size in [*range(0, 60), *range(60, whole, 37)]:
        async with Line(world.url) as line:
            await line.asks("GET", path(running), person.headers)
            await line.reader.readexactly(size)
    await eventually(lambda: len(world.edge.streams) == 0)
    await eventually(lambda: followers(running) == 0)
    await eventually(lambda: tasks() <= before)


async def test_hanging_up_in_the_middle_of_the_question_leaves_nothing_behind(world: World, person: Person) -> None:
    body = b'{"model":"small","content":"Why?"}'
    head = (
        f"POST /api/chats/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    before = tasks()
    for size in range(len(head) - 4, len(head) + len(body)):
        async with Line(world.url) as line:
            await line.sends((head + body)[:size])
    await eventually(lambda: len(world.edge.streams) == 0)
    await eventually(lambda: tasks() <= before)
    assert await world.nothing_is_left(person.account.id)


async def test_hanging_up_right_after_the_question_leaves_an_accepted_one_or_none(world: World, person: Person) -> None:
    for _ in range(30):
        async with Line(world.url) as line:
            await line.asks("POST", "/api/chats/stream", person.headers, {"model": "small", "content": "Why?"})
    await eventually(lambda: len(world.edge.streams) == 0)

    async def all_are_accepted() -> bool:
        asked = await world.streams.open(person.account.id)
        logs = await world.streams.read([one.generation_id for one in asked])
        return all(one is not None and one.state == "accepted" for one in logs)

    await eventually(all_are_accepted)


def tasks() -> int:
    """Tasks that are no business of the server's own."""
    return len(
        [one for one in asyncio.all_tasks() if "sse" in repr(one) or "_frames" in repr(one) or "run_asgi" in repr(one)]
    )


async def test_hanging_up_is_not_a_cancel(person: Person, running: ByHand, recording: None) -> None:
    async with Line(running.world.url) as line:
        await line.asks("GET", path(running), person.headers)
        await line.begins()
    await eventually(lambda: followers(running) == 0)
    await running.says(*WORDS[1:])
    await running.ends()
    answer = await person.follow(running.question.generation_id)
    assert answer.end().name == "completed"
    assert answer.text == "".join(WORDS)


async def test_a_session_that_ends_loses_its_streams_and_no_others(
    world: World, person: Person, running: ByHand
) -> None:
    elsewhere = asyncio.create_task(person.follow(running.question.generation_id))
    await eventually(lambda: followers(running) == 1)
    now = datetime.now(UTC)
    second = Session(
        id=new_id(), account_id=person.account.id, tokens=(), created_at=now, expires_at=now + timedelta(1)
    )
    await world.ports.sessions.add(second)
    token = world.keys.issue(person.account, second.id)
    async with Line(world.url) as line, asyncio.timeout(5):
        await line.asks("GET", path(running), {"Authorization": f"Bearer {token}"})
        await line.begins()
        await line.chunk()
        await world.ports.sessions.end(second.id, person.account.id, now)
        assert await line.rest() == b"retry: 500\n\n"
    assert not elsewhere.done()
    await running.ends()
    assert (await elsewhere).end().name == "completed"
