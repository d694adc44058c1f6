"""A back-end that dies under everything it runs, while another one of its pool has the models."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.e2e.client import Person
from tests.eventually import eventually
from tests.faults.figures import percentile
from tests.faults.ledger import Allowed, Finding
from tests.faults.row import PATIENCE, Plan, Row, first_token
from tests.faults.rows.killing import COUNTING, MODELS, ask_each, known_of
from tests.faults.stand import WORKERS, Stand
from tests.faults.watching import Seen, Watch, question
from tests.servers.shared import free_port

PAIR = ("pair-a", "pair-b")
MODEL_LISTS = "ollamanet_inference_backend_models"
TOKENS = 600
"""Of an answer: twelve seconds, in which the other back-end starts, is found by the workers, and stays alone."""
SHOWN = 3
"""Tokens that each stream has shown when its back-end dies."""
NEXT_TOKEN_MS = 1000.0
"""From the death to the next text beyond the back-end's own first token: a worker has 25 streams to begin again at once."""


@dataclass
class Pair:
    """Two fake back-ends of one pool. What a killed one was called for is kept: its own log dies with it."""

    stand: Stand
    urls: dict[str, str] = field(default_factory=lambda: {name: f"http://127.0.0.1:{free_port()}" for name in PAIR})
    kept: list[dict[str, object]] = field(default_factory=list)

    async def start(self, name: str) -> None:
        """It runs, and both workers have seen what it has."""
        url = self.urls[name]
        command = [sys.executable, "-m", "infra.fake", "--port", url.rpartition(":")[2]]
        await asyncio.to_thread(self.stand.platform.start, name, command, {}, f"{url}/api/version")

    async def kill(self, name: str) -> float:
        """`kill -9`; the moment."""
        self.kept += await asyncio.to_thread(self._log, name)
        at = time.time()
        self.stand.kill(name)
        return at

    async def seen(self, name: str, *, alive: bool) -> None:
        """Both workers have found out whether it is there."""
        await eventually(lambda: asyncio.to_thread(self._seen, name, alive), 20)

    def calls(self) -> list[dict[str, object]]:
        """Of both, dead and alive."""
        alive = [name for name in PAIR if self.stand.ended(name) is None]
        return [*self.kept, *(call for name in alive for call in self._log(name))]

    def _log(self, name: str) -> list[dict[str, object]]:
        return self.stand.platform.calls(self.urls[name])

    def _seen(self, name: str, alive: bool) -> bool:
        figures = [self.stand.platform.metric(worker, MODEL_LISTS, f'backend="{name}"') for worker in WORKERS]
        return all((one > 0) is alive for one in figures)


@asynccontextmanager
async def pair(stand: Stand, slots: int) -> AsyncGenerator[Pair, None]:
    """Both run, and are all that the workers have, while inside."""
    two = Pair(stand)
    for name in PAIR:
        await two.start(name)
    stand.evidence.logs.append(two.calls)
    settings = [{"name": name, "kind": "ollama", "url": two.urls[name], "slots": slots} for name in PAIR]
    try:
        async with stand.with_backends(settings):
            yield two
    finally:
        stand.evidence.logs.remove(two.calls)
        for name in PAIR:
            if stand.ended(name) is None:
                await two.kill(name)
            del stand.platform.processes[name], stand.platform.commands[name]


async def backend(stand: Stand, plan: Plan) -> Row:
    """`kill -9` of a back-end with all streams on it, while another one holds the models: every stream goes on there."""
    row, people = Row("back-end killed under its streams"), await stand.people(max(2, plan.streams // 2))
    hit: list[tuple[Watch, float]] = []
    async with pair(stand, plan.streams) as two:
        await stand.answers()
        await eventually(lambda: _probed(stand, people[0]), 30)
        for run in range(plan.runs):
            victim, other = PAIR[run % 2], PAIR[1 - run % 2]
            await two.kill(other)
            await two.seen(other, alive=False)
            asked = [
                Watch(
                    people[n % len(people)],
                    question(),
                    edge=n % 2,
                    **{**COUNTING[n % len(COUNTING)], "max_tokens": TOKENS},
                )  # type: ignore[arg-type]
                for n in range(plan.streams)
            ]
            row.watches += asked
            tasks = [asyncio.create_task(one.run(PATIENCE)) for one in asked]
            await eventually(lambda those=asked: all(one.tokens >= SHOWN for one in those), 30)
            await two.start(other)
            await two.seen(other, alive=True)
            on_it = [one for one in asked if one.worker == victim and one.end is None]
            at = await two.kill(victim)
            hit += [(one, at) for one in on_it]
            await asyncio.gather(*tasks)
            await two.start(victim)
            await two.seen(victim, alive=True)
            row.runs += 1
            plan.say(f"{row.runs} of {plan.runs} back-ends killed, {len(hit)} streams hit")
        await _judge(row, stand, plan, hit)
    return row


async def _probed(stand: Stand, person: Person) -> bool:
    """Of each model it is known whether it goes on, from either back-end: they have the very same."""
    await ask_each(person, len(PAIR))
    first, second = [await known_of(stand, name) for name in PAIR]
    return first | second >= MODELS


async def _judge(row: Row, stand: Stand, plan: Plan, hit: list[tuple[Watch, float]]) -> None:
    """How many went on and how many began again, none more than once, and how long they waited."""
    again = [sum(one.event.name == "restarted" for one in watch.seen) for watch in row.watches]
    row.findings += [
        Finding("repeated", watch.generation_id, f"{times} times restarted")
        for watch, times in zip(row.watches, again, strict=True)
        if times > 1
    ]
    row.figures["streams hit"], row.figures["restarted"] = len(hit), sum(again)
    row.figures["continued"] = len(hit) - sum(again)
    if len(hit) < plan.runs * plan.streams:
        row.findings.append(Finding("missed", None, f"only {len(hit)} streams were on a back-end that died"))
    calls = await stand.evidence.calls(row.watches)
    for watch, at in hit:
        if (first := _next_text(watch, at)) is not None:
            own = [first_token(one) for one in calls[watch.content] if at < float(str(one["began_at"])) < first.at]
            row.next_token_ms.append((first.at - at - (own[-1] if own else 0.0)) * 1000)
    row.reaches(plan, "next token p99 (ms)", percentile(row.next_token_ms, 0.99), most=NEXT_TOKEN_MS)
    await row.settle(stand, Allowed(calls=2, void=True))


def _next_text(watch: Watch, at: float) -> Seen | None:
    """The first text of another back-end after that moment: it has been said before which one that is."""
    later = [one for one in watch.seen if one.at > at]
    began = next((one.at for one in later if one.event.name == "started"), None)
    return next((one for one in later if began and one.at >= began and one.event.name == "token"), None)
