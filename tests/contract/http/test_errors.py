"""What goes wrong, as clients see it: one shape, honest statuses, nothing left behind, nothing of the inside."""

import httpx
import pytest
from fastapi import APIRouter

from contracts.commands import GenerateReply
from contracts.errors import Overloaded, Unavailable, Unroutable
from tests.contract.http.conftest import StartWorld
from tests.contract.http.problems import STREAM, asks, problem, refused
from tests.contract.http.worlds import Person, World


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/nothing", "/api/chats/", "/docs/"])
async def test_a_path_that_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not_found")


async def test_a_file_that_is_not_there(client: httpx.AsyncClient) -> None:
    for path in ("/assets/nothing.css", "/assets/swagger/../../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py"):
        problem(await client.get(path), 404, "not_found")


async def test_a_method_that_the_path_does_not_take(client: httpx.AsyncClient) -> None:
    response = await client.put("/api/chats")
    problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["allow"]
    problem(await client.post("/assets/home.css"), 405, "method_not_allowed")


async def test_no_token_says_which_scheme(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/chats")
    problem(response, 401, "not_logged_in")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_unknown_model(person: Person) -> None:
    for name in ("nothing", "small2", "small:7b", "../small", "small\n", "☃"):
        told = await refused(person, asks(model=name), 404, "unknown_model")
        assert repr(name) in str(told["detail"])
    problem(await person.http.get("/api/models/nothing"), 404, "unknown_model")


async def test_a_known_model_that_nobody_serves(world: World, person: Person) -> None:
    await world.serves("asleep", served_by=())
    response = await person.http.post(STREAM, json=asks(model="asleep"))
    problem(response, 503, "model_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert not world.bus.published


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("the bus is down"), "unavailable"),
        (Overloaded("the queue is full"), "overloaded"),
        (Unroutable("no queue"), "no_worker"),
        (RuntimeError("secret inside"), "internal"),
    ],
)
async def test_a_command_that_cannot_be_published_leaves_nothing(
    world: World, person: Person, recording: None, error: Exception, code: str
) -> None:
    world.bus.fails[GenerateReply] = error
    response = await person.http.post(STREAM, json=asks())
    problem(response, 500 if code == "internal" else 503, code)
    assert "secret" not in response.text
    if code != "internal":
        after = int(response.headers["retry-after-ms"])
        assert 0 < after <= 1000 * int(response.headers["retry-after"])
    assert await world.nothing_is_left(person.account.id)
    assert (await person.http.get("/api/chats")).json()["items"] == []
    del world.bus.fails[GenerateReply]
    assert await person.begins()


async def test_a_command_that_cannot_be_published_does_not_block_its_chat(
    world: World, person: Person, recording: None
) -> None:
    first = await person.begins()
    hand = await world.by_hand(first["generation_id"])
    await hand.ends()
    await person.follow(first["generation_id"])
    world.bus.fails[GenerateReply] = Unavailable("down")
    path = f"/api/chats/{first['chat_id']}/messages"
    for _ in range(2):
        problem(await person.http.post(path, json=asks()), 503, "unavailable")
    del world.bus.fails[GenerateReply]
    assert (await person.http.post(path, json=asks())).status_code == 202


async def test_a_pool_that_never_had_a_worker(start: StartWorld) -> None:
    world = await start(pools=())
    person = await world.person()
    response = await person.http.post(STREAM, json=asks())
    problem(response, 503, "no_worker")
    assert int(response.headers["retry-after"]) >= 1
    assert await world.nothing_is_left(person.account.id)


async def test_what_nobody_foresaw_tells_nothing_of_the_inside(world: World, client: httpx.AsyncClient) -> None:
    router = APIRouter()

    @router.get("/api/crash")
    async def crash() -> None:
        raise RuntimeError("password=hunter2 at /srv/secret.py")

    world.app.include_router(router)
    response = await client.get("/api/crash")
    told = problem(response, 500, "internal")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert "secret.py" not in response.text
    assert told["request_id"] in str(response.headers)
