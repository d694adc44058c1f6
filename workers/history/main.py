"""The history worker as a process: `python -m workers.history.main`."""

from contextlib import AsyncExitStack

from contracts.ids import new_id
from infra.mongo.chats import MongoChats
from infra.mongo.database import MongoDatabase
from infra.mongo.dead_letters import MongoDeadLetters
from infra.mongo.history import MongoHistory
from infra.mongo.leases import MongoLeases
from infra.mongo.settings import MongoSettings
from infra.process.failpoints import failing
from infra.process.failures import checked
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from infra.redis.embeddings import RedisEmbeddingResults
from infra.redis.settings import RedisSettings
from infra.redis.streams import RedisGenerationStreams
from workers.history.afterwards import Afterwards
from workers.history.handlers import Recorder
from workers.history.settling import Settling
from workers.history.subscriptions import subscriptions
from workers.history.sweeping import Sweeper

OPS_PORT = 9102


async def main(process: Process) -> None:
    """Record, settle dead letters and sweep until asked to end."""
    rabbitmq, redis, mongo = checked(RabbitSettings), checked(RedisSettings), checked(MongoSettings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(
            process.opened("rabbitmq", lambda: RabbitBus(rabbitmq.rabbitmq_url, source="history", pools=()))
        )
        streams = await enter(process.opened("redis", lambda: RedisGenerationStreams(redis.redis_url)))
        embeddings = await enter(process.opened("redis", lambda: RedisEmbeddingResults(redis.redis_url)))
        database = await enter(process.opened("mongo", lambda: MongoDatabase(mongo.mongo_url)))
        bus, streams = failing("bus", bus), failing("streams", streams)
        chats, history = failing("chats", MongoChats(database)), failing("history", MongoHistory(database))
        letters = failing("dead_letters", MongoDeadLetters(database))
        afterwards = Afterwards(bus, streams, history)
        recorder = await enter(Recorder(history, afterwards))
        settling = Settling(bus, streams, chats, letters, embeddings)
        await enter(bus.consume(subscriptions(recorder, settling), drain=process.drain))
        await enter(Sweeper(afterwards, chats, MongoLeases(database), holder=new_id()))
        process.ops.ready_when({"rabbitmq": bus.check, "redis": streams.check, "mongo": database.check})
        await process.stop.wait()


if __name__ == "__main__":
    run("history", OPS_PORT, main)
