"""What every `Bus` does. The suite is the port's definition."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from contracts.commands import GenerateReply, RefreshCatalog
from contracts.envelope import Message, wrap
from contracts.errors import HandOver, Overloaded, Permanent, Transient, Unroutable
from contracts.events import QuestionAsked, ReplyCompleted
from contracts.ids import new_id
from contracts.ports.bus import Bus, Delivery
from contracts.public import UserSignedUp
from contracts.topology import CATALOG_COMMANDS, DEAD, HISTORY, edge_queue
from tests.contract.ports.buses import Store
from tests.contract.ports.handlers import REPLIES, Gate, Handler, failing, model_available, subscribed
from tests.eventually import eventually
from tests.factories import completed, generate_reply, question


async def dead_letters(bus: Bus, number: int) -> Handler:
    """Read this many dead letters."""
    reader = Handler()
    async with bus.consume(subscribed(DEAD, reader)):
        await eventually(reader.has(number))
    return reader


async def test_a_command_reaches_its_one_handler_as_it_was_published(bus: Bus) -> None:
    command, handler = generate_reply(), Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(command)
        await eventually(handler.has(1))
    assert handler.messages == [command]
    envelope = handler.deliveries[0].envelope
    assert (envelope.type, envelope.subject, envelope.source) == (GenerateReply.type, command.subject, "test")
    assert handler.redelivered == [False]


async def test_publishing_never_waits_for_a_handler(bus: Bus) -> None:
    gate = Gate()
    async with bus.consume(subscribed(REPLIES, gate.handler)):
        await bus.publish(generate_reply())
        await eventually(lambda: gate.inside == 1)
        await bus.publish(generate_reply())  # returns while the first is still being handled
        assert gate.inside == 1
        gate.open.set()
        await eventually(gate.handler.has(2))


async def test_a_handlers_failure_never_reaches_the_publisher(bus: Bus) -> None:
    handler = failing(RuntimeError("a bug"), Permanent("no"), Permanent("no"))
    async with bus.consume(subscribed(REPLIES, handler, retry_for=0.0)):
        for _ in range(3):
            await bus.publish(generate_reply())
        await eventually(handler.has(3))


async def test_each_event_queue_gets_its_copy(bus: Bus) -> None:
    first, second = Handler(), Handler()
    subscriptions = subscribed(edge_queue("first"), first) + subscribed(edge_queue("second"), second)
    event = model_available()
    async with bus.consume(subscriptions):
        await bus.publish(event)
        await eventually(first.has(1))
        await eventually(second.has(1))
    assert first.messages == second.messages == [event]
    assert first.deliveries == second.deliveries


async def test_events_are_kept_for_a_durable_queue_that_nobody_consumes_yet(bus: Bus) -> None:
    asked, reply, handler = question(), completed(question()), Handler()
    await bus.publish(QuestionAsked(question=asked))
    await bus.publish(reply)
    async with bus.consume(subscribed(HISTORY, handler)):
        await eventually(handler.has(2))
    assert handler.messages == [QuestionAsked(question=asked), reply]


async def test_a_command_that_nobody_owns_is_unroutable(bus: Bus) -> None:
    asked = question()
    tries = [bus.publish(generate_reply(asked, pool="nowhere")) for _ in range(3)]
    errors = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in errors] == [Unroutable] * 3
    await bus.publish(generate_reply(asked))


async def test_a_public_event_that_nobody_wants_is_fine(bus: Bus) -> None:
    await bus.publish(UserSignedUp(account_id=new_id(), role="user", at=datetime.now(UTC)))


async def test_at_most_concurrency_messages_are_handled_at_once(bus: Bus) -> None:
    gate = Gate()
    for _ in range(7):
        await bus.publish(generate_reply())
    async with bus.consume(subscribed(REPLIES, gate.handler, concurrency=3)):
        await eventually(lambda: gate.inside == 3)
        gate.open.set()
        await eventually(gate.handler.has(7))
    assert gate.most == 3


async def test_more_consumers_of_one_queue_share_it_and_add_up(bus: Bus) -> None:
    gate = Gate()
    first = subscribed(REPLIES, gate.handler, concurrency=1)
    async with bus.consume(first), bus.consume(subscribed(REPLIES, gate.handler, concurrency=2)):
        for inside in (1, 2, 3, 3, 3):
            await bus.publish(generate_reply())
            await eventually(lambda expected=inside: gate.inside == expected)
        gate.open.set()
        await eventually(gate.handler.has(5))


async def test_a_slow_queue_holds_up_no_other(bus: Bus) -> None:
    gate, quick = Gate(), Handler()
    async with bus.consume(subscribed(REPLIES, gate.handler) + subscribed(CATALOG_COMMANDS, quick)):
        await bus.publish(generate_reply())
        await eventually(lambda: gate.inside == 1)
        for _ in range(3):
            await bus.publish(RefreshCatalog())
        await eventually(quick.has(3))
        gate.open.set()


@pytest.mark.parametrize("error", [Transient("later"), RuntimeError("a bug")])
async def test_what_may_work_later_is_tried_again_in_place(bus: Bus, store: Store, error: Exception) -> None:
    handler = failing(error, error, None)
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(generate_reply())
        await eventually(handler.has(3))
    assert handler.redelivered == [False, True, True]
    assert (await store.waiting(REPLIES), await store.waiting(DEAD)) == (0, 0)


async def test_what_never_works_is_dead_lettered_after_retry_for(bus: Bus) -> None:
    command, handler = generate_reply(), failing(Transient("never"))
    began = time.monotonic()
    async with bus.consume(subscribed(REPLIES, handler, retry_for=0.5)):
        await bus.publish(command)
        dead = await dead_letters(bus, 1)
    assert dead.messages == [command]
    assert dead.deliveries[0].envelope == handler.deliveries[0].envelope
    assert len(handler.messages) > 1
    assert time.monotonic() - began > 0.2


async def test_a_permanent_error_is_dead_lettered_at_once(bus: Bus) -> None:
    command, handler = generate_reply(), failing(Permanent("never"))
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(command)
        dead = await dead_letters(bus, 1)
    assert dead.messages == [command]
    assert len(handler.messages) == 1


async def test_a_message_of_another_type_is_dead_lettered(bus: Bus) -> None:
    handler, reply = Handler(), completed(question())
    async with bus.consume(subscribed(HISTORY, handler, messages=(QuestionAsked,))):
        await bus.publish(reply)
        dead = await dead_letters(bus, 1)
    assert (dead.messages, handler.messages) == ([reply], [])


NONSENSE = {
    "no JSON": ({}, b"\xff{"),
    "not its contract's shape": ({}, b'{"question": 1}'),
    "an unknown type": ({"type": "net.example.Unknown.v1"}, b"{}"),
    "no attributes": (None, b"{}"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_a_malformed_message_is_dead_lettered_and_the_next_is_handled(store: Store, bus: Bus, name: str) -> None:
    changes, body = NONSENSE[name]
    command, handler = generate_reply(), Handler()
    attributes = {key: str(value) for key, value in wrap(command, "test").model_dump(exclude_none=True).items()}
    await store.put(REPLIES, {} if changes is None else {**attributes, **changes}, body)
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(command)
        await eventually(handler.has(1))
        await eventually(lambda: _is(store.waiting(DEAD), 1))
    assert handler.messages == [command]


async def _is(counted: Any, number: int) -> bool:
    return await counted == number


async def test_a_hand_over_is_delivered_again_at_once(bus: Bus) -> None:
    command, handler = generate_reply(), failing(HandOver("stopping"), None)
    async with bus.consume(subscribed(REPLIES, handler)):
        await bus.publish(command)
        await eventually(handler.has(2))
    assert handler.messages == [command, command]
    assert handler.redelivered == [False, True]


async def test_a_full_queue_refuses_until_it_is_read(bus: Bus) -> None:
    await asyncio.gather(*(bus.publish(RefreshCatalog()) for _ in range(CATALOG_COMMANDS.max_length)))

    async def refused() -> bool:
        try:
            await bus.publish(RefreshCatalog())
        except Overloaded:
            return True
        return False

    async def accepted() -> bool:
        return not await refused()

    await eventually(refused)  # a quorum queue notices some messages late
    handler = Handler()
    async with bus.consume(subscribed(CATALOG_COMMANDS, handler, concurrency=50)):
        await eventually(lambda: len(handler.messages) > 200)
        await eventually(accepted)


async def test_leaving_stops_intake_and_finishes_what_is_in_flight(bus: Bus, store: Store) -> None:
    commands, gate = [generate_reply() for _ in range(3)], Gate()
    consuming = bus.consume(subscribed(REPLIES, gate.handler), drain=20)
    await consuming.__aenter__()
    await bus.publish(commands[0])
    await eventually(lambda: gate.inside == 1)
    await bus.publish(commands[1])
    leaving = asyncio.create_task(consuming.__aexit__(None, None, None))
    await bus.publish(commands[2])
    await eventually(lambda: _is(store.waiting(REPLIES), 2))
    gate.open.set()
    await leaving
    assert (gate.handler.messages, gate.cancelled) == (commands[:1], 0)
    handler = Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await eventually(handler.has(2))
    assert handler.messages == commands[1:]


async def test_what_is_not_finished_by_the_deadline_is_delivered_again(bus: Bus) -> None:
    commands, gate = [generate_reply() for _ in range(2)], Gate()
    async with bus.consume(subscribed(REPLIES, gate.handler, concurrency=2), drain=0.1):
        for one in commands:
            await bus.publish(one)
        await eventually(lambda: gate.inside == 2)
    assert gate.cancelled == 2
    handler = Handler()
    async with bus.consume(subscribed(REPLIES, handler)):
        await eventually(handler.has(2))
    assert {one.subject for one in handler.messages} == {one.subject for one in commands}
    assert handler.redelivered == [True, True]


async def test_what_waits_for_its_next_try_does_not_outlive_the_deadline(bus: Bus) -> None:
    command, handler = generate_reply(), failing(Transient("later"))
    async with bus.consume(subscribed(REPLIES, handler), drain=0.1):
        await bus.publish(command)
        await eventually(lambda: len(handler.messages) > 1)
    tried, later = len(handler.messages), Handler()
    async with bus.consume(subscribed(REPLIES, later)):
        await eventually(later.has(1))
    assert (later.messages, later.redelivered) == ([command], [True])
    assert len(handler.messages) == tried


async def test_a_message_that_expired_is_dead_lettered_unread(bus: Bus, store: Store) -> None:
    late, fresh, handler = generate_reply(), generate_reply(), Handler()
    await bus.publish(late, expires_in=0.05)
    expired = time.monotonic() + 0.06
    await eventually(lambda: time.monotonic() > expired)
    await bus.publish(fresh, expires_in=60)
    async with bus.consume(subscribed(REPLIES, handler)):
        await eventually(handler.has(1))
        dead = await dead_letters(bus, 1)
    assert handler.messages == [fresh]
    assert dead.messages == [late]


async def test_an_exclusive_queue_gets_events_only_while_it_is_consumed(bus: Bus) -> None:
    queue, first, second = edge_queue("one"), Handler(), Handler()
    await bus.publish(model_available("before"))
    async with bus.consume(subscribed(queue, first)):
        await bus.publish(model_available("during"))
        await eventually(first.has(1))
    await bus.publish(model_available("between"))
    async with bus.consume(subscribed(queue, second)):
        await bus.publish(model_available("again"))
        await eventually(second.has(1))
    assert [one.subject for one in first.messages + second.messages] == ["during", "again"]


async def test_what_a_handler_publishes_names_its_cause(bus: Bus) -> None:
    asked, recorder = question(), Handler()

    async def reply(command: Message, _: Delivery) -> None:
        assert isinstance(command, GenerateReply)
        await bus.publish(completed(command.question))

    worker = Handler(reply)
    async with bus.consume(subscribed(REPLIES, worker) + subscribed(HISTORY, recorder)):
        await bus.publish(generate_reply(asked))
        await eventually(recorder.has(1))
    cause, effect = worker.deliveries[0].envelope, recorder.deliveries[0].envelope
    assert (cause.causationid, effect.causationid) == (None, cause.id)
    assert cause.correlationid == effect.correlationid == cause.id
    assert isinstance(recorder.messages[0], ReplyCompleted)


async def test_the_trace_goes_on_in_the_handler(bus: Bus) -> None:
    seen: list[SpanContext] = []

    async def note(_: Message, __: Delivery) -> None:
        seen.append(trace.get_current_span().get_span_context())

    request = SpanContext(0x1234ABCD, 0x99, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    async with bus.consume(subscribed(REPLIES, Handler(note))):
        with trace.use_span(NonRecordingSpan(request)):
            await bus.publish(generate_reply())
        await eventually(lambda: seen)
    assert seen[0].trace_id == request.trace_id


async def test_messages_survive_closing_and_opening_again(store: Store) -> None:
    commands, gate, handler = [generate_reply() for _ in range(3)], Gate(), Handler()
    async with store.open() as first:
        for one in commands:
            await first.publish(one)
        async with first.consume(subscribed(REPLIES, gate.handler), drain=0):
            await eventually(lambda: gate.inside == 1)
    async with store.open() as second, second.consume(subscribed(REPLIES, handler)):
        await eventually(handler.has(3))
    assert {one.subject for one in handler.messages} == {one.subject for one in commands}
    assert sum(handler.redelivered) == 1


async def test_an_open_bus_answers(bus: Bus) -> None:
    async with bus.consume(subscribed(REPLIES, Handler())):
        await bus.check()
    await bus.check()
