"""The edge as a process: `python -m api.main`, over RabbitMQ, Redis and MongoDB."""

from contextlib import AsyncExitStack
from pathlib import Path

from api.app import create_app
from api.edge import Edge, Ports
from api.security.signing import SigningKeys
from api.settings import EdgeSettings, ListenSettings
from api.subscriptions import subscriptions
from contracts.ids import new_id
from infra.fernet.settings import SecretsSettings
from infra.mongo.accounts import MongoAccounts
from infra.mongo.api_keys import MongoApiKeys
from infra.mongo.audit import MongoAudit
from infra.mongo.backends import MongoBackends
from infra.mongo.chats import MongoChats
from infra.mongo.commands import MongoCommands
from infra.mongo.database import MongoDatabase
from infra.mongo.dead_letters import MongoDeadLetters
from infra.mongo.images import MongoImages
from infra.mongo.models import MongoModels
from infra.mongo.sessions import MongoSessions
from infra.mongo.settings import MongoSettings
from infra.mongo.steps import MongoSteps
from infra.process.failpoints import failing
from infra.process.failures import CannotStart, checked
from infra.process.http import http_server
from infra.process.run import Process, run
from infra.rabbitmq.bus import RabbitBus
from infra.rabbitmq.settings import RabbitSettings
from infra.redis.commands import RedisCommandLogs
from infra.redis.embeddings import RedisEmbeddingResults
from infra.redis.limits import RedisRateLimits
from infra.redis.reports import RedisBackendReports
from infra.redis.settings import RedisSettings
from infra.redis.streams import RedisGenerationStreams

OPS_PORT = 9100


def signing_keys(file: str | None) -> SigningKeys:
    """The keys of a PEM file; CannotStart says what helps where there is none."""
    if not file:
        raise CannotStart("OLLAMANET_JWT_KEY_FILE is not set: `ollamanet keys new FILE` makes one for all edges.")
    try:
        return SigningKeys(Path(file).read_bytes())
    except OSError as error:
        raise CannotStart(
            f"OLLAMANET_JWT_KEY_FILE names {file}, which cannot be read ({error.strerror}): "
            f"`ollamanet keys new FILE` makes one for all edges."
        ) from error
    except ValueError as error:
        raise CannotStart(
            f"OLLAMANET_JWT_KEY_FILE names {file}, but {error}: `ollamanet keys new FILE` makes one."
        ) from error


async def main(process: Process) -> None:
    """Serve until asked to end; then the streams are sent elsewhere, and what was accepted is finished."""
    settings, listen = checked(EdgeSettings), checked(ListenSettings)
    rabbitmq, redis, mongo = checked(RabbitSettings), checked(RedisSettings), checked(MongoSettings)
    keys = signing_keys(listen.jwt_key_file)
    secrets = checked(SecretsSettings)
    own_name = new_id()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(process.opened("rabbitmq", lambda: RabbitBus(rabbitmq.rabbitmq_url, source="edge", pools=())))
        streams = await enter(process.opened("redis", lambda: RedisGenerationStreams(redis.redis_url)))
        limits = await enter(process.opened("redis", lambda: RedisRateLimits(redis.redis_url)))
        embeddings = await enter(process.opened("redis", lambda: RedisEmbeddingResults(redis.redis_url)))
        reports = await enter(process.opened("redis", lambda: RedisBackendReports(redis.redis_url)))
        command_logs = await enter(process.opened("redis", lambda: RedisCommandLogs(redis.redis_url)))
        database = await enter(process.opened("mongo", lambda: MongoDatabase(mongo.mongo_url)))
        ports = Ports(
            bus=failing("bus", bus),
            streams=failing("streams", streams),
            limits=limits,
            accounts=MongoAccounts(database),
            sessions=MongoSessions(database),
            api_keys=MongoApiKeys(database),
            chats=MongoChats(database),
            models=MongoModels(database),
            dead_letters=failing("dead_letters", MongoDeadLetters(database)),
            embeddings=embeddings,
            images=MongoImages(database),
            backends=MongoBackends(database, secrets.cipher),
            audit=MongoAudit(database),
            reports=reports,
            commands=MongoCommands(database),
            steps=MongoSteps(database),
            command_logs=command_logs,
            missing=process.ops.missing,
        )
        edge = await enter(process.opened("mongo", lambda: Edge(ports, settings, keys)))
        await enter(bus.consume(subscriptions(edge.explore, own_name)))
        await enter(
            http_server(
                create_app(edge), listen.host, listen.port, behind_proxy=settings.behind_proxy, drain=process.drain
            )
        )
        process.ops.ready_when({"rabbitmq": bus.check, "redis": streams.check, "mongo": database.check})
        await process.stop.wait()
        edge.streams.end_all(process.drain - 2)


if __name__ == "__main__":
    run("edge", OPS_PORT, main)
