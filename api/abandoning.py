"""What was asked for a client that hung up and has no way to come back: it is cancelled, so that nobody's model writes on for nobody."""

import asyncio
from types import TracebackType
from typing import Self

import structlog

from api.cancelling import Cancelling
from contracts.commands import Question
from contracts.errors import NotFound, OllamaNetError, Unavailable

log = structlog.get_logger()

MOST = 1000
"""Cancellations on their way at once; what is beyond them runs to its end."""
TRIES = 4
PAUSE = 0.25
"""Seconds before another try, doubled each time: 1.75 s in all."""


class Abandoning:
    """Cancels in the background. What was begun is finished before the context is left."""

    def __init__(self, cancelling: Cancelling) -> None:
        self._cancelling = cancelling
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def leave(self, question: Question) -> None:
        """Nobody waits for this reply any more."""
        if len(self._tasks) < MOST:
            task = asyncio.create_task(self._cancel(question), name="cancel what was abandoned")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _cancel(self, question: Question) -> None:
        pause = PAUSE
        for last in (*(False,) * (TRIES - 1), True):
            try:
                await self._cancelling.stop(question)
            except Unavailable as error:
                if last:
                    log.warning("abandoned_not_cancelled", generation_id=question.generation_id, why=str(error))
                    return
                await asyncio.sleep(pause)
                pause *= 2
            except NotFound:
                return
            except OllamaNetError as error:
                log.warning("abandoned_not_cancelled", generation_id=question.generation_id, why=str(error))
                return
            else:
                log.info("abandoned", generation_id=question.generation_id)
                return
