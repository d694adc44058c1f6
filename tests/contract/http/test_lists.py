"""Lists and ids: their bounds, and names that are none of ours."""

import httpx
import pytest

from contracts.ids import new_id
from tests.contract.http.problems import asks, problem, refused
from tests.contract.http.worlds import Person


@pytest.mark.parametrize("path", ["/api/chats", "/api/models", "/api/auth/keys"])
async def test_limits_and_cursors_of_lists(person: Person, path: str) -> None:
    for limit in ("0", "101", "-1", "x", "1.5", "", "9" * 400):
        told = problem(await person.http.get(path, params={"limit": limit}), 422, "invalid")
        assert told["errors"][0]["pointer"] == "/limit"
    for limit in (1, 100):
        assert (await person.http.get(path, params={"limit": limit})).status_code == 200
    for cursor in ("x", "AAAA", "eyJhIjoxfQ==", "💥", "' OR 1=1 --", "a" * 400, "\x00"):
        problem(await person.http.get(path, params={"cursor": cursor}), 400, "bad_cursor")
    problem(await person.http.get(path, params={"cursor": "a" * 501}), 422, "invalid")


@pytest.mark.parametrize("path", ["/api/chats/{}", "/api/generations/{}", "/api/generations/{}/stream"])
async def test_an_id_that_is_none_of_ours(person: Person, path: str) -> None:
    for name in ("1", "x", new_id(), new_id().upper(), "%00", "..%2F", "a" * 5000, "{}", "' OR 1=1", "%F0%9F%92%A5"):
        problem(await person.http.get(path.format(name)), 404, "not_found")


async def test_an_id_that_is_none_of_ours_takes_nothing(person: Person) -> None:
    for name in ("1", new_id()):
        problem(await person.http.delete(f"/api/chats/{name}"), 404, "not_found")
        problem(await person.http.patch(f"/api/chats/{name}", json={"title": "x"}), 404, "not_found")
        problem(await person.http.post(f"/api/chats/{name}/messages", json=asks()), 404, "not_found")
        problem(await person.http.post(f"/api/generations/{name}/cancel"), 404, "not_found")
        await refused(person, asks(chat_id=name), 404, "not_found")
    await refused(person, asks(parent_id="x"), 404, "not_found")
    await refused(person, asks(parent_id=new_id()), 404, "not_found")


async def test_a_query_string_of_a_megabyte_harms_nobody(client: httpx.AsyncClient, person: Person) -> None:
    response = await person.http.get("/api/models", params={"q": "x" * 60_000})
    problem(response, 422, "invalid")
    assert len(response.content) < 2000
    assert (await client.get("/livez")).status_code == 200
