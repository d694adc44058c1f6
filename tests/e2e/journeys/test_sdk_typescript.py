"""The TypeScript SDK as built (`make sdk`), on Node, against the real platform."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.client import PASSWORD, Person
from tests.e2e.compositions import Platform
from tests.e2e.journeys.sdk_clients import CUT, SDK, example, needs, reader_has_an_account

PACKAGE = SDK / "typescript"
SCRIPT = Path(__file__).with_name("sdk_journey.mjs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where scripts find the built package by its name."""
    needs("Node", shutil.which("node"))
    needs("the built SDK (`make sdk`)", PACKAGE / "dist/index.js")
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "ollamanet").symlink_to(PACKAGE)
    return tmp_path


@asynccontextmanager
async def node(script: Path, *arguments: str) -> AsyncGenerator[Process, None]:
    process = await asyncio.create_subprocess_exec("node", str(script), *arguments, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_program_lives_the_main_job(platform: Platform, person: Person, folder: Path) -> None:
    script = shutil.copy(SCRIPT, folder)
    kills = platform.kind == "distributed"
    email = f"{uuid4()}@example.org"
    story = {"edges": platform.edges, "email": email, "password": PASSWORD, "text": CUT, "kills": kills}
    found: dict[str, Any] = {}
    async with node(script, json.dumps(story)) as process, asyncio.timeout(60):
        assert process.stdout is not None
        assert process.stderr is not None
        async for line in process.stdout:
            told = json.loads(line)
            found[told.pop("step")] = told
            if "kill" in found and "killed" not in found:
                platform.kill("edge-2")
                await asyncio.to_thread(platform.restart, "edge-2")
                found["killed"] = {}
        assert (await process.stderr.read(), await process.wait()) == (b"", 0)
    whole = f"[1 messages] You said: {CUT}"
    assert found["in"] == {"email": email}
    assert found["resumed"] == {"text": whole, "again": whole}
    assert found["went on"] == {"text": "[3 messages] You said: And?", "roles": ["user", "assistant"] * 2}
    assert found["cancel"] == {"reason": True, "code": "cancelled"}
    assert found["detach"] == {"reason": True, "status": "running", "code": "cancelled"}
    assert found["refused"] == {"typed": True, "status": 404, "code": "unknown_model"}
    assert (found["stranger"]["typed"], found["stranger"]["status"]) == (True, 401)
    assert found["failed"] == {"typed": True, "code": "backend_cut", "partial": True}
    assert found["lost"] == {"typed": True}
    assert (found["out"]["typed"], found["out"]["status"]) == (True, 401)
    if kills:
        assert found["survived"] == {"text": "".join(f"{number} " for number in range(120))}


async def test_the_example_of_its_page_runs_as_typed(platform: Platform, person: Person, folder: Path) -> None:
    await reader_has_an_account(platform)
    script = folder / "example.mjs"
    script.write_text(example(PACKAGE / "README.md", "ts", platform))
    async with node(script) as process, asyncio.timeout(30):
        told, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    assert told.decode() == "[1 messages] You said: Why is the sky blue?"
