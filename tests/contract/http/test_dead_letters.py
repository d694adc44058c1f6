"""Dead letters as administrators see and decide them."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from contracts.commands import GenerateReply, RefreshCatalog
from contracts.envelope import Message
from contracts.errors import Overloaded, Unavailable, Unroutable
from contracts.events import ReplyFailed
from contracts.ids import is_id, new_id
from contracts.records import Account, DeadLetter
from tests.contract.http.chatting import answered, contents, last_command
from tests.contract.http.letters import TRACE, WHY, died
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World
from tests.eventually import eventually
from tests.factories import completed, generate_reply, question
from tests.unit.workers.scripted import ScriptedBackend, says

PATH = "/api/admin/dead-letters"
LAST = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
async def admin(world: World) -> Person:
    return await world.person(role="admin")


async def kept(world: World, message: Message | None = None, **changes: object) -> DeadLetter:
    letter = died(message, **changes)
    await world.ports.dead_letters.keep(letter)
    return letter


async def dead_question(person: Person, **changes: object) -> DeadLetter:
    """A question of this person that died, and was told so: failed, recorded, kept."""
    begun = await person.begins("Why?", **changes)
    command = await last_command(person.world)
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.ends(
        ReplyFailed(question=hand.question, code="quarantined", message="It died twice.", ended_at=datetime.now(UTC))
    )
    await eventually(lambda: person.world.ports.chats.reply(person.account.id, begun["generation_id"]))
    return await kept(person.world, command)


async def replays(admin: Person, letter: DeadLetter, **headers: str) -> httpx.Response:
    return await admin.http.post(f"{PATH}/{letter.id}/replay", headers=headers)


async def shown(admin: Person, letter: DeadLetter) -> dict[str, object]:
    response = await admin.http.get(f"{PATH}/{letter.id}")
    assert response.status_code == 200, response.text
    return response.json()


def replayed_commands(world: World) -> list[GenerateReply]:
    return [one for one in world.bus.published if isinstance(one, GenerateReply) and one.question.replay_of]


# Seeing


async def test_the_last_to_die_comes_first_and_pages_lead_on(world: World, admin: Person) -> None:
    letters = [await kept(world, died_at=LAST - timedelta(seconds=one)) for one in range(5)]
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await admin.http.get(PATH, params=params)).json()
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [one.id for one in letters]


async def test_a_list_says_everything_about_a_letter_but_what_it_says(world: World, admin: Person) -> None:
    letter = await kept(world, died_at=LAST)
    (item,) = (await admin.http.get(PATH)).json()["items"]
    assert item == {
        "id": letter.id, "queue": letter.queue, "reason": "rejected", "why": WHY, "type": GenerateReply.type,
        "subject": letter.subject, "owner": letter.owner, "attempts": 2, "died_at": "2026-05-01T00:00:00Z",
        "status": "waiting", "decided_by": None, "decided_at": None, "replayed_as": None, "trace_id": TRACE,
        "correlation_id": letter.correlationid,
    }  # fmt: skip
    whole = await shown(admin, letter)
    assert (whole["body"], whole["attributes"]) == (letter.body, letter.attributes)
    assert {name: value for name, value in whole.items() if name not in ("body", "attributes")} == item


async def test_a_list_of_one_status(world: World, admin: Person) -> None:
    waiting, gone = await kept(world), await kept(world)
    await admin.http.post(f"{PATH}/{gone.id}/discard")
    for status, letters in (("waiting", [waiting]), ("discarded", [gone]), ("replayed", [])):
        page = (await admin.http.get(PATH, params={"status": status})).json()
        assert [one["id"] for one in page["items"]] == [one.id for one in letters]
    assert len((await admin.http.get(PATH)).json()["items"]) == 2
    problem(await admin.http.get(PATH, params={"status": "lost"}), 422, "invalid")


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-x"])
async def test_a_letter_without_a_trace_has_none(world: World, admin: Person, traceparent: str | None) -> None:
    letter = await kept(world, traceparent=traceparent)
    assert (await shown(admin, letter))["trace_id"] is None


async def test_a_letter_that_is_none_of_ours(admin: Person) -> None:
    for name in ("1", "x", new_id(), new_id().upper(), "%00", "a" * 5000, "{}", "' OR 1=1", "%F0%9F%92%A5"):
        problem(await admin.http.get(f"{PATH}/{name}"), 404, "not_found")
        for what in ("replay", "discard"):
            problem(await admin.http.post(f"{PATH}/{name}/{what}"), 404, "not_found")


# Who may


async def test_a_role_that_was_taken_away_counts_at_once(world: World, admin: Person) -> None:
    letter = await kept(world)
    assert (await admin.http.get(PATH)).status_code == 200
    await world.ports.accounts.put_role_and_password(admin.account.id, "user", "none")
    for response in (await admin.http.get(PATH), await replays(admin, letter)):
        problem(response, 403, "not_permitted")
    left = await world.ports.dead_letters.get(letter.id)
    assert (left.status, left.decided_by) == ("waiting", None)


async def test_a_role_that_was_given_counts_at_once(world: World, person: Person) -> None:
    problem(await person.http.get(PATH), 403, "not_permitted")
    await world.ports.accounts.put_role_and_password(person.account.id, "admin", "none")
    assert (await person.http.get(PATH)).status_code == 200


async def test_a_suspended_administrator_and_a_moderator_are_none(world: World) -> None:
    for one in (await world.person(role="admin", status="suspended"), await world.person(role="moderator")):
        problem(await one.http.get(PATH), 403, "not_permitted")


async def test_an_account_that_is_gone_is_none(world: World) -> None:
    made = Account(id=new_id(), email="x@example.org", role="admin", password_hash="none", created_at=LAST)
    session = (await world.person()).session_id
    headers = {"Authorization": f"Bearer {world.keys.issue(made, session)}"}
    async with httpx.AsyncClient(base_url=world.url, headers=headers) as client:
        problem(await client.get(PATH), 403, "not_permitted")


# Replaying a question


async def test_a_replayed_question_is_a_new_generation_beside_the_dead_one(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    letter = await dead_question(person)
    dead = GenerateReply.model_validate_json(letter.body)
    response = await replays(admin, letter)
    assert response.status_code == 202, response.text
    told = response.json()
    generation = str(told["generation_id"])
    assert told == {
        "id": letter.id, "published": True, "generation_id": generation,
        "stream": f"/api/generations/{generation}/stream",
    }  # fmt: skip
    command = await last_command(world)
    asked = command.question
    assert (asked.generation_id, asked.replay_of) == (generation, dead.question.generation_id)
    assert asked.reply_id != dead.question.reply_id
    same = ("owner", "chat_id", "message_id", "parent_id", "content", "system", "model")
    assert [getattr(asked, one) for one in same] == [getattr(dead.question, one) for one in same]
    assert (command.context, command.options) == (dead.context, dead.options)
    assert asked.asked_at > dead.question.asked_at
    assert command.starts_before - asked.asked_at == dead.starts_before - dead.question.asked_at
    assert command.deadline - asked.asked_at == dead.deadline - dead.question.asked_at
    after = await shown(admin, letter)
    assert (after["status"], after["decided_by"], after["replayed_as"]) == ("replayed", admin.account.id, generation)
    assert after["decided_at"] is not None


async def test_the_person_who_asked_sees_the_new_reply_in_the_chat(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    letter = await dead_question(person)
    chat_id = GenerateReply.model_validate_json(letter.body).question.chat_id
    generation = (await replays(admin, letter)).json()["generation_id"]
    assert await contents(person, chat_id) == [
        ("user", "Why?", "complete"),
        ("assistant", "", "failed"),
        ("assistant", "", "streaming"),
    ]
    problem(await admin.http.get(f"/api/generations/{generation}"), 404, "not_found")
    hand = await world.by_hand(generation)
    await hand.says("Because.")
    await hand.ends()
    assert (await person.follow(generation)).text == "Because."
    await eventually(lambda: world.ports.chats.reply(person.account.id, generation))
    assert await contents(person, chat_id) == [
        ("user", "Why?", "complete"),
        ("assistant", "", "failed"),
        ("assistant", "Because.", "complete"),
    ]


async def test_a_replay_does_not_lead_a_chat_away_from_what_was_said_since(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    letter = await dead_question(person)
    chat_id = GenerateReply.model_validate_json(letter.body).question.chat_id
    later = await answered(person, "And the sea?", "It mirrors.", chat_id=chat_id)
    generation = (await replays(admin, letter)).json()["generation_id"]
    hand = await world.by_hand(generation)
    await hand.says("Because.")
    await hand.ends()
    await eventually(lambda: world.ports.chats.reply(person.account.id, generation))
    await person.begins("And clouds?", chat_id=chat_id)
    assert (await last_command(world)).question.parent_id == later.question.reply_id


async def test_a_question_that_died_again_is_replayed_again(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    first = await dead_question(person)
    generation = (await replays(admin, first)).json()["generation_id"]
    again = await kept(world, await last_command(world))
    second = (await replays(admin, again)).json()["generation_id"]
    asked = (await last_command(world)).question
    assert (asked.generation_id, asked.replay_of) == (second, generation)
    assert len({generation, second, first.subject}) == 3
    assert is_id(asked.reply_id)


async def test_a_replay_goes_to_the_pool_that_serves_the_model_now(start) -> None:
    world = await start(pools=("default", "fast"))
    admin = await world.person(role="admin")
    letter = await kept(world, generate_reply(pool="fast"))
    assert (await replays(admin, letter)).status_code == 202
    assert (await last_command(world)).pool == "default"


async def test_a_model_that_nobody_serves_now_is_told_and_the_letter_waits(world: World, admin: Person) -> None:
    gone = await kept(world, generate_reply(question(model="gone")))
    problem(await replays(admin, gone), 404, "unknown_model")
    await world.serves("down", served_by=())
    down = await kept(world, generate_reply(question(model="down")))
    problem(await replays(admin, down), 503, "model_unavailable")
    for letter in (gone, down):
        assert (await shown(admin, letter))["status"] == "waiting"


async def test_a_question_of_a_deleted_chat_is_not_asked_again(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    letter = await dead_question(person)
    chat_id = GenerateReply.model_validate_json(letter.body).question.chat_id
    await person.http.delete(f"/api/chats/{chat_id}")
    told = problem(await replays(admin, letter), 409, "chat_deleted")
    assert "discard" in str(told["detail"])
    assert (await shown(admin, letter))["status"] == "waiting"
    assert not replayed_commands(world)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unroutable("x"), "no_worker"), (Overloaded("x"), "overloaded"), (Unavailable("x"), "unavailable")],
)
async def test_what_could_not_be_published_waits_again_and_can_be_replayed_later(
    world: World, admin: Person, error: Exception, code: str
) -> None:
    letter = await kept(world)
    world.bus.fails[GenerateReply] = error
    response = await replays(admin, letter)
    problem(response, 503, code)
    assert int(response.headers["retry-after"]) >= 1
    after = await shown(admin, letter)
    assert (after["status"], after["replayed_as"]) == ("waiting", None)
    assert await world.nothing_is_left(str(letter.owner))
    world.bus.fails.clear()
    assert (await replays(admin, letter)).status_code == 202
    assert len(replayed_commands(world)) == 1


async def test_two_administrators_at_once_replay_it_once(world: World, admin: Person) -> None:
    letter = await kept(world)
    others = [admin, *[await world.person(role="admin") for _ in range(4)]]
    answers = await asyncio.gather(*(replays(one, letter) for one in others))
    assert sorted(one.status_code for one in answers) == [202, 409, 409, 409, 409]
    (command,) = replayed_commands(world)
    told = [problem(one, 409, "already_decided") for one in answers if one.status_code == 409]
    assert {one["replayed_as"] for one in told} == {command.question.generation_id}


async def test_what_was_decided_stays_decided(world: World, admin: Person) -> None:
    gone, begun = await kept(world), await kept(world)
    assert (await admin.http.post(f"{PATH}/{gone.id}/discard")).json()["status"] == "discarded"
    generation = (await replays(admin, begun)).json()["generation_id"]
    for letter, status in ((gone, "discarded"), (begun, "replayed")):
        for what in ("replay", "discard"):
            told = problem(await admin.http.post(f"{PATH}/{letter.id}/{what}"), 409, "already_decided")
            assert (told["letter_status"], told["decided_by"]) == (status, admin.account.id)
            assert told["replayed_as"] == (generation if letter is begun else None)
    assert len(replayed_commands(world)) == 1


async def test_a_question_that_died_in_its_queue_is_answered_after_its_replay(
    world: World, person: Person, admin: Person, recording: None
) -> None:
    dead = generate_reply(question(owner=person.account.id, content="Why?"))
    await world.bus.publish(dead, expires_in=0.01)
    letter = await eventually(lambda: waiting(admin))
    assert (letter["reason"], letter["owner"], letter["type"]) == ("expired", person.account.id, GenerateReply.type)
    await eventually(lambda: world.ports.chats.reply(person.account.id, dead.question.generation_id))
    async with world.working(ScriptedBackend(says("Be", "cause."))):
        response = await admin.http.post(f"{PATH}/{letter['id']}/replay")
        assert (await person.follow(response.json()["generation_id"])).text == "Because."
    assert await waiting(admin) is None
    chat = await eventually(lambda: world.ports.chats.reply(person.account.id, response.json()["generation_id"]))
    assert (chat.content, chat.parent_id, chat.status) == ("Because.", dead.question.message_id, "complete")


async def waiting(admin: Person) -> dict[str, object] | None:
    """The last letter that waits."""
    items = (await admin.http.get(PATH, params={"status": "waiting"})).json()["items"]
    return items[0] if items else None


# Repeats under a key


async def test_a_repeat_under_the_same_key_answers_what_the_first_one_did(world: World, admin: Person) -> None:
    letter = await kept(world)
    first, second = await replays(admin, letter, **KEY), await replays(admin, letter, **KEY)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert len(replayed_commands(world)) == 1


async def test_another_key_and_another_administrator_are_no_repeat(world: World, admin: Person) -> None:
    letter = await kept(world)
    await replays(admin, letter, **KEY)
    problem(await replays(admin, letter, **{"Idempotency-Key": "another"}), 409, "already_decided")
    problem(await replays(await world.person(role="admin"), letter, **KEY), 409, "already_decided")
    assert len(replayed_commands(world)) == 1


async def test_a_key_of_two_letters_is_two_replays(world: World, admin: Person) -> None:
    letters = [await kept(world), await kept(world)]
    generations = {(await replays(admin, one, **KEY)).json()["generation_id"] for one in letters}
    assert len(generations) == 2


async def test_a_repeated_discard_under_a_key_is_no_error(world: World, admin: Person) -> None:
    letter = await kept(world)
    answers = [await admin.http.post(f"{PATH}/{letter.id}/discard", headers=KEY) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


KEY = {"Idempotency-Key": "a-key-of-my-own"}


# Other messages


@pytest.mark.parametrize("message", [RefreshCatalog(), completed(question())])
async def test_any_other_message_is_published_again_as_it_was(world: World, admin: Person, message: Message) -> None:
    letter = await kept(world, message)
    response = await replays(admin, letter)
    assert response.status_code == 202
    assert response.json() == {"id": letter.id, "published": True, "generation_id": None, "stream": None}
    assert world.bus.published == [message]
    after = await shown(admin, letter)
    assert (after["status"], after["replayed_as"]) == ("replayed", None)
    problem(await replays(admin, letter), 409, "already_decided")


async def test_a_message_that_could_not_be_published_again_waits(world: World, admin: Person) -> None:
    letter = await kept(world, RefreshCatalog())
    world.bus.fails[RefreshCatalog] = Unavailable("away")
    problem(await replays(admin, letter), 503, "unavailable")
    assert (await shown(admin, letter))["status"] == "waiting"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": None}, {"type": "net.example.Unknown.v1"}, {"body": "no JSON"}, {"body": "{}"}, {"body": ""},
        {"body": "[" * 100_000}, {"body": '{"question": null}'},
        {"body": generate_reply(question(reply_id="none of ours")).model_dump_json()},
    ],
)  # fmt: skip
async def test_what_is_no_message_cannot_be_replayed_but_discarded(
    world: World, admin: Person, changes: dict[str, object]
) -> None:
    letter = await kept(world, **changes)
    told = problem(await replays(admin, letter), 409, "not_replayable")
    assert "discard it" in str(told["detail"])
    assert (await shown(admin, letter))["status"] == "waiting"
    assert (await admin.http.post(f"{PATH}/{letter.id}/discard")).status_code == 200


async def test_a_letter_that_came_without_attributes_is_replayed_all_the_same(world: World, admin: Person) -> None:
    letter = await kept(world, RefreshCatalog(), attributes={})
    assert (await replays(admin, letter)).status_code == 202


# Several


async def test_several_are_replayed_and_each_is_told(world: World, admin: Person) -> None:
    asked, broken, gone = await kept(world), await kept(world, body="{}"), await kept(world)
    await admin.http.post(f"{PATH}/{gone.id}/discard")
    unknown = new_id()
    ids = [asked.id, broken.id, gone.id, unknown, asked.id]
    response = await admin.http.post(f"{PATH}/replay", json={"ids": ids})
    assert response.status_code == 200, response.text
    items = response.json()["items"]
    assert [one["id"] for one in items] == [asked.id, broken.id, gone.id, unknown]
    assert [one["published"] for one in items] == [True, False, False, False]
    codes = [one["error"] and (one["error"]["status"], one["error"]["code"]) for one in items]
    assert codes == [None, (409, "not_replayable"), (409, "already_decided"), (404, "not_found")]
    (command,) = replayed_commands(world)
    assert items[0]["generation_id"] == command.question.generation_id


async def test_a_bus_that_is_away_is_not_tried_for_the_rest(world: World, admin: Person) -> None:
    letters = [await kept(world) for _ in range(3)]
    world.bus.fails[GenerateReply] = Unavailable("away")
    response = await admin.http.post(f"{PATH}/replay", json={"ids": [one.id for one in letters]})
    assert [one["error"]["code"] for one in response.json()["items"]] == ["unavailable"] * 3
    assert world.bus.tried == 1
    for letter in letters:
        assert (await shown(admin, letter))["status"] == "waiting"


@pytest.mark.parametrize("ids", [[], [""], ["x" * 101], [new_id() for _ in range(101)], [1], "all", None])
async def test_how_many_may_be_named(admin: Person, ids: object) -> None:
    problem(await admin.http.post(f"{PATH}/replay", json={"ids": ids}), 422, "invalid")
