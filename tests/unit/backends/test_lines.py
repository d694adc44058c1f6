"""How a stream of bytes becomes lines, and every way in which it does not."""

import asyncio
import json

import pytest

from contracts.errors import BackendFailed
from contracts.ports.backend import Backend, ChatRequest
from infra.backends.lines import LINE_BYTES
from tests.eventually import eventually
from tests.unit.backends.raw import HELLO, RawServer, Reply, json_reply, read, text_of

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


def chunk(text: str) -> bytes:
    value = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode()


async def failure(backend: Backend, **fields: object) -> tuple[str, bool, str]:
    """How a run fails: code, retryable, message."""
    with pytest.raises(BackendFailed) as failed:
        await read(backend, **fields)
    return failed.value.code, failed.value.retryable, str(failed.value)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_lines_and_letters_may_be_cut_anywhere(raw: RawServer, openai: Backend, size: int) -> None:
    whole = b"\n\n".join((chunk("Ωραία "), chunk("火星 🔴"), chunk("\u2028!"))) + b"\n\n" + DONE
    raw.says(CHAT, Reply(tuple(whole[at : at + size] for at in range(0, len(whole), size))))
    assert text_of(await read(openai)) == "Ωραία 火星 🔴\u2028!"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
async def test_both_kinds_of_line_end_are_read(raw: RawServer, openai: Backend, newline: bytes) -> None:
    lines = (
        b": welcome",
        b"",
        b"event: message",
        b"id: 1",
        chunk("Hel"),
        b"",
        b"retry: 10",
        chunk("lo"),
        b"",
        b"data:[DONE]",
        b"",
    )
    raw.says(CHAT, Reply((newline.join(lines),)))
    assert text_of(await read(openai)) == "Hello"


async def test_the_last_line_needs_no_line_end(raw: RawServer, ollama: Backend) -> None:
    raw.says("/api/chat", Reply((b'{"message": {"content": "Hi"}, "done": false}\n{"done": true, "eval_count": 1}',)))
    assert text_of(await read(ollama)) == "Hi"


async def test_many_lines_at_once_are_as_many_pieces(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((b"\n\n".join(chunk(f"{n} ") for n in range(5000)) + b"\n\n" + DONE,)))
    pieces = await read(openai)
    assert len(pieces) == 5001
    assert text_of(pieces) == "".join(f"{n} " for n in range(5000))


async def test_a_long_line_is_read_and_one_over_a_mebibyte_is_garbage(raw: RawServer, openai: Backend) -> None:
    long = "x" * (LINE_BYTES - 200)
    raw.says(CHAT, Reply((chunk(long) + b"\n\n" + DONE,)))
    assert text_of(await read(openai)) == long
    raw.says(CHAT, Reply((chunk("x" * LINE_BYTES) + b"\n\n" + DONE,)))
    assert (await failure(openai))[:2] == ("backend_garbage", True)


async def test_a_line_without_end_is_given_up_at_a_mebibyte(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((b"data: ", *[b"x" * 65536] * 17), ending="silent"))
    code, _, words = await failure(openai)
    assert (code, words) == ("backend_garbage", f"gpu-1 sent a line of more than {LINE_BYTES} bytes.")


async def test_a_cut_line_is_a_cut(raw: RawServer, openai: Backend, ollama: Backend) -> None:
    raw.says(CHAT, Reply((chunk("Hel") + b"\n\n",), ending="cut"))
    raw.says("/api/chat", Reply((b'{"message": {"content": "Hel"}, "done": false}\n',), ending="cut"))
    assert await failure(openai) == ("backend_cut", True, "gpu-1 cut the line.")
    assert await failure(ollama) == ("backend_cut", True, "gpu-1 cut the line.")


async def test_a_clean_end_without_its_mark_is_a_cut(raw: RawServer, openai: Backend, ollama: Backend) -> None:
    raw.says(CHAT, Reply((chunk("Hel") + b"\n\n",)))
    raw.says("/api/chat", Reply((b'{"message": {"content": "Hel"}, "done": false}\n',)))
    assert (await failure(openai))[0] == "backend_cut"
    assert (await failure(ollama))[0] == "backend_cut"


async def test_nothing_at_all_is_a_cut(raw: RawServer, openai: Backend, ollama: Backend) -> None:
    raw.says(CHAT, Reply())
    raw.says("/api/chat", Reply())
    assert (await failure(openai))[0] == "backend_cut"
    assert (await failure(ollama))[0] == "backend_cut"


async def test_a_web_page_instead_of_a_stream_is_garbage(raw: RawServer, openai: Backend, ollama: Backend) -> None:
    page = Reply((b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",), headers=("Content-Type: text/html",))
    raw.says(CHAT, page)
    raw.says("/api/chat", page)
    expected = ("backend_garbage", True, "gpu-1 sent something that is not its protocol.")
    assert await failure(openai) == expected
    assert await failure(ollama) == expected


async def test_a_redirect_is_not_followed(raw: RawServer, openai: Backend) -> None:
    raw.says("/elsewhere", Reply((DONE,)))
    raw.says(CHAT, Reply(status="307 Temporary Redirect", headers=(f"Location: {raw.url}/elsewhere",)))
    assert await failure(openai) == ("backend_error", False, "gpu-1 answered 307: it is elsewhere now.")
    raw.says("/v1/models", Reply(status="302 Found", headers=(f"Location: {raw.url}/elsewhere",)))
    with pytest.raises(BackendFailed) as failed:
        await openai.models()
    assert failed.value.code == "backend_error"
    assert "/elsewhere" not in [one.path for one in raw.asked]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_key_is_not_told_to_whoever_asked(raw: RawServer, openai: Backend, status: str) -> None:
    raw.says(CHAT, json_reply({"error": {"message": "Incorrect API key provided: secret-key"}}, status))
    code, retryable, words = await failure(openai)
    assert (code, retryable) == ("backend_error", False)
    assert "secret-key" not in words
    assert raw.asked[-1].headers["authorization"] == "Bearer secret-key"


async def test_an_error_status_is_told_in_the_servers_words(raw: RawServer, openai: Backend) -> None:
    raw.says(
        CHAT, json_reply({"error": {"message": "Rate limit reached", "code": "rate_limit"}}, "429 Too Many Requests")
    )
    assert await failure(openai) == ("backend_error", True, "gpu-1 answered 429: Rate limit reached")
    body = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
    raw.says(CHAT, Reply((body[:20], body[20:]), "502 Bad Gateway", ("Content-Type: text/html",)))
    assert await failure(openai) == ("backend_error", True, "gpu-1 answered 502: (a web page)")


async def test_an_error_body_in_pieces_is_read_whole(raw: RawServer, openai: Backend) -> None:
    body = b'{"error": {"message": "Unsupported value: temperature"}}'
    raw.says(CHAT, Reply(tuple(body[at : at + 5] for at in range(0, len(body), 5)), "400 Bad Request"))
    assert await failure(openai) == ("backend_error", False, "gpu-1 answered 400: Unsupported value: temperature")


async def test_comments_do_not_prolong_the_wait_for_the_first_token(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply(ending="comments"))
    async with asyncio.timeout(5):
        code, retryable, words = await failure(openai, first_token_timeout=0.2)
    assert (code, retryable) == ("first_token_timeout", True)
    assert words == "gpu-1 sent no first token within 0.2 s."


async def test_silence_after_a_token_is_another_failure(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((chunk("Hel") + b"\n\n",), ending="silent"))
    assert await failure(openai, token_timeout=0.2) == ("token_timeout", True, "gpu-1 sent nothing for 0.2 s.")
    await eventually(lambda: raw.open == 0)


async def test_a_server_that_accepts_and_says_nothing_is_no_first_token(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply(status="", ending="silent"))
    assert (await failure(openai, first_token_timeout=0.2))[0] == "first_token_timeout"


async def test_what_the_reader_does_with_a_piece_does_not_count_as_waiting(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((chunk("Hel") + b"\n\n", chunk("lo") + b"\n\n" + DONE)))
    pieces = openai.chat(ChatRequest(model="small", context=HELLO, first_token_timeout=5.0, token_timeout=0.05))
    first = await anext(pieces)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await eventually(lambda: loop.time() > began + 0.1)  # the writer waits for its log, say
    assert text_of([first, *[piece async for piece in pieces]]) == "Hello"


async def test_closing_a_run_closes_its_connection(raw: RawServer, openai: Backend) -> None:
    raw.says(CHAT, Reply((chunk("Hel") + b"\n\n",), ending="silent"))
    pieces = openai.chat(ChatRequest(model="small", context=HELLO))
    await anext(pieces)
    assert raw.open == 1
    await pieces.aclose()
    await eventually(lambda: raw.open == 0)
