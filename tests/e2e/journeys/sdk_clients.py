"""What journeys of the SDKs share: somebody's API key, and the examples of their pages."""

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.client import PASSWORD, Person
from tests.e2e.compositions import Platform

SDK = Path(__file__).parents[3] / "sdk"
READER = ("you@example.org", "correct horse battery")
"""Who logs in, in the examples."""
CUT = "Say it again, in as many words as it takes to be cut off in the middle of them."


async def api_key(person: Person) -> str:
    """A key of this person that may chat."""
    response = await person.edge().post("/api/auth/keys", json={"name": "journey"})
    assert response.status_code == 201, response.text
    return response.json()["secret"]


def example(page: Path, language: str, platform: Platform) -> str:
    """The first example of a page, as typed but for the address and the model."""
    block = re.search(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert block, page
    code = block[1]
    assert len(code.splitlines()) < 20
    for typed, here in (("http://127.0.0.1:8080", platform.edges[-1]), ("smollm2", "small")):
        assert typed in code, typed
        code = code.replace(typed, here)
    return code


async def reader_has_an_account(platform: Platform) -> None:
    assert READER[1] == PASSWORD
    async with httpx.AsyncClient(base_url=platform.edges[0], timeout=30) as client:
        response = await client.post("/api/auth/signup", json={"email": READER[0], "password": READER[1]})
        assert response.status_code in (201, 409), response.text


def needs(what: str, path: Path | str | None) -> None:
    """Skip, or fail where everything has to be there, without this."""
    if path is None or not Path(path).exists():
        assert not os.environ.get("CI"), f"{what} is missing"
        pytest.skip(f"{what} is missing")


def busy_worker(platform: Platform) -> str:
    """The worker that runs something."""
    return next(one for one in ("inference-1", "inference-2") if platform.running_generations(one))
