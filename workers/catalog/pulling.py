"""Fetching a model: what was fetched stays with the back-end, so a pull that breaks goes on from there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog

from contracts.administration import Step
from contracts.commands import PullModel
from contracts.errors import BackendFailed
from contracts.ports.backend import BackendRoster
from contracts.ports.management import ModelManagement, Pulled
from workers.catalog.stepping import StepFailed
from workers.catalog.telling import Layers, Telling

log = structlog.get_logger()

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before another try; where a try brought new bytes, counting begins again."""
PATIENCE = 60.0
"""Seconds without any sign of life until the line is given up: Ollama tells every 60 ms what it has."""

Ready = Callable[[str], Awaitable[None]]


class Pulling:
    """`ready(backend)`: that back-end has another model now, look at it."""

    def __init__(self, roster: BackendRoster, ready: Ready, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._roster = roster
        self._ready = ready
        self._pauses = pauses

    async def pull(self, step: Step, telling: Telling) -> dict[str, object]:
        """Fetch it, and see it in the catalog. Raises StepFailed, BackendFailed."""
        command = PullModel.model_validate(step.body)
        layers, tries = Layers(step.target), 0
        while True:
            had = layers.completed
            try:
                management = managed(self._roster, step.target)
                pulls = management.pull(command.model, insecure=command.insecure, patience=PATIENCE)
                await follow(pulls, layers, telling)
                break
            except BackendFailed as failed:
                # a registry that sends wrong bytes is fetched from anew each time: that is no way forward
                tries = 0 if layers.completed > had and failed.code != "digest_mismatch" else tries
                if not failed.retryable or tries >= len(self._pauses):
                    raise
                log.warning("pull_broke", code=failed.code, why=str(failed), tries=tries)
            await asyncio.sleep(self._pauses[tries])
            tries += 1
        await self._ready(step.target)
        return {"bytes": layers.completed}


async def follow(pulls: AsyncGenerator[Pulled, None], layers: Layers, telling: Telling) -> None:
    """Tell what comes until its end."""
    async with aclosing(pulls):
        async for one in pulls:
            await telling.tell(layers.after(one))


def managed(roster: BackendRoster, name: str) -> ModelManagement:
    """How the models of that back-end are managed. Raises StepFailed when it is gone, or has no calls for that."""
    backend = roster.backends.get(name)
    if backend is None:
        raise StepFailed("unknown_backend", f"{name} was removed meanwhile.")
    if backend.management is None:
        raise StepFailed("not_manageable", f"{name} is of a kind whose models are managed where it runs.")
    return backend.management
