"""The inference worker as a process: `python -m workers.inference.main`."""

from contextlib import AsyncExitStack

from contracts.ids import new_id
from infra.backends.roster import Roster
from infra.fernet.settings import SecretsSettings
from infra.mongo.backends import MongoBackends
from infra.mongo.chats import MongoChats
from infra.mongo.database import MongoDatabase
from infra.mongo.images import MongoImages
from infra.mongo.settings import MongoSettings
from infra.process.failpoints import failing
from infra.process.failures import checked
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from infra.redis.embeddings import RedisEmbeddingResults
from infra.redis.probes import RedisProbes
from infra.redis.reports import RedisBackendReports
from infra.redis.settings import RedisSettings
from infra.redis.streams import RedisGenerationStreams
from workers.inference.handlers import Inference
from workers.inference.intake import Intake
from workers.inference.settings import InferenceSettings

OPS_PORT = 9101


async def main(process: Process) -> None:
    """Run questions of one pool until asked to end; what does not end in time is handed over."""
    settings = checked(InferenceSettings)
    rabbitmq, redis, mongo = checked(RabbitSettings), checked(RedisSettings), checked(MongoSettings)
    secrets = checked(SecretsSettings)
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
        reports = await enter(process.opened("redis", lambda: RedisBackendReports(redis.redis_url)))
        # asked for back-ends, images, and about generations whose log is gone: the worker starts, and goes on, without it
        database = await enter(MongoDatabase(mongo.mongo_url, prepare=False))
        chats, registry = failing("chats", MongoChats(database)), MongoBackends(database, secrets.cipher)
        roster = await enter(
            Roster(settings.backends, registry, allow_private=settings.allow_private_backends, pool=settings.pool)
        )
        inference = await enter(
            process.opened(
                "redis",
                lambda: Inference(
                    bus,
                    streams,
                    roster,
                    settings,
                    probes,
                    new_id(),
                    chats=chats,
                    embeddings=embeddings,
                    images=MongoImages(database),
                    reports=reports,
                ),
            )
        )
        await enter(Intake(bus, inference, settings.pool, drain=process.drain))
        process.ops.ready_when({"rabbitmq": bus.check, "redis": streams.check})
        await process.stop.wait()
        inference.stop_taking()


if __name__ == "__main__":
    run("inference", OPS_PORT, main)
