"""The catalog worker as a process: `python -m workers.catalog.main`."""

from contextlib import AsyncExitStack

from contracts.ids import new_id
from infra.backends.opening import open_backends
from infra.mongo.database import MongoDatabase
from infra.mongo.leases import MongoLeases
from infra.mongo.models import MongoModels
from infra.mongo.settings import MongoSettings
from infra.process.failures import checked
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from workers.catalog.handlers import Catalog
from workers.catalog.settings import CatalogSettings
from workers.catalog.subscriptions import subscriptions

OPS_PORT = 9103


async def main(process: Process) -> None:
    """Keep the list of models until asked to end."""
    settings = checked(CatalogSettings)
    rabbitmq, mongo = checked(RabbitSettings), checked(MongoSettings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(
            process.opened("rabbitmq", lambda: RabbitBus(rabbitmq.rabbitmq_url, source="catalog", pools=()))
        )
        database = await enter(process.opened("mongo", lambda: MongoDatabase(mongo.mongo_url)))
        backends = await enter(open_backends(settings.backends))
        models, leases = MongoModels(database), MongoLeases(database)
        catalog = await enter(Catalog(bus, models, leases, backends, settings, holder=new_id()))
        await enter(bus.consume(subscriptions(catalog), drain=process.drain))
        process.ops.ready_when({"rabbitmq": bus.check, "mongo": database.check})
        await process.stop.wait()


if __name__ == "__main__":
    run("catalog", OPS_PORT, main)
