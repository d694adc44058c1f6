"""The generation stream as clients get it, byte by byte."""

import asyncio
import re

import pytest

from contracts.generation import Restarted, Thinking, ToolCall, frame
from tests.contract.http.following import WORDS, followers, path, raw
from tests.contract.http.wire import Line
from tests.contract.http.worlds import ByHand, Person, World
from tests.e2e.client import Answer, Event, events
from tests.eventually import eventually


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
