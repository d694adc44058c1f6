"""The generations that this process runs, each in a task of its own: a lost channel of the bus does not end one."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from contracts.errors import HandOver

log = structlog.get_logger()


@dataclass(eq=False)
class _Running:
    task: asyncio.Task[None]
    deliveries: int = 0
    waits: bool = False
    _cancelled: bool = False

    def cancel(self) -> None:
        """Once: a second time would tear it from letting go."""
        if not self._cancelled:
            self._cancelled = True
            self.task.cancel()


class Tasks:
    """At most one task a generation; every delivery of it waits for that one."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._ended = False
        self._stopping = False

    def delivered(self, generation_id: str) -> bool:
        """Whether a delivery of it is in this process' hands, waiting for its end."""
        running = self._running.get(generation_id)
        return running is not None and running.deliveries > 0

    async def join(self, generation_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work`, or wait for the run that is under way. Its error is raised here; HandOver when this process stops.

        Cancelling the waiting one does not cancel the work, for its delivery comes again, perhaps to this very process; unless
        this process stops.
        """
        if self._ended:
            raise HandOver("This process is stopping.")
        running = self._running.get(generation_id) or self._begin(generation_id, work)
        running.deliveries += 1
        try:
            await asyncio.shield(running.task)
        except asyncio.CancelledError:
            if running.task.cancelled():
                raise HandOver("This process is stopping.") from None
            if self._stopping:  # its time is over: first it lets go of the generation, then of its delivery
                running.cancel()
                await asyncio.wait({running.task})
            raise
        finally:
            running.deliveries -= 1

    def _begin(self, generation_id: str, work: Callable[[], Awaitable[None]]) -> _Running:
        async def run() -> None:
            await work()

        running = _Running(asyncio.create_task(run(), name=f"generation {generation_id}"))
        self._running[generation_id] = running
        running.task.add_done_callback(lambda task: self._forget(generation_id, task))
        return running

    def _forget(self, generation_id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(generation_id, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # its deliveries, if any are left, raise it
            log.warning("generation_broke_off", generation_id=generation_id, why=repr(error))

    @contextmanager
    def waiting(self, generation_id: str) -> Generator[None, None, None]:
        """Inside, the generation is not claimed: where this process stops, it is handed over at once. Raises HandOver."""
        if self._ended:
            raise HandOver("This process is stopping.")
        running = self._running[generation_id]
        running.waits = True
        try:
            yield
        finally:
            running.waits = False

    def stop(self) -> None:
        """From now on who is cancelled lets go first."""
        self._stopping = True

    def hand_over_waiting(self) -> None:
        """Begin nothing more, and hand over what is not claimed yet; what runs may end."""
        self._ended = True
        for one in self._running.values():
            if one.waits:
                one.cancel()

    async def end(self) -> None:
        """Cancel what runs and wait until each has let go of its generation."""
        self._ended = True
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await asyncio.gather(*(one.task for one in running), return_exceptions=True)
