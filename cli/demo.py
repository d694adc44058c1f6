"""`ollamanet demo`: the whole journey of a person, on the platform that answers or on one of its own."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cli.chat import first_model
from cli.client import Client, Refused
from cli.talking import Talk, figures
from infra.process.failures import CannotStart

QUESTION = "Why is the sky blue? Answer in one sentence."
START = 120.0
"""Seconds that a platform of its own may take: a first start loads a model."""
MODELS = 30.0
"""Seconds in which the catalog sees the first model."""


def demo(url: str, question: str = QUESTION) -> int:
    """Sign up, log in, ask, see the answer token by token, find it in the list. The exit code."""
    console = Console(highlight=False)
    with Client(url) as client:
        if client.answers():
            console.print(f"The platform at [bold]{url}[/bold] answers.")
            return _journey(client, console, question)
    console.print(f"No platform answers at {url}: starting one of its own …")
    with own_platform() as own, Client(own) as client:
        console.print(f"It runs at [bold]{own}[/bold].")
        return _journey(client, console, question)


def _journey(client: Client, console: Console, question: str) -> int:
    email, password = f"demo-{secrets.token_hex(4)}@example.org", secrets.token_urlsafe(16)
    client.sign_up(email, password)
    console.print(f"[green]signed up[/green] {email}")
    client.log_in(email, password)
    console.print("[green]logged in[/green]")
    model = _model(client)
    console.print(f"[green]asking[/green] {escape(model)}: {escape(question)}\n")
    end = Talk(client, console).ask(model, question)
    if end.name != "completed":
        return 1
    console.print(f"\n[green]completed[/green] {figures(end)}")
    chats = _listed(client)
    console.print(f"[green]chats[/green] {escape(', '.join(repr(str(chat['title'])) for chat in chats))}")
    return 0 if chats else 1


def _model(client: Client) -> str:
    deadline = time.monotonic() + MODELS
    while True:
        try:
            return first_model(client)
        except Refused:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)  # noqa: TID251 - a synchronous client waits before it asks again


def _listed(client: Client) -> list[dict[str, object]]:
    """The chats; history may need a moment to record the first one."""
    deadline = time.monotonic() + 5
    while not (chats := client.get("/api/chats")["items"]) and time.monotonic() < deadline:
        time.sleep(0.05)  # noqa: TID251 - as above
    return chats


@contextmanager
def own_platform() -> Generator[str, None, None]:
    """An embedded platform on a free port with data of its own, gone afterwards; its URL."""
    with tempfile.TemporaryDirectory(prefix="ollamanet-demo-") as folder:
        log, address = Path(folder) / "log", Path(folder) / "url"
        command = [
            sys.executable,
            "-m",
            "cli.main",
            "up",
            "--port",
            "0",
            "--data",
            f"{folder}/data",
            "--url-file",
            str(address),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "OLLAMANET_OPS_PORT": "0", "OLLAMANET_HOST": "127.0.0.1"},
            )  # fmt: skip
        try:
            yield _ready(process, address, log)
        finally:
            _end(process)


def _ready(process: subprocess.Popen[bytes], address: Path, log: Path) -> str:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        if address.exists() and (url := address.read_text().strip()):
            with Client(url) as client:
                if client.answers():
                    return url
        time.sleep(0.05)  # noqa: TID251 - as above
    lines = log.read_text(errors="replace").strip().splitlines()
    raise CannotStart("The platform did not start: " + (lines[-1] if lines else "it said nothing."))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
