"""All services in one process: the distributed platform's own, over SQLite and memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from api.app import create_app
from api.edge import Edge, Ports
from api.security.signing import SigningKeys
from api.settings import EdgeSettings
from api.subscriptions import subscriptions as edge_subscriptions
from cli.choosing import chosen_backends
from cli.keys import kept_key_file, kept_secrets_file
from cli.pools import Pools
from cli.settings import EmbeddedSettings
from contracts.ids import new_id
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Bus
from contracts.ports.embeddings import EmbeddingResults
from infra.backends.downloads import HttpDownloads
from infra.backends.roster import Roster
from infra.fernet.cipher import FernetCipher
from infra.fernet.settings import SecretsSettings, cipher_of
from infra.memory.commands import MemoryCommandLogs
from infra.memory.embeddings import MemoryEmbeddingResults
from infra.memory.limits import MemoryRateLimits
from infra.memory.reports import MemoryBackendReports
from infra.memory.streams import MemoryGenerationStreams
from infra.ollama.registry import OllamaRegistries
from infra.process.failures import CannotStart, checked
from infra.process.http import http_server
from infra.process.run import Process
from infra.sqlite.accounts import SqliteAccounts
from infra.sqlite.api_keys import SqliteApiKeys
from infra.sqlite.audit import SqliteAudit
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.bus import SqliteBus
from infra.sqlite.chats import SqliteChats
from infra.sqlite.commands import SqliteCommands
from infra.sqlite.database import SchemaTooNew, SqliteDatabase
from infra.sqlite.dead_letters import SqliteDeadLetters
from infra.sqlite.history import SqliteHistory
from infra.sqlite.images import SqliteImages
from infra.sqlite.leases import SqliteLeases
from infra.sqlite.models import SqliteModels
from infra.sqlite.probes import SqliteProbes
from infra.sqlite.sessions import SqliteSessions
from infra.sqlite.steps import SqliteSteps
from workers.catalog.handlers import Catalog, CatalogPorts
from workers.catalog.seeding import Seeding
from workers.catalog.subscriptions import subscriptions as catalog_subscriptions
from workers.history.afterwards import Afterwards
from workers.history.handlers import Recorder
from workers.history.settling import Settling
from workers.history.subscriptions import subscriptions as history_subscriptions
from workers.history.sweeping import Sweeper
from workers.inference.handlers import Inference
from workers.inference.intake import Intake
from workers.inference.settings import InferenceSettings

MODELS_WITHIN = 1.0
"""Seconds for what back-ends have, before questions are taken."""
FIRST_LOOK = 5.0
"""Seconds in which the catalog has seen the first back-end; the platform is ready all the same."""


class Report(Protocol):
    """Who tells the person at the terminal."""

    def __call__(self, line: str) -> None: ...

    def ready(self, url: str, settings: EmbeddedSettings, models: Sequence[str]) -> None: ...


async def run_embedded(settings: EmbeddedSettings, report: Report, process: Process) -> None:
    """Run until asked to end. CannotStart where a setting, a file or the asked back-end forbids it."""
    edge_settings = _at_home(checked(EdgeSettings))
    keys, cipher = _signing_keys(settings.data), _cipher(settings.data)
    async with AsyncExitStack() as stack:
        chosen = await stack.enter_async_context(chosen_backends(settings, settings.data, report))
        database = await _opened(stack, settings.data)
        bus = await stack.enter_async_context(SqliteBus(settings.data / "bus.sqlite3", source="embedded"))
        streams = await stack.enter_async_context(MemoryGenerationStreams())
        embeddings = await stack.enter_async_context(MemoryEmbeddingResults())
        models = SqliteModels(database)
        ports = Ports(
            bus=bus,
            streams=streams,
            limits=await stack.enter_async_context(MemoryRateLimits()),
            accounts=SqliteAccounts(database),
            sessions=SqliteSessions(database),
            api_keys=SqliteApiKeys(database),
            chats=SqliteChats(database),
            models=models,
            dead_letters=SqliteDeadLetters(database),
            embeddings=embeddings,
            images=SqliteImages(database),
            backends=SqliteBackends(database, cipher),
            audit=SqliteAudit(database),
            reports=MemoryBackendReports(),
            commands=SqliteCommands(database),
            steps=SqliteSteps(database),
            command_logs=await stack.enter_async_context(MemoryCommandLogs()),
            missing=process.ops.missing,
        )
        first_role = None if settings.public or edge_settings.admin_email else "admin"
        edge = await stack.enter_async_context(Edge(ports, edge_settings, keys, first_role=first_role))
        await stack.enter_async_context(bus.consume(edge_subscriptions(edge.explore, "embedded")))
        await _history(stack, bus, streams, database, embeddings, process.drain)
        private = edge_settings.allow_private_backends
        await stack.enter_async_context(Seeding(chosen, ports.backends))
        roster = await stack.enter_async_context(Roster(chosen, ports.backends, allow_private=private, must_read=True))
        await _catalog(stack, ports, database, roster, private)
        workers = Pools(roster, lambda pool: _worker(pool, ports, bus, streams, database, roster, process.drain))
        await stack.enter_async_context(workers)
        url = await stack.enter_async_context(
            http_server(
                create_app(edge),
                settings.host,
                settings.port,
                setting="--port or OLLAMANET_PORT",
                behind_proxy=settings.behind_proxy,
                drain=process.drain,
            )
        )
        process.ops.ready_when({"data": database.check, "bus": bus.check})
        report.ready(url, settings, await _first_models(models))
        await process.stop.wait()
        edge.streams.end_all(process.drain - 2)
        workers.stop_taking()


def _signing_keys(data: Path) -> SigningKeys:
    file = kept_key_file(data / "jwt.pem")
    try:
        return SigningKeys(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"The signing key {file} cannot be used ({error}): move it away, a new one is made."
        ) from error


def _cipher(data: Path) -> FernetCipher:
    named = checked(SecretsSettings)
    if named.secrets_key_file:
        return named.cipher
    file = kept_secrets_file(data / "secrets.key")
    try:
        return cipher_of(file, "secrets.key in the data folder")
    except ValueError as error:
        raise CannotStart(f"{error}; what was encrypted with the lost one is then added anew.") from error


def _at_home(settings: EdgeSettings) -> EdgeSettings:
    """On a laptop model servers stand in private networks, unless the environment says that none may."""
    if "allow_private_backends" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"allow_private_backends": True})


async def _opened(stack: AsyncExitStack, data: Path) -> SqliteDatabase:
    try:
        return await stack.enter_async_context(SqliteDatabase(data / "ollamanet.sqlite3"))
    except SchemaTooNew as error:
        raise CannotStart(str(error)) from error


async def _catalog(
    stack: AsyncExitStack, ports: Ports, database: SqliteDatabase, roster: BackendRoster, private: bool
) -> None:
    catalog_ports = CatalogPorts(
        bus=ports.bus,
        models=ports.models,
        leases=SqliteLeases(database),
        commands=ports.commands,
        steps=ports.steps,
        audit=ports.audit,
        logs=ports.command_logs,
        reports=ports.reports,
        probes=SqliteProbes(database),
        registries=await stack.enter_async_context(OllamaRegistries(allow_private=private)),
        downloads=HttpDownloads(allow_private=private),
    )
    catalog = await stack.enter_async_context(Catalog(catalog_ports, roster, new_id()))
    await stack.enter_async_context(ports.bus.consume(catalog_subscriptions(catalog)))


async def _history(
    stack: AsyncExitStack,
    bus: Bus,
    streams: MemoryGenerationStreams,
    database: SqliteDatabase,
    embeddings: EmbeddingResults,
    drain: float,
) -> None:
    chats, history = SqliteChats(database), SqliteHistory(database)
    afterwards = Afterwards(bus, streams, history)
    recorder = await stack.enter_async_context(Recorder(history, afterwards))
    settling = Settling(bus, streams, chats, SqliteDeadLetters(database), embeddings)
    await stack.enter_async_context(bus.consume(history_subscriptions(recorder, settling), drain=drain))
    await stack.enter_async_context(Sweeper(afterwards, chats, SqliteLeases(database), holder=new_id()))


@asynccontextmanager
async def _worker(
    pool: str,
    ports: Ports,
    bus: SqliteBus,
    streams: MemoryGenerationStreams,
    database: SqliteDatabase,
    roster: BackendRoster,
    drain: float,
) -> AsyncGenerator[Inference, None]:
    """The inference worker of a pool, though it may have no back-end yet."""
    await bus.add_pool(pool)
    inference = Inference(
        bus,
        streams,
        roster,
        checked(lambda: InferenceSettings(backends=(), pool=pool)),
        SqliteProbes(database),
        new_id(),
        chats=ports.chats,
        embeddings=ports.embeddings,
        images=ports.images,
        reports=ports.reports,
    )
    async with inference:
        # what was being answered when the laptop stopped has its stream again by the time that anybody can ask for it
        await inference.know_models(MODELS_WITHIN)
        async with Intake(bus, inference, pool, drain=drain):
            yield inference


async def _first_models(models: SqliteModels) -> list[str]:
    """The models that can be asked, once the catalog has looked; empty when it finds none in time."""
    deadline = time.monotonic() + FIRST_LOOK
    while True:
        found = [one.name for one in await models.all() if one.available]
        if found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.02)
