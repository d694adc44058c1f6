"""What follows when every step of a command has ended: the catalog's record of the model, then the command's own end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.administration import AdminCommand, CommandError, StepResult
from contracts.commands import CreateModel, PullModel
from contracts.concluding import Concluding
from contracts.ports.bus import Bus
from contracts.ports.stores import Models
from contracts.public import ModelDeleted, ModelDescribed, ModelTagged, ModelVerified
from contracts.records import Model, ModelChanges, Verification


@dataclass(frozen=True)
class Settling:
    """Everything here may be repeated: a worker may die in between, and the sweep begins again."""

    models: Models
    bus: Bus
    concluding: Concluding

    async def settle(self, command: AdminCommand) -> None:
        """End a command none of whose results is missing. Raises Unavailable."""
        match command.kind:
            case "PullModel":
                await self._label(PullModel.model_validate(command.body), command)
            case "CreateModel":
                await self._label(CreateModel.model_validate(command.body), command)
            case "VerifyModel":
                await self._keep_verifications(command)
            case "DeleteModel":
                await self._forget(command)
            case _:
                pass
        error = _error(command)
        await self.concluding.conclude(command.id, "failed" if error else "completed", error)

    async def _label(self, ordered: PullModel | CreateModel, command: AdminCommand) -> None:
        """The tags and the description that the model was ordered with, once it is anywhere."""
        if all(one.error for one in command.results.values()) or not (ordered.tags or ordered.description):
            return
        said = {"tags": ordered.tags, "description": ordered.description}
        changes = ModelChanges.model_validate({name: value for name, value in said.items() if value})
        name, now = _plain(command.model), datetime.now(UTC)
        if await self.models.amend(name, changes, now) is None:
            return  # fetched, but of no use for chats or vectors: it is not in the catalog
        if ordered.tags:
            await self.bus.publish(ModelTagged(name=name, tags=ordered.tags, at=now))
        if ordered.description:
            await self.bus.publish(ModelDescribed(name=name, at=now))

    async def _keep_verifications(self, command: AdminCommand) -> None:
        found = [_verification(target, one) for target, one in command.results.items()]
        model = await self._model(command.model)
        if model is None:
            return
        fresh = {one.backend for one in found}
        kept = [one for one in model.verifications if one.backend not in fresh]
        changes: dict[str, object] = {"verifications": tuple(sorted([*kept, *found], key=lambda one: one.backend))}
        now = datetime.now(UTC)
        if all(one.works for one in found):
            changes["verified_at"] = now
        await self.models.amend(model.name, ModelChanges.model_validate(changes), now)
        for one in found:
            await self.bus.publish(ModelVerified(name=model.name, backend=one.backend, works=one.works, at=now))

    async def _forget(self, command: AdminCommand) -> None:
        """A model that was deleted everywhere is not in the catalog any more; one that another back-end has stays."""
        model = await self._model(command.model)
        deleted = {target for target, one in command.results.items() if one.error is None}
        left = [one for one in model.served_by if one.backend not in deleted] if model else []
        if left or any(one.error for one in command.results.values()):
            return
        name = _plain(command.model)
        if await self.models.remove(name) or model is None:
            await self.bus.publish(ModelDeleted(name=name, at=datetime.now(UTC)))

    async def _model(self, name: str) -> Model | None:
        return next((one for one in await self.models.all() if one.name == _plain(name)), None)


def _verification(target: str, result: StepResult) -> Verification:
    if result.error is not None:
        return Verification(backend=target, works=False, at=result.ended_at, error=result.error.message)
    return Verification.model_validate(result.detail)


def _error(command: AdminCommand) -> CommandError | None:
    """The first error, by target; where several failed, the sentence says how many."""
    failed = [(target, one.error) for target, one in sorted(command.results.items()) if one.error is not None]
    if not failed and command.kind == "VerifyModel":
        failed = _not_working(command)
    if not failed:
        return None
    first = failed[0][1]
    others = len(failed) - 1
    more = f" (and {others} more of {len(command.targets)} back-ends failed)" if others else ""
    return CommandError(code=first.code, message=first.message + more)


def _not_working(command: AdminCommand) -> Sequence[tuple[str, CommandError]]:
    found = [(target, _verification(target, one)) for target, one in sorted(command.results.items())]
    return [
        (target, CommandError(code="not_verified", message=f"{target}: {one.error or 'it does not work.'}"))
        for target, one in found
        if not one.works
    ]


def _plain(name: str) -> str:
    return name.removesuffix(":latest")
