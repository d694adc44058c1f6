"""Errors become verdicts in one place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, cast

import pytest
from aio_pika import IncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from contracts.errors import ContractViolated, HandOver, Permanent, Unavailable
from infra.rabbitmq.verdicts import Verdict, judged, tell


class Message:
    """A delivery whose channel can close."""

    routing_key, message_id = "key", "id"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, *, redelivered: bool = False) -> None:
        self.redelivered = redelivered
        self.is_open = True
        self.told: list[str] = []

    @property
    def channel(self) -> object:
        if not self.is_open:
            raise ChannelInvalidStateError
        return self

    async def _tell(self, what: str) -> None:
        assert self.channel
        self.told.append(what)

    async def ack(self) -> None:
        await self._tell("ack")

    async def nack(self, requeue: bool) -> None:
        await self._tell(f"nack requeue={requeue}")

    async def reject(self, requeue: bool) -> None:
        await self._tell(f"reject requeue={requeue}")

    @property
    def real(self) -> IncomingMessage:
        return cast(IncomingMessage, self)


def raising(error: BaseException | None) -> Callable[[bool], Awaitable[None]]:
    async def handle(_: bool) -> None:
        if error is not None:
            raise error

    return handle


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, Verdict.DONE),
        (Permanent("no"), Verdict.BURY),
        (ContractViolated("no"), Verdict.BURY),
        (HandOver("stopping"), Verdict.GIVE_BACK),
        (asyncio.CancelledError(), Verdict.GIVE_BACK),
        (Unavailable("away"), Verdict.BURY),
        (KeyError("a bug"), Verdict.BURY),
    ],
)
async def test_each_ending_has_its_verdict(error: BaseException | None, verdict: Verdict) -> None:
    assert await judged(Message().real, raising(error), retry_for=0) is verdict


@pytest.mark.parametrize("first", [False, True])
async def test_every_further_try_counts_as_redelivered(first: bool) -> None:
    seen: list[bool] = []

    async def handle(redelivered: bool) -> None:
        seen.append(redelivered)
        if len(seen) < 3:
            raise Unavailable("away")

    assert await judged(Message(redelivered=first).real, handle, retry_for=10) is Verdict.DONE
    assert seen == [first, True, True]


async def test_a_delivery_that_was_lost_is_not_tried_again() -> None:
    message, tries = Message(), 0

    async def handle(_: bool) -> None:
        nonlocal tries
        tries += 1
        message.is_open = False
        raise Unavailable("away")

    assert await judged(message.real, handle, retry_for=60) is Verdict.LOST
    assert tries == 1


async def test_waiting_for_the_next_try_can_be_cancelled() -> None:
    message, tried = Message(), asyncio.Event()

    async def handle(_: bool) -> None:
        tried.set()
        raise Unavailable("away")

    task = asyncio.create_task(judged(message.real, handle, retry_for=60))
    await tried.wait()  # and now it waits for the next try
    task.cancel()
    assert await task is Verdict.GIVE_BACK


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict.DONE, ["ack"]),
        (Verdict.GIVE_BACK, ["nack requeue=True"]),
        (Verdict.BURY, ["reject requeue=False"]),
        (Verdict.LOST, []),
    ],
)
async def test_the_server_is_told_the_verdict(verdict: Verdict, told: list[str]) -> None:
    message = Message()
    await tell(message.real, verdict)
    assert message.told == told


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_a_late_verdict_is_harmless(verdict: Verdict) -> None:
    message = Message()
    message.is_open = False
    await tell(message.real, verdict)
    assert message.told == []
