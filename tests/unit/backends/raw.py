"""A server that sends exactly the bytes a test gives it, in exactly those pieces, and remembers what it was asked."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from contracts.commands import Turn
from contracts.ports.backend import Backend, ChatRequest, Done, Piece, Text

Ending = Literal["whole", "cut", "silent", "comments"]
HELLO = (Turn(role="user", content="Hello?"),)


@dataclass(frozen=True)
class Reply:
    """`pieces` are sent one by one; then the answer is `whole`, `cut` before its end, or nothing more comes (`silent`),
    or nothing but SSE comments, a hundred a second (`comments`).

    Without a `status` not even the head is sent.
    """

    pieces: tuple[bytes, ...] = ()
    status: str = "200 OK"
    headers: tuple[str, ...] = ("Content-Type: text/event-stream",)
    ending: Ending = "whole"


def json_reply(value: object, status: str = "200 OK") -> Reply:
    """A short answer."""
    return Reply((json.dumps(value).encode(),), status, ("Content-Type: application/json",))


@dataclass(frozen=True)
class Asked:
    """One request. `headers` by their lower-case names."""

    path: str
    headers: dict[str, str]
    body: dict[str, object] | None


@dataclass
class RawServer:
    """`replies` by path; a path without one is 404. `open`: connections that the client has not closed."""

    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict[str, Reply])
    asked: list[Asked] = field(default_factory=list[Asked])
    open: int = 0

    def says(self, path: str, reply: Reply) -> None:
        self.replies[path] = reply

    def body(self) -> dict[str, object]:
        """What the last request sent."""
        sent = self.asked[-1].body
        assert sent is not None
        return sent

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            path = await self._request(reader)
            reply = self.replies.get(path) or json_reply({"error": "404 page not found"}, "404 Not Found")
            await _send(reply, writer)
            if reply.ending == "comments":
                while not reader.at_eof():
                    writer.write(b"6\r\n: hi\n\n\r\n")
                    await asyncio.sleep(0.01)
            if reply.ending == "silent":
                await reader.read()
        except ConnectionError:
            return
        finally:
            self.open -= 1
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> str:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split()[1]
        self.asked.append(Asked(path, headers, json.loads(content) if content else None))
        return path


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> None:
    if not reply.status:
        return
    head = (f"HTTP/1.1 {reply.status}", *reply.headers, "Transfer-Encoding: chunked", "", "")
    writer.write("\r\n".join(head).encode())
    for piece in reply.pieces:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        for _ in range(3):  # turns of the loop in which the client, on the same loop, reads this piece alone
            await asyncio.sleep(0)
    if reply.ending == "whole":
        writer.write(b"0\r\n\r\n")


async def read(backend: Backend, **fields: object) -> list[Piece]:
    """All pieces of one run."""
    given = {"model": "small", "context": HELLO, "first_token_timeout": 5.0, "token_timeout": 5.0}
    return [piece async for piece in backend.chat(ChatRequest(**{**given, **fields}))]  # type: ignore[arg-type]


def text_of(pieces: Sequence[Piece]) -> str:
    """The text alone; that the last piece is the end."""
    assert isinstance(pieces[-1], Done)
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))
