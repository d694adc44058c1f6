"""A lock among processes of one machine, held by an open file and gone with its process."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int, wait: bool) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


class Locked(Exception):
    """Another process holds it."""


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Generator[None, None, None]:
    """Hold the lock of a file (made where it is missing, mode 0600). Without `wait`: Locked where somebody holds it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take_or_raise(handle, wait)
        yield
    finally:
        os.close(handle)


def _take_or_raise(handle: int, wait: bool) -> None:
    try:
        _take(handle, wait)
    except OSError as error:
        raise Locked from error
