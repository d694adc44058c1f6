"""What the error bodies of real servers mean."""

import json

import pytest

from infra.backends.refusals import WORDS, broke_off, refusal

LLAMA_CPP = {
    "error": {
        "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9531, "n_ctx": 8192,
        "message": "request (9531 tokens) exceeds the available context size (8192 tokens), try increasing it",
    }
}  # fmt: skip
TOO_LONG = [
    LLAMA_CPP,
    {"error": json.dumps(LLAMA_CPP)},  # Ollama from 0.12.6 on, asked not to truncate
    {"error": "the input length exceeds the context length"},
    {"error": {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."}},
    {"error": {"message": "Please shorten it.", "code": "context_length_exceeded"}},
    {"object": "error", "message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192."},
]


@pytest.mark.parametrize("body", TOO_LONG)
def test_a_context_that_is_too_long_is_known_in_every_servers_words(body: object) -> None:
    failed = refusal(400, json.dumps(body).encode(), "gpu-1")
    assert (failed.code, failed.retryable) == ("context_too_long", False)


@pytest.mark.parametrize("words", ["context deadline exceeded", "context canceled", "invalid content length"])
def test_other_contexts_are_not_too_long(words: str) -> None:
    failed = refusal(500, json.dumps({"error": words}).encode(), "gpu-1")
    assert (failed.code, failed.retryable) == ("backend_error", True)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (408, True), (413, False), (429, True), (500, True), (503, True)],
)
def test_only_the_servers_own_trouble_is_worth_another_try(status: int, *, retryable: bool) -> None:
    failed = refusal(status, b'{"error": "no"}', "gpu-1")
    assert (failed.code, failed.retryable, str(failed)) == ("backend_error", retryable, f"gpu-1 answered {status}: no")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "model \\"x\\" not found"}', 'model "x" not found'),
        (b'{"error": {"message": "No.", "type": "server_error"}}', "No."),
        (b'{"message": "No."}', "No."),
        (b'{"detail": "Not Found"}', "{'detail': 'Not Found'}"),
        (b"Service Unavailable\n", "Service Unavailable"),
        (b"  <!doctype html><title>502</title>", "(a web page)"),
        (b"", "(nothing)"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 10_000, "x" * WORDS),
        (json.dumps({"error": "y" * 10_000}).encode(), "y" * WORDS),
        (b"[]", "[]"),
        (b"null", "null"),
    ],
)
def test_the_servers_words_are_told_as_far_as_they_are_words(body: bytes, words: str) -> None:
    assert str(refusal(500, body, "gpu-1")) == f"gpu-1 answered 500: {words}"


@pytest.mark.parametrize(
    ("body", "code", "retryable"),
    [
        ({"error": "the model runner has unexpectedly stopped"}, "backend_error", True),
        ({"error": {"message": "Bad grammar.", "code": 400}}, "backend_error", False),
        ({"error": {"message": "Slow down.", "code": 429}}, "backend_error", True),
        ({"error": {"message": "Oh.", "code": "internal_error"}}, "backend_error", True),
        ({"object": "error", "message": "Bad request.", "code": 400}, "backend_error", False),
        ({"error": {"message": "Context size has been exceeded.", "code": 500}}, "context_too_long", False),
    ],
)
def test_an_error_in_mid_stream_may_say_that_it_is_for_good(body: object, code: str, *, retryable: bool) -> None:
    failed = broke_off(json.dumps(body).encode(), "gpu-1")
    assert (failed.code, failed.retryable) == (code, retryable)
    assert str(failed).startswith("gpu-1 broke off: ")
