"""What only changes the catalog's own record of a model; and copying, which is as quick."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.administration import Step
from contracts.commands import AliasModel, CopyModel, DescribeModel, RetireModel, TagModel
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Bus
from contracts.ports.stores import Models
from contracts.public import ModelAliased, ModelDescribed, ModelEvent, ModelRetired, ModelTagged
from contracts.records import Alias, ModelChanges
from workers.catalog.pulling import managed
from workers.catalog.stepping import StepFailed
from workers.catalog.telling import Telling


@dataclass(frozen=True)
class Changing:
    """Each method does one kind of step. `ready(backend)`: look at that back-end."""

    models: Models
    bus: Bus
    roster: BackendRoster
    ready: Callable[[str], Awaitable[None]]

    async def tag(self, step: Step, telling: Telling) -> dict[str, object]:
        """Set the tags: sorted, each once."""
        tags = tuple(sorted(set(TagModel.model_validate(step.body).tags)))
        event = ModelTagged(name=step.model, tags=tags, at=datetime.now(UTC))
        await self._amend(step.model, ModelChanges(tags=tags), event)
        return {"tags": list(tags)}

    async def describe(self, step: Step, telling: Telling) -> dict[str, object]:
        """Change the card; an empty licence is what back-ends tell."""
        said = DescribeModel.model_validate(step.body)
        changes: dict[str, object] = {} if said.description is None else {"description": said.description}
        if said.license is not None:
            changes["license"] = said.license or None
        event = ModelDescribed(name=step.model, at=datetime.now(UTC))
        await self._amend(step.model, ModelChanges.model_validate(changes), event)
        return changes

    async def retire(self, step: Step, telling: Telling) -> dict[str, object]:
        """Take it out of Explore, or bring it back."""
        retired = RetireModel.model_validate(step.body).retired
        event = ModelRetired(name=step.model, retired=retired, at=datetime.now(UTC))
        await self._amend(step.model, ModelChanges(retired=retired), event)
        return {"retired": retired}

    async def alias(self, step: Step, telling: Telling) -> dict[str, object]:
        """Let the alias name the model, or nothing any more. A model's own name cannot be one."""
        said, now = AliasModel.model_validate(step.body), datetime.now(UTC)
        alias = said.alias.removesuffix(":latest")
        known = {one.name for one in await self.models.all()}
        if said.remove:
            await self.models.remove_alias(alias)
        elif alias in known:
            raise StepFailed("alias_taken", f"{alias!r} is the name of a model: choose another one.")
        elif step.model not in known:
            raise StepFailed("unknown_model", f"There is no model named {step.model!r}.")
        else:
            await self.models.put_alias(Alias(name=alias, model=step.model, updated_at=now))
        await self.bus.publish(ModelAliased(name=step.model, alias=alias, removed=said.remove, at=now))
        return {"alias": alias}

    async def copy(self, step: Step, telling: Telling) -> dict[str, object]:
        """A second name on one back-end, seen in the catalog when this returns."""
        said = CopyModel.model_validate(step.body)
        await managed(self.roster, step.target).copy(said.model, said.destination)
        await self.ready(step.target)
        return {"destination": said.destination}

    async def _amend(self, name: str, changes: ModelChanges, event: ModelEvent) -> None:
        if await self.models.amend(name, changes, datetime.now(UTC)) is None:
            raise StepFailed("unknown_model", f"There is no model named {name!r}.")
        await self.bus.publish(event)
