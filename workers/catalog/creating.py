"""Making a model as a Modelfile says: of another one, or of a GGUF file that is fetched first."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from contracts.administration import Step, StepProgress
from contracts.commands import CreateModel
from contracts.ports.backend import BackendRoster
from contracts.ports.management import Download, Downloads, ModelManagement, NewModel
from workers.catalog.modelfile import BadModelfile, Modelfile, parse
from workers.catalog.pulling import follow, managed
from workers.catalog.stepping import StepFailed
from workers.catalog.telling import Layers, Telling

BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Creating:
    """`ready(backend)`: look at that back-end."""

    roster: BackendRoster
    downloads: Downloads
    ready: Callable[[str], Awaitable[None]]

    async def create(self, step: Step, telling: Telling) -> dict[str, object]:
        """Make it, and see it in the catalog. Raises StepFailed, BackendFailed."""
        said = CreateModel.model_validate(step.body)
        try:
            modelfile = parse(said.modelfile)
        except BadModelfile as bad:
            raise StepFailed("modelfile_invalid", str(bad)) from bad
        management = managed(self.roster, step.target)
        if "://" in modelfile.base:
            await self._of_file(said.model, modelfile, management, step, telling)
        else:
            new = _new(said.model, modelfile, base=modelfile.base)
            await follow(management.create(new), Layers(step.target), telling)
        await self.ready(step.target)
        return {"from": modelfile.base}

    async def _of_file(
        self, name: str, modelfile: Modelfile, management: ModelManagement, step: Step, telling: Telling
    ) -> None:
        async def told(completed: int, total: int | None) -> None:
            status = "fetching the GGUF file"
            await telling.tell(StepProgress(backend=step.target, status=status, completed=completed, total=total))

        async with self.downloads.fetch(modelfile.base, told) as file:
            await telling.tell(StepProgress(backend=step.target, status="giving it to the back-end"))
            if not await management.has_blob(file.digest):
                await management.push_blob(file.digest, file.size, _content(file))
            new = _new(name, modelfile, files={"model.gguf": file.digest})
            await follow(management.create(new), Layers(step.target), telling)


def _new(name: str, said: Modelfile, *, base: str | None = None, files: dict[str, str] | None = None) -> NewModel:
    return NewModel(
        name=name,
        base=base,
        files=files or {},
        template=said.template,
        system=said.system,
        license=said.license,
        parameters=said.parameters,
        messages=said.messages,
    )


async def _content(file: Download) -> AsyncGenerator[bytes, None]:
    opened = await asyncio.to_thread(file.path.open, "rb")
    try:
        while block := await asyncio.to_thread(opened.read, BLOCK):
            yield block
    finally:
        opened.close()
