"""What is measured: each takes a running platform and gives figures beside the baseline of the same run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import aiohttp

from benchmarks.clients import Seen, ask_backend, ask_platform, session, sign_up
from benchmarks.figures import cpu_seconds, percentiles

Ask = Callable[[], Awaitable[Seen]]


@dataclass(frozen=True)
class Target:
    """A running platform: its edges, the fake back-end's URL, and the process ids whose time is counted."""

    edges: list[str]
    backend: str
    pids: dict[str, list[int]]


async def first_token(target: Target, runs: int = 200) -> dict[str, object]:
    """Added time to first token, idle: one question at a time, the platform and the back-end in turns."""
    async with session() as http:
        token = await sign_up(http, target.edges[0], f"{uuid4()}@example.org")
        through: list[Seen] = []
        direct: list[Seen] = []
        for number in range(runs + 10):
            direct.append(await ask_backend(http, target.backend, "fast", f"Question {number}", 8))
            through.append(await ask_platform(http, target.edges[0], token, "fast", f"Question {number}", 8))
        through, direct = through[10:], direct[10:]  # the first ten warm connections up
    added = [a.first_text_ms - b.first_text_ms for a, b in zip(through, direct, strict=True)]
    return {
        "runs": runs,
        "platform_first_token_ms": percentiles([one.first_text_ms for one in through]),
        "direct_first_token_ms": percentiles([one.first_text_ms for one in direct]),
        "added_ms": percentiles(added),
    }


async def streams(target: Target, count: int, tokens: int, model: str) -> dict[str, object]:
    """`count` streams at once, directly and through the platform: errors, contiguity, first tokens, processor time."""
    async with session() as http:
        people = [await sign_up(http, target.edges[0], f"{uuid4()}@example.org") for _ in range(min(count, 20))]

        def directly(number: int) -> Awaitable[Seen]:
            return ask_backend(http, target.backend, model, f"Question {number}", tokens)

        def through(number: int) -> Awaitable[Seen]:
            edge, person = target.edges[number % len(target.edges)], people[number % len(people)]
            return ask_platform(http, edge, person, model, f"Question {number}", tokens)

        baseline = await _all(directly, count, {"fake": target.pids["fake"]})
        platform = await _all(through, count, target.pids)
        await _settled(http)
    pieces = max(1, count * tokens)
    per_thousand = round(float(str(platform["cpu_seconds_beyond_the_fake"])) / pieces * 1000, 4)
    return {
        "streams": count,
        "tokens_each": tokens,
        "model": model,
        "direct": baseline,
        "platform": platform,
        "cpu_seconds_per_1000_tokens": per_thousand,
    }


async def _all(ask: Callable[[int], Awaitable[Seen]], count: int, pids: dict[str, list[int]]) -> dict[str, object]:
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    began = time.perf_counter()
    ended = await asyncio.gather(*(ask(number) for number in range(count)), return_exceptions=True)
    seconds = time.perf_counter() - began
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    good = [one for one in ended if isinstance(one, Seen) and one.end == "completed"]
    pieces = sum(one.texts for one in good)
    ours = sum(spent for name, spent in used.items() if name != "fake")
    return {
        "completed": len(good),
        "errors": [repr(one) for one in ended if isinstance(one, BaseException)][:5],
        "dense": sum(one.dense for one in good if one.ids),
        "pieces": pieces,
        "seconds": round(seconds, 2),
        "first_token_ms": percentiles([one.first_text_ms for one in good if one.first_text]) if good else {},
        "cpu_seconds": {name: round(spent, 2) for name, spent in used.items()},
        "cpu_seconds_beyond_the_fake": round(ours, 3),
    }


async def _settled(http: aiohttp.ClientSession) -> None:
    """Give the last writes of history a moment, so that the next measure begins idle."""
    await asyncio.sleep(1)


async def accept(target: Target, runs: int = 300, rate: float = 50.0) -> dict[str, object]:
    """From a request until `accepted` is on the wire, at a steady rate; each answer is one token long."""
    async with session() as http:
        people = [await sign_up(http, target.edges[0], f"{uuid4()}@example.org") for _ in range(20)]
        asked: list[asyncio.Task[Seen]] = []
        began = time.perf_counter()
        for number in range(runs):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            edge, person = target.edges[number % len(target.edges)], people[number % len(people)]
            asked.append(asyncio.create_task(ask_platform(http, edge, person, "fast", f"Question {number}", 1)))
        seen = await asyncio.gather(*asked)
    took = [(one.accepted - one.asked) * 1000 for one in seen if one.accepted is not None]
    return {"runs": runs, "rate": rate, "accepted": len(took), "accept_ms": percentiles(took)}
