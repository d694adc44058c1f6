"""History that dies, events that come thrice, a store that is away."""

import asyncio

from contracts.commands import Question
from contracts.events import Outcome
from contracts.recording import outcome_of
from infra.mongo.chats import MongoChats
from infra.mongo.database import MongoDatabase
from infra.rabbitmq.bus import RabbitBus
from tests.eventually import eventually
from tests.faults.row import Load, Plan, Row
from tests.faults.stand import Stand
from tests.faults.watching import Watch, question

TIMES = 3


async def killed(stand: Stand, plan: Plan) -> Row:
    """`kill -9` of history, again and again, while people ask."""
    row, people = Row("history killed"), await stand.people(4)
    async with Load(row, people, plan.streams, [{"model": "paced", "max_tokens": 10}]):
        for _ in range(plan.runs):
            await asyncio.sleep(plan.random.random() * 0.3)
            stand.kill("history")
            row.runs += 1
            await stand.restart("history")
    await row.settle(stand)
    return row


async def thrice(stand: Stand, plan: Plan) -> Row:
    """Every outcome comes three times more, after it was recorded."""
    row, people = Row("every outcome thrice"), await stand.people(plan.streams)
    asked = [Watch(one, question(), "fast", 20) for one in people]
    row.watches += asked
    await asyncio.gather(*(one.run() for one in asked))
    await row.settle(stand)
    row.calls, row.findings = 0, []
    environment = stand.platform.environment
    async with (
        MongoDatabase(environment["OLLAMANET_MONGO_URL"]) as database,
        RabbitBus(environment["OLLAMANET_RABBITMQ_URL"], source="tests", pools=()) as bus,
    ):
        for watch in asked:
            outcome = await _recorded(MongoChats(database), watch)
            await asyncio.gather(*(bus.publish(outcome) for _ in range(TIMES)))
    row.runs = TIMES
    await row.settle(stand)
    return row


async def _recorded(chats: MongoChats, watch: Watch) -> Outcome:
    """The outcome as the store has it."""
    owner = str(watch.person.user["id"])
    reply = await chats.reply(owner, str(watch.generation_id))
    assert reply is not None
    asked = {**(watch.accepted or {}), "owner": owner, "content": watch.content, "asked_at": reply.created_at}
    return outcome_of(reply, Question.model_validate(asked))


async def store_away(stand: Stand, plan: Plan) -> Row:
    """The store is away for a while: what ends meanwhile is recorded once it is back."""
    row, people = Row("store away"), await stand.people(4)
    for _ in range(plan.runs):
        asked = [Watch(one, question(), "paced", 50, n) for n, one in enumerate(people)]
        row.watches += asked
        tasks = [asyncio.create_task(one.run()) for one in asked]
        await eventually(lambda them=asked: all(one.tokens for one in them))
        await asyncio.to_thread(stand.mongo_server.stop)
        try:
            await asyncio.gather(*tasks)
            if plan.long:
                await asyncio.sleep(plan.random.uniform(1, 10))
        finally:
            await asyncio.to_thread(stand.mongo_server.start)
        row.runs += 1
    await row.settle(stand)
    return row
