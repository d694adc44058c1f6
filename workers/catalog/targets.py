"""What a command acts on: back-ends by name, or the catalog's own record. No ports here."""

from collections.abc import Callable, Mapping

from contracts.administration import CATALOG, CommandError
from contracts.commands import (
    AliasModel,
    CopyModel,
    CreateModel,
    DeleteModel,
    DescribeModel,
    ModelCommand,
    PullModel,
    RetireModel,
    TagModel,
    VerifyModel,
)
from contracts.ports.backend import Backend
from contracts.records import Model
from workers.catalog.refresh import canonical


class CommandRefused(Exception):
    """The command cannot be done as things are now."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error = CommandError(code=code, message=message)


Open = Mapping[str, Backend]


def targets_of(command: ModelCommand, backends: Open, models: Mapping[str, Model]) -> tuple[str, ...]:
    """The targets, at least one. Raises CommandRefused."""
    return _TARGETS[type(command)](command, backends, models.get(canonical(command.model)))


def _new_places(command: PullModel | CreateModel, backends: Open, model: Model | None) -> tuple[str, ...]:
    """Where a model is to come: the back-ends that are named, else all of the pool whose models can be managed."""
    if command.backends:
        return tuple(_manageable(one, backends) for one in dict.fromkeys(command.backends))
    able = [name for name, one in backends.items() if one.settings.pool == command.pool and one.management is not None]
    if not able:
        sentence = f"No back-end of the pool {command.pool!r} can fetch models: only those of the kind `ollama` can."
        raise CommandRefused("no_backend", sentence)
    return tuple(sorted(able))


def _serving(command: CopyModel | VerifyModel | DeleteModel, model: Model | None) -> list[str]:
    if model is None:
        raise CommandRefused("unknown_model", f"There is no model named {command.model!r}.")
    return [one.backend for one in model.served_by]


def _copied(command: CopyModel, backends: Open, model: Model | None) -> tuple[str, ...]:
    able = [one for one in _serving(command, model) if one in backends and backends[one].management is not None]
    if not able:
        raise CommandRefused("no_backend", f"No back-end that can copy models has {command.model!r} now.")
    return tuple(able)


def _verified(command: VerifyModel, backends: Open, model: Model | None) -> tuple[str, ...]:
    serving = _serving(command, model)
    wanted = tuple(dict.fromkeys(command.backends)) or tuple(serving)
    for one in wanted:
        if one not in backends:
            raise CommandRefused("unknown_backend", f"There is no back-end named {one!r}.")
        if one not in serving:
            raise CommandRefused("model_not_found", f"{one} does not have {command.model!r} now.")
    if not wanted:
        raise CommandRefused("no_backend", f"No back-end has {command.model!r} now, so nothing can be tried.")
    return wanted


def _deleted(command: DeleteModel, backends: Open, model: Model | None) -> tuple[str, ...]:
    """Those that have it; what nobody has any more is only taken out of the catalog."""
    serving = _serving(command, model)
    if command.backends:
        return tuple(_manageable(one, backends) for one in dict.fromkeys(command.backends))
    return tuple(_manageable(one, backends) for one in serving) or (CATALOG,)


def _record(command: ModelCommand, backends: Open, model: Model | None) -> tuple[str, ...]:
    gone = isinstance(command, AliasModel) and command.remove
    if model is None and not gone:
        raise CommandRefused("unknown_model", f"There is no model named {command.model!r}.")
    return (CATALOG,)


def _manageable(name: str, backends: Open) -> str:
    if name not in backends:
        raise CommandRefused("unknown_backend", f"There is no back-end named {name!r}.")
    if backends[name].management is None:
        sentence = f"{name} is of the kind `openai`, whose models are managed where it runs."
        raise CommandRefused("not_manageable", sentence)
    return name


_TARGETS: Mapping[type[ModelCommand], Callable[..., tuple[str, ...]]] = {
    PullModel: _new_places,
    CreateModel: _new_places,
    CopyModel: _copied,
    VerifyModel: _verified,
    DeleteModel: _deleted,
    TagModel: _record,
    DescribeModel: _record,
    AliasModel: _record,
    RetireModel: _record,
}
