"""Both clients against a scripted platform."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from ollamanet import (
    Answer,
    AsyncOllamaNet,
    ConnectionLost,
    GenerationFailed,
    OllamaNet,
    Patience,
    Refused,
    Token,
    ToolCall,
    Usage,
)

ACCEPTED = {"generation_id": "g1", "chat_id": "c1", "message_id": "m1", "reply_id": "r1", "model": "small"}
USAGE = {"input_tokens": 3, "output_tokens": 2}
COMPLETED = {"finish_reason": "stop", "usage": USAGE, "timings": {"ttft_ms": 1}, "added_later": True}
QUICK = Patience(retries=3, first_pause=0.001, longest_pause=0.002)

Script = Callable[[httpx.Request], httpx.Response]


def frame(event: str, data: object, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Pieces, then the end or a lost connection."""

    def __init__(self, pieces: list[bytes], *, cut: bool) -> None:
        self.pieces, self.cut = pieces, cut

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.cut:
            raise httpx.ReadError("cut")

    async def __aiter__(self):  # type: ignore[override]
        for piece in self:
            yield piece


def stream(*pieces: bytes, cut: bool = False) -> Script:
    headers = {"content-type": "text/event-stream"}
    return lambda _: httpx.Response(200, headers=headers, stream=Body(list(pieces), cut=cut))


def answers(status: int, body: object, **headers: str) -> Script:
    return lambda _: httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def broken(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there")


class Platform:
    """Answers call by call what it was told to; `client` is either kind, behind one face that blocks."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.script: list[Script] = []
        self.asked: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.script.pop(0)(request)

    async def ask(self, **more: object) -> Answer:
        transport = httpx.MockTransport(self._answer)
        if self.kind == "sync":
            with OllamaNet("http://net", api_key="k", patience=QUICK, http=httpx.Client(transport=transport)) as net:
                return net.ask("Why?", model="small", **more)
        http = httpx.AsyncClient(transport=transport)
        async with AsyncOllamaNet("http://net", api_key="k", patience=QUICK, http=http) as net:
            return await net.ask("Why?", model="small", **more)


@pytest.fixture(params=["sync", "async"])
def platform(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param)


async def test_a_reply_is_read_whole(platform: Platform) -> None:
    whole = (
        frame("accepted", ACCEPTED, "1-0")
        + b": alive\n\n"
        + frame("token", {"text": "na\u00efve \u2028 \U0001f999"}, "1-1")
    )
    whole += frame("completed", COMPLETED, "1-2")
    platform.script = [stream(*(whole[at : at + 3] for at in range(0, len(whole), 3)))]
    answer = await platform.ask()
    assert answer == Answer("na\u00efve \u2028 \U0001f999", "", "stop", Usage(3, 2))
    (asked,) = platform.asked
    assert json.loads(asked.content) == {"content": "Why?", "model": "small"}
    assert asked.headers["authorization"] == "Bearer k"
    assert len(asked.headers["idempotency-key"]) == 36


async def test_a_lost_connection_resumes_after_the_last_event(platform: Platform) -> None:
    platform.script = [
        stream(frame("accepted", ACCEPTED, "1-0"), frame("token", {"text": "Be"}, "1-1"), cut=True),
        broken,
        stream(frame("token", {"text": "cause"}, "1-2"), b"retry: 1\n\n"),
        stream(frame("completed", COMPLETED, "1-3")),
    ]
    assert (await platform.ask()).text == "Because"
    seen = [(one.url.path, one.headers.get("last-event-id")) for one in platform.asked]
    again = "/api/generations/g1/stream"
    assert seen == [("/api/chats/stream", None), (again, "1-1"), (again, "1-1"), (again, "1-2")]


async def test_before_the_first_event_the_same_question_is_asked_again_under_one_key(platform: Platform) -> None:
    platform.script = [broken, stream(cut=True), stream(frame("completed", COMPLETED, "1-1"))]
    await platform.ask()
    assert len(platform.asked) == 3
    assert len({one.headers["idempotency-key"] for one in platform.asked}) == 1


async def test_restarted_voids_what_was_shown(platform: Platform) -> None:
    platform.script = [
        stream(
            frame("accepted", ACCEPTED, "1-0"),
            frame("token", {"text": "wrong"}, "1-1"),
            frame("restarted", {"attempt": 2, "reason": "worker_lost"}),
            frame("token", {"text": "right"}, "2-2"),
            frame("completed", COMPLETED, "2-3"),
        )
    ]
    assert (await platform.ask()).text == "right"


async def test_a_failed_reply_raises_with_the_text_so_far(platform: Platform) -> None:
    why = {"code": "backend_cut", "message": "It stopped.", "retryable": True}
    platform.script = [stream(frame("token", {"text": "Be"}, "1-1"), frame("failed", why, "1-2"))]
    with pytest.raises(GenerationFailed, match=r"It stopped\.") as caught:
        await platform.ask()
    assert (caught.value.code, caught.value.retryable, caught.value.partial_text) == ("backend_cut", True, "Be")


async def test_busy_platforms_are_asked_again(platform: Platform) -> None:
    platform.script = [answers(503, {"code": "overloaded"}, retry_after_ms="2"), stream(frame("completed", COMPLETED))]
    await platform.ask()
    assert len(platform.asked) == 2


async def test_a_refusal_is_a_typed_error_at_once(platform: Platform) -> None:
    platform.script = [answers(404, {"code": "unknown_model", "detail": "No such model.", "request_id": "q7"})]
    with pytest.raises(Refused, match="No such model") as caught:
        await platform.ask()
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "unknown_model", "q7")


async def test_it_gives_up_at_last(platform: Platform) -> None:
    platform.script = [broken] * 4
    with pytest.raises(ConnectionLost):
        await platform.ask()
    assert len(platform.asked) == 4


def test_events_are_typed_and_new_kinds_are_passed_over() -> None:
    script = stream(
        frame("of_tomorrow", {"x": 1}, "1-0"),
        frame("tool_call", {"id": "t1", "name": "look", "arguments": {"at": "sky"}}, "1-1"),
        frame("token", {"text": "a", "more": 2}, "1-2"),
        frame("completed", COMPLETED, "1-3"),
    )
    with OllamaNet("http://net", http=httpx.Client(transport=httpx.MockTransport(script))) as net:
        first, second, last = net.stream("Why?", model="small")
    assert first == ToolCall("t1", "look", {"at": "sky"}, id="1-1")
    assert second == Token("a", id="1-2")
    assert (last.event, last.id) == ("completed", "1-3")


def test_a_refused_token_is_renewed_once_and_told() -> None:
    pair = {"access_token": "a2", "refresh_token": "r2", "user": {"id": "u"}}
    script = [answers(401, {"code": "not_logged_in"}), answers(200, pair), answers(200, {"id": "u"})]
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return script.pop(0)(request)

    told: list[object] = []
    http = httpx.Client(transport=httpx.MockTransport(answer))
    with OllamaNet("http://net", tokens=("a1", "r1"), on_tokens=told.append, http=http) as net:
        assert net.me() == {"id": "u"}
    assert [one.headers.get("authorization") for one in asked] == ["Bearer a1", None, "Bearer a2"]
    assert told == [("a2", "r2")]


def test_the_blocking_client_is_made_of_the_other() -> None:
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).parents[1] / "unasync.py"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0
