"""Sessions: refreshing, logging out, ending."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.contract.http.logins import a_second_passes, me, refreshes, session_of, signs_up
from tests.contract.http.wire import Line
from tests.contract.http.worlds import World
from tests.eventually import eventually


async def test_a_suspended_account_gets_no_new_tokens(world: World, client: httpx.AsyncClient) -> None:
    person = await world.person(status="suspended")
    refused = await refreshes(client, person.refresh_token)
    assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")


async def test_a_refresh_token_is_replaced_by_its_use(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    second = (await refreshes(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert session_of(second) == session_of(first)
    assert second["user"] == first["user"]
    assert (await me(client, second)).status_code == 200
    third = await refreshes(client, second["refresh_token"])
    assert third.status_code == 200


async def test_several_tabs_refresh_at_once(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    answers = await asyncio.gather(*(refreshes(client, first["refresh_token"]) for _ in range(5)))
    assert [one.status_code for one in answers] == [200] * 5
    assert len({one.json()["refresh_token"] for one in answers}) == 5
    for one in answers:
        assert (await refreshes(client, one.json()["refresh_token"])).status_code == 200


async def test_a_refresh_token_used_again_later_ends_its_session(world: World, client: httpx.AsyncClient) -> None:
    stolen = await signs_up(client)
    kept = (await refreshes(client, stolen["refresh_token"])).json()
    await replaced_earlier(world, timedelta(seconds=29))
    assert (await refreshes(client, stolen["refresh_token"])).status_code == 200
    await replaced_earlier(world, timedelta(seconds=2))
    again = await refreshes(client, stolen["refresh_token"])
    assert (again.status_code, again.json()["code"]) == (401, "session_ended")
    assert (await refreshes(client, kept["refresh_token"])).status_code == 401
    a_second_passes(world)
    assert (await me(client, kept)).status_code == 401


async def replaced_earlier(world: World, by: timedelta) -> None:
    """As if that much time had passed since tokens were replaced."""
    milliseconds = int(by.total_seconds() * 1000)
    await world.database.write(
        lambda connection: connection.execute(
            "UPDATE session_tokens SET replaced_at = replaced_at - ? WHERE replaced_at IS NOT NULL", (milliseconds,)
        )
    )


@pytest.mark.parametrize("token", ["x", "'; --", "0" * 43, "a" * 200, "é", "\x00"])
async def test_a_refresh_token_of_nobody(client: httpx.AsyncClient, token: str) -> None:
    refused = await refreshes(client, token)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    assert (await refreshes(client, tokens["access_token"])).status_code in (401, 422)
    assert (await me(client, {"access_token": tokens["refresh_token"]})).status_code == 401


async def test_a_session_ends_with_its_time(world: World, client: httpx.AsyncClient) -> None:
    person = await world.person()
    await world.database.write(
        lambda connection: connection.execute("UPDATE sessions SET expires_at = ?", (int(datetime.now(UTC).timestamp() * 1000) - 1,))
    )  # fmt: skip
    assert (await refreshes(client, person.refresh_token)).status_code == 401
    assert (await person.http.get("/api/auth/me")).status_code == 401


async def test_logging_out_needs_the_refresh_token_alone(world: World, client: httpx.AsyncClient) -> None:
    mine, other = await signs_up(client), await signs_up(client)
    out = await client.post("/api/auth/logout", json={"refresh_token": mine["refresh_token"]})
    assert (out.status_code, out.content) == (204, b"")
    assert (await refreshes(client, mine["refresh_token"])).status_code == 401
    assert (await refreshes(client, other["refresh_token"])).status_code == 200
    again = await client.post("/api/auth/logout", json={"refresh_token": mine["refresh_token"]})
    assert again.status_code == 204


async def test_within_a_second_of_logging_out_its_access_tokens_and_streams_end(
    world: World, client: httpx.AsyncClient
) -> None:
    tokens = await signs_up(client)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with Line(world.url) as line:
        await line.asks("POST", "/api/chats/stream", headers, {"model": "small", "content": "Why?"})
        await line.begins()
        await line.chunk()
        await client.post("/api/auth/logout", json={"refresh_token": tokens["refresh_token"]})
        async with asyncio.timeout(5):
            assert (await line.rest()).endswith(b"retry: 500\n\n")  # its place in the queue may be told first
            await eventually(lambda: is_refused(client, tokens))
    assert len(world.edge.streams) == 0


async def is_refused(client: httpx.AsyncClient, tokens: dict[str, object]) -> bool:
    return (await me(client, tokens)).status_code == 401


async def test_a_token_of_an_older_link_of_the_chain_logs_out_too(client: httpx.AsyncClient) -> None:
    first = await signs_up(client)
    second = (await refreshes(client, first["refresh_token"])).json()
    await client.post("/api/auth/logout", json={"refresh_token": first["refresh_token"]})
    assert (await refreshes(client, second["refresh_token"])).status_code == 401
