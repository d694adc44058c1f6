"""What people do in chats, with a test as the worker."""

from contracts.commands import GenerateReply
from tests.contract.http.worlds import ByHand, Person, World
from tests.eventually import eventually


async def answered(person: Person, content: str = "Why?", reply: str = "Because.", **body: object) -> ByHand:
    """A question with its recorded reply."""
    begun = await person.begins(content, **body)
    hand = await person.world.by_hand(begun["generation_id"])
    await hand.says(reply)
    await hand.ends()
    await recorded(hand)
    return hand


async def recorded(hand: ByHand) -> None:
    owner, identity = hand.question.owner, hand.question.generation_id
    await eventually(lambda: hand.world.ports.chats.reply(owner, identity))
    await eventually(lambda: identity not in hand.world.streams.logs.open.get(owner, {}))


async def contents(person: Person, chat_id: str) -> list[tuple[str, str, str]]:
    chat = await person.chat(chat_id)
    return [(one["role"], one["content"], one["status"]) for one in chat["messages"]]


def post(person: Person, hand: ByHand, **body: object) -> object:
    whole = {"model": "small", "content": "And then?", **body}
    return person.http.post(f"/api/chats/{hand.question.chat_id}/messages", json=whole)


async def last_command(world: World) -> GenerateReply:
    return [one for one in world.bus.published if isinstance(one, GenerateReply)][-1]
