"""Chats as they are now: what the store has, and over it what is still being written or not yet recorded.

Open entries are read first, then the store, then the logs of the open ones: in any other order an answer that is recorded in
between is lost. What the store holds wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.commands import Question
from contracts.ports.stores import Chats
from contracts.ports.streams import GenerationReading, Snapshot
from contracts.recording import chat_of, message_of_outcome, message_of_question
from contracts.records import Chat, Message, Page


@dataclass(frozen=True)
class OpenChat:
    """A chat with its messages, oldest first, finished or still streaming."""

    chat: Chat
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Overlay:
    """Reads chats of their owner, and of nobody else."""

    streams: GenerationReading
    chats: Chats

    async def chat(self, owner: str, chat_id: str) -> OpenChat | None:
        """One chat; None when it is not there, deleted, or somebody else's."""
        asked = [one for one in await self.streams.open(owner) if one.chat_id == chat_id]
        chat = await self.chats.get(owner, chat_id)
        if chat is None and (not asked or await self.chats.deleted(owner, chat_id)):
            return None
        stored = {one.id: one for one in await self.chats.messages(owner, chat_id)} if chat else {}
        logs = await self._logs(asked, stored)
        overlaid = _overlaid(asked, logs, stored)
        if chat is None:
            if not overlaid:  # its question was never accepted
                return None
            chat = chat_of(min(asked, key=lambda one: one.asked_at))
        messages = sorted((stored | overlaid).values(), key=lambda one: one.id)
        return OpenChat(chat, tuple(messages))

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[Chat]:
        """Chats, newest first; on the first page also those that are not recorded yet. Raises ValueError for a bad cursor."""
        if cursor is not None:
            return await self.chats.page(owner, limit, cursor)
        fresh = await self._unrecorded(owner)
        page = await self.chats.page(owner, max(1, limit - len(fresh)), None)  # a page has no more than `limit`
        listed = {one.id for one in page.items}
        first = [one for one in fresh if one.id not in listed][: limit - len(page.items)]
        return page.model_copy(update={"items": (*first, *page.items)})

    async def _unrecorded(self, owner: str) -> list[Chat]:
        """Chats that only the open entries know, newest first."""
        begun: dict[str, Question] = {}
        for question in sorted(await self.streams.open(owner), key=lambda one: one.asked_at):
            begun.setdefault(question.chat_id, question)
        return [chat_of(one) for one in reversed(begun.values()) if await self._is_unrecorded(one)]

    async def _is_unrecorded(self, question: Question) -> bool:
        owner, chat_id = question.owner, question.chat_id
        if await self.chats.get(owner, chat_id) is not None or await self.chats.deleted(owner, chat_id):
            return False
        (shown,) = await self.streams.read([question.generation_id])
        return shown is not None and shown.state != "admitted"

    async def _logs(self, asked: Sequence[Question], stored: Mapping[str, Message]) -> dict[str, Snapshot | None]:
        wanted = [one.generation_id for one in asked if one.reply_id not in stored]
        return dict(zip(wanted, await self.streams.read(wanted), strict=True)) if wanted else {}


def _overlaid(
    asked: Sequence[Question], logs: Mapping[str, Snapshot | None], stored: Mapping[str, Message]
) -> dict[str, Message]:
    """Questions and replies that the store does not have yet, by id."""
    found: dict[str, Message] = {}
    for question in asked:
        if question.generation_id not in logs:
            continue
        shown = logs[question.generation_id]
        known = question.message_id in stored
        promised = known if shown is None else shown.state != "admitted"
        if not promised:
            continue
        if not known:
            found[question.message_id] = message_of_question(question)
        found[question.reply_id] = _reply(question, shown)
    return found


def _reply(question: Question, shown: Snapshot | None) -> Message:
    """The reply as its log stands; without a log (it was lost, somebody will write it again) empty."""
    if shown is not None and shown.outcome is not None and shown.state == "closed":
        return message_of_outcome(shown.outcome)
    return Message(
        id=question.reply_id,
        chat_id=question.chat_id,
        owner=question.owner,
        parent_id=question.message_id,
        role="assistant",
        content=shown.text if shown else "",
        thinking=(shown.thinking or None) if shown else None,
        tool_calls=shown.tool_calls if shown else (),
        model=question.model,
        generation_id=question.generation_id,
        status="streaming",
        attempt=shown.attempt if shown else None,
        created_at=question.asked_at,
    )
