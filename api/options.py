"""What a question asks for beside its words, and what of it the back-ends of its model can do nothing about."""

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Literal

from api.errors import Unsupported
from api.explore import Explore, context_length_of
from contracts.commands import Effort, NamedTool, SamplingOptions
from contracts.errors import Unavailable
from contracts.options import UNABLE, asked_for
from contracts.records import BackendKind, Model

Tools = tuple[dict[str, object], ...]


@dataclass(frozen=True)
class More:
    """What goes into the command as it is. `keep_alive`: seconds."""

    effort: Effort | None = None
    tool_choice: Literal["required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    keep_alive: int | None = None

    @property
    def canonical(self) -> dict[str, object]:
        """What is asked for, as JSON values."""
        given = {one.name: getattr(self, one.name) for one in dataclass_fields(self)}
        return {
            name: value.model_dump() if isinstance(value, NamedTool) else value
            for name, value in given.items()
            if value is not None
        }


@dataclass(frozen=True)
class Needs:
    """What has to be there before anything is queued. `context`: tokens at least. `within`: what the caller's names of options begin
    with, for those who are refused one."""

    context: int = 0
    within: str = "options."

    def place(self, name: str) -> str:
        """Where the caller said that."""
        return f"{self.within}{name}" if name in SamplingOptions.model_fields else name


async def refuse_in_vain(
    explore: Explore, model: Model, options: SamplingOptions, tools: Tools, more: More, needs: Needs
) -> None:
    """Raises Unsupported for the first option that one of the model's back-ends would let pass without doing it.

    Any of them may be the one that answers. What only a back-end itself can know, its worker finds out.
    """
    has = context_length_of(model)
    if needs.context and has is not None and has < needs.context:
        raise Unsupported("options.num_ctx", f"options.num_ctx: this model has a context of {has} tokens here.")
    names = list(asked_for(options, tools, more.tool_choice, more.parallel_tool_calls))
    if not any(name in unable for name in names for unable in UNABLE.values()):
        return
    for kind in await _kinds(explore, model):
        for name in names:
            if name in UNABLE[kind]:
                place = needs.place(name)
                told = f"{place} is not supported by {KINDS[kind]}, which serves this model: leave it out."
                raise Unsupported(place, told)


KINDS: dict[BackendKind, str] = {"ollama": "an Ollama", "openai": "a server of OpenAI's protocol", "fake": "a fake"}


async def _kinds(explore: Explore, model: Model) -> list[BackendKind]:
    """Of the model's back-ends, as far as they are known."""
    names = {one.backend for one in model.served_by}
    try:
        return [one.kind for one in await explore.health() if one.name in names]
    except Unavailable:
        return []
