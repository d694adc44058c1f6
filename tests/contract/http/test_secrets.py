"""What is in no log, and in no file that others read."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from infra.process import logs
from tests.contract.http.letters import died
from tests.contract.http.logins import PASSWORD, logs_in, me, refreshes, signs_up
from tests.contract.http.worlds import Person, World
from tests.factories import generate_reply, question


class Terminal(io.StringIO):
    """A stream that a person reads."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that is logged, at the finest level."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = request.param()
    logs.configure("edge", "debug", stream)
    for name in ("httpx", "httpcore"):  # the test's own client
        logging.getLogger(name).setLevel(logging.WARNING)
    yield stream
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


async def test_no_password_and_no_token_is_in_any_log(
    written: io.StringIO, world: World, client: httpx.AsyncClient
) -> None:
    tokens = await signs_up(client, "ada@example.org")
    login = (await logs_in(client, "ada@example.org")).json()
    wrong = "a wrong password"
    await logs_in(client, "ada@example.org", wrong)
    fresh = (await refreshes(client, tokens["refresh_token"])).json()
    await me(client, fresh)
    await client.post("/api/auth/signup", json={"email": 1, "password": PASSWORD})
    await client.post(
        "/api/auth/signup",
        content=json.dumps({"password": PASSWORD}) + "{",
        headers={"Content-Type": "application/json"},
    )
    headers = {"Authorization": f"Bearer {fresh['access_token']}"}
    await client.get(f"/api/auth/me?token={login['refresh_token']}", headers=headers)
    await client.get("/api/auth/me", headers={"Authorization": f"Bearer {fresh['access_token']}x"})
    crashing = Crashing(world)
    await logs_in(client, "ada@example.org", wrong)
    await client.get("/api/models", headers=headers)
    crashing.ends()
    await client.post("/api/auth/logout", json={"refresh_token": fresh["refresh_token"]})
    text = written.getvalue()
    assert "request_crashed" in text
    secrets = {PASSWORD, wrong}
    for one in (tokens, login, fresh):
        secrets |= {str(one["access_token"]), str(one["refresh_token"]), str(one["access_token"]).rpartition(".")[2]}
    assert not [one for one in secrets if one in text or one[:24] in text.replace("\n", "")]


async def test_what_a_dead_letter_says_is_in_no_log(written: io.StringIO, world: World, person: Person) -> None:
    secret = "My PIN is 4711."
    admin = await world.person(role="admin")
    whole = died(generate_reply(question(content=secret)), attributes={"subject": secret})
    broken = died(body=f"{{{secret}")
    for letter in (whole, broken):
        await world.ports.dead_letters.keep(letter)
        at = f"/api/admin/dead-letters/{letter.id}"
        assert secret in (await admin.http.get(at)).text
        assert secret not in (await admin.http.get("/api/admin/dead-letters")).text
        assert secret not in (await person.http.get(at)).text
        for what in ("replay", "discard"):
            assert secret not in (await admin.http.post(f"{at}/{what}")).text
        assert secret not in (await admin.http.post("/api/admin/dead-letters/replay", json={"ids": [letter.id]})).text
    text = written.getvalue()
    assert "dead_letter_replayed" in text
    assert "4711" not in text


class Crashing:
    """An edge whose stores break in a way that nobody foresaw."""

    def __init__(self, world: World) -> None:
        self._logins, self._accounts = world.edge.logins, world.ports.accounts
        self._explore = world.edge.explore
        object.__setattr__(self._logins, "accounts", self)
        self._explore._read_at, self._models, self._explore._models = None, self._explore._models, self

    async def by_email(self, email: str) -> None:
        raise RuntimeError(f"broken for {email}")

    async def aliases(self) -> object:
        return ()

    async def all(self) -> None:
        raise RuntimeError("broken")

    def ends(self) -> None:
        object.__setattr__(self._logins, "accounts", self._accounts)
        self._explore._models = self._models


def test_the_data_of_accounts_is_readable_by_its_owner_alone(world: World) -> None:
    file = Path(world.database.path)
    assert file.stat().st_mode & 0o077 == 0
