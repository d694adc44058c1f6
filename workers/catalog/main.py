"""The catalog worker as a process: `python -m workers.catalog.main`."""

from contextlib import AsyncExitStack

from contracts.ids import new_id
from infra.backends.downloads import HttpDownloads
from infra.backends.roster import Roster
from infra.fernet.settings import SecretsSettings
from infra.mongo.audit import MongoAudit
from infra.mongo.backends import MongoBackends
from infra.mongo.commands import MongoCommands
from infra.mongo.database import MongoDatabase
from infra.mongo.leases import MongoLeases
from infra.mongo.models import MongoModels
from infra.mongo.settings import MongoSettings
from infra.mongo.steps import MongoSteps
from infra.ollama.registry import OllamaRegistries
from infra.process.failures import checked
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from infra.redis.commands import RedisCommandLogs
from infra.redis.probes import RedisProbes
from infra.redis.reports import RedisBackendReports
from infra.redis.settings import RedisSettings
from workers.catalog.handlers import Catalog, CatalogPorts
from workers.catalog.seeding import Seeding
from workers.catalog.settings import CatalogSettings
from workers.catalog.subscriptions import subscriptions

OPS_PORT = 9103


async def main(process: Process) -> None:
    """Keep the list of models, and do what administrators order, until asked to end."""
    settings, secrets = checked(CatalogSettings), checked(SecretsSettings)
    rabbitmq, redis, mongo = checked(RabbitSettings), checked(RedisSettings), checked(MongoSettings)
    private = settings.allow_private_backends
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(
            process.opened("rabbitmq", lambda: RabbitBus(rabbitmq.rabbitmq_url, source="catalog", pools=()))
        )
        logs = await enter(process.opened("redis", lambda: RedisCommandLogs(redis.redis_url)))
        reports = await enter(process.opened("redis", lambda: RedisBackendReports(redis.redis_url)))
        probes = await enter(process.opened("redis", lambda: RedisProbes(redis.redis_url)))
        database = await enter(process.opened("mongo", lambda: MongoDatabase(mongo.mongo_url)))
        ports = CatalogPorts(
            bus=bus,
            models=MongoModels(database),
            leases=MongoLeases(database),
            commands=MongoCommands(database),
            steps=MongoSteps(database),
            audit=MongoAudit(database),
            logs=logs,
            reports=reports,
            probes=probes,
            registries=await enter(OllamaRegistries(allow_private=private)),
            downloads=HttpDownloads(allow_private=private),
        )
        registry = MongoBackends(database, secrets.cipher)
        await enter(Seeding(settings.backends, registry))
        # the whole registry from the first look on: what a back-end served that it does not know is taken off the list
        roster = await enter(
            process.opened("mongo", lambda: Roster(settings.backends, registry, allow_private=private, must_read=True))
        )
        catalog = await enter(Catalog(ports, roster, new_id()))
        await enter(bus.consume(subscriptions(catalog), drain=process.drain))
        process.ops.ready_when({"rabbitmq": bus.check, "mongo": database.check})
        await process.stop.wait()


if __name__ == "__main__":
    run("catalog", OPS_PORT, main)
