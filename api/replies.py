"""How every question begins, whatever wire format it came in: read the branch once, check, mint, publish."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
from structlog.contextvars import bound_contextvars

from api import metrics
from api.accepting import Accepting
from api.admitting import reply_in_progress
from api.context import branch, brought, context_of, newest, system_of
from api.errors import CannotSee, ContentTooLarge, Stopping
from api.explore import Explore, context_length_of, plain_name, pool_of
from api.following import Known
from api.images import OwnImages, Picture, refuse_too_many, sees
from api.lines import Lines
from api.options import More, Needs, refuse_in_vain
from api.overlay import Overlay
from api.repeating import Repeating, is_accepted
from contracts.commands import GenerateReply, Question, SamplingOptions, Turn
from contracts.errors import Conflict, NotFound, OllamaNetError, RateLimited, Unavailable
from contracts.ids import is_id, new_id
from contracts.images import ImageReference
from contracts.ports.streams import IdempotencyKey
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
    """A question as a caller asks it. No `chat_id`: a new chat. No `parent_id`: after the newest reply.

    `context`: all that the model is to read, of callers that bring it themselves; then nothing is added to it and nothing left
    out, `content` is what the chat keeps as the question, and `system` what holds where somebody goes on in that chat. `images`: ids
    of those that the question shows; `pictures`: what came along with it and is to be kept first; `inline`: characters of its body that these
    are. `more` goes into the command as it is, `needs` has to be there before.
    """

    model: str
    content: str
    chat_id: str | None = None
    parent_id: str | None = None
    system: str | None = None
    options: SamplingOptions = field(default_factory=SamplingOptions)
    think: bool | None = None
    format: dict[str, object] | Literal["json"] | None = None
    tools: tuple[dict[str, object], ...] = ()
    context: tuple[Turn, ...] = ()
    images: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    inline: int = 0
    more: More = field(default_factory=More)
    needs: Needs = field(default_factory=Needs)

    def canonical(self) -> dict[str, object]:
        """All that makes it this question, as JSON values: `x:latest` is `x`."""
        apart = ("context", "images", "pictures", "inline", "more", "needs")
        fields = {one.name: getattr(self, one.name) for one in dataclass_fields(self) if one.name not in apart}
        own: dict[str, object] = {"images": self.images} if self.images else {}
        own |= self.more.canonical
        if self.context:
            own["context"] = [one.model_dump(mode="json") for one in self.context]
        return {**fields, **own, "model": plain_name(self.model), "options": self.options.model_dump(mode="json")}


@dataclass(frozen=True)
class Replies:
    """`generation_timeout` in seconds, from the claim. `ends`: whether this edge stops."""

    overlay: Overlay
    explore: Explore
    accepting: Accepting
    repeating: Repeating
    lines: Lines
    images: OwnImages
    generation_timeout: float
    ends: Callable[[], bool]

    async def start(
        self, owner: str, ask: Ask, *, allow: Callable[[], Awaitable[None]], key: IdempotencyKey | None = None
    ) -> Known:
        """Accept a question: when this returns it is durable and will end in exactly one outcome. `allow`: raises RateLimited.

        Under a key that came before with the same question: what that one began, and nothing is counted or run again.
        Raises Stopping, KeyMismatch, RateLimited, TooManyGenerations, UnknownModel, ModelRetired, ModelUnavailable, CannotChat, CannotSee,
        TooManyImages, NoRoomForImages, ContentTooLarge, ContextTooLong, NotFound (chat, image), Conflict("reply_in_progress"), Unroutable,
        Overloaded, Unavailable; then nothing of it is left.
        """
        began = time.perf_counter()
        try:
            async with self.repeating.turn(owner, key):
                known, outcome = await self._start_or_repeat(owner, ask, allow, key)
        except OllamaNetError as error:
            metrics.QUESTIONS.labels(type(error).__name__).inc()
            raise
        metrics.QUESTIONS.labels(outcome).inc()
        metrics.ACCEPT.observe(time.perf_counter() - began)
        return known

    async def _start_or_repeat(
        self, owner: str, ask: Ask, allow: Callable[[], Awaitable[None]], key: IdempotencyKey | None
    ) -> tuple[Known, str]:
        if self.ends():
            raise Stopping
        if key is not None and (known := await self._repeated(owner, ask, key)) is not None:
            return known, "repeated"
        try:
            await allow()
            known = await self._start(owner, ask, key)
        except (Conflict, RateLimited):  # it may be its own twin, at another edge, that stands in its way
            if key is None or (twin := await self._repeated(owner, ask, key)) is None:
                raise
            return twin, "repeated"
        if known is not None:
            return known, "accepted"
        assert key is not None
        twin = await self._repeated(owner, ask, key)
        if twin is None:
            raise Unavailable("The same question, asked elsewhere at the same time, could not be accepted: try again.")
        return twin, "repeated"

    async def _start(self, owner: str, ask: Ask, key: IdempotencyKey | None) -> Known | None:
        """None: that key was admitted in this moment."""
        if len(ask.content.encode()) > LARGEST_CONTENT:
            raise ContentTooLarge(LARGEST_CONTENT)
        model = await self.explore.chatting(ask.model)
        await refuse_in_vain(self.explore, model, ask.options, ask.tools, ask.more, ask.needs)
        before = await self._branch(owner, ask)
        images = await self._images(owner, ask, model)
        question = _question(owner, ask, model, before).model_copy(update={"images": images})
        command = self._command(question, ask, model, before)
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            if await self.accepting.accept(command, explicit_parent=ask.parent_id is not None, key=key) is not None:
                return None
            log.info("question_accepted", model=model.name, turns=len(command.context), pool=command.pool)
        return Known(question)

    async def _repeated(self, owner: str, ask: Ask, key: IdempotencyKey) -> Known | None:
        """What that key began; what an edge left admitted is accepted now. None: nothing, or it was taken back."""
        known = await self.repeating.find(owner, key)
        if known is None or is_accepted(known):
            return known
        question = known.question
        assert question is not None
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            if not await self.accepting.resume(await self._command_again(question, ask)):
                return None
            log.info("question_accepted_again", model=question.model)
        return Known(question)

    async def _command_again(self, question: Question, ask: Ask) -> GenerateReply:
        """The command as the first edge made it: the same question, and the branch at its parent."""
        model = await self.explore.chatting(question.model)
        ask = replace(ask, chat_id=question.chat_id, parent_id=question.parent_id)
        before = [] if question.parent_id is None else await self._branch(question.owner, ask)
        command = self._command(question, ask, model, before)
        seen = await self.lines.tried(command.pool)
        place = seen and seen.places.get(question.generation_id)
        return command.model_copy(update={"lane": place.lane}) if place else command

    async def _images(self, owner: str, ask: Ask, model: Model) -> tuple[ImageReference, ...]:
        """What the question shows. What came along is only kept where the model may see it and can be sent it."""
        if (ask.images or ask.pictures) and not sees(model):
            raise CannotSee(model.name)
        refuse_too_many(ask.context)
        return await self.images.asked_with(owner, ask.pictures, ask.images)

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

    def _command(self, question: Question, ask: Ask, model: Model, before: list[Message]) -> GenerateReply:
        asked_at = question.asked_at
        return GenerateReply(
            question=question,
            pool=pool_of(model),
            context=_context(ask, model, before, question.images),
            options=ask.options,
            think=ask.think,
            format=ask.format,
            tools=ask.tools,
            effort=ask.more.effort,
            tool_choice=ask.more.tool_choice,
            parallel_tool_calls=ask.more.parallel_tool_calls,
            keep_alive=ask.more.keep_alive,
            prefers=_written_by(before),
            starts_before=asked_at + timedelta(seconds=QUEUE_WAIT),
            deadline=asked_at + timedelta(seconds=min(LONGEST, QUEUE_WAIT + self.generation_timeout)),
        )


def _context(ask: Ask, model: Model, before: list[Message], images: tuple[ImageReference, ...]) -> tuple[Turn, ...]:
    length = context_length_of(model)
    if ask.context:
        return brought(ask.context, length)
    system, most = system_of(before, ask.system), ask.options.max_tokens
    return context_of(before, ask.content, system, length, most, images=images, sees=sees(model))


def _written_by(before: list[Message]) -> str | None:
    """The back-end of the last reply of the branch; None where there is none, or nobody knows."""
    return next((one.backend for one in reversed(before) if one.role == "assistant"), None)


def _question(owner: str, ask: Ask, model: Model, before: list[Message]) -> Question:
    return Question(
        generation_id=new_id(),
        owner=owner,
        chat_id=ask.chat_id or new_id(),
        message_id=new_id(),
        reply_id=new_id(),
        parent_id=before[-1].id if before else None,
        content=ask.content,
        system=ask.system,
        model=model.name,
        asked_at=datetime.now(UTC),
    )


def _finished(messages: list[Message]) -> list[Message]:
    """The branch, unless its last reply is still being written."""
    if messages and messages[-1].status == "streaming":
        raise reply_in_progress(messages[-1].generation_id or "")
    return messages
