"""`ollamanet up`: the whole platform in one process, nothing else installed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from cli.datafolder import held
from cli.settings import HOST, PORT, EmbeddedSettings
from cli.typed import typed
from infra.process.failures import CannotStart, checked
from infra.process.http import bound
from infra.process.run import Process, run

OPS_PORT = 0
"""Off in the embedded mode unless OLLAMANET_OPS_PORT is set."""


def up(options: dict[str, object], url_file: Path | None = None) -> NoReturn:
    """Run the embedded platform until a signal. `options`: what was given on the command line, over the environment."""
    given = {name: value for name, value in options.items() if value is not None}
    settings = checked(lambda: EmbeddedSettings(**given))  # pyright: ignore[reportArgumentType] - checked by pydantic
    refuse_open_doors(settings)

    async def main(process: Process) -> None:
        from cli.embedded import run_embedded

        bound(
            settings.host, settings.port, "--port or OLLAMANET_PORT"
        ).close()  # said now, not after the model was loaded
        with held(settings.data) as folder:
            own = settings.model_copy(update={"data": folder})
            await run_embedded(own, Report(url_file), process)

    run("embedded", OPS_PORT, main)


def refuse_open_doors(settings: EmbeddedSettings) -> None:
    """CannotStart for a public address whose passwords would travel in the clear."""
    if settings.public and not settings.insecure and not settings.behind_proxy:
        raise CannotStart(
            f"{settings.host} can be reached by others, and without TLS their passwords travel in the clear: put a TLS "
            f"proxy before 127.0.0.1 (OLLAMANET_BEHIND_PROXY=true), or say --insecure"
        )


class Report:
    """Tells the person at the terminal. `ready` also writes the URL to `url_file`, for whoever started this process."""

    def __init__(self, url_file: Path | None = None) -> None:
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._url_file = url_file

    def __call__(self, line: str) -> None:
        """One line."""
        self._console.print(line, markup=False)

    def ready(self, url: str, settings: EmbeddedSettings, models: Sequence[str]) -> None:
        """Everything a person needs next, as it can be typed here."""
        for line in welcome(url, settings, models):
            self(line)
        if self._url_file:
            self._url_file.write_text(url)


def welcome(url: str, settings: EmbeddedSettings, models: Sequence[str]) -> list[str]:
    """What is said when the platform is ready."""
    elsewhere = None if url == f"http://{HOST}:{PORT}" else url
    return [
        "",
        f"OllamaNet is ready at {url}",
        f"  data    {settings.data}",
        f"  model   {', '.join(models) or 'none yet: the catalog looks again every few seconds'}",
        "Next, in another terminal:",
        f"  {typed('login --signup', elsewhere)}",
        f"  {typed('chat', elsewhere)}",
        f'  curl {url}/api/models -H "Authorization: Bearer $({typed("token", elsewhere)})"',
        "Ctrl-C ends it.",
        "",
    ]
