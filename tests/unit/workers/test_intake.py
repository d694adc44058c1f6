"""How much a worker takes from the bus, as back-ends come and go."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from contracts.ports.bus import DeadSubscription, Subscription
from contracts.topology import embed_texts_queue, generate_reply_queue
from infra.sqlite.bus import SqliteBus
from tests.eventually import eventually
from tests.unit.workers.conftest import AcceptQuestion, StartInference
from tests.unit.workers.scripted import FaultyStreams, FixedRoster, KeepingBus, ScriptedBackend, never, says
from workers.inference import intake
from workers.inference.intake import Intake

INTERACTIVE, BULK, BATCH = (generate_reply_queue("default", lane).name for lane in ("interactive", "bulk", "batch"))
TEXTS = embed_texts_queue("default").name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "LOOK", 0.01)
    monkeypatch.setattr(intake, "AGAIN", 0.01)


class CountingBus(KeepingBus):
    """Notes what is consumed, and how it is left. `refuses`: raised by the next calls, one each."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[dict[str, int]] = []
        self.left = 0
        self.leaving = 0
        self.most_leaving = 0
        self.refuses: list[Exception] = []

    @asynccontextmanager
    async def consume(
        self, subscriptions: Sequence[Subscription | DeadSubscription], *, drain: float = 20.0
    ) -> AsyncGenerator[None, None]:
        if self.refuses:
            raise self.refuses.pop(0)
        self.taken.append({one.queue.name: one.concurrency for one in subscriptions})
        yield
        self.leaving += 1
        self.most_leaving = max(self.most_leaving, self.leaving)
        await asyncio.sleep(0.01)
        self.leaving -= 1
        self.left += 1


def backend(name: str = "one", slots: int = 4) -> ScriptedBackend:
    return ScriptedBackend(says(), name=name, slots=slots)


async def test_without_a_back_end_nothing_is_taken_until_the_first_one_comes(inference: StartInference) -> None:
    bus, roster = CountingBus(), FixedRoster()
    async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default"):
        assert bus.taken == []
        roster.becomes(backend())
        await eventually(lambda: bus.taken)
    assert bus.taken == [{INTERACTIVE: 4, BULK: 2, BATCH: 1, TEXTS: 2}]


async def test_more_slots_are_taken_beside_those_that_there_were_and_never_fewer(inference: StartInference) -> None:
    bus, roster = CountingBus(), FixedRoster(backend())
    async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default") as taking:
        roster.becomes(backend(), backend("two", 1))
        await eventually(lambda: len(bus.taken) == 2)
        roster.becomes(backend("two", 1))
        await eventually(lambda: worker.slots == 1)
        roster.becomes(backend(), backend("two", 5))
        await eventually(lambda: len(bus.taken) == 3)
        assert taking.slots == 9
        assert bus.left == 0
    assert bus.taken[1:] == [
        {INTERACTIVE: 1, BULK: 1, BATCH: 1, TEXTS: 1},
        {INTERACTIVE: 4, BULK: 2, BATCH: 1, TEXTS: 2},
    ]
    sums = {queue: sum(one[queue] for one in bus.taken) for queue in bus.taken[0]}
    assert sums == {INTERACTIVE: 9, BULK: 5, BATCH: 3, TEXTS: 5}


async def test_all_of_it_is_left_at_once(inference: StartInference) -> None:
    bus, roster = CountingBus(), FixedRoster(backend())
    async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default"):
        roster.becomes(backend(), backend("two"))
        await eventually(lambda: len(bus.taken) == 2)
    assert (bus.left, bus.most_leaving) == (2, 2)


async def test_a_bus_that_is_away_is_asked_again(inference: StartInference) -> None:
    bus, roster = CountingBus(), FixedRoster()
    async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default"):
        bus.refuses = [Unavailable("The broker is down.")] * 3
        roster.becomes(backend())
        await eventually(lambda: bus.taken)


async def test_a_worker_that_stops_takes_nothing_more(inference: StartInference) -> None:
    bus, roster = CountingBus(), FixedRoster(backend())
    async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default"):
        worker.stop_taking()
        roster.becomes(backend(), backend("two"))
        await eventually(lambda: worker.slots == 8)
    assert len(bus.taken) == 1


async def test_questions_that_waited_run_once_there_is_a_back_end_and_more_with_a_second(
    inference: StartInference, accepted: AcceptQuestion, streams: FaultyStreams, tmp_path: Path
) -> None:
    roster = FixedRoster()
    one, two = (ScriptedBackend([never], name=name, slots=2) for name in ("one", "two"))
    async with SqliteBus(tmp_path / "bus", source="test") as bus:
        for _ in range(5):
            await bus.publish(await accepted())
        async with inference(roster=roster, bus=bus) as worker, Intake(bus, worker, "default", drain=0.05):
            roster.becomes(one)
            await eventually(lambda: one.running == 2)
            roster.becomes(one, two)
            await eventually(lambda: two.running == 2)
            assert (one.most_running, two.most_running) == (2, 2)
