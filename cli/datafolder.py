"""The data folder: private, and used by one running platform at a time."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli.locks import Locked, locked
from infra.process.failures import CannotStart

MARK = ".ollamanet"


@contextmanager
def held(data: Path) -> Generator[Path, None, None]:
    """The folder, made with mode 0700 and ours alone while inside; CannotStart where another platform holds it."""
    folder = private(data)
    try:
        with locked(folder / MARK, wait=False):
            yield folder
    except Locked as error:
        raise CannotStart(
            f"Another platform runs on the data folder {folder}: end it, or name another with --data."
        ) from error


def private(data: Path) -> Path:
    """The folder, made where it is missing; a folder that holds something else is left alone (CannotStart)."""
    folder = data.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ours = (folder / MARK).exists() or not any(folder.iterdir())
        if not ours:
            raise CannotStart(f"{folder} holds something else: name an empty or a new folder with --data.")
        if os.name == "posix" and folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        (folder / MARK).touch(mode=0o600)
    except FileExistsError as error:
        raise CannotStart(f"{folder} is a file: name a folder with --data.") from error
    except OSError as error:
        raise CannotStart(f"The data folder {folder} cannot be used: {error.strerror}.") from error
    return folder
