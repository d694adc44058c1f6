"""Edges on free ports, and clients of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.contract.http.following import WORDS, is_recorded
from tests.contract.http.worlds import ByHand, Person, World, open_world

StartWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[StartWorld, None]:
    """`world = await start(chats_per_minute=2, …)`: an edge with settings of its own."""
    async with AsyncExitStack() as stack:
        started = 0

        async def start_world(**settings: object) -> World:
            nonlocal started
            started += 1
            folder = tmp_path / str(started)
            return await stack.enter_async_context(open_world(folder, **settings))

        yield start_world


@pytest.fixture
async def world(start: StartWorld) -> World:
    return await start()


@pytest.fixture
async def client(world: World) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Nobody: no token."""
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as opened:
        yield opened


@pytest.fixture
async def person(world: World) -> Person:
    return await world.person()


@pytest.fixture
async def other_person(world: World) -> Person:
    return await world.person()


@pytest.fixture
async def recording(world: World) -> AsyncGenerator[None, None]:
    """A history worker."""
    async with world.recording():
        yield


@pytest.fixture
async def running(world: World, person: Person) -> ByHand:
    """A generation that has said its first word."""
    hand = await world.by_hand((await person.begins())["generation_id"])
    await hand.says(WORDS[0])
    return hand


@pytest.fixture
async def ended(recording: None, running: ByHand) -> ByHand:
    """A recorded one whose log still stands."""
    await running.says(*WORDS[1:])
    await running.ends()
    await is_recorded(running)
    return running
