"""A platform, and the clients that the chosen tests want, each with an account of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conformance.accounts import Account
from tests.conformance.clients import KINDS, Client
from tests.conformance.environments import MADE, missing
from tests.conformance.using import Using
from tests.e2e.compositions import Platform, embedded
from tests.eventually import eventually
from tests.servers.shared import free_port

COMPILED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(MADE / "compiled")}
"""Kept between runs: a platform starts in half the time with compiled modules."""
A_MINUTE = 120
"""Questions of an account: one more every half second, once all are spent."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """`ollamanet up` over the fake back-end."""
    more = {"OLLAMANET_CHATS_PER_MINUTE": str(A_MINUTE), "OLLAMANET_OPS_PORT": str(free_port()), **COMPILED}
    running = embedded(tmp_path_factory.mktemp("platform"), more=more)
    yield running
    running.stop()


@pytest.fixture(scope="session")
async def edge(platform: Platform) -> str:
    """The URL of its edge, which shows the models."""
    someone = await Account.opens(platform.edges[0])

    async def shown() -> bool:
        return bool((await someone.http.get("/api/models")).json()["items"])

    await eventually(shown, 20)
    await someone.leaves()
    return platform.edges[0]


@pytest.fixture(scope="session")
async def all_using(
    request: pytest.FixtureRequest, edge: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Using]]:
    """The clients that the chosen tests name, started side by side."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    named = {str(one.params["using"]) for one in params if one and "using" in one.params}
    if any("deaths" in item.nodeid for item in request.session.items):
        named = set(KINDS)
    wanted = [name for name in KINDS if name in named and missing(KINDS[name].environment) is None]
    accounts = [await Account.opens(edge) for _ in wanted]
    started = await asyncio.gather(
        *(
            Client.starts(name, edge, account.key, tmp_path_factory.mktemp(name))
            for name, account in zip(wanted, accounts, strict=True)
        )
    )
    running = {one.name: Using(one, account) for one, account in zip(started, accounts, strict=True)}
    yield running
    for one in running.values():
        await one.client.leaves()
        await one.account.leaves()


@pytest.fixture
def using(request: pytest.FixtureRequest, all_using: dict[str, Using]) -> Using:
    """The client of that name."""
    if why := missing(KINDS[request.param].environment):
        pytest.fail(why)
    return all_using[request.param]
