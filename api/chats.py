"""What a person does with a chat by hand: renaming and deleting it."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.cancelling import Cancelling
from api.images import OwnImages, images_of
from contracts.errors import NotFound, OllamaNetError, Unavailable
from contracts.ids import is_id
from contracts.ports.bus import Bus
from contracts.ports.stores import Chats
from contracts.ports.streams import GenerationReading
from contracts.public import ChatDeleted, ChatRenamed
from contracts.records import Chat

log = structlog.get_logger()

RECORDING = 2.0
"""Seconds that a new chat may take to be recorded; it takes milliseconds."""


@dataclass(frozen=True)
class OwnChats:
    """Changes chats of their owner, and of nobody else, and tells it on the bus."""

    bus: Bus
    streams: GenerationReading
    chats: Chats
    cancelling: Cancelling
    images: OwnImages

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """The renamed chat. Waits for one that is not recorded yet. Raises NotFound, Unavailable."""
        deadline = time.monotonic() + RECORDING
        while (renamed := await self.chats.rename(owner, chat_id, title) if is_id(chat_id) else None) is None:
            if not await self._being_recorded(owner, chat_id):
                raise NotFound("There is no such chat.")
            if time.monotonic() > deadline:
                raise Unavailable("This chat is not recorded yet: try again.")
            await asyncio.sleep(0.02)
        await self._tell(ChatRenamed(chat_id=chat_id, owner=owner, at=datetime.now(UTC)))
        return renamed

    async def delete(self, owner: str, chat_id: str) -> None:
        """Leave a tombstone, then stop what still writes; images that nothing else shows go with it. Raises NotFound."""
        open_now = await self.streams.open(owner)
        asked = [one for one in open_now if one.chat_id == chat_id]
        now = datetime.now(UTC)
        is_known = is_id(chat_id) and (asked or await self.chats.get(owner, chat_id) is not None)
        if not is_known or await self.chats.deleted(owner, chat_id):
            raise NotFound("There is no such chat.")
        shown = images_of((*await self.chats.messages(owner, chat_id), *asked))
        await self.chats.delete(owner, chat_id, now)
        for question in asked:
            try:
                await self.cancelling.stop(question)
            except OllamaNetError as error:  # whatever it still says is not recorded
                log.warning("not_cancelled", generation_id=question.generation_id, why=str(error))
        if shown:
            await self.images.leave(owner, shown, [one for one in open_now if one.chat_id != chat_id])
        await self._tell(ChatDeleted(chat_id=chat_id, owner=owner, at=now))

    async def _being_recorded(self, owner: str, chat_id: str) -> bool:
        asked = any(one.chat_id == chat_id for one in await self.streams.open(owner))
        return asked and not await self.chats.deleted(owner, chat_id)

    async def _tell(self, event: ChatRenamed | ChatDeleted) -> None:
        try:
            await self.bus.publish(event)
        except OllamaNetError as error:  # the change stands; an event about it is not worth failing for
            log.warning("event_not_published", type=event.type, why=str(error))
