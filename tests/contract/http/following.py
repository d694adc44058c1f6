"""Following a generation, byte by byte or event by event."""

from tests.contract.http.worlds import ByHand, Person
from tests.e2e.client import Answer, events
from tests.eventually import eventually

WORDS = ("Because ", "air ", "scatters ", "blue.")


def path(hand: ByHand) -> str:
    return f"/api/generations/{hand.question.generation_id}/stream"


async def raw(person: Person, hand: ByHand, after: str | None = None) -> bytes:
    headers = {"Last-Event-ID": after} if after else {}
    return (await person.http.get(path(hand), headers=headers)).content


def followers(hand: ByHand) -> int:
    log = hand.world.streams.logs.get(hand.question.generation_id)
    return len(log.followers) if log else 0


async def watching(person: Person, hand: ByHand, answer: Answer, after: str | None = None) -> None:
    """Follow into `answer`, event by event."""
    headers = {"Last-Event-ID": after} if after else {}
    async with person.http.stream("GET", path(hand), headers=headers) as response:
        async for event in events(response):
            answer.events.append(event)


async def is_recorded(hand: ByHand) -> None:
    owner, identity = hand.question.owner, hand.question.generation_id
    await eventually(lambda: hand.world.ports.chats.reply(owner, identity))
    await eventually(lambda: not hand.world.streams.logs.open.get(owner))
