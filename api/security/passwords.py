"""Passwords: argon2id, off the event loop, a few at a time (each takes 0.1 s and 64 MiB)."""

import asyncio

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from contracts.errors import Overloaded

AT_ONCE = 2
WAITING = 64
"""Checks that may wait: six seconds of work; more are refused."""


class Passwords:
    """Hashes and verifies."""

    def __init__(self) -> None:
        self._hasher = PasswordHash.recommended()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys: str | None = None
        self._making = asyncio.Lock()

    async def hashed(self, password: str) -> str:
        """The hash to keep. Raises Overloaded when too many wait."""
        async with _Turn(self):
            return await asyncio.to_thread(self._hasher.hash, password)

    async def right(self, password: str, kept: str | None) -> bool:
        """Whether it is the password of this hash. None (no such account) takes as long and is wrong."""
        # made for known accounts too, else the first unknown one takes twice as long
        nobodys = await self._nobodys_hash()
        async with _Turn(self):
            return await asyncio.to_thread(self._verify, password, kept or nobodys) and kept is not None

    async def _nobodys_hash(self) -> str:
        async with self._making:
            if self._nobodys is None:
                self._nobodys = await self.hashed("nobody has this password")
            return self._nobodys

    def _verify(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(password, kept)
        except UnknownHashError:
            return False

    async def enter(self) -> None:
        """Wait for a turn."""
        if self._waiting >= WAITING:
            raise Overloaded("Too many people are logging in right now.")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Let the next one in."""
        self._turns.release()


class _Turn:
    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def __aenter__(self) -> None:
        await self._passwords.enter()

    async def __aexit__(self, *_: object) -> None:
        self._passwords.leave()
