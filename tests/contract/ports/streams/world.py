"""One generation, three workers, an edge, history, people who follow it, and a server that loses data; each step beside the model."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from contracts.commands import Question
from contracts.events import Outcome, ReplyFailed, terminal_event
from contracts.generation import Restarted, encode, is_terminal
from contracts.ports.streams import (
    Answer,
    Appended,
    Closed,
    Created,
    Gap,
    GenerationStreams,
    Held,
    LogEvent,
    LostLog,
    Run,
    Sealed,
)
from contracts.shown import Shown, mending, shown
from tests.contract.ports.streams import model
from tests.contract.ports.streams.places import Place
from tests.contract.ports.streams.reader import Reader
from tests.contract.ports.streams.story import cancelled, soon, stands, started, tokens
from tests.factories import completed, question


@dataclass
class Hand:
    """What a worker holds: a claim, the log as it found it, and everything that it wrote since, kept for a resend or a restore.

    `clean`: nothing has happened that forbids this worker to close the log by itself.
    """

    run: Run
    before: tuple[LogEvent, ...]
    clean: bool
    written: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    acknowledged: int = 0
    missing: bool = False
    cancel: bool = False
    sealed: Outcome | None = None
    published: bool = False

    @property
    def next(self) -> int:
        return self.run.next + len(self.written)

    @property
    def text(self) -> str:
        return shown([*(one.encoded for one in self.before), *(one for one, _ in self.written)]).text

    def heard(self, answer: object) -> None:
        """Of a cancel, and how far the log is."""
        if isinstance(answer, Appended):
            self.acknowledged = len(self.written)
            self.cancel = self.cancel or answer.cancel
        elif isinstance(answer, Gap):
            self.acknowledged, self.clean = answer.next - self.run.next, False
        elif answer is Answer.NOLOG:
            self.missing, self.clean = True, False


@dataclass
class Seat:
    """A worker process; when it dies, another one sits down."""

    name: str
    there: AsyncExitStack
    hand: Hand | None = None


class World:
    """Every method named in `STEPS` is a step: it takes a seat's number and a number, and does nothing where it cannot be done."""

    STEPS = (
        "write", "write", "write", "write", "resend", "ahead", "late", "take", "take", "die", "overrun", "renew", "release",
        "finish", "close", "cancel", "seal_for_others", "record", "lose", "back_up", "put_back", "create", "join", "leave", "look",
    )  # fmt: skip

    def __init__(self, place: Place, streams: GenerationStreams, edge: GenerationStreams, *, overdue: bool) -> None:
        self.place, self.streams, self.edge, self.overdue = place, streams, edge, overdue
        self.asked: Question = question()
        self.id = self.asked.generation_id
        self.log: model.Log | None = None
        self.store: Outcome | None = None
        self.seats: list[Seat] = []
        self.readers: list[Reader] = []
        self.said: dict[str, bytes] = {}
        self._epochs: set[int] = set()
        self._given_up: list[int] = []
        self._backup: tuple[object, model.Log] | None = None
        self._numbers = count()
        self._undisturbed = True

    async def begin(self) -> None:
        """A question that the edge has accepted, somebody who follows it, three workers."""
        await self.create(0, 0)
        await self.streams.confirm(self.id)
        if self.log is not None:
            self.log.state = "accepted"
        self._undisturbed = True
        for _ in range(3):
            self.seats.append(await self._sat_down())
        await self.join(0, 0)

    async def leave_all(self) -> None:
        """Nobody is left."""
        for seat in self.seats:
            await seat.there.aclose()
        for reader in self.readers:
            await reader.leave()

    async def _sat_down(self) -> Seat:
        seat = Seat(f"worker-{next(self._numbers)}-of-{self.id}", AsyncExitStack())
        await seat.there.enter_async_context(self.streams.control(seat.name))
        return seat

    # what workers do

    async def write(self, at: int, number: int) -> None:
        """New tokens, with whatever was not acknowledged before; a lost log first."""
        hand = self.seats[at].hand
        if hand is None or hand.sealed is not None:
            return
        if hand.missing and not await self._restored(self.seats[at], hand):
            return
        hand.written += tokens(*(f"{next(self._numbers)}," for _ in range(number)))
        await self._send(self.seats[at], hand, hand.acknowledged)

    async def resend(self, at: int, number: int) -> None:
        """From before the end, as after a lost answer."""
        hand = self.seats[at].hand
        if hand is not None and hand.sealed is None and not hand.missing:
            await self._send(self.seats[at], hand, max(0, hand.acknowledged - number))

    async def ahead(self, at: int, _: int) -> None:
        """The append before it was lost."""
        hand = self.seats[at].hand
        if hand is not None and hand.sealed is None and not hand.missing and self.log is not None:
            expected = max(hand.next, self.log.next) + 1
            answer = await self.streams.append(self.id, hand.run.epoch, expected, tokens("lost"))
            assert answer == self.log.append(hand.run.epoch, expected, tokens("lost"))

    async def _send(self, seat: Seat, hand: Hand, place: int) -> None:
        expected, events = hand.run.next + place, hand.written[place:]
        answer = await self.streams.append(self.id, hand.run.epoch, expected, events)
        assert answer == (Answer.NOLOG if self.log is None else self.log.append(hand.run.epoch, expected, events))
        hand.heard(answer)
        if answer in (Answer.FENCED, Answer.CLOSED) or not 0 <= hand.acknowledged <= len(hand.written):
            self._let_go(seat, hand)

    async def _restored(self, seat: Seat, hand: Hand) -> bool:
        own = tuple(
            LogEvent(f"{hand.run.epoch}-{hand.run.next + place}", *event) for place, event in enumerate(hand.written)
        )
        lost = LostLog(
            self.asked, soon(5), soon(), seat.name, hand.run.epoch, hand.run.attempt, hand.cancel, (*hand.before, *own)
        )
        stands = self.log is not None and (self.log.state, self.log.epoch) == ("running", hand.run.epoch)
        answer = await self.streams.restore(lost)
        assert answer is (Answer.OK if self.log is None or stands else Answer.EXISTS)
        if self.log is None:
            self.log = model.restored(lost)
        if answer is Answer.OK:
            hand.missing, hand.acknowledged = False, len(hand.written)
        else:
            self._let_go(seat, hand)
        return answer is Answer.OK

    def _let_go(self, seat: Seat, hand: Hand) -> None:
        self._given_up.append(hand.run.epoch)
        seat.hand = None

    async def late(self, _: int, number: int) -> None:
        """What those still send who were fenced."""
        epoch = self._given_up[-number] if len(self._given_up) >= number else None
        if epoch is None or (self.log is not None and self.log.epoch == epoch):
            return
        gone = Answer.NOLOG if self.log is None else Answer.FENCED
        outcome = completed(self.asked, "late")
        assert (
            await self.streams.append(self.id, epoch, 0 if self.log is None else self.log.next, tokens("late")) is gone
        )
        assert await self.streams.renew(self.id, epoch) is gone
        assert await self.streams.release(self.id, epoch) is gone
        assert await self.streams.seal(self.id, epoch, 0 if self.log is None else self.log.next, outcome) is gone
        assert await self.streams.close(self.id, epoch) is gone

    async def take(self, at: int, number: int) -> None:
        """A claim, and what follows from its answer. `number`: odd: may take a suspect; up to 2: goes on from the text shown."""
        seat, suspects = self.seats[at], number % 2 == 1
        if seat.hand is not None:
            return
        expected = self._claim_expected(seat.name, suspects=suspects)
        answer = await self.streams.claim(self.id, seat.name, suspects=suspects)
        if isinstance(answer, Run):
            assert answer == Run(**{**vars(expected), "epoch": answer.epoch})
            await self._hold(seat, answer, goes_on=number <= 2)
        elif isinstance(answer, Held):
            assert isinstance(expected, Held)
            assert (answer.owner, answer.ms == 250) == (expected.owner, expected.ms == 250)
        else:
            assert answer == expected
            await self._without_running(answer)

    def _claim_expected(self, worker: str, *, suspects: bool) -> Run | Held | Sealed | Answer:
        if self.log is None:
            return Answer.NOLOG
        return self.log.claim(worker, {one.name for one in self.seats}, suspects=suspects, overdue=self.overdue)

    async def _hold(self, seat: Seat, run: Run, *, goes_on: bool) -> None:
        assert self.log is not None
        assert run.epoch > max(self.log.epoch, self.log.born), "an epoch that is not newer"
        assert run.epoch not in self._epochs, "an epoch was given twice"
        clean, self._undisturbed = self._undisturbed, False  # whoever comes after the first is never clean
        self._epochs.add(run.epoch)
        self.log.epoch = run.epoch
        before = (await stands(self.streams, self.id)).events[: run.next]
        seat.hand = Hand(run, before, clean=clean, cancel=run.cancel)
        if run.shown and not goes_on:
            seat.hand.written.append((encode(Restarted(attempt=run.attempt, reason="worker_lost")), 0))
        seat.hand.written.append(started(run.attempt))

    async def _without_running(self, answer: Sealed | Answer) -> None:
        if isinstance(answer, Sealed):
            self._publish(answer.outcome)
        elif answer in (Answer.EXPIRED, Answer.QUARANTINE):
            await self.seal_for_others(0, 0)
        elif answer is Answer.NOLOG and self.store is None:
            await self.create(0, 0)

    async def die(self, at: int, _: int) -> None:
        """The process is gone, and everything that it knew."""
        await self.seats[at].there.aclose()
        if (hand := self.seats[at].hand) is not None:
            self._let_go(self.seats[at], hand)
        self.seats[at] = await self._sat_down()

    async def overrun(self, _: int, __: int) -> None:
        """Its worker is frozen: the lease is over."""
        if self.log is not None:
            await self.place.overrun(self.id)
            self.log.leased = False

    async def renew(self, at: int, _: int) -> None:
        hand = self.seats[at].hand
        if hand is not None:
            answer = await self.streams.renew(self.id, hand.run.epoch)
            assert answer == (Answer.NOLOG if self.log is None else self.log.renew(hand.run.epoch))

    async def release(self, at: int, _: int) -> None:
        """A hand-over."""
        seat, hand = self.seats[at], self.seats[at].hand
        if hand is not None and hand.sealed is None:
            answer = await self.streams.release(self.id, hand.run.epoch)
            assert answer is (Answer.NOLOG if self.log is None else self.log.release(hand.run.epoch))
            self._let_go(seat, hand)

    async def finish(self, at: int, number: int) -> None:
        """Everything is written: seal it."""
        seat = self.seats[at]
        await self.write(at, number)
        hand = seat.hand
        if hand is None or hand.sealed is not None or hand.missing:
            return
        outcome = self._outcome(hand)
        answer = await self.streams.seal(self.id, hand.run.epoch, hand.next, outcome)
        assert answer == (Answer.NOLOG if self.log is None else self.log.seal(hand.run.epoch, hand.next, outcome))
        hand.heard(answer)
        if answer is Answer.OK:
            hand.sealed = outcome
        elif answer is Answer.CANCELLED:
            hand.cancel = True
            await self.finish(at, number)
        elif answer in (Answer.FENCED, Answer.CLOSED):
            self._let_go(seat, hand)

    def _outcome(self, hand: Hand) -> Outcome:
        if hand.cancel:
            return cancelled(self.asked).model_copy(update={"text": hand.text, "attempt": hand.run.attempt})
        return completed(self.asked, hand.text, attempt=hand.run.attempt)

    async def close(self, at: int, _: int) -> None:
        """Publish what is sealed; then, if nothing happened, close the log and be done."""
        seat, hand = self.seats[at], self.seats[at].hand
        if hand is None or hand.sealed is None:
            return
        if not hand.published:
            self._publish(hand.sealed)
            hand.published = True
        elif hand.clean:
            answer = await self.streams.close(self.id, hand.run.epoch)
            assert answer == (Answer.NOLOG if self.log is None else self.log.close(hand.run.epoch))
            self._let_go(seat, hand)
        else:
            self._let_go(seat, hand)

    # what edges, history and the sweep do

    def _publish(self, outcome: Outcome) -> None:
        """The first outcome wins."""
        self.store = self.store or outcome

    async def create(self, _: int, __: int) -> None:
        """The log is begun; again, where it was lost and nothing is recorded."""
        if self.store is not None:
            return
        starts = soon(-5 if self.overdue else 5)
        answer = await self.streams.create(self.asked, starts_before=starts, deadline=soon())
        if self.log is not None:
            assert answer == model.exists(self.log)
            return
        assert isinstance(answer, Created)
        assert answer.epoch not in self._epochs
        self._epochs.add(answer.epoch)
        self.log = model.created(answer.epoch, (await stands(self.streams, self.id)).events[0])
        self._undisturbed = False

    async def cancel(self, _: int, __: int) -> None:
        outcome = cancelled(self.asked)
        answer = await self.edge.cancel(self.asked.owner, self.id, outcome)
        assert answer == (Answer.NOT_FOUND if self.log is None else self.log.cancelled(outcome))
        if isinstance(answer, Sealed):
            self._publish(answer.outcome)

    async def seal_for_others(self, _: int, number: int) -> None:
        """Sweep and dead letters: read the log, seal it with its text, publish. Odd `number`: gone before it published."""
        text = "" if self.log is None else self.log.shown.text
        outcome = ReplyFailed(
            question=self.asked, text=text, ended_at=datetime.now(UTC), code="internal", message="Ended by others."
        )
        if self.log is not None and self.log.cancel:
            outcome = cancelled(self.asked).model_copy(update={"text": text})
        expected = 0 if self.log is None else self.log.next
        answer = await self.streams.seal(self.id, None, expected, outcome)
        assert answer == (Answer.NOLOG if self.log is None else self.log.seal(None, expected, outcome))
        if number % 2 == 0 and (answer is Answer.OK or isinstance(answer, Sealed)):
            self._publish(answer.outcome if isinstance(answer, Sealed) else outcome)

    async def record(self, _: int, __: int) -> None:
        """History has the outcome in the store, and ends the log with it."""
        if self.store is None:
            return
        before = self.log.copy() if self.log is not None else None
        answer = await self.streams.recorded(self.id, self.store)
        if before is None:
            assert answer is Answer.NOLOG
            return
        assert isinstance(answer, Closed)
        log = await stands(self.streams, self.id)
        if before.state != "closed":
            whole = [*mending(before.shown, self.store), encode(terminal_event(self.store))]
            assert [one.encoded for one in log.events[before.next :]] == whole
            before.state, before.outcome, before.owner, before.leased = "closed", self.store, None, False
            before.events, before.epoch = log.events, model.NOBODYS
        assert answer == Closed(str(before.events[-1].id))
        self.log = before

    # what a server does that loses data

    async def lose(self, _: int, __: int) -> None:
        """The log is gone: deleted, or expired."""
        if self.log is not None:
            await self.place.lose(self.id)
            self.log = None

    async def back_up(self, _: int, __: int) -> None:
        """What the server would come back with."""
        if self.log is not None:
            self._backup = await self.place.backup(self.id), self.log.copy()

    async def put_back(self, _: int, __: int) -> None:
        """It comes back without its last writes; every process has lost its connection to it."""
        if self._backup is not None:
            await self.place.put_back(self.id, self._backup[0])
            self.log = self._backup[1].copy()
            self._undisturbed = False
            for seat in self.seats:
                if seat.hand is not None:
                    seat.hand.clean = False

    # what people do

    async def join(self, _: int, __: int) -> None:
        if len(self.readers) < 6:
            self.readers.append(Reader(self.edge, self.id, self.said, lambda: self.store))
            self.readers[-1].come()

    async def leave(self, _: int, number: int) -> None:
        """One loses its connection; or comes back, and resumes."""
        reader = self.readers[number % len(self.readers)]
        if number % 2:
            await reader.leave()
        reader.come()

    async def look(self, _: int, __: int) -> None:
        """The log is what the model says."""
        (found,) = await self.edge.read([self.id])
        if self.log is None or found is None:
            assert found is self.log is None
            return
        log = self.log
        assert found.events == log.events
        assert [one.tokens for one in found.events] == [one.tokens for one in log.events]
        assert (found.state, found.next, found.cancel) == (log.state, log.next, log.cancel)
        assert (found.outcome, found.attempt) == (log.outcome, log.attempt)
        assert Shown(found.text, found.thinking, found.tool_calls) == log.shown
        for event in found.events:
            assert self.said.setdefault(str(event.id), event.encoded) == event.encoded, f"{event.id} has two texts"

    # the end

    async def end(self) -> None:
        """All workers die; whoever is left brings it to its recorded outcome, by the protocol; all readers read on."""
        for at in range(len(self.seats)):
            await self.die(at, 0)
        for _ in range(12):
            if self.store is not None:
                break
            await self.take(0, 1)
            await self.finish(0, 1)
            for _ in range(2):
                await self.close(0, 0)
        assert self.store is not None, "it never ended"
        await self.record(0, 0)
        await self.look(0, 0)
        for reader in self.readers:
            await reader.finish()

    def check(self) -> None:
        """One outcome; the log's text and everybody's is the recorded one; the end is said once, last, and is the outcome's."""
        assert self.store is not None
        last = encode(terminal_event(self.store))
        for reader in self.readers:
            assert (reader.text, reader.end) == (self.store.text, last)
        if self.log is not None:
            assert (self.log.state, self.log.shown.text) == ("closed", self.store.text)
            assert _ends(self.log.events) == [last] == [self.log.events[-1].encoded]
            assert [str(one.id).partition("-")[2] for one in self.log.events] == list(map(str, range(self.log.next)))


def _ends(events: Sequence[LogEvent]) -> list[bytes]:
    return [one.encoded for one in events if is_terminal(one.encoded)]
