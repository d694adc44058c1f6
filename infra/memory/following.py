"""Following a log in memory: from where the reader stands, then live, to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from contracts.generation import is_terminal
from contracts.ports.streams import Batch, LogEvent


class Followable(Protocol):
    """A log's events, and the followers that are woken when something changes."""

    @property
    def events(self) -> Sequence[LogEvent]: ...

    @property
    def followers(self) -> set[asyncio.Event]: ...


L = TypeVar("L", bound=Followable)


async def followed(
    find: Callable[[], L],
    after: str | None,
    look: float,
    *,
    void: Callable[[L], tuple[LogEvent, ...]],
    stalled: Callable[[L], bool],
) -> AsyncGenerator[Batch, None]:
    """Batches, at least one every `look` seconds, ending after the terminal event.

    find: the log as it is now; what it raises ends this. void: what comes before a log that does not hold `after`.
    """
    changed = asyncio.Event()
    log = find()
    try:
        before, position = _start(log, after, void)
        while True:
            log.followers.add(changed)
            changed.clear()
            events = (*before, *log.events[position:])
            before, position = (), len(log.events)
            after = events[-1].id if events else after
            yield Batch(events, stalled=stalled(log))
            if events and is_terminal(events[-1].encoded):
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), look)
            # another one took its place: a restored one holds what was read
            if (now := find()) is not log:
                log.followers.discard(changed)
                log = now
                before, position = _start(log, after, void)
    finally:
        log.followers.discard(changed)


def _start(log: L, after: str | None, void: Callable[[L], tuple[LogEvent, ...]]) -> tuple[tuple[LogEvent, ...], int]:
    """What comes before the log itself, and the seq to begin at."""
    if after is None:
        return (), 0
    for seq, event in enumerate(log.events):
        if event.id == after:
            last = is_terminal(event.encoded)  # resuming after the end gives the end again
            return (), seq if last else seq + 1
    return void(log), 0
