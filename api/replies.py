"""How every question begins, whatever wire format it came in: read the branch once, check, mint, publish."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
from structlog.contextvars import bound_contextvars

from api import metrics
from api.accepting import Accepting, reply_in_progress
from api.context import branch, context_of, newest, system_of
from api.errors import ContentTooLarge
from api.explore import Explore, context_length_of, pool_of
from api.overlay import Overlay
from contracts.commands import GenerateReply, Question, SamplingOptions
from contracts.errors import NotFound, OllamaNetError, Unavailable
from contracts.ids import is_id, new_id
from contracts.records import Message, Model

log = structlog.get_logger()

LARGEST_CONTENT = 256 * 1024
"""Bytes of UTF-8."""
QUEUE_WAIT = 300.0
"""Seconds that a question may wait for a worker."""
LONGEST = 1500.0
"""Seconds from a question to its hard deadline: the broker takes a delivery back after 30 minutes."""
HOLE_PATIENCE = 2.0
"""Seconds that a parent may take to become visible: it is recorded, or its log comes back, within milliseconds."""


@dataclass(frozen=True)
class Ask:
    """A question as a caller asks it. No `chat_id`: a new chat. No `parent_id`: after the newest reply."""

    model: str
    content: str
    chat_id: str | None = None
    parent_id: str | None = None
    system: str | None = None
    options: SamplingOptions = field(default_factory=SamplingOptions)
    think: bool | None = None
    format: dict[str, object] | Literal["json"] | None = None
    tools: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True)
class Replies:
    """`generation_timeout` in seconds, from the claim."""

    overlay: Overlay
    explore: Explore
    accepting: Accepting
    generation_timeout: float

    async def start(self, owner: str, ask: Ask) -> Question:
        """Accept a question: when this returns it is durable and will end in exactly one outcome.

        Raises UnknownModel, ModelUnavailable, ContentTooLarge, ContextTooLong, NotFound (chat), Conflict("reply_in_progress"),
        Unroutable, Overloaded, Unavailable; then nothing of it is left.
        """
        began = time.perf_counter()
        try:
            question = await self._start(owner, ask)
        except OllamaNetError as error:
            metrics.QUESTIONS.labels(type(error).__name__).inc()
            raise
        metrics.QUESTIONS.labels("accepted").inc()
        metrics.ACCEPT.observe(time.perf_counter() - began)
        return question

    async def _start(self, owner: str, ask: Ask) -> Question:
        if len(ask.content.encode()) > LARGEST_CONTENT:
            raise ContentTooLarge(LARGEST_CONTENT)
        model = await self.explore.available(ask.model)
        before = await self._branch(owner, ask)
        command = self._command(owner, ask, model, before)
        question = command.question
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            await self.accepting.accept(command, explicit_parent=ask.parent_id is not None)
            log.info("question_accepted", model=model.name, turns=len(command.context), pool=command.pool)
        return question

    async def _branch(self, owner: str, ask: Ask) -> list[Message]:
        """The messages that the question continues. Waits up to 2 s for a parent that is not visible yet."""
        if ask.parent_id is not None and not is_id(ask.parent_id):
            raise NotFound("There is no such message.")
        if ask.chat_id is None:
            if ask.parent_id is not None:
                raise NotFound("A new chat has no message to answer to: leave parent_id out, or name the chat.")
            return []
        deadline = time.monotonic() + HOLE_PATIENCE
        while True:
            opened = await self.overlay.chat(owner, ask.chat_id) if is_id(ask.chat_id) else None
            if opened is None:
                raise NotFound("There is no such chat.")
            found = branch(opened.messages, ask.parent_id or newest(opened.messages))
            if found is not None:
                return _finished(found)
            if time.monotonic() > deadline:
                raise Unavailable("The message that this one answers to is not visible: try again.")
            await asyncio.sleep(0.05)

    def _command(self, owner: str, ask: Ask, model: Model, before: list[Message]) -> GenerateReply:
        now = datetime.now(UTC)
        system = system_of(before, ask.system)
        question = Question(
            generation_id=new_id(),
            owner=owner,
            chat_id=ask.chat_id or new_id(),
            message_id=new_id(),
            reply_id=new_id(),
            parent_id=before[-1].id if before else None,
            content=ask.content,
            system=ask.system,
            model=model.name,
            asked_at=now,
        )
        return GenerateReply(
            question=question,
            pool=pool_of(model),
            context=context_of(before, ask.content, system, context_length_of(model), ask.options.max_tokens),
            options=ask.options,
            think=ask.think,
            format=ask.format,
            tools=ask.tools,
            starts_before=now + timedelta(seconds=QUEUE_WAIT),
            deadline=now + timedelta(seconds=min(LONGEST, QUEUE_WAIT + self.generation_timeout)),
        )


def _finished(messages: list[Message]) -> list[Message]:
    """The branch, unless its last reply is still being written."""
    if messages and messages[-1].status == "streaming":
        raise reply_in_progress(messages[-1].generation_id or "")
    return messages
