"""A process that ends right after a certain call of one of its ports: for tests of what is left behind.

`OLLAMANET_FAILPOINT=<port>.<method>:<N>`, e.g. `streams.seal:1` or `bus.publish:2`: the process exits with 137, as `kill -9` ends
one, when that method of that port returned for the N-th time. A composition root says `streams = failing("streams", streams)`;
nobody else knows. Where the setting is not made, nothing is wrapped.
"""

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import structlog

from infra.process.failures import CannotStart, checked
from infra.process.settings import ProcessSettings

log = structlog.get_logger()
T = TypeVar("T")

SETTING = "OLLAMANET_FAILPOINT"
PORTS = ("streams", "bus", "history", "chats", "dead_letters", "embeddings")
"""The ports that composition roots wrap."""
KILLED = 137
"""The exit code of a process that `kill -9` ended, as a shell tells it."""


@dataclass
class FailPoint:
    """The process ends when `method` of `port` returned for the `left`-th time from now; calls of all tasks count."""

    port: str
    method: str
    left: int

    @classmethod
    def read(cls, value: str) -> "FailPoint":
        """Of `<port>.<method>:<N>`, whose form was checked. CannotStart names the ports there are."""
        call, _, times = value.partition(":")
        port, _, method = call.partition(".")
        if port not in PORTS:
            raise CannotStart(f"{SETTING} is wrong: there is no port {port!r}; there are {', '.join(PORTS)}.")
        return cls(port, method, int(times))

    async def passed(self, call: Callable[..., Awaitable[object]], *arguments: object, **named: object) -> object:
        """What the call gives; the last time nothing, for nobody is left to get it."""
        given = await call(*arguments, **named)
        self.left -= 1
        if self.left == 0:
            end(f"{self.port}.{self.method}")
        return given


def failing(port: str, adapter: T) -> T:
    """The adapter; where the setting names one of its calls, one that ends the process there.

    What gives no plain coroutine (`follow`, `control`, `consume`) passes through untouched. Raises CannotStart.
    """
    value = checked(ProcessSettings).failpoint
    if value is None:
        return adapter
    point = FailPoint.read(value)
    if point.port != port:
        return adapter
    if not inspect.iscoroutinefunction(getattr(adapter, point.method, None)):
        raise CannotStart(f"{SETTING} is wrong: the port {port!r} has no call {point.method!r} that can be waited for.")
    log.warning("fail_point_set", call=f"{port}.{point.method}", ends_after=point.left)
    return cast(T, _Failing(adapter, point))


class _Failing:
    """Everything as the adapter does it, but for one method."""

    def __init__(self, adapter: object, point: FailPoint) -> None:
        self._adapter = adapter
        self._point = point

    def __getattr__(self, name: str) -> object:
        found = getattr(self._adapter, name)
        return partial(self._point.passed, found) if name == self._point.method else found


def end(call: str) -> None:
    """Nothing is flushed, closed or told, but for one line."""
    task = asyncio.current_task()
    sys.stderr.write(f"{SETTING}: ended after {call} in {task.get_name() if task else 'no task'}\n")
    os._exit(KILLED)
