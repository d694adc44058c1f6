"""Who gets what, as `contracts/topology.py` says it, and that the broker's own file says the same."""

from datetime import UTC, datetime

import pytest

from contracts.commands import RefreshCatalog
from contracts.envelope import Message
from contracts.events import QuestionAsked, ReplyCancelled, ReplyFailed
from contracts.public import ModelAvailable
from contracts.topology import (
    CATALOG_COMMANDS,
    COMMANDS,
    DEAD,
    DEAD_LETTERS,
    EVENTS_PUBLIC,
    HISTORY,
    durable_queues,
    edge_queue,
    embed_texts_queue,
    generate_reply_queue,
    must_be_owned,
    route,
)
from infra.rabbitmq import definitions
from infra.sqlite.bus import matches
from tests.factories import completed, embed_texts, generate_reply, question

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OWNED: list[tuple[Message, str]] = [
    (generate_reply(), generate_reply_queue().name),
    (generate_reply(pool="big"), generate_reply_queue("big").name),
    (embed_texts(), embed_texts_queue().name),
    (embed_texts(pool="big"), embed_texts_queue("big").name),
    (RefreshCatalog(), CATALOG_COMMANDS.name),
    (QuestionAsked(question=question()), HISTORY.name),
    (completed(question()), HISTORY.name),
    (ReplyFailed(question=question(), code="internal", message="No.", ended_at=NOW), HISTORY.name),
    (ReplyCancelled(question=question(), ended_at=NOW), HISTORY.name),
]


def takers(message: Message) -> list[str]:
    binding = route(message)
    return [
        queue.name
        for queue in durable_queues(("default", "big"))
        if any(one.exchange == binding.exchange and matches(one.key, binding.key) for one in queue.bindings)
    ]


@pytest.mark.parametrize(
    ("message", "queue"), OWNED, ids=lambda one: one if isinstance(one, str) else type(one).__name__
)
def test_commands_and_outcomes_have_exactly_one_durable_queue(message: Message, queue: str) -> None:
    # with a second queue bound, `mandatory` would no longer notice that the first is missing
    assert takers(message) == [queue]
    assert must_be_owned(message)


def test_public_events_reach_edges_and_need_nobody() -> None:
    event = ModelAvailable(name="small", backends=(), at=NOW)
    assert (takers(event), must_be_owned(event)) == ([], False)
    assert [one.exchange for one in edge_queue("a").bindings] == [EVENTS_PUBLIC]


def test_the_dead_letters_queue_comes_first() -> None:
    assert durable_queues()[0] == DEAD
    assert [one.exchange for one in DEAD.bindings] == [DEAD_LETTERS]


@pytest.mark.parametrize("queue", durable_queues(), ids=lambda queue: queue.name)
def test_durable_queues_are_bounded_quorum_queues_that_refuse(queue) -> None:
    arguments = queue.broker_arguments()
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-overflow"] == "reject-publish"
    assert 0 < arguments["x-max-length"] <= 100_000
    # texts that nobody waits for after a minute are not worth more deaths; what is recorded waits out any number of restarts
    assert arguments["x-delivery-limit"] >= (10 if queue == embed_texts_queue() else 100)
    assert ("x-dead-letter-exchange" in arguments) == (queue != DEAD)


def test_a_command_has_one_binding_of_its_own_key() -> None:
    queue = generate_reply_queue("big", "bulk")
    assert [(one.exchange, one.key) for one in queue.bindings] == [(COMMANDS, queue.name)]


def test_the_brokers_definitions_are_made_from_the_topology() -> None:
    assert definitions.FILE.read_text() == definitions.text(), "run: python -m infra.rabbitmq.definitions"
