"""What OpenAI's Responses API asks, as a question of a chat: of a new one, or after the reply that it names."""

from dataclasses import dataclass

from api.context import branch, turns_of
from api.errors import Unsupported
from api.following import Following, Known
from api.options import Needs
from api.overlay import Overlay
from api.projections.responses import PREFIX
from api.replies import Ask
from api.schemas.chats import LONGEST_SYSTEM
from api.schemas.images import InlineImages
from api.schemas.responses import ResponseBody
from contracts.commands import Question, Turn
from contracts.errors import NotFound, Unavailable
from contracts.records import Message


@dataclass(frozen=True)
class Responding:
    """Reads what is continued, of its owner and of nobody else."""

    following: Following
    overlay: Overlay

    async def find(self, owner: str, response_id: str) -> Known:
        """The generation of a response; any of this owner's is one. Raises NotFound."""
        if not response_id.startswith(PREFIX):
            raise NotFound("There is no such response.")
        return await self.following.find(owner, response_id.removeprefix(PREFIX))

    async def ask(self, owner: str, body: ResponseBody) -> Ask:
        """The question. Raises Unsupported, NotFound, Unavailable.

        A single message of the user is asked as on the platform's own wire. Of any other input the model reads all items as they
        are, behind the chat that they continue; the chat keeps what came after the last thing that an assistant said.
        """
        body.refuse()
        images = InlineImages()
        if body.previous_response_id is None:
            turns = body.turns(images)
            return _ask(body, turns, _led(body, turns), images)
        before = (await self.find(owner, body.previous_response_id)).asked
        if _is_plain(body):
            return _ask(body, body.turns(images), (), images, before)
        messages = await self._branch(owner, before)
        turns = body.turns(images, messages[-1].tool_calls)
        return _ask(body, turns, _led(body, (*turns_of(messages), *turns)), images, before)

    async def _branch(self, owner: str, before: Question) -> list[Message]:
        opened = await self.overlay.chat(owner, before.chat_id)
        found = branch(opened.messages, before.reply_id) if opened else None
        if not found:
            raise Unavailable("The response that this one continues is not visible: try again.")
        return found


def _ask(
    body: ResponseBody,
    turns: tuple[Turn, ...],
    context: tuple[Turn, ...],
    images: InlineImages,
    before: Question | None = None,
) -> Ask:
    return Ask(
        model=body.model,
        content=_kept(turns),
        images=tuple(dict.fromkeys(image.id for one in _new(turns) for image in one.images)),
        pictures=images.pictures,
        inline=images.characters,
        chat_id=before and before.chat_id,
        parent_id=before and before.reply_id,
        system=_system(body, turns, goes_on=before is not None),
        options=body.options(),
        think=body.think,
        format=body.format(),
        tools=body.functions(),
        more=body.more(),
        needs=Needs(within=""),
        context=() if _is_plain(body) else context,
    )


def _is_plain(body: ResponseBody) -> bool:
    """Whether the input is a question as any chat has them."""
    if len(body.instructions or "") > LONGEST_SYSTEM:
        return False
    if isinstance(body.input, str):
        return True
    return len(body.input) == 1 and body.input[0].role == "user" and body.input[0].type in (None, "message")


def _led(body: ResponseBody, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return (Turn(role="system", content=body.instructions), *turns) if body.instructions else turns


def _system(body: ResponseBody, turns: tuple[Turn, ...], *, goes_on: bool) -> str | None:
    """What holds where somebody goes on in that chat. Instructions of the response before do not: `""`."""
    first = turns[0] if turns else None
    told = body.instructions or (first.content if first is not None and first.role == "system" else "")
    fits = 0 < len(told) <= LONGEST_SYSTEM
    return told if fits else "" if goes_on else None


def _kept(turns: tuple[Turn, ...]) -> str:
    """What the chat keeps as the question."""
    new = [one.content for one in _new(turns) if one.content.strip()]
    said = new or [one.content for one in turns if one.content.strip()][-1:]
    if not said:
        raise Unsupported("input", "input should say something.")
    return "\n\n".join(said)


def _new(turns: tuple[Turn, ...]) -> list[Turn]:
    """What came after the last thing that an assistant said."""
    last = max((at for at, one in enumerate(turns) if one.role == "assistant"), default=-1)
    return [one for one in turns[last + 1 :] if one.role != "system"]
