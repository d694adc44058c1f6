"""A model server that types Markdown at a steady rate, over Ollama's protocol: what a page has to draw."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

MODEL = "typist"
RATE = 100.0
"""Tokens a second."""
SECTION = """## What it is about

A paragraph with **bold**, *slanted* and `code in a line`, long enough that it runs over two or three lines of the page, as
answers of models do, with a [link](https://example.org/) in it.

- one point of a list, with a few words
- another one, with `a name` in it
- and the last one

| name | what it does | since |
|---|---|---:|
| follow | reads a stream from any place in it | 1.0 |
| append | writes to it, under an epoch | 1.2 |

```python
def follow(log: Log, after: str | None = None) -> Iterator[Event]:
    for event in log.read(after):
        yield event  # in their order
```

1. first this
2. then that

> Somebody said something that is worth a quotation.

"""


def pieces(count: int) -> list[str]:
    """So many tokens of four characters, which is about what vocabularies have."""
    whole = SECTION * (count * 4 // len(SECTION) + 1)
    return [whole[at * 4 : at * 4 + 4] for at in range(count)]


@asynccontextmanager
async def typing(port: int, tokens: int) -> AsyncGenerator[str, None]:
    """The server's URL, while inside; every answer has so many tokens."""
    app = web.Application()
    app.add_routes([web.get("/api/version", _version), web.get("/api/tags", _tags), web.post("/api/show", _show)])
    app.add_routes([web.post("/api/chat", lambda request: _chat(request, tokens))])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _version(_: web.Request) -> web.Response:
    return web.json_response({"version": "0.9.6-typist"})


async def _tags(_: web.Request) -> web.Response:
    return web.json_response({"models": [{"name": f"{MODEL}:latest", "digest": "sha-typist", "size": 1}]})


async def _show(_: web.Request) -> web.Response:
    info = {"general.architecture": "typist", "typist.context_length": 131_072}
    return web.json_response({"capabilities": ["completion"], "model_info": info})


async def _chat(request: web.Request, tokens: int) -> web.StreamResponse:
    body = await request.json()
    limit = (body.get("options") or {}).get("num_predict") or tokens
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, piece in enumerate(pieces(min(limit, tokens))):
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        await response.write(_line(piece, done=False))
    await response.write(_line("", done=True))
    await response.write_eof()
    return response


def _line(text: str, *, done: bool) -> bytes:
    end = {"done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1} if done else {}
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": MODEL, "message": message, "done": done, **end}).encode() + b"\n"
