"""Explore on the wire: models, aliases, retired ones, filters, orders, pages, tags."""

import pytest

from contracts.records import Alias, ModelChanges, Verification
from tests.contract.http.problems import asks, problem
from tests.contract.http.worlds import Person, World
from tests.contract.ports.stores import now


async def aliased(world: World, name: str, model: str) -> None:
    await world.ports.models.put_alias(Alias(name=name, model=model, updated_at=now()))
    world.edge.explore.forget()


async def retired(world: World, name: str) -> None:
    await world.ports.models.amend(name, ModelChanges(retired=True), now())
    world.edge.explore.forget()


async def listed(person: Person, **params: object) -> list[str]:
    response = await person.http.get("/api/models", params=params)  # pyright: ignore[reportArgumentType]
    assert response.status_code == 200, response.text
    return [one["name"] for one in response.json()["items"]]


async def test_an_alias_is_an_entry_of_its_own_everywhere(world: World, person: Person) -> None:
    await aliased(world, "chat-default", "small:latest")
    assert await listed(person) == ["chat-default", "small"]
    alias, model = [(await person.http.get(f"/api/models/{one}")).json() for one in ("chat-default:latest", "small")]
    assert (alias["alias_of"], model["alias_of"]) == ("small", None)
    own = ("name", "alias_of", "updated_at")
    assert {key: value for key, value in alias.items() if key not in own} == {
        key: value for key, value in model.items() if key not in own
    }
    openai = (await person.http.get("/v1/models")).json()["data"]
    assert [one["id"] for one in openai] == ["chat-default", "small"]
    assert (await person.http.get("/v1/models/chat-default")).json()["id"] == "chat-default"
    ollama = (await person.http.get("/ollama/api/tags")).json()["models"]
    assert [one["name"] for one in ollama] == ["chat-default:latest", "small:latest"]
    assert (await person.http.post("/ollama/api/show", json={"model": "chat-default"})).status_code == 200


@pytest.mark.parametrize("name", ["chat-default", "chat-default:latest"])
async def test_a_question_to_an_alias_is_one_to_its_model(world: World, person: Person, name: str) -> None:
    await aliased(world, "chat-default", "small")
    begun = await person.begins("Why?", model=name)
    told = (await person.http.get(f"/api/generations/{begun['generation_id']}")).json()
    assert told["model"] == "small"


async def test_an_alias_whose_model_is_gone_is_unavailable(world: World, person: Person) -> None:
    await aliased(world, "lost", "nobody's")
    told = (await person.http.get("/api/models/lost")).json()
    assert (told["status"], told["alias_of"], told["backends"]) == ("unavailable", "nobody's", [])
    problem(await person.http.post("/api/chats/stream", json=asks(model="lost")), 503, "model_unavailable")
    assert [one["id"] for one in (await person.http.get("/v1/models")).json()["data"]] == ["small"]


async def test_a_retired_model_is_shown_by_name_and_asked_by_nobody(world: World, person: Person) -> None:
    await world.serves("old")
    await aliased(world, "older", "old")
    await retired(world, "old")
    assert await listed(person) == ["small"]
    assert await listed(person, retired=True) == ["old", "older", "small"]
    assert await listed(person, status="retired") == ["old", "older"]
    for name in ("old", "older"):
        assert (await person.http.get(f"/api/models/{name}")).json()["status"] == "retired"
        told = problem(await person.http.post("/api/chats/stream", json=asks(model=name)), 410, "model_retired")
        assert "retired" in str(told["detail"])
        messages = [{"role": "user", "content": "Why?"}]
        openai = await person.http.post("/v1/chat/completions", json={"model": name, "messages": messages})
        assert (openai.status_code, openai.json()["error"]["code"]) == (404, "model_not_found")
        ollama = await person.http.post("/ollama/api/chat", json={"model": name, "messages": messages})
        assert (ollama.status_code, "retired" in ollama.json()["error"]) == (410, True)
        assert (await person.http.get(f"/v1/models/{name}")).status_code == 404
        assert (await person.http.post("/ollama/api/show", json={"model": name})).status_code == 410
    assert [one["id"] for one in (await person.http.get("/v1/models")).json()["data"]] == ["small"]
    assert len((await person.http.get("/ollama/api/tags")).json()["models"]) == 1


async def test_filters_and_tags(world: World, person: Person) -> None:
    await world.serves("a", tags=("fast", "tiny"), description="The smallest")
    await world.serves("b", tags=("fast",))
    await world.serves("gone", tags=("fast", "tiny"), retired=True)
    assert await listed(person, tag="fast") == ["a", "b"]
    assert await listed(person, tag=["fast", "tiny"]) == ["a"]
    assert await listed(person, capability="chat", q="smallest") == ["a"]
    assert await listed(person, capability=["chat", "embed"]) == []
    assert await listed(person, backend="one", status="available") == ["a", "b", "small"]
    assert await listed(person, backend="two") == []
    tags = (await person.http.get("/api/tags")).json()
    assert tags == {"items": [{"tag": "fast", "count": 2}, {"tag": "tiny", "count": 1}], "next_cursor": None}


async def test_pages_in_an_order_and_cursors_of_another(world: World, person: Person) -> None:
    await world.serves("a", "b")
    seen, cursor = list[str](), ""
    while cursor is not None:
        params = {"sort": "-name", "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await person.http.get("/api/models", params=params)).json()
        seen, cursor = seen + [one["name"] for one in page["items"]], page["next_cursor"]
        if cursor:
            other = {"sort": "name", "cursor": cursor}
            problem(await person.http.get("/api/models", params=other), 400, "bad_cursor")
    assert seen == ["small", "b", "a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("sort", "price"), ("sort", "--name"), ("sort", ""), ("status", "asleep"), ("retired", "perhaps"),
     ("tag", "x" * 101), ("tag", ["x"] * 21), ("capability", "x" * 101), ("backend", "x" * 101), ("q", "x" * 201)],
    ids=["sort", "signs", "no-sort", "status", "flag", "long-tag", "many-tags", "capability", "backend", "words"],
)  # fmt: skip
async def test_what_a_list_cannot_be_asked_for(person: Person, name: str, value: str) -> None:
    problem(await person.http.get("/api/models", params={name: value}), 422, "invalid")


async def test_the_newest_verification_of_each_back_end_is_shown(world: World, person: Person) -> None:
    found = Verification(
        backend="one",
        works=False,
        at=now(),
        digest="different",
        ttft_ms=12,
        tokens_per_second=3.5,
        error="Other digest.",
    )
    await world.ports.models.amend("small", ModelChanges(verifications=(found,)), now())
    world.edge.explore.forget()
    (told,) = (await person.http.get("/api/models/small")).json()["verifications"]
    assert (told["backend"], told["works"], told["digest"], told["ttft_ms"]) == ("one", False, "different", 12)
    assert (told["tokens_per_second"], told["continues"], told["error"]) == (3.5, None, "Other digest.")
