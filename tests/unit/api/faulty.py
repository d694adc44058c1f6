"""Streams and a bus that fail before or after they did what they were asked."""

import asyncio
from collections.abc import Callable
from typing import Any

from contracts.commands import GenerateReply, Question
from contracts.envelope import Message
from contracts.errors import Unavailable
from infra.memory.streams import MemoryGenerationStreams
from tests.unit.workers.scripted import KeepingBus

Hook = Callable[[], Any]
AWAY = Unavailable("away")


class Fault(Exception):
    """Marks where a call fails: `before` it does anything, or `after`, when only its answer is lost."""

    def __init__(self, error: Exception, *, after: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.after = after


class FaultyAdmission(MemoryGenerationStreams):
    """`faults[method]`: its next calls, one each; None lets one through. `calls`: what was called, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, list[Fault | None]] = {}
        self.calls: list[str] = []

    async def admit(self, *args: Any, **more: Any) -> Any:
        return await self._call("admit", super().admit, *args, **more)

    async def create(self, *args: Any, **more: Any) -> Any:
        return await self._call("create", super().create, *args, **more)

    async def confirm(self, *args: Any) -> Any:
        return await self._call("confirm", super().confirm, *args)

    async def abort(self, *args: Any) -> Any:
        return await self._call("abort", super().abort, *args)

    async def drop(self, *args: Any) -> Any:
        return await self._call("drop", super().drop, *args)

    async def _call(self, name: str, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.calls.append(name)
        waiting = self.faults.get(name)
        fault = waiting.pop(0) if waiting else None
        await asyncio.sleep(0)
        if fault is not None and not fault.after:
            raise fault.error
        answer = await call(*args, **more)
        if fault is not None:
            raise fault.error
        return answer


class SlowBus(KeepingBus):
    """A bus that publishes when its `gate` is open. `during`: runs while it publishes; `lost`: raised after it published."""

    def __init__(self, *fails: Exception) -> None:
        super().__init__(*fails)
        self.gate = asyncio.Event()
        self.gate.set()
        self.publishing = 0
        self.during: Hook | None = None
        self.lost: list[Exception] = []

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        self.publishing += 1
        if self.during is not None:
            await self.during()
        await self.gate.wait()
        await super().publish(message, expires_in=expires_in)
        if self.lost:
            raise self.lost.pop(0)


def nothing_is_left(streams: FaultyAdmission, asked: Question) -> bool:
    """No entry, no slot; a log, if there is one, only says that it was aborted."""
    log = streams.logs.by_id.get(asked.generation_id)
    return (
        asked.owner not in streams.logs.open
        and asked.owner not in streams.logs.live
        and (log is None or log.state == "aborted")
    )


def state(streams: FaultyAdmission, asked: Question) -> str:
    return streams.logs.by_id[asked.generation_id].state


def commands(bus: SlowBus) -> list[GenerateReply]:
    return [one for one in bus.published if isinstance(one, GenerateReply)]
