"""Redis that lost data: restored by the workers that live, replaced visibly where they died too."""

import asyncio
import shutil
import signal
import time

from tests.eventually import eventually
from tests.faults.ledger import Allowed
from tests.faults.row import Plan, Row, ask_all, next_tokens
from tests.faults.stand import WORKERS, Stand
from tests.faults.watching import Watch


async def emptied(stand: Stand, plan: Plan) -> Row:
    """FLUSHALL under living workers: every log is written again, no text is lost or changed."""
    row, people = Row("Redis emptied under living workers"), await stand.people(4)
    for _ in range(plan.runs):
        tasks = await ask_all(row, people, plan.streams, model="paced", max_tokens=150)
        await _under_way(row.watches[-plan.streams :], plan)
        await stand.redis.flushall()
        await asyncio.gather(*tasks)
        row.runs += 1
    row.figures["restarted"] = _restarted(row)
    await row.settle(stand, Allowed(calls=1))
    return row


async def emptied_and_killed(stand: Stand, plan: Plan) -> Row:
    """FLUSHALL, and the worker dies with it: one outcome all the same; what was shown is replaced through `restarted`."""
    row, people = Row("Redis emptied and the worker killed"), await stand.people(4)
    hit: list[tuple[Watch, float]] = []
    for run in range(plan.runs):
        tasks = await ask_all(row, people, plan.streams, model="paced", max_tokens=100)
        asked = row.watches[-plan.streams :]
        await _under_way(asked, plan)
        victim, at = WORKERS[run % 2], time.time()
        stand.signal(
            victim, signal.SIGSTOP
        )  # or it would write its logs again, or another worker take them over before
        await stand.redis.flushall()
        stand.kill(victim)
        hit += [(one, at) for one in asked if one.worker == victim]
        await stand.restart(victim)
        await asyncio.gather(*tasks)
        row.runs += 1
    row.next_token_ms = next_tokens(hit, await stand.evidence.calls(row.watches))
    row.figures["restarted"] = _restarted(row)
    await row.settle(stand, Allowed(lost_log=True, void=True))
    return row


async def shortened(stand: Stand, plan: Plan) -> Row:
    """Redis comes back with what it had a moment before: the logs are shorter than what was shown."""
    row, people = Row("Redis back with shorter logs"), await stand.people(4)
    data, older = stand.folder / "redis" / "appendonlydir", stand.folder / "older"
    for _ in range(plan.runs):
        tasks = await ask_all(row, people, plan.streams, model="paced", max_tokens=150)
        await _under_way(row.watches[-plan.streams :], plan)
        await asyncio.to_thread(shutil.copytree, data, older, dirs_exist_ok=True)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(_back_to, stand, older)
        await asyncio.gather(*tasks)
        row.runs += 1
    row.figures["restarted"] = _restarted(row)
    await row.settle(stand, Allowed(lost_log=True, void=True))
    return row


def _back_to(stand: Stand, older: object) -> None:
    data = stand.folder / "redis" / "appendonlydir"
    stand.redis_server.kill()
    shutil.rmtree(data)
    shutil.copytree(str(older), data)
    shutil.rmtree(str(older))
    stand.redis_server.start()


async def _under_way(asked: list[Watch], plan: Plan) -> None:
    """All of them show text, the first one so much."""
    enough = plan.random.randint(5, 40)
    await eventually(lambda: all(one.tokens for one in asked) and asked[0].tokens >= enough, 20)


def _restarted(row: Row) -> int:
    return sum(any(one.event.name == "restarted" for one in watch.seen) for watch in row.watches)
