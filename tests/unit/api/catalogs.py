"""Catalogs for tests: models without unimportant fields, and a store that counts its reads."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from contracts.ports.stores import Models
from contracts.records import Alias, BackendHealth, BackendModel, Model, ModelChanges


def model(name: str, *served_by: BackendModel) -> Model:
    return Model(name=name, served_by=served_by, updated_at=datetime.now(UTC))


def served(name: str = "x", **changes: object) -> BackendModel:
    return BackendModel.model_validate({"name": name, "backend": "one", **changes})


class Store(Models):
    """Counts its reads. `named`: models by their alias. `gate`, where there is one, holds them back; `fails` once each."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.named: dict[str, str] = {}
        self.reads = 0
        self.gate: asyncio.Event | None = None
        self.fails: list[Exception] = []

    async def all(self) -> Sequence[Model]:
        self.reads += 1
        found = [model(one, served(one)) for one in self.names]
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise self.fails.pop()
        return found

    async def aliases(self) -> Sequence[Alias]:
        return [Alias(name=name, model=model, updated_at=datetime.now(UTC)) for name, model in self.named.items()]

    async def put(self, models: Sequence[Model]) -> None: ...
    async def note_serving(self, models: Sequence[Model]) -> None: ...
    async def amend(self, name: str, changes: ModelChanges, now: datetime) -> Model | None: ...
    async def remove(self, name: str) -> bool:
        return False

    async def put_alias(self, alias: Alias) -> None: ...
    async def remove_alias(self, name: str) -> bool:
        return False

    async def put_health(self, health: Sequence[BackendHealth]) -> None: ...
    async def keep_health(self, names: Sequence[str]) -> None: ...

    async def health(self) -> Sequence[BackendHealth]:
        return ()
