"""Replaying dead letters: whatever fails, and whoever is quicker, a question is asked again once."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from api import accepting
from api.asking_again import AskingAgain
from api.auditing import Auditing
from api.errors import Stopping
from api.explore import Explore
from api.replaying import Replayed, Replaying
from contracts.commands import GenerateReply, RefreshCatalog
from contracts.envelope import Message, wrap
from contracts.errors import Conflict, Overloaded, Unavailable
from contracts.ids import id_at, is_id, moment_of, new_id
from contracts.recording import message_of_outcome
from contracts.records import DeadLetter
from tests.contract.http.letters import died
from tests.factories import completed, generate_reply, question
from tests.unit.api.audits import MemoryAudit
from tests.unit.api.faulty import Fault, FaultyAdmission, SlowBus
from tests.unit.api.letters import MemoryDeadLetters
from tests.unit.api.test_accepting import accepting_over
from tests.unit.api.test_explore import Store
from tests.unit.workers.scripted import KeepingChats

ADMIN, OTHER = new_id(), new_id()
AWAY = Unavailable("away")
LONG_AGO = timedelta(seconds=16)
"""After which an edge that decided and did not ask is taken for dead."""


class Desk:
    """One edge's, with everything around it."""

    def __init__(self, streams: FaultyAdmission) -> None:
        self.letter = died()
        self.letters = MemoryDeadLetters(self.letter)
        self.bus, self.streams, self.chats = SlowBus(), streams, KeepingChats()
        self.accepting = accepting_over(self.bus, streams)
        self.stops = False
        asking = AskingAgain(
            streams, self.chats, Explore(Store("small")), self.accepting, 600.0, ends=lambda: self.stops
        )
        self.audit = MemoryAudit()
        self.own = Replaying(self.letters, self.bus, asking, Auditing(self.audit))

    async def replays(self, by: str = ADMIN, key: str | None = None) -> Replayed:
        return await self.own.replay(self.letter.id, by, key)

    async def refuses(self, code: str, by: str = ADMIN, key: str | None = None) -> Conflict:
        with pytest.raises(Conflict) as refused:
            await self.replays(by, key)
        assert refused.value.code == code
        return refused.value

    @property
    def now(self) -> DeadLetter:
        return self.letters.kept[self.letter.id]

    @property
    def commands(self) -> list[GenerateReply]:
        return [one for one in self.bus.published if isinstance(one, GenerateReply)]

    def was(self, **changes: object) -> None:
        """The letter stands so."""
        self.letters.kept[self.letter.id] = self.now.model_copy(update=changes)

    def time_passes(self) -> None:
        assert self.now.decided_at is not None
        self.was(decided_at=self.now.decided_at - LONG_AGO)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "PAUSE", 0.001)


@pytest.fixture
async def desk() -> AsyncGenerator[Desk, None]:
    async with FaultyAdmission() as streams:
        made = Desk(streams)
        async with made.accepting:
            yield made


async def test_it_is_decided_before_it_is_asked(desk: Desk) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.append(desk.now.status)

    desk.bus.during = look
    replayed = await desk.replays()
    (command,) = desk.commands
    assert seen[0] == "replayed"
    assert replayed == Replayed(desk.letter.id, command.question.generation_id)
    assert desk.now.replayed_as == command.question.generation_id


async def test_what_it_asks_belongs_to_the_request_that_died(desk: Desk) -> None:
    wrapped: list[Message] = []

    async def wrapping() -> None:
        wrapped.append(wrap(generate_reply(), "edge"))

    desk.bus.during = wrapping
    await desk.replays()
    dead = desk.letter.attributes
    assert (wrapped[0].correlationid, wrapped[0].causationid) == (dead["correlationid"], dead["id"])


@pytest.mark.parametrize("error", [AWAY, Overloaded("full"), RuntimeError("nobody foresaw it")])
async def test_what_is_refused_waits_again_and_may_be_replayed_at_once(desk: Desk, error: Exception) -> None:
    desk.bus.fails = [error]
    with pytest.raises(type(error)):
        await desk.replays()
    assert (desk.now.status, desk.now.replayed_as) == ("waiting", None)
    await desk.replays()
    assert len(desk.commands) == 1


async def test_an_edge_that_stops_replays_nothing(desk: Desk) -> None:
    desk.stops = True
    with pytest.raises(Stopping):
        await desk.replays()
    assert (desk.now.status, desk.commands) == ("waiting", [])


@pytest.mark.parametrize("status", ["replayed", "discarded"])
async def test_who_is_slower_learns_what_was_decided(desk: Desk, status: str) -> None:
    async def quicker() -> None:
        desk.was(status=status, decided_by=OTHER, decided_at=datetime.now(UTC))

    desk.letters.before_deciding = quicker
    refused = await desk.refuses("already_decided")
    assert (refused.extra["letter_status"], refused.extra["decided_by"]) == (status, OTHER)
    assert desk.commands == []


async def test_who_is_slower_than_somebody_who_was_refused_tries_again(desk: Desk) -> None:
    waiting = desk.now

    async def quicker() -> None:
        desk.was(status="replayed")
        asyncio.get_running_loop().call_soon(desk.letters.kept.__setitem__, waiting.id, waiting)

    desk.letters.before_deciding = quicker
    real = desk.letters.decide

    async def slowly(*args: object, **more: object) -> DeadLetter | None:
        decided = await real(*args, **more)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        return decided

    desk.letters.decide = slowly  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await desk.replays()
    assert desk.commands == []


# An edge that died after it had decided


async def test_a_replay_that_never_began_is_begun_by_the_next_one_under_the_same_id(desk: Desk) -> None:
    generation = new_id()
    desk.was(status="replayed", decided_by=OTHER, decided_at=datetime.now(UTC), replayed_as=generation)
    await desk.refuses("already_decided")
    desk.time_passes()
    assert await desk.replays() == Replayed(desk.letter.id, generation)
    (command,) = desk.commands
    assert command.question.generation_id == generation
    assert desk.now.decided_by == ADMIN
    desk.time_passes()
    await desk.refuses("already_decided")


async def test_a_replay_that_was_only_admitted_is_begun_by_the_next_one(desk: Desk) -> None:
    generation = new_id()
    desk.was(status="replayed", decided_by=OTHER, decided_at=datetime.now(UTC) - LONG_AGO, replayed_as=generation)
    half = await desk.own.asking.renewed(GenerateReply.model_validate_json(desk.letter.body), generation)
    await desk.streams.admit(half.question, explicit_parent=True, deadline=half.deadline)
    await desk.streams.create(half.question, starts_before=half.starts_before, deadline=half.deadline)
    await desk.replays()
    assert [one.question.generation_id for one in desk.commands] == [generation]
    assert (await desk.streams.head(generation)).state == "accepted"


async def test_those_who_begin_it_again_at_once_begin_one_generation(desk: Desk) -> None:
    desk.was(status="replayed", decided_by=OTHER, decided_at=datetime.now(UTC) - LONG_AGO, replayed_as=new_id())
    answers = await asyncio.gather(*(desk.replays() for _ in range(5)), return_exceptions=True)
    assert {one.question.generation_id for one in desk.commands} == {desk.now.replayed_as}
    assert [one for one in answers if isinstance(one, Replayed)]
    assert all(isinstance(one, Replayed | Conflict) for one in answers)


async def test_a_refused_replay_whose_letter_could_not_be_put_back_gets_another_id(desk: Desk) -> None:
    desk.bus.fails = [Overloaded("full")]
    desk.letters.fails["waiting"] = AWAY
    with pytest.raises(Overloaded):
        await desk.replays()
    first = str(desk.now.replayed_as)
    assert desk.now.status == "replayed"
    await desk.refuses("already_decided")
    desk.time_passes()
    replayed = await desk.replays()
    assert replayed.generation_id == id_at(moment_of(first) + 1, first), "whoever comes gets the same"
    (command,) = desk.commands
    assert command.question.generation_id == desk.now.replayed_as == replayed.generation_id != first


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_replay_that_began_is_not_begun_again_however_long_ago(desk: Desk, recorded: bool) -> None:
    await desk.replays()
    (command,) = desk.commands
    if recorded:
        generation = command.question.generation_id
        desk.streams.logs.by_id.clear()
        desk.chats.replies[generation] = message_of_outcome(completed(command.question))
    desk.time_passes()
    await desk.refuses("already_decided", by=OTHER)
    assert len(desk.commands) == 1


# Repeats under a key


async def test_a_repeat_while_the_first_one_is_at_it_is_told_to_come_back(desk: Desk) -> None:
    desk.streams.faults["admit"] = [Fault(AWAY)]
    repeated: list[BaseException] = []
    real = desk.accepting.accept

    async def meanwhile(command: GenerateReply, *, explicit_parent: bool) -> object:
        answer = await asyncio.gather(desk.replays(key="k"), return_exceptions=True)
        repeated.extend(one for one in answer if isinstance(one, BaseException))
        return await real(command, explicit_parent=explicit_parent)

    desk.accepting.accept = meanwhile  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await desk.replays(key="k")
    assert [type(one) for one in repeated] == [Unavailable]
    desk.accepting.accept = real  # type: ignore[method-assign]
    first = await desk.replays(key="k")
    assert await desk.replays(key="k") == first
    assert len(desk.commands) == 1


async def test_a_repeat_after_an_edge_died_begins_what_the_first_one_promised(desk: Desk) -> None:
    first = await desk.replays(key="k")
    desk.streams.logs.by_id.clear()
    desk.streams.logs.open.clear()
    desk.streams.logs.live.clear()
    desk.bus.published.clear()
    desk.time_passes()
    assert await desk.replays(key="k") == first
    assert [one.question.generation_id for one in desk.commands] == [first.generation_id]


async def test_another_message_is_published_again_by_a_repeat_under_a_key_alone(desk: Desk) -> None:
    desk.letter = died(RefreshCatalog())
    desk.letters.kept[desk.letter.id] = desk.letter
    await desk.replays(key="k")
    await desk.refuses("already_decided")
    await desk.refuses("already_decided", by=OTHER, key="k")
    await desk.replays(key="k")
    assert len(desk.bus.published) == 2


# Ids


def test_an_id_of_a_moment_and_a_seed_is_a_version_7_that_sorts_there() -> None:
    before, after = new_id(), question().generation_id
    moment = moment_of(after) + 1
    made = id_at(moment, "seed")
    assert is_id(made)
    assert (made[14], made[19] in "89ab", moment_of(made)) == ("7", True, moment)
    assert made > after > before
    assert id_at(moment, "seed") == made != id_at(moment, "another")
    assert is_id(id_at(2**48, "far away"))
