"""Property: whatever happens to steps in whatever order, each take is one holder's, and nobody who waits is dropped unseen."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.administration import Step
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.steps import SqliteSteps
from tests.contract.ports.stores import now

LONG = 3600.0
"""Seconds: a lease is over when the story says so."""
KEYS, HOLDERS, COMMANDS = ("x", "y"), ("a", "b"), ("c1", "c2", "c3")


@dataclass
class World:
    """The store, what every take gave as its holder last read it (stale ones too), and who waits for what by the calls alone."""

    steps: SqliteSteps
    database: SqliteDatabase
    read: list[tuple[str, Step]] = field(default_factory=list)
    waiting: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in KEYS})
    holders: dict[tuple[str, int], str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))

    async def attach(self, place: int, other: int) -> None:
        key, command_id = KEYS[place % 2], COMMANDS[other % 3]
        one = Step(key=key, kind="PullModel", target="a", model=key, created_at=now())
        self.waiting[key].add(command_id)
        assert set((await self.steps.attach(one, command_id)).commands) == self.waiting[key]

    async def detach(self, place: int, other: int) -> None:
        key, command_id = KEYS[place % 2], COMMANDS[other % 3]
        self.waiting[key].discard(command_id)
        await self.steps.detach(key, command_id)

    async def take(self, place: int, other: int) -> None:
        holder = HOLDERS[place % 2]
        for one in await self.steps.take(holder, LONG, 1 + other % 2):
            assert (one.key, one.epoch) not in self.holders, "two had the same epoch of it"
            assert one.epoch > self.last[one.key], "the epoch did not rise"
            assert one.commands, "nobody waits for it"
            self.holders[one.key, one.epoch] = holder
            self.last[one.key] = one.epoch
            self.read.append((holder, one))

    async def renew(self, place: int, _: int) -> None:
        if not self.read:
            return
        at = place % len(self.read)
        holder, one = self.read[at]
        found = await self.steps.renew(one, holder, LONG)
        if found is not None:
            assert found.epoch == one.epoch == self.last[one.key], "it is another's by now"
            assert set(found.commands) == self.waiting[one.key]
            self.read[at] = (holder, found)

    async def finish(self, place: int, _: int) -> None:
        if not self.read:
            return
        holder, one = self.read[place % len(self.read)]
        if await self.steps.finish(one, holder):
            assert one.epoch == self.last[one.key], "it was another's by then"
            assert set(one.commands) == self.waiting[one.key], "somebody was not told"
            self.waiting[one.key].clear()

    async def release(self, place: int, _: int) -> None:
        if self.read:
            holder, one = self.read[place % len(self.read)]
            await self.steps.release(one, holder)

    async def expire(self, _: int, __: int) -> None:
        """Every holder is slow or dead."""
        await self.database.write(lambda connection: connection.execute("UPDATE steps SET until = 0"))

    async def look(self) -> None:
        for key in KEYS:
            found = await self.steps.concerning(key)
            assert [set(one.commands) for one in found] == ([self.waiting[key]] if self.waiting[key] else [])

    async def end(self) -> None:
        """Whoever still waits is served, and then nothing is left."""
        await self.expire(0, 0)
        for one in await self.steps.take("last", LONG, len(KEYS)):
            assert await self.steps.finish(one, "last")
            assert set(one.commands) == self.waiting.pop(one.key)
        assert not any(self.waiting.values())
        left = await self.database.read(lambda connection: connection.execute("SELECT key FROM steps").fetchall())
        assert left == []


STORIES = 60
"""The same ones every time, long enough that a wrong epoch, a change overlooked or a step left over shows in one of them."""
CALLS = (World.attach, World.detach, World.take, World.renew, World.finish, World.release, World.expire)
stories = st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 3), st.integers(0, 2)), min_size=30, max_size=60)


@given(story=stories)
@settings(max_examples=STORIES, deadline=None, derandomize=True)
async def test_no_take_has_two_holders_and_nobody_who_waits_is_dropped_unseen(story: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteDatabase(Path(folder) / "ollamanet.db") as database:
            world = World(SqliteSteps(database), database)
            for call, place, other in story:
                await call(world, place, other)
                await world.look()
            await world.end()
