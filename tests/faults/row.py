"""One row of the table: a fault, done so many times to so many streams, and what it cost."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.e2e.client import Person
from tests.faults.ledger import Allowed, Finding, Kind
from tests.faults.stand import Stand
from tests.faults.watching import Seen, Watch, question

PATIENCE = 60.0
"""Seconds after which a stream counts as stuck."""


@dataclass(frozen=True)
class Plan:
    """How a row is done: `runs` faults under `streams` streams at once. `say` tells how far it is."""

    runs: int
    streams: int
    random: random.Random
    long: bool = False
    say: Callable[[str], None] = lambda _: None


@dataclass
class Row:
    """What came of it. `next_token_ms`: from each fault to the next text of each stream it hit."""

    fault: str
    runs: int = 0
    watches: list[Watch] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    calls: int = 0
    next_token_ms: list[float] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def number(self, kind: Kind) -> int:
        """Streams with a finding of that kind, and findings of no stream."""
        of_streams = {one.generation_id for one in self.findings if one.kind == kind and one.generation_id}
        return len(of_streams) + sum(one.kind == kind and not one.generation_id for one in self.findings)

    def reaches(
        self, plan: Plan, what: str, value: float | None, least: float = 0.0, most: float = float("inf")
    ) -> None:
        """Note a figure; in the long mode it has to lie between `least` and `most`."""
        self.figures[what] = value
        if plan.long and value is not None and not least <= value <= most:
            limit = f"at most {most:g}" if value > most else f"at least {least:g}"
            self.findings.append(Finding("missed", None, f"{what}: {value:g} where it should be {limit}"))

    async def settle(
        self, stand: Stand, allowed: Allowed | None = None, *, watches: Sequence[Watch] | None = None, left: bool = True
    ) -> None:
        """Judge streams (those of the row, unless some are named), and whether anything is left anywhere (`left`)."""
        for account in await stand.evidence.accounts(
            self.watches if watches is None else watches, allowed or Allowed()
        ):
            self.findings += account.findings()
            self.calls += len(account.calls)
        if left:
            self.findings += [Finding("stuck", None, one) for one in await stand.evidence.left()]
            if dead := await stand.evidence.dead_letters():
                self.findings.append(Finding("lost", None, f"{dead} dead letters"))


async def ask_all(
    row: Row, people: Sequence[Person], number: int, *, patience: float = PATIENCE, **asked: object
) -> list[asyncio.Task[Watch]]:
    """So many questions at once, by these people in turns, on both edges in turns; each says what it is by its content."""
    tasks: list[asyncio.Task[Watch]] = []
    for one in range(number):
        watch = Watch(people[one % len(people)], question(), edge=one % 2, **asked)  # type: ignore[arg-type]
        row.watches.append(watch)
        tasks.append(asyncio.create_task(watch.run(patience)))
    return tasks


@dataclass
class Load:
    """So many streams at any time, until the context is left; then those that run are watched to their end.

    `asked`: what the questions are beside their content, in turns.
    """

    row: Row
    people: Sequence[Person]
    number: int
    asked: Sequence[dict[str, object]]
    _going: bool = True
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._one_after_another(one)) for one in range(self.number)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    def running(self) -> list[Watch]:
        """Those that show text now and have not ended."""
        return [
            one for one in self.row.watches[-3 * self.number :] if one.tokens and one.end is None and not one.gave_up
        ]

    async def _one_after_another(self, number: int) -> None:
        person = self.people[number % len(self.people)]
        turn = number
        while self._going:
            asked = self.asked[turn % len(self.asked)]
            watch = Watch(person, question(), edge=turn % 2, **asked)  # type: ignore[arg-type]
            self.row.watches.append(watch)
            await watch.run(PATIENCE)
            turn += 1
            if watch.gave_up:
                return


def next_tokens(hit: Sequence[tuple[Watch, float]], calls: Mapping[str, Sequence[Mapping[str, object]]]) -> list[float]:
    """Milliseconds from a moment to the next text that another epoch wrote, beyond what the back-end itself took to its first token;
    nothing of streams that had no more to come."""
    found: list[float] = []
    for watch, at in hit:
        first = next_text(watch, at)
        if first is not None:
            own = [
                first_token(one) for one in calls.get(watch.content, ()) if at < float(str(one["began_at"])) < first.at
            ]
            found.append((first.at - at - (own[-1] if own else 0.0)) * 1000)
    return found


def next_text(watch: Watch, at: float) -> Seen | None:
    """The first text after that moment that another epoch wrote."""
    before = next((one.epoch for one in reversed(watch.seen) if one.at <= at and one.epoch), None)
    later = (one for one in watch.seen if one.at > at and one.event.name == "token" and one.epoch != before)
    return next(later, None)


def first_token(call: Mapping[str, object]) -> float:
    """Seconds that the back-end took to it."""
    first = call["first_token_at"]
    return float(str(first)) - float(str(call["began_at"])) if first else 0.0


def next_events(hit: Sequence[tuple[Watch, float]]) -> list[float]:
    """Milliseconds from a moment to the next event on another connection."""
    found: list[float] = []
    for watch, at in hit:
        connection = max((one.connection for one in watch.seen if one.at <= at), default=0)
        first = next((one for one in watch.seen if one.at > at and one.connection > connection), None)
        if first is not None:
            found.append((first.at - at) * 1000)
    return found


Fault = Callable[[Stand, Plan], Awaitable[Row]]
