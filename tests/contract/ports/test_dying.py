"""What every `Bus` does with what nobody could handle: it reaches whoever settles it, exactly as it was."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import GenerateReply
from contracts.envelope import MOST_ATTRIBUTES, MOST_VALUE, Message, to_headers, wrap
from contracts.errors import HandOver, Permanent, Transient, UnknownModel
from contracts.events import QuestionAsked
from contracts.ports.bus import Bus, DeadMessage, Delivery
from contracts.topology import DEAD, HISTORY
from contracts.verdicts import MOST_WHY
from tests.contract.ports.buses import Store
from tests.contract.ports.handlers import REPLIES, Graveyard, Handler, buried, failing, subscribed
from tests.eventually import eventually
from tests.factories import completed, generate_reply, question

SHAPE = "A body is not a valid net.ollamanet.GenerateReply.v1."


async def letter(bus: Bus) -> DeadMessage:
    """The one dead letter."""
    graveyard = Graveyard()
    async with bus.consume(buried(graveyard)):
        await eventually(graveyard.has(1))
    return graveyard.letters[0]


def attributes(message: Message) -> dict[str, str]:
    """As they go around it, but for the moment and the id of a message that was never published."""
    named = {name.removeprefix("cloudEvents_"): value for name, value in to_headers(wrap(message, "test")).items()}
    return {name: value for name, value in named.items() if name != "time"}


def is_of(dead: DeadMessage, message: Message) -> bool:
    """Whether the letter is that message, as it was published."""
    named = {name: value for name, value in dead.attributes.items() if name != "time"}
    published = datetime.fromisoformat(dead.attributes["time"])
    assert published <= datetime.now(UTC)
    return named == attributes(message) and dead.body == message.model_dump_json().encode()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (UnknownModel("nope"), "There is no model named 'nope'."),
        (Transient("A server was away for too long."), "A server was away for too long."),
        (KeyError("a bug"), "KeyError: 'a bug'"),
        (Permanent("é🦙" * 1000), ("é🦙" * 1000)[:MOST_WHY]),
    ],
    ids=["permanent", "transient", "bug", "long"],
)
async def test_what_a_handler_rejects_is_a_letter_that_says_why(bus: Bus, error: Exception, why: str) -> None:
    command, began = generate_reply(), datetime.now(UTC)
    async with bus.consume(subscribed(REPLIES, failing(error), retry_for=0.0)):
        await bus.publish(command)
        dead = await letter(bus)
    assert is_of(dead, command)
    assert (dead.queue, dead.reason, dead.deliveries, dead.why) == (REPLIES.name, "rejected", 1, why)
    assert began - timedelta(seconds=1) <= dead.at <= datetime.now(UTC) + timedelta(seconds=1)


async def test_a_letter_counts_how_often_its_message_was_delivered(bus: Bus) -> None:
    handler = failing(HandOver("stopping"), HandOver("stopping"), Permanent("no"))
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(generate_reply())
        dead = await letter(bus)
    assert (dead.deliveries, dead.why) == (3, "no")


async def test_what_expires_is_a_letter_though_nobody_consumes_its_queue(bus: Bus) -> None:
    command = generate_reply()
    graveyard = Graveyard()
    async with bus.consume(buried(graveyard)):
        await bus.publish(command, expires_in=0.2)
        await eventually(graveyard.has(1))
    (dead,) = graveyard.letters
    assert is_of(dead, command)
    assert (dead.queue, dead.reason, dead.why) == (REPLIES.name, "expired", None)


async def test_an_event_of_another_type_is_a_letter(bus: Bus) -> None:
    reply = completed(question())
    async with bus.consume(subscribed(HISTORY, Handler(), messages=(QuestionAsked,))):
        await bus.publish(reply)
        dead = await letter(bus)
    assert is_of(dead, reply)
    assert (dead.queue, dead.reason) == (HISTORY.name, "rejected")
    assert dead.why == f"The queue history.record is not for {reply.type}."


@pytest.mark.parametrize("body", [b"", b"\xff\x00{", b'{"question": 1}', b'{"question": "\xc3\xa9"}'])
async def test_a_malformed_body_is_a_letter_as_it_came(bus: Bus, store: Store, body: bytes) -> None:
    named = attributes(generate_reply()) | {"time": datetime.now(UTC).isoformat()}
    await store.put(REPLIES, named, body)
    async with bus.consume(subscribed(REPLIES, Handler())):
        dead = await letter(bus)
    assert (dead.attributes, dead.body) == (named, body)
    assert (dead.queue, dead.reason, dead.deliveries, dead.why) == (REPLIES.name, "rejected", 1, SHAPE)


ODD = {
    "none": {},
    "unknown": {"type": "net.example.Unknown.v1", "id": "x", "é": "🦙"},
    "many": {f"{n:03}": "y" * (5000 if n < 9 else 9) for n in range(60)},
}


@pytest.mark.parametrize("name", ODD)
async def test_attributes_are_kept_whatever_they_are_but_bounded(bus: Bus, store: Store, name: str) -> None:
    await store.put(REPLIES, ODD[name], b"{}")
    async with bus.consume(subscribed(REPLIES, Handler())):
        dead = await letter(bus)
    assert dead.body == b"{}"
    if name != "many":
        assert dead.attributes == ODD[name]
    assert len(dead.attributes) <= MOST_ATTRIBUTES
    assert all(len(one) <= MOST_VALUE for one in dead.attributes.values())


async def test_a_letter_whose_handler_fails_is_tried_again_in_place(bus: Bus, store: Store) -> None:
    graveyard = Graveyard(Transient("later"), Permanent("never"), KeyError("a bug"))
    async with bus.consume(subscribed(REPLIES, failing(Permanent("no"))) + buried(graveyard)):
        await bus.publish(generate_reply())
        await eventually(graveyard.has(4))
    assert graveyard.letters == [graveyard.letters[0]] * 4
    assert await store.waiting(DEAD) == 0


@pytest.mark.parametrize("error", [Transient("later"), Permanent("never"), HandOver("stopping")])
async def test_a_letter_that_cannot_be_handled_goes_back_and_comes_again_as_it_was(
    bus: Bus, store: Store, error: Exception
) -> None:
    graveyard = Graveyard(error, error)
    async with bus.consume(subscribed(REPLIES, failing(Permanent("no"))) + buried(graveyard, retry_for=0.0)):
        await bus.publish(generate_reply())
        await eventually(graveyard.has(3))
    assert graveyard.letters == [graveyard.letters[0]] * 3
    assert await store.waiting(DEAD) == 0


async def test_letters_are_handled_so_many_at_once_and_given_back_by_who_leaves(bus: Bus) -> None:
    inside: list[DeadMessage] = []

    async def stay(dead: DeadMessage) -> None:
        inside.append(dead)
        await asyncio.Event().wait()

    async with bus.consume(subscribed(REPLIES, failing(Permanent("no")))):
        for _ in range(3):
            await bus.publish(generate_reply())
        async with bus.consume(buried(stay, concurrency=2), drain=0.1):
            await eventually(lambda: len(inside) == 2)
    graveyard = Graveyard()
    async with bus.consume(buried(graveyard)):
        await eventually(graveyard.has(3))
    assert {one.attributes["subject"] for one in inside} < {one.attributes["subject"] for one in graveyard.letters}


async def test_letters_survive_closing_and_opening_again(store: Store) -> None:
    command = generate_reply()
    async with store.open() as first, first.consume(subscribed(REPLIES, failing(Permanent("no")))):
        await first.publish(command)
        await eventually(lambda: _is_waiting(store))
    async with store.open() as second:
        dead = await letter(second)
    assert is_of(dead, command)
    assert dead.why == "no"


async def _is_waiting(store: Store) -> bool:
    return await store.waiting(DEAD) == 1


async def test_what_a_letter_makes_its_handler_publish_names_it_as_the_cause(bus: Bus) -> None:
    asked, recorder = question(), Handler()

    async def settle(_: DeadMessage) -> None:
        await bus.publish(completed(asked))

    worker = failing(Permanent("no"))
    async with bus.consume(subscribed(REPLIES, worker) + buried(settle) + subscribed(HISTORY, recorder)):
        await bus.publish(generate_reply(asked))
        await eventually(recorder.has(1))
    cause: Delivery = worker.deliveries[0]
    assert cause.envelope.type == GenerateReply.type
    assert recorder.deliveries[0].envelope.causationid == cause.envelope.id


async def test_what_a_letter_that_cannot_be_read_makes_its_handler_publish_has_no_cause(bus: Bus, store: Store) -> None:
    recorder = Handler()

    async def settle(_: DeadMessage) -> None:
        await bus.publish(completed(question()))

    await store.put(REPLIES, {}, b"{}")
    async with bus.consume(subscribed(REPLIES, Handler()) + buried(settle) + subscribed(HISTORY, recorder)):
        await eventually(recorder.has(1))
    assert recorder.deliveries[0].envelope.causationid is None
