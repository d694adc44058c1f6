"""The generation stream as clients get it, byte by byte."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from contracts.events import ReplyCancelled
from contracts.generation import Restarted, Thinking, ToolCall, frame
from contracts.ids import new_id
from contracts.records import Session
from infra.sqlite.history import SqliteHistory
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.e2e.client import Answer, Event, events
from tests.eventually import eventually

WORDS = ("Because ", "air ", "scatters ", "blue.")


@pytest.fixture
async def running(world: World, person: Person) -> ByHand:
    """A generation that has said its first word."""
    hand = await world.by_hand((await person.begins())["generation_id"])
    await hand.says(WORDS[0])
    return hand


@pytest.fixture
async def ended(recording: None, running: ByHand, person: Person) -> ByHand:
    """A recorded one whose log still stands."""
    await running.says(*WORDS[1:])
    await running.ends()
    await is_recorded(running)
    return running


async def is_recorded(hand: ByHand) -> None:
    owner, identity = hand.question.owner, hand.question.generation_id
    await eventually(lambda: hand.world.ports.chats.reply(owner, identity))
    await eventually(lambda: not hand.world.streams.logs.open.get(owner))


def path(hand: ByHand) -> str:
    return f"/api/generations/{hand.question.generation_id}/stream"


async def raw(person: Person, hand: ByHand, after: str | None = None) -> bytes:
    headers = {"Last-Event-ID": after} if after else {}
    return (await person.http.get(path(hand), headers=headers)).content


def followers(hand: ByHand) -> int:
    log = hand.world.streams.logs.get(hand.question.generation_id)
    return len(log.followers) if log else 0


async def watching(person: Person, hand: ByHand, answer: Answer, after: str | None = None) -> None:
    """Follow into `answer`, event by event."""
    headers = {"Last-Event-ID": after} if after else {}
    async with person.http.stream("GET", path(hand), headers=headers) as response:
        async for event in events(response):
            answer.events.append(event)


async def test_frames_are_these_bytes(person: Person, ended: ByHand) -> None:
    asked, epoch = ended.question, ended.epoch
    first = ended.world.streams.logs.by_id[asked.generation_id].events[0].id
    expected = (
        f'id: {first}\nevent: accepted\ndata: {{"generation_id":"{asked.generation_id}","chat_id":"{asked.chat_id}",'
        f'"message_id":"{asked.message_id}","reply_id":"{asked.reply_id}","model":"small"}}\n\n'
        f'id: {epoch}-1\nevent: started\ndata: {{"attempt":1,"model":"small","backend":"one"}}\n\n'
        f'id: {epoch}-2\nevent: token\ndata: {{"text":"Because "}}\n\n'
        f'id: {epoch}-3\nevent: token\ndata: {{"text":"air "}}\n\n'
        f'id: {epoch}-4\nevent: token\ndata: {{"text":"scatters "}}\n\n'
        f'id: {epoch}-5\nevent: token\ndata: {{"text":"blue."}}\n\n'
        f'id: {epoch}-6\nevent: completed\ndata: {{"finish_reason":"stop","usage":{{"input_tokens":1,"output_tokens":2}},'
        f'"timings":{{"queue_ms":0,"load_ms":0,"ttft_ms":0,"total_ms":0,"tokens_per_second":0.0}}}}\n\n'
    )
    assert (await raw(person, ended)).decode() == expected


async def test_the_answer_says_that_it_is_a_stream_nobody_may_hold_back(person: Person, ended: ByHand) -> None:
    response = await person.http.get(path(ended))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


async def test_what_would_split_a_line_is_escaped(person: Person, running: ByHand) -> None:
    text = "a\nb\r\nc\u2028d\u2029e\u0085f\x00g\x1b\ud7ff😀\x7f"
    await running.says(text)
    await running.ends()
    body = (await raw(person, running)).decode()
    assert not re.search("[\r\u2028\u2029\u0085\x00\x1b]", body)
    assert (await person.follow(running.question.generation_id)).text == WORDS[0] + text


async def test_a_question_streams_from_its_acceptance_to_its_end(world: World, person: Person) -> None:
    answer = Answer()

    async def ask() -> None:
        async for event in person.asking("Why?"):
            answer.events.append(event)

    asking = asyncio.create_task(ask())
    await eventually(lambda: answer.names == ["accepted"])
    hand = await world.by_hand(str(answer.first("accepted")["generation_id"]))
    await hand.appends(Thinking(text="Hm."), ToolCall(id="1", name="look", arguments={"at": "sky"}))
    await hand.says(*WORDS)
    await hand.ends()
    await asking
    assert answer.names == ["accepted", "started", "thinking", "tool_call", *["token"] * 4, "completed"]
    assert answer.end().data["usage"] == {"input_tokens": 1, "output_tokens": 2}
    assert len(set(answer.ids)) == len(answer.events)


async def test_a_silent_line_is_kept_alive_by_comments(person: Person, running: ByHand) -> None:
    running.world.edge.streams.alive_every = 0.02
    async with Line(running.world.url) as line:
        await line.asks("GET", path(running), person.headers)
        await line.begins()
        await line.chunk()
        assert [await line.chunk() for _ in range(3)] == [b": alive\n\n"] * 3
        await running.says("still here")
        assert b"still here" in await eventually(lambda: until(line, b"token"))


async def until(line: Line, word: bytes) -> bytes:
    chunk = await line.chunk()
    return chunk if word in chunk else b""


@pytest.mark.parametrize("how", ["header", "query", "header before query"])
async def test_a_client_resumes_from_every_event(how: str, person: Person, ended: ByHand) -> None:
    whole = (await person.follow(ended.question.generation_id)).events
    for seen, event in enumerate(whole[:-1]):
        assert event.id is not None
        headers = {} if how == "query" else {"Last-Event-ID": event.id}
        query = {} if how == "header" else {"after": event.id if how == "query" else "1-1"}
        async with person.http.stream("GET", path(ended), headers=headers, params=query) as response:
            assert [one async for one in events(response)] == whole[seen + 1 :], event.name


async def test_resuming_after_the_end_gives_the_end_again(person: Person, ended: ByHand) -> None:
    whole = (await person.follow(ended.question.generation_id)).events
    assert (await person.follow(ended.question.generation_id, after=whole[-1].id)).events == whole[-1:]


@pytest.mark.parametrize("junk", ["1-1", "nonsense", "-", "+", "$", "*", "0", "0-0", "9" * 5000, "é".encode(), b"\xff"])
async def test_an_id_that_the_log_does_not_hold_voids_what_was_shown(
    junk: str | bytes, person: Person, ended: ByHand
) -> None:
    whole = (await person.follow(ended.question.generation_id)).events
    answer = Answer()
    value = junk if isinstance(junk, bytes) else junk.encode()
    async with person.http.stream("GET", path(ended), headers=[(b"Last-Event-ID", value)]) as response:
        assert response.status_code == 200
        answer.events += [one async for one in events(response)]
    assert answer.events[0] == Event("restarted", {"attempt": 1, "reason": "log_lost"}, None)
    assert answer.events[1:] == whole


async def test_an_empty_id_means_from_the_start(person: Person, ended: ByHand) -> None:
    response = await person.http.get(path(ended), headers={"Last-Event-ID": ""}, params={"after": ""})
    assert response.content == await raw(person, ended)


async def test_after_the_log_expired_the_store_answers_in_three_forms(person: Person, ended: ByHand) -> None:
    whole = (await person.follow(ended.question.generation_id)).events
    last = whole[-1]
    ended.world.forgets(ended.question.generation_id)
    from_start = (await person.follow(ended.question.generation_id)).events
    assert from_start == [
        Event("accepted", whole[0].data, None), Event("token", {"text": "".join(WORDS)}, None), last,
    ]  # fmt: skip
    assert (await person.follow(ended.question.generation_id, after=last.id)).events == [last]
    elsewhere = (await person.follow(ended.question.generation_id, after=whole[3].id)).events
    assert elsewhere == [
        Event("restarted", {"attempt": 1, "reason": "log_lost"}, None),
        Event("token", {"text": "".join(WORDS)}, None), last,
    ]  # fmt: skip


async def test_a_log_that_is_lost_under_a_follower_is_answered_by_the_store(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    outcome = await running.ends(closes=False)
    await history(running.world).record_outcomes([outcome])
    running.world.forgets(running.question.generation_id)
    await watch
    assert answer.names == ["accepted", "started", "token", "restarted", "token", "completed"]
    assert answer.text == WORDS[0]


async def test_a_log_that_begins_again_replaces_what_was_shown(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    asked, streams = running.question, running.world.streams
    log = streams.logs.by_id[asked.generation_id]
    running.world.forgets(asked.generation_id)
    await streams.create(asked, starts_before=log.starts_before, deadline=log.deadline)
    again = await running.world.by_hand(asked.generation_id)
    await again.says("Anew.")
    await again.ends()
    await watch
    assert answer.names[3:] == ["restarted", "accepted", "started", "token", "completed"]
    assert answer.events[3].id is None
    assert answer.text == "Anew."


async def test_a_stalled_log_whose_reply_is_recorded_ends_from_the_store(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    await history(running.world).record_outcomes([await running.ends(closes=False)])
    stall(running)
    await watch
    assert answer.text == WORDS[0]
    assert answer.end().name == "completed"


async def test_a_stalled_log_of_a_deleted_chat_ends_as_cancelled(person: Person, running: ByHand) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    await person.http.delete(f"/api/chats/{running.question.chat_id}")  # its worker was told, and is gone
    stall(running)
    await watch
    assert answer.end().name == "cancelled"


def stall(hand: ByHand) -> None:
    """Its worker is silent for longer than its lease."""
    log = hand.world.streams.logs.by_id[hand.question.generation_id]
    log.owner, log.lease = None, log.lease - 60
    for follower in log.followers:
        follower.set()


def history(world: World) -> SqliteHistory:
    return SqliteHistory(world.database)


async def test_deletion_ends_the_stream_of_a_queued_question(world: World, person: Person, recording: None) -> None:
    begun = await person.begins()
    following = asyncio.create_task(person.follow(begun["generation_id"]))
    await eventually(lambda: len(world.edge.streams) == 1)
    assert (await person.http.delete(f"/api/chats/{begun['chat_id']}")).status_code == 204
    assert (await following).names == ["accepted", "cancelled"]


async def test_deletion_while_streaming_ends_the_stream_once_the_worker_heard(
    person: Person, running: ByHand, recording: None
) -> None:
    answer = Answer()
    watch = asyncio.create_task(watching(person, running, answer))
    await eventually(lambda: "token" in answer.names)
    assert (await person.http.delete(f"/api/chats/{running.question.chat_id}")).status_code == 204
    log = running.world.streams.logs.by_id[running.question.generation_id]
    assert log.cancel
    await running.ends(ReplyCancelled(question=running.question, text=running.text, ended_at=datetime.now(UTC)))
    await watch
    assert answer.end().name == "cancelled"
    assert (await person.http.get(f"/api/chats/{running.question.chat_id}")).status_code == 404


async def test_the_text_of_a_deleted_chat_is_served_no_more(person: Person, ended: ByHand) -> None:
    assert (await person.http.delete(f"/api/chats/{ended.question.chat_id}")).status_code == 204
    for at in (path(ended), path(ended).removesuffix("/stream")):
        assert (await person.http.get(at)).status_code == 404
    ended.world.forgets(ended.question.generation_id)
    assert (await person.http.get(path(ended))).status_code == 404


async def test_an_edge_that_stops_sends_its_streams_elsewhere(person: Person, running: ByHand) -> None:
    async with Line(running.world.url) as line, asyncio.timeout(2):
        await line.asks("GET", path(running), person.headers)
        await line.begins()
        await line.chunk()
        running.world.edge.streams.end_all()
        assert await line.rest() == b"retry: 500\n\n"
    assert len(running.world.edge.streams) == 0
    assert followers(running) == 0


async def test_a_stream_that_opens_while_the_edge_stops_says_what_to_resume(world: World, person: Person) -> None:
    world.edge.streams.end_all()
    async with Line(world.url) as line, asyncio.timeout(3):
        await line.asks("POST", "/api/chats/stream", person.headers, {"model": "small", "content": "Why?"})
        await line.begins()
        body = await line.rest()
    assert body.startswith(b"id: ")
    assert b"event: accepted\n" in body
    assert body.endswith(b"\n\nretry: 500\n\n")


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


async def test_all_followers_see_one_text_however_late_they_come(world: World, person: Person, running: ByHand) -> None:
    following = []
    for word in WORDS[1:]:
        following.append(asyncio.create_task(person.follow(running.question.generation_id)))
        await eventually(lambda: followers(running) == len(following))
        await running.says(word)
    await running.ends()
    answers = [await one for one in following]
    assert {one.text for one in answers} == {"".join(WORDS)}
    assert len({tuple(one.ids) for one in answers}) == 1


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
    async with Line(world.url) as line, asyncio.timeout(3):
        await line.asks("GET", path(running), {"Authorization": f"Bearer {token}"})
        await line.begins()
        await line.chunk()
        await world.ports.sessions.end(second.id, person.account.id, now)
        assert await line.rest() == b"retry: 500\n\n"
    assert not elsewhere.done()
    await running.ends()
    assert (await elsewhere).end().name == "completed"


async def test_a_restart_by_the_worker_is_passed_on(person: Person, running: ByHand) -> None:
    await running.appends(Restarted(attempt=2, reason="backend_lost"))
    await running.says("Anew.")
    running.text = "Anew."
    await running.ends()
    answer = await person.follow(running.question.generation_id)
    assert answer.text == "Anew."
    assert "restarted" in answer.names


async def test_frames_come_as_the_contract_frames_them(person: Person, ended: ByHand) -> None:
    log = ended.world.streams.logs.by_id[ended.question.generation_id]
    assert await raw(person, ended) == b"".join(frame(one.id, one.encoded) for one in log.events)
