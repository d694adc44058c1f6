"""The client's promises: an answer is seen whole through lost connections; tokens refresh themselves, once."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from cli.client import Client, LoggedOut, Refused, Unreachable
from cli.talking import Talk, figures
from cli.tokens import Login, TokenFile
from tests.servers.shared import free_port
from tests.unit.cli.answers import ACCEPTED, COMPLETED, STARTED, Answer, token, tokens

STREAM = "POST /api/chats/stream"
FOLLOW = "GET /api/generations/g1/stream"


@pytest.fixture
def client(platform, tmp_path: Path):
    platform.says("POST /api/auth/login", tokens())
    with Client(platform.url, TokenFile(tmp_path / "tokens.json")) as opened:
        opened.log_in("a@example.org", "a long password")
        yield opened


def shown(client: Client, content: str = "Hello?") -> tuple[str, str]:
    """How a question ended, and what the terminal shows."""
    out = io.StringIO()
    end = Talk(client, Console(file=out, width=200)).ask("small", content)
    return end.name, out.getvalue()


def test_an_answer_is_shown_as_it_came(platform, client: Client) -> None:
    platform.says(STREAM, Answer(events=(ACCEPTED, STARTED, token(2, "Blue"), token(3, " sky"), COMPLETED)))
    assert shown(client) == ("completed", "Blue sky\n")
    (asked,) = platform.calls(STREAM)
    assert asked.body == {"model": "small", "content": "Hello?"}
    assert asked.headers["Authorization"] == "Bearer access-1"


def test_a_lost_connection_is_resumed_after_the_last_event(platform, client: Client) -> None:
    platform.says(STREAM, Answer(events=(ACCEPTED, STARTED, token(2, "Blue")), missing=100))
    platform.says(
        FOLLOW,
        Answer(events=(token(3, " sky"),), missing=100),
        Answer(503, {"code": "unavailable", "detail": "Later."}),
        Answer(events=(token(4, "!"), COMPLETED)),
    )
    assert shown(client) == ("completed", "Blue sky!\n")
    assert [one.headers.get("Last-Event-ID") for one in platform.calls(FOLLOW)] == ["1-2", "1-3", "1-3"]


def test_an_answer_that_begins_again_says_so(platform, client: Client) -> None:
    restarted = ("2-3", "restarted", {"attempt": 2, "reason": "worker_lost"})
    platform.says(STREAM, Answer(events=(ACCEPTED, token(2, "Bl"), restarted, token(4, "Blue"), COMPLETED)))
    assert shown(client) == ("completed", "Bl\nThe answer begins again:\nBlue\n")


def test_a_failed_answer_says_why(platform, client: Client) -> None:
    failed = ("1-3", "failed", {"code": "backend_cut", "message": "The model's server hung up.", "retryable": True})
    platform.says(STREAM, Answer(events=(ACCEPTED, token(2, "Bl"), failed)))
    name, text = shown(client)
    assert name == "failed"
    assert "backend_cut" in text
    assert "The model's server hung up." in text


def test_a_models_text_does_not_steer_the_terminal(platform, client: Client) -> None:
    platform.says(STREAM, Answer(events=(ACCEPTED, token(2, "\x1b[2J[red]a[/red]\a\tb\n"), COMPLETED)))
    assert shown(client)[1] == "[2J[red]a[/red]\tb\n\n"


def test_ctrl_c_cancels_the_generation_and_sees_its_end(platform, client: Client) -> None:
    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if text == "Blue":
                raise KeyboardInterrupt
            return written

    platform.says(STREAM, Answer(events=(ACCEPTED, token(2, "Blue"), token(3, " never shown"))))
    platform.says("POST /api/generations/g1/cancel", Answer(202, {}))
    platform.says(FOLLOW, Answer(events=(("1-4", "cancelled", {"usage": {}}),)))
    out = Interrupting()
    end = Talk(client, Console(file=out, width=200)).ask("small", "Hello?")
    assert end.name == "cancelled"
    assert out.getvalue() == "Blue\nCancelled.\n"
    assert len(platform.calls("POST /api/generations/g1/cancel")) == 1


def test_the_next_question_goes_on_with_the_chat(platform, client: Client) -> None:
    platform.says(STREAM, Answer(events=(ACCEPTED, COMPLETED)))
    talk = Talk(client, Console(file=io.StringIO()))
    assert figures(talk.ask("small", "One")) == "2 tokens, the first after 5 ms, 50 tokens/s"
    talk.ask("small", "Two")
    assert [one.body.get("chat_id") for one in platform.calls(STREAM)] == [None, "c1"]


def test_a_refusal_is_told_in_the_platforms_words(platform, client: Client) -> None:
    platform.says(STREAM, Answer(404, {"code": "unknown_model", "detail": "There is no model named 'x'."}))
    with pytest.raises(Refused, match="no model named") as refused:
        shown(client)
    assert (refused.value.code, refused.value.status) == ("unknown_model", 404)


def test_no_platform_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(Unreachable, match=f"No platform answers at {url}"):
        client.log_in("a@example.org", "a long password")


def test_an_old_token_is_refreshed_by_one_of_many_at_once(platform, tmp_path: Path) -> None:
    platform.says("POST /api/auth/login", tokens(1, expires_in=30))
    platform.says("POST /api/auth/refresh", tokens(2))
    file = tmp_path / "private" / "tokens.json"
    with Client(platform.url, TokenFile(file)) as client:
        client.log_in("a@example.org", "a long password")
    seen: list[str] = []

    def ask() -> None:
        with Client(platform.url, TokenFile(file)) as own:
            seen.append(own.token())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["access-2"] * 8
    (refreshed,) = platform.calls("POST /api/auth/refresh")
    assert refreshed.body == {"refresh_token": "refresh-1"}
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_session_that_ended_asks_for_a_new_login(platform, tmp_path: Path) -> None:
    platform.says("POST /api/auth/login", tokens(1, expires_in=0))
    platform.says("POST /api/auth/refresh", Answer(401, {"code": "bad_credentials", "detail": "No."}))
    with Client(platform.url, TokenFile(tmp_path / "tokens.json")) as client:
        client.log_in("a@example.org", "a long password")
        with pytest.raises(LoggedOut):
            client.token()


def test_a_broken_token_file_is_a_logged_out_one(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('{"http://x": 1}')
    kept = TokenFile(file)
    assert kept.login("http://x") is None
    login = Login(email="a@example.org", access_token="a", refresh_token="r", expires_at=1)
    kept.put("http://x", login)
    assert kept.login("http://x") == login
    kept.put("http://x", None)
    assert kept.login("http://x") is None
