"""The inference worker as a process: `python -m workers.inference.main`."""

from contextlib import AsyncExitStack

from contracts.ids import new_id
from infra.backends.opening import open_backends
from infra.mongo.chats import MongoChats
from infra.mongo.database import MongoDatabase
from infra.mongo.settings import MongoSettings
from infra.process.failpoints import failing
from infra.process.failures import checked
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from infra.redis.embeddings import RedisEmbeddingResults
from infra.redis.probes import RedisProbes
from infra.redis.settings import RedisSettings
from infra.redis.streams import RedisGenerationStreams
from workers.inference.handlers import Inference
from workers.inference.settings import InferenceSettings
from workers.inference.subscriptions import subscriptions

OPS_PORT = 9101


async def main(process: Process) -> None:
    """Run questions of one pool until asked to end; what does not end in time is handed over."""
    settings = checked(InferenceSettings)
    rabbitmq, redis, mongo = checked(RabbitSettings), checked(RedisSettings), checked(MongoSettings)
    pools = (settings.pool,)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(
            process.opened("rabbitmq", lambda: RabbitBus(rabbitmq.rabbitmq_url, source="inference", pools=pools))
        )
        streams = await enter(process.opened("redis", lambda: RedisGenerationStreams(redis.redis_url)))
        bus, streams = failing("bus", bus), failing("streams", streams)
        probes = await enter(process.opened("redis", lambda: RedisProbes(redis.redis_url)))
        embeddings = await enter(process.opened("redis", lambda: RedisEmbeddingResults(redis.redis_url)))
        embeddings = failing("embeddings", embeddings)
        backends = await enter(open_backends(settings.own_backends))
        # only asked about generations whose log is gone: the worker starts, and goes on, without it
        chats = failing("chats", MongoChats(await enter(MongoDatabase(mongo.mongo_url, prepare=False))))
        inference = await enter(
            process.opened(
                "redis",
                lambda: Inference(
                    bus, streams, backends, settings, probes, new_id(), chats=chats, embeddings=embeddings
                ),
            )
        )
        await enter(bus.consume(subscriptions(inference, settings), drain=process.drain))
        process.ops.ready_when({"rabbitmq": bus.check, "redis": streams.check})
        await process.stop.wait()
        inference.stop_taking()


if __name__ == "__main__":
    run("inference", OPS_PORT, main)
