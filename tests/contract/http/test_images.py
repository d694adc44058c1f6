"""Images: sent, shown to their owner alone, asked with, and gone with the last chat that shows them."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from contracts.ids import new_id
from contracts.images import LARGEST_IMAGE, MOST_IN_QUESTION, image_id
from contracts.ports.images import KeptImage
from contracts.records import BackendModel
from tests.contract.http.chatting import answered, last_command, recorded
from tests.contract.http.conftest import StartWorld
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.pictures import gif, jpeg, png, webp

PNG = {"Content-Type": "image/png"}
KINDS = {"image/png": png(), "image/jpeg": jpeg(), "image/gif": gif(), "image/webp": webp()}


async def sends(person: Person, content: bytes = png(), kind: str = "image/png") -> httpx.Response:
    return await person.http.post("/api/images", content=content, headers={"Content-Type": kind})


async def sent(person: Person, content: bytes = png()) -> str:
    """The id of an image that was sent."""
    response = await sends(person, content)
    assert response.status_code == 201, response.text
    return response.json()["id"]


async def kept(person: Person, identity: str) -> KeptImage | None:
    return await person.world.ports.images.get(person.account.id, identity)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_image_is_kept_and_comes_back_as_it_was(person: Person, kind: str) -> None:
    content = KINDS[kind]
    response = await sends(person, content, kind)
    assert response.status_code == 201, response.text
    assert response.json() == {
        "id": image_id(content), "media_type": kind, "size": len(content), "width": 3, "height": 2,
    }  # fmt: skip
    shown = await person.http.get(f"/api/images/{image_id(content)}")
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, content, kind)


async def test_a_browser_is_to_show_it_and_to_run_nothing(person: Person) -> None:
    polyglot = gif() + b"<script>alert(1)</script>"
    identity = await sent(person, polyglot)
    headers = (await person.http.get(f"/api/images/{identity}")).headers
    assert headers["content-type"] == "image/gif"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["content-disposition"] == f'inline; filename="{identity}.gif"'
    assert headers["cache-control"] == "private, max-age=86400, immutable"
    assert headers["vary"] == "Authorization"
    refused = await person.http.get(f"/api/images/{new_id()}")
    assert refused.headers["cache-control"] == "no-store, no-transform"


async def test_what_it_is_called_counts_for_nothing(person: Person) -> None:
    assert (await sends(person, png(), "image/svg+xml")).json()["media_type"] == "image/png"
    assert problem(await sends(person, b"<svg/>", "image/png")) == (415, "unsupported_image")
    assert problem(await sends(person, b"", "image/png")) == (415, "unsupported_image")


async def test_what_is_sent_as_something_else_is_not_looked_at(person: Person) -> None:
    for kind in ("application/json", "text/html", "application/octet-stream", ""):
        assert problem(await sends(person, png(), kind)) == (415, "unsupported_media_type")
    as_json = await person.http.post("/api/chats/stream", content=png(), headers=PNG)
    assert problem(as_json) == (415, "unsupported_media_type")


async def test_large_ones_are_refused_by_their_bytes_and_by_their_pixels(person: Person) -> None:
    most = png() + b"\0" * (LARGEST_IMAGE - len(png()))
    assert (await sends(person, most)).status_code == 201
    assert problem(await sends(person, most + b"\0")) == (413, "body_too_large")
    bomb = await sends(person, png(100_000, 100_000))
    assert problem(bomb) == (413, "image_too_large")
    assert bomb.json()["limit"] == 50_000_000


async def test_the_same_image_is_one(person: Person, other_person: Person) -> None:
    identity = await sent(person)
    assert await sent(person) == identity
    assert (await other_person.http.get(f"/api/images/{identity}")).status_code == 404


@pytest.mark.parametrize("wrong", ["x", "..", "%00", new_id().upper(), "a" * 1000], ids=range(5))
async def test_an_id_that_is_none_finds_nothing(person: Person, wrong: str) -> None:
    assert (await person.http.get(f"/api/images/{wrong}")).status_code == 404


async def test_everybody_has_a_share_of_room(start: StartWorld) -> None:
    world = await start(image_megabytes=6)
    person = await world.person()
    large = [png(shade=shade) + b"\0" * (4 << 20) for shade in range(2)]
    assert (await sends(person, large[0])).status_code == 201
    refused = await sends(person, large[1])
    assert problem(refused) == (413, "no_room_for_images")
    assert refused.json()["limit"] == 6 << 20
    assert (await sends(person, large[0])).status_code == 201, "there already"
    assert (await sends(await world.person(), large[1])).status_code == 201


async def test_nobody_sends_faster_than_questions_could_show_them(start: StartWorld) -> None:
    world = await start(chats_per_minute=1)
    person = await world.person()
    for shade in range(MOST_IN_QUESTION):
        await sent(person, png(shade=shade))
    assert problem(await sends(person)) == (429, "rate_limited")
    assert (await person.begins("Why?"))["chat_id"]


async def test_a_question_shows_its_images(world: World, person: Person, recording: None) -> None:
    first, second = await sent(person), await sent(person, jpeg())
    hand = await answered(person, "What is this?", images=[first, second])
    command = await last_command(world)
    assert [one.id for one in command.context[-1].images] == [first, second]
    assert command.question.images == command.context[-1].images
    assert b"PNG" not in command.model_dump_json().encode()
    asked, reply = (await person.chat(hand.question.chat_id))["messages"]
    assert asked["images"] == [
        {"id": first, "media_type": "image/png", "size": len(png()), "width": 3, "height": 2},
        {"id": second, "media_type": "image/jpeg", "size": len(jpeg()), "width": 3, "height": 2},
    ]
    assert reply["images"] is None


async def test_a_question_that_is_not_recorded_yet_shows_its_images(person: Person) -> None:
    identity = await sent(person)
    begun = await person.begins("What is this?", images=[identity])
    asked, _ = (await person.chat(begun["chat_id"]))["messages"]
    assert [one["id"] for one in asked["images"]] == [identity]


async def test_the_next_question_goes_on_from_what_was_shown(world: World, person: Person, recording: None) -> None:
    identity = await sent(person)
    hand = await answered(person, "What is this?", images=[identity])
    await answered(person, "And why?", chat_id=hand.question.chat_id)
    command = await last_command(world)
    assert [[one.id for one in turn.images] for turn in command.context] == [[identity], [], []]
    assert command.question.images == ()


async def test_somebody_elses_image_cannot_be_asked_with(world: World, person: Person, other_person: Person) -> None:
    identity = await sent(other_person)
    for images in ([identity], [new_id()], ["x"], ["\0"], [await sent(person, jpeg()), identity]):
        body = {"model": "small", "content": "What is this?", "images": images}
        assert problem(await person.http.post("/api/chats/stream", json=body)) == (404, "not_found")
    assert await world.nothing_is_left(person.account.id)


@pytest.mark.parametrize(
    "images", [["a" * 101], [1], "x", {"a": "b"}, [new_id()] * (MOST_IN_QUESTION + 1), [None]], ids=range(6)
)
async def test_images_that_fit_no_schema_are_told_where(person: Person, images: object) -> None:
    body = {"model": "small", "content": "What is this?", "images": images}
    response = await person.http.post("/api/chats/stream", json=body)
    assert problem(response) == (422, "invalid")
    assert all(one["pointer"].startswith("/images") for one in response.json()["errors"])


async def serves_blind(world: World) -> None:
    """One that tells that it sees nothing, one that sees, and one of which nobody knows."""
    for name, told in (("blind", (False, False)), ("sighted", (False, True)), ("unknown", (None,))):
        served = tuple(BackendModel(name=name, backend=str(place), sees=one) for place, one in enumerate(told))
        await world.serves(name, served_by=served)


async def test_a_model_that_cannot_see_is_not_asked_with_images(world: World, person: Person) -> None:
    await serves_blind(world)
    identity = await sent(person)
    body = {"content": "What is this?", "images": [identity]}
    refused = await person.http.post("/api/chats/stream", json={"model": "blind", **body})
    assert problem(refused) == (400, "model_cannot_see")
    assert await world.nothing_is_left(person.account.id)
    for model in ("sighted", "unknown"):
        assert await person.begins(model=model, **body)


async def test_a_model_that_cannot_see_goes_on_without_what_was_shown(
    world: World, person: Person, recording: None
) -> None:
    await serves_blind(world)
    hand = await answered(person, "What is this?", model="sighted", images=[await sent(person)])
    await person.begins("And why?", model="blind", chat_id=hand.question.chat_id)
    assert [turn.images for turn in (await last_command(world)).context] == [(), (), ()]


async def test_a_repeat_under_one_key_is_the_same_question_with_the_same_images(
    person: Person, recording: None
) -> None:
    first, second = await sent(person), await sent(person, jpeg())
    key = {"Idempotency-Key": new_id()}
    whole = await answered(person)
    path = f"/api/chats/{whole.question.chat_id}/messages"
    body = {"model": "small", "content": "What is this?", "images": [first]}
    begun = await person.http.post(path, json=body, headers=key)
    again = await person.http.post(path, json=body, headers=key)
    assert (begun.status_code, again.json()) == (202, begun.json())
    other = await person.http.post(path, json={**body, "images": [second]}, headers=key)
    assert problem(other) == (422, "idempotency_mismatch")


async def test_images_go_with_the_last_chat_that_shows_them(person: Person, recording: None) -> None:
    both, one = await sent(person), await sent(person, jpeg())
    first = await answered(person, "What is this?", images=[both, one])
    second = await answered(person, "And this?", images=[both])
    assert (await person.http.delete(f"/api/chats/{first.question.chat_id}")).status_code == 204
    assert await kept(person, one) is None
    assert await kept(person, both) is not None
    assert (await person.http.delete(f"/api/chats/{second.question.chat_id}")).status_code == 204
    assert await kept(person, both) is None
    assert (await person.http.get(f"/api/images/{both}")).status_code == 404


async def test_a_question_that_is_on_its_way_keeps_its_images(person: Person, recording: None) -> None:
    identity = await sent(person)
    first = await answered(person, "What is this?", images=[identity])
    begun = await person.begins("And this?", images=[identity])
    assert (await person.http.delete(f"/api/chats/{first.question.chat_id}")).status_code == 204
    hand = await person.world.by_hand(begun["generation_id"])
    assert await kept(person, identity) is not None
    await hand.ends()
    await recorded(hand)
    assert await kept(person, identity) is not None


async def test_asking_keeps_what_would_have_gone(world: World, person: Person) -> None:
    """Sent a day ago, and asked with now."""
    identity = await sent(person)
    await world.database.write(
        lambda connection: connection.execute(
            "UPDATE images SET kept_until = ?", (round(datetime.now(UTC).timestamp() * 1000) + 1,)
        )
    )
    await person.begins("What is this?", images=[identity])
    later = datetime.now(UTC) + timedelta(hours=1)
    await eventually(lambda: kept(person, identity))
    (until,) = await world.database.read(
        lambda connection: connection.execute("SELECT kept_until FROM images").fetchone()
    )
    assert until > later.timestamp() * 1000
