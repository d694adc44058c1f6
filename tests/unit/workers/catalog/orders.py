"""A catalog worker over SQLite's stores, back-ends whose models can be managed by a test's script, and who follows the streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import orjson

from contracts.administration import AdminCommand, record_of, step_of
from contracts.commands import ModelCommand
from contracts.concluding import Concluding
from contracts.errors import BackendFailed
from contracts.generation import is_terminal, name_of
from contracts.ids import new_id
from contracts.ports.management import (
    Download,
    Downloads,
    Manifest,
    ModelCard,
    ModelManagement,
    NewModel,
    Pulled,
    Registries,
)
from contracts.ports.streams import LogEvent
from contracts.progress import accepted_of, encode_command_event
from contracts.records import BackendModel
from infra.memory.commands import MemoryCommandLogs
from infra.memory.reports import MemoryBackendReports
from infra.sqlite.audit import SqliteAudit
from infra.sqlite.commands import SqliteCommands
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.leases import SqliteLeases
from infra.sqlite.models import SqliteModels
from infra.sqlite.steps import SqliteSteps
from tests.eventually import eventually
from tests.unit.workers.scripted import FixedRoster, KeepingBus, KeepingProbes, ScriptedBackend, delivery, says
from workers.catalog.handlers import Catalog, CatalogPorts

Sign = Pulled | Exception | Callable[[], Awaitable[object]]
C = TypeVar("C", bound=ModelCommand)
ADMIN = "0190a1f0-7c00-7000-8000-0000000000aa"


def layer(completed: int, total: int = 100, digest: str = "sha256:1") -> Pulled:
    """So many bytes of one layer."""
    return Pulled("pulling", digest, total, completed)


class Manager(ModelManagement):
    """Plays one script a pull, the last one for ever; a pull that ends well makes its back-end serve the model."""

    def __init__(self, backend: "ManagedBackend") -> None:
        self._backend = backend
        self.scripts: list[Sequence[Sign]] = [[layer(50), layer(100)]]
        self.pulls: list[str] = []
        self.closed = 0
        self.created: list[NewModel] = []
        self.pushed: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.card_told = ModelCard("small", digest="aaa", layer="bbb")

    async def pull(self, model: str, *, insecure: bool = False, patience: float = 60.0) -> AsyncGenerator[Pulled, None]:
        script = self.scripts[min(len(self.pulls), len(self.scripts) - 1)]
        self.pulls.append(model)
        try:
            for sign in script:
                if isinstance(sign, Exception):
                    raise sign
                if callable(sign):
                    await sign()
                else:
                    await asyncio.sleep(0)
                    yield sign
            self._backend.serves = (*self._backend.serves, model.removesuffix(":latest"))
        finally:
            self.closed += 1

    async def create(self, model: NewModel, *, patience: float = 600.0) -> AsyncGenerator[Pulled, None]:
        self.created.append(model)
        yield Pulled("writing manifest")
        self._backend.serves = (*self._backend.serves, model.name)

    async def has_blob(self, digest: str) -> bool:
        return digest in self.pushed

    async def push_blob(self, digest: str, size: int, content: AsyncIterable[bytes]) -> None:
        self.pushed[digest] = b"".join([one async for one in content])

    async def copy(self, model: str, destination: str) -> None:
        self._backend.serves = (*self._backend.serves, destination)

    async def delete(self, model: str) -> None:
        if model not in self._backend.serves:
            raise BackendFailed("model_not_found", "It does not have it.", retryable=False)
        self.deleted.append(model)
        self._backend.serves = tuple(one for one in self._backend.serves if one != model)

    async def card(self, model: str) -> ModelCard:
        return self.card_told

    async def version(self) -> str:
        return "0.9.6"


class ManagedBackend(ScriptedBackend):
    """One whose models can be managed. `embeds_only`: models that only turn texts into vectors."""

    def __init__(self, *scripts: Sequence[object], name: str = "one", pool: str = "default") -> None:
        super().__init__(*(scripts or (says("Hello", " there", "."),)), name=name, pool=pool)  # type: ignore[arg-type]
        self.serves: tuple[str, ...] = ()
        self.manager = Manager(self)
        self.embeds_only: set[str] = set()

    @property
    def management(self) -> Manager:
        return self.manager

    async def models(self) -> Sequence[BackendModel]:
        self.asked += 1
        return [
            BackendModel(
                name=one, backend=self.settings.name, digest="aaa",
                capabilities=("embedding",) if one in self.embeds_only else ("chat",),
            )
            for one in self.serves
        ]  # fmt: skip


class KnownRegistries(Registries):
    """Has what it is given."""

    def __init__(self) -> None:
        self.has: dict[str, Manifest] = {}

    async def manifest(self, model: str, *, insecure: bool = False) -> Manifest | None:
        return self.has.get(model)


class KnownDownloads(Downloads):
    """Has what it is given, by URL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.has: dict[str, bytes] = {}

    @asynccontextmanager
    async def fetch(
        self, url: str, told: Callable[[int, int | None], Awaitable[None]]
    ) -> AsyncGenerator[Download, None]:
        if url not in self.has:
            raise BackendFailed("gguf_unreachable", f"{url} cannot be fetched: it answered 404.")
        file = self._folder / "fetched"
        file.write_bytes(self.has[url])
        await told(len(self.has[url]), len(self.has[url]))
        yield Download(file, "sha256:fetched", len(self.has[url]))


@dataclass
class Office:
    """The stores of one platform, and as many catalog workers as a test starts."""

    database: SqliteDatabase
    folder: Path
    bus: KeepingBus = field(default_factory=KeepingBus)
    logs: MemoryCommandLogs = field(default_factory=MemoryCommandLogs)
    reports: MemoryBackendReports = field(default_factory=MemoryBackendReports)
    probes: KeepingProbes = field(default_factory=KeepingProbes)
    registries: KnownRegistries = field(default_factory=KnownRegistries)

    def __post_init__(self) -> None:
        self.models = SqliteModels(self.database)
        self.commands = SqliteCommands(self.database)
        self.steps = SqliteSteps(self.database)
        self.audit = SqliteAudit(self.database)
        self.downloads = KnownDownloads(self.folder)

    @property
    def ports(self) -> CatalogPorts:
        return CatalogPorts(
            bus=self.bus, models=self.models, leases=SqliteLeases(self.database), commands=self.commands,
            steps=self.steps, audit=self.audit, logs=self.logs, reports=self.reports, probes=self.probes,
            registries=self.registries, downloads=self.downloads,
        )  # fmt: skip

    def worker(self, *backends: ScriptedBackend, lease: float = 0.3) -> Catalog:
        """A worker with these back-ends; it looks at them when something tells it to."""
        return Catalog(self.ports, FixedRoster(*backends), new_id(), every=3600.0, lease=lease)

    async def orders(self, worker: Catalog, kind: type[C], model: str = "small", **fields: object) -> C:
        """An administrator's command reaches this worker; the edge has kept it before."""
        command = kind.model_validate(
            {"command_id": new_id(), "asked_by": ADMIN, "model": model, "asked_at": datetime.now(UTC), **fields}
        )
        kept = await self.commands.add(record_of(command))
        await self.logs.tell(kept.id, encode_command_event(accepted_of(kept)), [])
        await worker.handle(command, delivery(command))
        return command

    async def ended(self, command: ModelCommand) -> AdminCommand:
        """The command once it has ended."""

        async def look() -> AdminCommand | None:
            found = await self.commands.get(command.command_id)
            return found if found is not None and found.ended_at is not None else None

        found = await eventually(look)
        assert found is not None
        return found

    async def cancels(self, command: ModelCommand) -> None:
        """As an edge does."""
        found = await self.commands.get(command.command_id)
        assert found is not None
        await Concluding(self.commands, self.logs, self.audit).conclude(command.command_id, "cancelled")
        for target in found.missing:
            await self.steps.detach(step_of(command, target).key, command.command_id)

    async def told(self, command: ModelCommand) -> list[LogEvent]:
        """Its whole stream."""
        events: list[LogEvent] = []
        async with aclosing(self.logs.follow(command.command_id)) as batches:
            async for batch in batches:
                events += batch.events
                if events and is_terminal(events[-1].encoded):
                    return events
        return events


def names(events: Sequence[LogEvent]) -> list[str]:
    """Their names."""
    return [name_of(one.encoded) for one in events]


def data(event: LogEvent) -> dict[str, object]:
    """What an event says."""
    return orjson.loads(event.encoded)["data"]
