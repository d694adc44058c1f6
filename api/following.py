"""Following a generation to its end: its log, and the store where the log is gone or nobody ends it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from api.recorded import recorded_events
from api.waiting import Events, Waiting
from contracts.commands import Question
from contracts.errors import LogMissing, NotFound, OllamaNetError, Unavailable
from contracts.generation import Cancelled, Failed, Usage, encode, is_terminal
from contracts.ids import is_id
from contracts.ports.stores import Chats
from contracts.ports.streams import GenerationReading, LogEvent, Snapshot
from contracts.recording import question_of
from contracts.records import Message

log = structlog.get_logger()

ASK_AGAIN = 1.0
"""Seconds between looks for a log that is not there."""
GIVE_UP = timedelta(seconds=1500 + 60)
"""After a question was asked: past every hard deadline, nobody will end it any more."""


@dataclass(frozen=True)
class Known:
    """What is known of one generation: how its log stands (without the text), its recorded reply, or at least its question."""

    question: Question | None = None
    shown: Snapshot | None = None
    message: Message | None = None

    @property
    def asked(self) -> Question:
        """The question; of a recorded generation as far as its reply tells."""
        question = question_of(self.message) if self.message else self.question
        assert question is not None
        return question


@dataclass(frozen=True)
class Following:
    """Reads generations of their owner, and of nobody else."""

    streams: GenerationReading
    chats: Chats
    waiting: Waiting

    async def find(self, owner: str, generation_id: str) -> Known:
        """The generation. Raises NotFound when there is none of this owner's, also when its chat was deleted."""
        known = await self._find(owner, generation_id) if is_id(generation_id) else None
        if known is None or (known.question is not None and await self._deleted(known.question)):
            raise NotFound("There is no such generation.")
        return known

    async def _find(self, owner: str, generation_id: str) -> Known | None:
        shown = await self.streams.head(generation_id)
        if shown is not None and shown.state != "aborted" and shown.question.owner == owner:
            return Known(shown.question, shown)
        message = await self.chats.reply(owner, generation_id)
        if message is not None:
            return Known(message=message)
        asked = await self.streams.open(owner)
        return next((Known(one) for one in asked if one.generation_id == generation_id), None)

    async def follow(self, known: Known, after: str | None = None) -> AsyncGenerator[Events, None]:
        """Batches of events from the start, or after the event of that id; the last one ends with the terminal event."""
        if known.question is None:
            assert known.message is not None
            yield recorded_events(known.message, after)
            return
        waits = after is not None and after.endswith("-0")  # it has `accepted`, which is the first of every log
        async with (
            aclosing(self._to_the_end(known.question, after)) as batches,
            aclosing(self.waiting.told(known.question, batches, waits=waits)) as told,
        ):
            async for events in told:
                yield events

    async def _to_the_end(self, question: Question, after: str | None) -> AsyncGenerator[Events, None]:
        last = after
        while True:
            try:
                async with aclosing(self._log(question, last)) as batches:
                    async for events in batches:
                        last = next((one.id for one in reversed(events) if one.id), last)
                        yield events
                        if is_terminal(events[-1].encoded):
                            return
            except (LogMissing, Unavailable) as error:
                log.debug("log_not_read", why=str(error))
            end = await self._end_elsewhere(question, last)
            if end:
                yield end
                return
            await asyncio.sleep(ASK_AGAIN)

    async def _log(self, question: Question, after: str | None) -> AsyncGenerator[Events, None]:
        """Batches of the log, until its end or until the store knows the end of a log that stalls."""
        async with aclosing(self.streams.follow(question.generation_id, after)) as batches:
            async for batch in batches:
                if batch.events:
                    yield batch.events
                elif batch.stalled and await self._end_elsewhere(question, after):
                    return

    async def _end_elsewhere(self, question: Question, after: str | None) -> Events:
        """What ends it without its log: the record, the chat's deletion, or time; empty when none of them does yet."""
        message = await self._recorded(question)
        if message is not None:
            return recorded_events(message, after)
        if await self._deleted(question):
            return (LogEvent(None, encode(Cancelled(usage=Usage()))),)
        if datetime.now(UTC) - question.asked_at > GIVE_UP:
            failed = Failed(code="log_lost", message="Nobody ended this reply in time: ask again.", retryable=True)
            return (LogEvent(None, encode(failed)),)
        return ()

    async def _deleted(self, question: Question) -> bool:
        try:
            return await self.chats.deleted(question.owner, question.chat_id)
        except OllamaNetError:  # nobody can tell now
            return False

    async def _recorded(self, question: Question) -> Message | None:
        try:
            return await self.chats.reply(question.owner, question.generation_id)
        except OllamaNetError as error:  # the log may still tell
            log.warning("store_not_read", why=str(error))
            return None
