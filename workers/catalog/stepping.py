"""Taking steps: each under a lease, in a task of its own, until it has ended or is somebody else's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog
from opentelemetry import trace
from structlog.contextvars import bound_contextvars

from contracts.administration import ENDED, CommandError, Step, StepResult
from contracts.errors import BackendFailed, OllamaNetError, Unavailable
from contracts.ports.administration import CommandLogs, Commands, Steps
from workers.catalog import metrics
from workers.catalog.settling import Settling
from workers.catalog.telling import Telling

log = structlog.get_logger()
tracer = trace.get_tracer("ollamanet.catalog")

LEASE = 6.0
"""Seconds until somebody else takes the step of a worker that died."""
RENEWED_EVERY = 1.0
"""Also how soon a step is stopped that nobody waits for any more."""
LOOKED_EVERY = 1.0
MOST = 16
"""Steps that one worker runs at once."""
AGAIN = (0.5, 1.0, 2.0, 5.0)
"""Seconds between tries while a server of ours does not answer; the last one for ever."""
LETTING_GO = 1.0

Performer = Callable[[Step, Telling], Awaitable[dict[str, object]]]


class StepFailed(Exception):
    """A step could not be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error = CommandError(code=code, message=message)


class Stepping:
    """Runs steps while inside. `performers`: what each kind does; what it gives is the step's detail."""

    def __init__(
        self,
        commands: Commands,
        steps: Steps,
        logs: CommandLogs,
        settling: Settling,
        performers: Mapping[str, Performer],
        holder: str,
        *,
        lease: float = LEASE,
    ) -> None:
        self._commands = commands
        self._steps = steps
        self._logs = logs
        self._settling = settling
        self._performers = performers
        self._holder = holder
        self._lease = lease
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look(), name="steps")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [one for one in (self._looking, *self._running) if one is not None]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There are steps to be taken."""
        self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._take()
            except Unavailable as error:
                log.warning("steps_not_taken", why=str(error))
            except Exception as error:
                log.error("taking_steps_crashed", exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_EVERY):
                    await self._wake.wait()

    async def _take(self) -> None:
        room = MOST - len(self._running)
        for step in await self._steps.take(self._holder, self._lease, room) if room > 0 else ():
            running = asyncio.create_task(self._run(step), name=f"step {step.key}")
            self._running.add(running)
            running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self.wake()
        if not running.cancelled() and (error := running.exception()) is not None:
            log.error("step_crashed", exc_info=error)

    async def _run(self, step: Step) -> None:
        """Until it has ended, is somebody else's, or this worker stops: then it is let go of."""
        telling = Telling(self._logs, self._commands, step)
        attributes = {"ollamanet.step": step.key, "ollamanet.epoch": step.epoch}
        with (
            bound_contextvars(step=step.key, epoch=step.epoch),
            tracer.start_as_current_span(f"{step.kind} step", attributes=attributes),
        ):
            log.info("step_taken", commands=step.commands)
            working = asyncio.create_task(self._perform(step, telling), name=f"performing {step.key}")
            try:
                await self._hold(telling, working)
                if working.cancelled():
                    log.info("step_stopped", waiting=len(telling.step.commands))
                else:
                    metrics.STEPS.labels(step.kind, "failed" if working.result().error else "completed").inc()
                    await self._end_patiently(telling.step, working.result())
            except asyncio.CancelledError:
                await _stopped(working)
                await self._release(telling.step)
                raise

    async def _hold(self, telling: Telling, working: asyncio.Task[StepResult]) -> None:
        """Renew the lease until the work has ended; stop the work when the step is lost, or nobody waits for it."""
        while not working.done():
            await asyncio.wait({working}, timeout=RENEWED_EVERY)
            try:
                now = await self._steps.renew(telling.step, self._holder, self._lease)
            except Unavailable as error:
                log.warning("lease_not_renewed", why=str(error))
                continue
            if now is None:
                await _stopped(working)
                return
            telling.step = now
            if not now.commands:
                await _stopped(working)
                await self._steps.finish(now, self._holder)

    async def _perform(self, step: Step, telling: Telling) -> StepResult:
        """What came of it. A server of ours that does not answer is waited for: everything that is done may be repeated."""
        tries = 0
        while True:
            try:
                known = await self._known(telling)
                if known is not None:
                    return known
                detail = await self._performers[step.kind](step, telling)
                return StepResult(detail=detail, ended_at=datetime.now(UTC))
            except StepFailed as failed:
                return StepResult(error=failed.error, ended_at=datetime.now(UTC))
            except BackendFailed as failed:
                return StepResult(error=CommandError(code=failed.code, message=str(failed)), ended_at=datetime.now(UTC))
            except OllamaNetError as error:
                log.warning("step_waits", why=str(error))
                await asyncio.sleep(AGAIN[min(tries, len(AGAIN) - 1)])
                tries += 1
            except Exception as error:
                log.error("performer_crashed", exc_info=error)
                failed = CommandError(code="internal", message="Something went wrong; the platform's log says what.")
                return StepResult(error=failed, ended_at=datetime.now(UTC))

    async def _known(self, telling: Telling) -> StepResult | None:
        """What a worker found that died before it had told everybody; None: it is still to be done.

        Commands that have ended, by a cancel that did not see this step, do not wait for it.
        """
        results: list[StepResult | None] = []
        for command_id in telling.step.commands:
            found = await self._commands.get(command_id)
            if found is None or found.status in ENDED:
                await self._steps.detach(telling.step.key, command_id)
                left = tuple(one for one in telling.step.commands if one != command_id)
                telling.step = telling.step.model_copy(update={"commands": left})
            else:
                results.append(found.results.get(telling.step.target))
        if not results:
            return StepResult(ended_at=datetime.now(UTC))
        return results[0] if None not in results else None

    async def _end_patiently(self, step: Step, result: StepResult) -> None:
        """Meanwhile nobody renews the lease: who takes the step then finds the result, or does it once more."""
        for pause in (*AGAIN, *AGAIN[-1:] * 10):
            try:
                await self._end(step, result)
                return
            except Unavailable as error:
                log.warning("step_not_ended", why=str(error))
            await asyncio.sleep(pause)

    async def _end(self, step: Step, result: StepResult) -> None:
        """Tell all who wait, then remove it; who attached in between is told as well."""
        told: set[str] = set()
        while True:
            for command_id in step.commands:
                if command_id not in told:
                    await self._result(command_id, step.target, result)
                    told.add(command_id)
            if await self._steps.finish(step, self._holder):
                return
            now = await self._steps.renew(step, self._holder, self._lease)
            if now is None:
                return  # another worker has it; doing it once more changes nothing
            step = now

    async def _result(self, command_id: str, target: str, result: StepResult) -> None:
        command = await self._commands.note_result(command_id, target, result)
        if command is not None and command.status not in ENDED and not command.missing:
            await self._settling.settle(command)

    async def _release(self, step: Step) -> None:
        try:
            async with asyncio.timeout(LETTING_GO):
                await self._steps.release(step, self._holder)
            log.info("step_handed_over")
        except (TimeoutError, Unavailable) as error:
            log.warning("step_not_released", why=str(error))


async def _stopped(working: asyncio.Task[StepResult]) -> None:
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
