"""An HTTP server inside a process: bound before anything is said, drained when left."""

import asyncio
import socket

import httpx
import pytest

from infra.process.failures import CannotStart
from infra.process.http import bound, http_server
from infra.process.ops import Ops


class Slow:
    """Answers when `go` is set."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        self.asked.set()
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def test_an_open_request_is_answered_before_the_server_ends() -> None:
    app = Slow()
    async with httpx.AsyncClient() as client:
        async with http_server(app, "127.0.0.1", 0) as url:
            request = asyncio.create_task(client.get(url))
            await app.asked.wait()
            asyncio.get_running_loop().call_later(0.05, app.go.set)
        assert (await request).text == "done"


async def test_a_request_that_does_not_end_is_cut_after_the_drain() -> None:
    app = Slow()
    async with httpx.AsyncClient(timeout=10) as client:
        async with http_server(app, "127.0.0.1", 0, drain=0.1) as url:
            request = asyncio.create_task(client.get(url))
            await app.asked.wait()
        with pytest.raises(httpx.HTTPError):
            (await request).raise_for_status()


async def test_answers_are_sent_without_waiting_for_more() -> None:
    """On asyncio's own loop too: Nagle's algorithm held each answer back for 40 ms."""
    with bound("127.0.0.1", 0, "PORT") as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_busy_port_says_which_setting_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} of 127.0.0.1 is busy.*OLLAMANET_PORT"):
            async with http_server(Ops(), "127.0.0.1", port):
                pass


async def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(CannotStart, match="an address of this machine"):
        async with http_server(Ops(), "203.0.113.1", 0):
            pass


async def test_a_check_that_hangs_is_not_ready_within_its_time() -> None:
    ops = Ops()

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def passes() -> None:
        return None

    assert await ops.missing() == {"start": "the process is starting"}
    ops.ready_when({"bus": hangs, "store": passes})
    async with asyncio.timeout(5):
        assert await ops.missing() == {"bus": "no answer within 2 s"}
    ops.ready_when({"store": passes})
    assert await ops.missing() == {}
    ops.waits_for("redis", "it is down")
    assert await ops.missing() == {"redis": "it is down"}
    ops.has("redis")
    assert await ops.missing() == {}


async def test_an_unknown_path_of_the_ops_port_is_404() -> None:
    async with http_server(Ops(), "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.head("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the first one is the client's own invention
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
    ],
)
async def test_behind_a_proxy_the_client_is_whom_the_proxy_saw(forwarded: str, seen: str) -> None:
    async def app(scope, receive, send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["client"][0].encode()})

    for behind_proxy, expected in ((True, seen), (False, "127.0.0.1")):
        async with http_server(app, "127.0.0.1", 0, behind_proxy=behind_proxy) as url, httpx.AsyncClient() as client:
            answer = await client.get(url, headers={"X-Forwarded-For": forwarded})
            assert answer.text == expected
