"""Wait for facts, never for time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(fact: Callable[[], T | Awaitable[T]], seconds: float = 10.0) -> T:
    """The first true value of `fact()`; AssertionError if it never comes. Assertion errors inside count as not yet."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = fact()
            last = await value if inspect.isawaitable(value) else value
            if last:
                return last  # type: ignore[return-value]
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{fact} did not become true in {seconds} s; last: {last!r}")
        await asyncio.sleep(0.01)
