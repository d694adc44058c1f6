"""Logins that renew themselves, and answers that are none, against a scripted platform."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ollamanet import (
    AsyncOllamaNet,
    ConnectionLost,
    GenerationFailed,
    OllamaNet,
    OllamaNetError,
    Patience,
    Refused,
    Token,
)
from ollamanet._patience import retry_after

QUICK = Patience(retries=3, first_pause=0.001, longest_pause=0.002)
OLD = ("old", "r0")


class Platform:
    """Knows one access token, and gives the next for the refresh token that belongs to it; counts the calls."""

    def __init__(self, busy: int = 0) -> None:
        self.good, self.busy = 0, busy
        self.asked: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked.append(request.url.path)
            if request.url.path == "/api/auth/login":
                return httpx.Response(200, json=pair(99))
            if request.url.path != "/api/auth/refresh":
                known = request.headers["authorization"] in (f"Bearer a{self.good}", "Bearer a99")
                return httpx.Response(200, json={"id": "u"}) if known else httpx.Response(401, json={"code": "expired"})
            if self.busy:
                self.busy -= 1
                return httpx.Response(503, json={"code": "overloaded"})
            if json.loads(request.content)["refresh_token"] != f"r{self.good}":
                return httpx.Response(401, json={"code": "session_ended"})
            self.good += 1
            return httpx.Response(200, json=pair(self.good))


def pair(n: int) -> dict[str, object]:
    return {"access_token": f"a{n}", "refresh_token": f"r{n}", "user": {"id": "u"}}


async def test_a_refused_token_is_renewed_once_however_many_tasks_wait_for_it() -> None:
    platform = Platform()
    told: list[object] = []
    http = httpx.AsyncClient(transport=httpx.MockTransport(platform))
    async with AsyncOllamaNet("http://net", tokens=OLD, on_tokens=told.append, patience=QUICK, http=http) as net:
        assert await asyncio.gather(net.me(), net.me(), net.me()) == [{"id": "u"}] * 3
    assert platform.asked.count("/api/auth/refresh") == 1
    assert told == [("a1", "r1")]


def test_a_refused_token_is_renewed_once_however_many_threads_wait_for_it() -> None:
    platform = Platform()
    http = httpx.Client(transport=httpx.MockTransport(platform))
    with OllamaNet("http://net", tokens=OLD, patience=QUICK, http=http) as net, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: net.me(), range(4)))
    assert found == [{"id": "u"}] * 4
    assert platform.asked.count("/api/auth/refresh") == 1


def client(answer: object, patience: Patience = QUICK, **more: object) -> OllamaNet:
    transport = httpx.MockTransport(answer)  # type: ignore[arg-type]
    return OllamaNet("http://net", patience=patience, http=httpx.Client(transport=transport), **more)  # type: ignore[arg-type]


def test_a_refresh_that_finds_the_platform_busy_is_tried_again_with_its_call() -> None:
    platform = Platform(busy=2)
    with client(platform, tokens=OLD) as net:
        assert net.me() == {"id": "u"}
    assert platform.asked.count("/api/auth/refresh") == 3


def test_a_session_that_ended_is_told_and_forgotten() -> None:
    told: list[object] = []
    with client(Platform(), tokens=("old", "stolen"), on_tokens=told.append) as net:
        with pytest.raises(Refused) as caught:
            net.me()
        assert (caught.value.status, told) == (401, [None])
        assert net.log_in("a@example.org", "long enough") == {"id": "u"}
        assert net.me() == {"id": "u"}


@pytest.mark.parametrize("body", [b"<html>Log in to this network</html>", b"\xff"], ids=["page", "bytes"])
def test_an_answer_that_is_no_json_is_a_typed_error(body: bytes) -> None:
    with client(lambda _: httpx.Response(200, content=body), api_key="k") as net, pytest.raises(OllamaNetError):
        net.me()


@pytest.mark.parametrize(
    "body", [b"null", b"[1]", b'"no"', b"<html>", b""], ids=["null", "list", "text", "page", "empty"]
)
def test_a_refusal_that_something_in_between_wrote_is_typed_too(body: bytes) -> None:
    with client(lambda _: httpx.Response(403, content=body), api_key="k") as net, pytest.raises(Refused) as caught:
        net.me()
    assert (caught.value.status, caught.value.code) == (403, "unknown")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "3"}, 3.0), ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "inf"}, None), ({"retry-after-ms": "-5"}, 0.0), ({"retry-after": "\u00b2"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 -0000"}, 0.0), ({"retry-after": "soon"}, None), ({}, None),
    ],
    ids=["ms", "seconds", "nan", "inf", "negative", "superscript", "date", "words", "none"],
)  # fmt: skip
def test_what_the_platform_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers({name: value.encode() for name, value in headers.items()})) == seconds


def test_a_refusal_that_asks_for_more_patience_than_there_is_is_raised() -> None:
    with (
        client(lambda _: httpx.Response(429, json={"code": "rate_limited"}, headers={"retry-after": "86400"})) as net,
        pytest.raises(Refused) as caught,
    ):
        net.me()
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 86400.0)


ACCEPTED = b'id: 1-0\nevent: accepted\ndata: {"generation_id":"g1","chat_id":"c1","message_id":"m1","reply_id":"r1","model":"s"}\n\n'
BE = b'id: 1-1\nevent: token\ndata: {"text":"Be"}\n\n'
CAUSE = b'id: 1-2\nevent: token\ndata: {"text":"cause"}\n\n'
COMPLETED = b'id: 1-3\nevent: completed\ndata: {"finish_reason":"stop","usage":{},"timings":{}}\n\n'
CANCELLED = b'id: 1-3\nevent: cancelled\ndata: {"usage":{}}\n\n'


def scripted(*bodies: bytes) -> tuple[object, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path.endswith("/cancel"):
            return httpx.Response(202, json={})
        return httpx.Response(200, content=bodies[sum(not one.url.path.endswith("/cancel") for one in asked) - 1])

    return answer, asked


@pytest.mark.parametrize(
    "damage",
    [
        b"data: {\n\n",
        b"event: token\ndata: []\n\n",
        b"event: accepted\ndata: {}\n\n",
        b"event: tool_call\ndata: {}\n\n",
    ],
    ids=["half", "list", "fields", "tool"],
)
def test_a_stream_that_was_damaged_on_its_way_is_resumed(damage: bytes) -> None:
    answer, asked = scripted(ACCEPTED + BE + damage, CAUSE + COMPLETED)
    with client(answer) as net:
        assert net.ask("Why?", model="s").text == "Because"
    assert asked[1].headers["last-event-id"] == "1-1"


def test_a_stream_of_nothing_but_damage_is_given_up() -> None:
    answer, asked = scripted(*[b"data: {\n\n"] * 4)
    with client(answer) as net, pytest.raises(ConnectionLost):
        net.ask("Why?", model="s")
    assert len(asked) == 4


def test_answer_after_a_loop_that_was_left_has_the_whole_text_and_asks_nothing_once_it_has_ended() -> None:
    answer, asked = scripted(ACCEPTED + BE, CAUSE + COMPLETED)
    with client(answer) as net:
        reply = net.stream("Why?", model="s")
        for event in reply:
            if isinstance(event, Token):
                break
        assert reply.text == "Be"
        assert [reply.answer().text, reply.answer().text] == ["Because"] * 2
    assert [one.headers.get("last-event-id") for one in asked] == [None, "1-1"]


def test_cancel_before_the_first_event_cancels_as_soon_as_that_comes() -> None:
    answer, asked = scripted(ACCEPTED + BE + CANCELLED)
    with client(answer) as net:
        reply = net.stream("Why?", model="s")
        reply.cancel()
        with pytest.raises(GenerationFailed) as caught:
            reply.answer()
    assert (caught.value.code, caught.value.partial_text) == ("cancelled", "Be")
    assert [one.url.path for one in asked] == ["/api/chats/stream", "/api/generations/g1/cancel"]
    assert "idempotency-key" in asked[1].headers


class Endless(httpx.AsyncByteStream, httpx.SyncByteStream):
    """One event, and then nothing for ever; `closed` once nobody listens any more."""

    closed = False

    def __iter__(self):  # type: ignore[override]
        yield ACCEPTED
        raise AssertionError("nobody should wait here")

    async def __aiter__(self):  # type: ignore[override]
        yield ACCEPTED
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def test_leaving_the_loop_closes_the_connection() -> None:
    body = Endless()
    with client(lambda _: httpx.Response(200, stream=body)) as net:
        for event in net.stream("Why?", model="s"):
            assert event.event == "accepted"
            break
        assert body.closed


@pytest.mark.parametrize("how", ["break", "cancel"])
async def test_leaving_the_loop_of_a_task_closes_the_connection(how: str) -> None:
    body = Endless()
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))
    async with AsyncOllamaNet("http://net", api_key="k", http=http) as net:
        came = asyncio.Event()

        async def watch() -> None:
            async for _ in net.stream("Why?", model="s"):
                came.set()
                if how == "break":
                    break

        task = asyncio.create_task(watch())
        await came.wait()
        if how == "cancel":
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        for _ in range(20):  # the loop closes generators that were left, in a task of its own
            await asyncio.sleep(0)
        assert body.closed
        assert task.cancelled() == (how == "cancel")
