"""Workers that die or freeze in the middle of answers."""

import asyncio
import signal
import time

from infra.redis.keys import probes_of
from tests.e2e.client import Person
from tests.eventually import eventually
from tests.faults.figures import percentile
from tests.faults.ledger import Allowed
from tests.faults.row import Load, Plan, Row, next_text, next_tokens
from tests.faults.stand import WORKERS, Stand
from tests.faults.watching import Watch, question

ENOUGH = 200
"""Tokens of an answer: four seconds at 50 a second."""
COUNTING = [{"model": model, "max_tokens": ENOUGH // 2} for model in ("paced", "paced", "anew", "nearly")]
"""Two that go on from what was said, one that begins anew and one that must not be trusted."""
MODELS = {str(one["model"]) for one in COUNTING}
NEXT_TOKEN_MS, FROZEN_MS = 150.0, 15_000.0
"""From a death to the next text beyond the back-end's own first token; from a freeze."""
OTHER = 0.05
"""The part of the kills that hits the older worker, once the younger one has settled."""
FROZEN_FOR = 20.0
"""Seconds until a frozen worker must have been replaced."""


async def killed(stand: Stand, plan: Plan) -> Row:
    """`kill -9` at a random token, with several streams on the worker."""
    row, people = Row("worker killed at a random token"), await stand.people(4)
    hit: list[tuple[Watch, float]] = []
    victim = WORKERS[0]
    await _probed(stand, people[0])
    async with Load(row, people, plan.streams, COUNTING) as load:
        for run in range(plan.runs):
            if plan.random.random() < OTHER:
                victim = next(one for one in WORKERS if one != victim)
            for other in set(WORKERS) - {victim}:
                await stand.settled(other)
            await _random_moment(load, plan, victim)
            on_it, at = [one for one in load.running() if one.worker == victim], time.time()
            stand.kill(victim)
            hit += [(one, at) for one in on_it]
            row.runs += 1
            await stand.restart(victim)
            if (run + 1) % 20 == 0:
                plan.say(f"{run + 1} of {plan.runs} kills, {len(hit)} streams hit")
    row.figures["streams hit"] = len(hit)
    row.figures["begun anew"] = sum(any(one.event.name == "restarted" for one in watch.seen) for watch in row.watches)
    row.next_token_ms = next_tokens(hit, await stand.evidence.calls(row.watches))
    row.reaches(plan, "next token p99 (ms)", percentile(row.next_token_ms, 0.99), most=NEXT_TOKEN_MS)
    await row.settle(stand, Allowed(void=True))
    return row


async def _probed(stand: Stand, person: Person) -> None:
    """Both workers have found out which of the models go on: whoever is killed every other second never would."""

    async def known() -> bool:
        await ask_each(person, len(WORKERS))
        found = [await known_of(stand, name) for name in WORKERS]
        return all(one >= MODELS for one in found)

    await eventually(known, 30)


async def ask_each(person: Person, times: int) -> None:
    """A short question to each of the models, so often at once."""
    asked = [Watch(person, question(), model, 4, n) for model in sorted(MODELS) for n in range(times)]
    await asyncio.gather(*(one.run() for one in asked))


async def known_of(stand: Stand, backend: str) -> set[str]:
    """The models of which it is known whether they go on there."""
    return {one.decode() for one in await stand.redis.hkeys(probes_of(backend))}


async def frozen(stand: Stand, plan: Plan) -> Row:
    """A worker that stands still, is replaced, and wakes up again."""
    row, people = Row("worker frozen, woken up later"), await stand.people(2)
    hit: list[tuple[Watch, float]] = []
    for _ in range(plan.runs):
        async with Load(row, people, plan.streams, [{"model": "paced", "max_tokens": ENOUGH // 2}]) as load:
            victim = await _random_moment(load, plan)
            on_it, at = [one for one in load.running() if one.worker == victim], time.time()
            stand.signal(victim, signal.SIGSTOP)
            try:
                await eventually(lambda hit=on_it, then=at: _all_go_on(hit, then), FROZEN_FOR)
            finally:
                stand.signal(victim, signal.SIGCONT)
        hit += [(one, at) for one in on_it]
        row.runs += 1
    row.next_token_ms = next_tokens(hit, await stand.evidence.calls(row.watches))
    row.reaches(plan, "longest (ms)", max(row.next_token_ms, default=None), most=FROZEN_MS)
    await row.settle(stand, Allowed(void=True))
    return row


async def _random_moment(load: Load, plan: Plan, worker: str | None = None) -> str:
    """Wait until a stream (one of that worker) has had so many more tokens; gives the worker that runs it."""
    while True:
        running = await eventually(lambda: [one for one in load.running() if worker in (None, one.worker)], 30)
        watch = plan.random.choice(running)
        enough = watch.tokens + plan.random.randint(0, 30)
        await eventually(lambda w=watch, n=enough: w.tokens >= n or w.end is not None, 30)
        if watch.end is None and watch.worker in WORKERS and worker in (None, watch.worker):
            return watch.worker


def _all_go_on(hit: list[Watch], at: float) -> bool:
    return all(next_text(one, at) for one in hit)


async def killed_while_waiting(stand: Stand, plan: Plan) -> Row:
    """`kill -9` right after questions were asked: queued, claimed, or before the first word."""
    row, people = Row("worker killed before the first word"), await stand.people(4)
    for run in range(plan.runs):
        victim = WORKERS[run % 2]
        async with Load(row, people, plan.streams, [{"model": "fast", "max_tokens": 20}]):
            await asyncio.sleep(plan.random.random() * 0.1)
            stand.kill(victim)
        row.runs += 1
        await stand.restart(victim)
    await row.settle(stand, Allowed(void=True))
    return row
