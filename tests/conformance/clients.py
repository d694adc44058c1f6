"""The clients under test: processes of their own environments, which call the functions of one program each."""

import asyncio
import itertools
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.conformance.environments import HERE, command
from tests.eventually import eventually

PATIENCE = 90.0
"""Seconds that a call may take, the client's own start included: seconds, and many more on a machine that is busy."""
LONGEST_LINE = 8 * 1024 * 1024


@dataclass(frozen=True)
class Kind:
    """A client: where it is installed, the program that uses it, and whose API it speaks."""

    environment: str
    program: str
    api: Literal["openai", "ollama"]

    @property
    def can(self) -> set[str]:
        """What its program has functions for."""
        source = (HERE / self.environment / self.program).read_text()
        return set(re.findall(r"^(?:export async function\*?|def) (\w+)\(", source, re.MULTILINE))

    def at(self, edge: str) -> str:
        """The base URL that it is given."""
        return f"{edge}/v1" if self.api == "openai" else f"{edge}/ollama"


KINDS = {
    "openai-python": Kind("python_openai", "with_openai.py", "openai"),
    "langchain-openai": Kind("python_openai", "with_langchain.py", "openai"),
    "llm": Kind("python_llm", "with_llm.py", "openai"),
    "ollama-python": Kind("python_ollama", "with_ollama.py", "ollama"),
    "langchain-ollama": Kind("python_ollama", "with_langchain.py", "ollama"),
    "llm-ollama": Kind("python_llm", "with_llm_ollama.py", "ollama"),
    "ollama-js": Kind("node", "with_ollama.mjs", "ollama"),
    "openai-node": Kind("node", "with_openai.mjs", "openai"),
    "ai-sdk": Kind("node", "with_ai.mjs", "openai"),
}


LOOKS_FIRST = {"llm-ollama"}
"""Those that ask for no model but those on the list, so that the platform never refuses them one."""


def those_that(*can: str, api: str | None = None) -> list[str]:
    """The names of the clients whose programs have all these functions."""
    return [name for name, kind in KINDS.items() if kind.can >= set(can) and api in (None, kind.api)]


class Raised(Exception):
    """The client raised. `kinds`: its error's class and those it inherits from."""

    def __init__(self, kinds: list[str], status: int | None, words: str) -> None:
        super().__init__(f"{kinds[0]} ({status}): {words}")
        self.kinds = kinds
        self.status = status
        self.words = words


@dataclass
class Call:
    """One call in progress. `said`: what it yielded so far."""

    said: list[Any] = field(default_factory=list)
    ending: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def says(self, text: str) -> None:
        """Wait until it said just that."""
        await eventually(lambda: len("".join(self.said)) >= len(text) or self.ending.done(), PATIENCE)
        assert ("".join(self.said), self.ending.done()) == (text, False)

    async def ends(self) -> Any:
        """What it returned. Raises Raised."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.shield(self.ending)

    async def text(self) -> str:
        """All that it said, at its end."""
        await self.ends()
        return "".join(self.said)


class Client:
    """A running program."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.kind = KINDS[name]
        self._process = process
        self._calls: dict[int, Call] = {}
        self._numbers = itertools.count()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def starts(cls, name: str, edge: str, key: str, home: Path) -> "Client":
        """Nothing of our environment but where the platform is, and a key."""
        kind = KINDS[name]
        prefix = "OPENAI_BASE_URL" if kind.api == "openai" else "OLLAMA_HOST"
        own = {"PATH": os.environ["PATH"], "HOME": str(home), prefix: kind.at(edge), f"{kind.api.upper()}_API_KEY": key}
        with (home / "stderr.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command(kind.environment, kind.program),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=own,
                cwd=home,
                limit=LONGEST_LINE,
            )
        return cls(name, process)

    def call(self, name: str, /, **given: object) -> Call:
        """Begin a call of that function."""
        number, call = next(self._numbers), Call()
        self._calls[number] = call
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "call": name, "given": given}).encode() + b"\n")
        return call

    async def does(self, name: str, /, **given: object) -> Any:
        """What that function returns. Raises Raised."""
        return await self.call(name, **given).ends()

    async def says(self, name: str, /, **given: object) -> list[Any]:
        """All that it yields."""
        call = self.call(name, **given)
        await call.ends()
        return call.said

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            call = self._calls[told["id"]]
            if "said" in told:
                call.said.append(told["said"])
                continue
            del self._calls[told["id"]]
            if "raised" in told:
                call.ending.set_exception(Raised(**told["raised"]))
            else:
                call.ending.set_result(told["returned"])
        for call in self._calls.values():
            call.ending.set_exception(RuntimeError(f"{self.name} ended: see stderr.log in its folder."))

    async def leaves(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading
