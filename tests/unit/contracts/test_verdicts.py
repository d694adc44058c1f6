"""Errors become verdicts in one place."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contracts.errors import ContractViolated, HandOver, Permanent, Unavailable
from contracts.ports.bus import DeadMessage, DeadSubscription, Delivery, Subscription
from contracts.topology import DEAD, HISTORY
from contracts.verdicts import MOST_WHY, Held, Judged, Verdict, judged, sentence


async def _nothing(_: object, __: Delivery | None = None) -> None: ...


async def _nothing_dead(_: DeadMessage) -> None: ...


def messages(retry_for: float = 0.0) -> Subscription:
    return Subscription(HISTORY, (), _nothing, retry_for=retry_for)


def letters(retry_for: float = 0.0) -> DeadSubscription:
    return DeadSubscription(DEAD, _nothing_dead, retry_for=retry_for)


def held(*, redelivered: bool = False, still: Callable[[], bool] = lambda: True) -> Held:
    return Held(redelivered, lambda: {"subject": "s"}, still)


def raising(error: BaseException | None) -> Callable[[bool], Awaitable[None]]:
    async def handle(_: bool) -> None:
        if error is not None:
            raise error

    return handle


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, Judged(Verdict.DONE)),
        (Permanent("no"), Judged(Verdict.BURY, "no")),
        (ContractViolated("no"), Judged(Verdict.BURY, "no")),
        (HandOver("stopping"), Judged(Verdict.GIVE_BACK)),
        (asyncio.CancelledError(), Judged(Verdict.GIVE_BACK)),
        (Unavailable("away"), Judged(Verdict.BURY, "away")),
        (KeyError("a bug"), Judged(Verdict.BURY, "KeyError: 'a bug'")),
    ],
)
async def test_each_ending_has_its_verdict(error: BaseException | None, verdict: Judged) -> None:
    assert await judged(messages(), held(), raising(error)) == verdict


@pytest.mark.parametrize("error", [Permanent("no"), Unavailable("away"), KeyError("a bug"), HandOver("stopping")])
async def test_a_dead_letter_that_cannot_be_handled_goes_back(error: Exception) -> None:
    assert await judged(letters(), held(), raising(error)) == Judged(Verdict.GIVE_BACK)


@pytest.mark.parametrize("first", [False, True])
async def test_every_further_try_counts_as_redelivered(first: bool) -> None:
    seen: list[bool] = []

    async def handle(redelivered: bool) -> None:
        seen.append(redelivered)
        if len(seen) < 3:
            raise Unavailable("away")

    assert await judged(messages(retry_for=10), held(redelivered=first), handle) == Judged(Verdict.DONE)
    assert seen == [first, True, True]


async def test_whatever_a_dead_letters_handler_raises_is_tried_again() -> None:
    errors: list[Exception] = [Permanent("no"), KeyError("a bug"), Unavailable("away")]

    async def handle(_: bool) -> None:
        if errors:
            raise errors.pop(0)

    assert await judged(letters(retry_for=10), held(), handle) == Judged(Verdict.DONE)
    assert errors == []


async def test_a_delivery_that_was_lost_is_not_tried_again() -> None:
    tries = 0

    async def handle(_: bool) -> None:
        nonlocal tries
        tries += 1
        raise Unavailable("away")

    assert await judged(messages(60), held(still=lambda: tries == 0), handle) == Judged(Verdict.LOST)
    assert tries == 1


async def test_waiting_for_the_next_try_can_be_cancelled() -> None:
    tried = asyncio.Event()

    async def handle(_: bool) -> None:
        tried.set()
        raise Unavailable("away")

    task = asyncio.create_task(judged(messages(60), held(), handle))
    await tried.wait()  # and now it waits for the next try
    task.cancel()
    assert await task == Judged(Verdict.GIVE_BACK)


def test_a_reason_is_bounded() -> None:
    assert sentence(Permanent("x" * 5000)) == "x" * MOST_WHY
    assert sentence(Permanent()) == "Permanent: "
