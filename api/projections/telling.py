"""Answering a client of another API with a reply: as its stream, or when it is whole; and giving it up when the client does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import structlog
from fastapi import Request
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from api import metrics
from api.abandoning import Abandoning
from api.errors import NotAnswered, Problem, problem_of
from api.holding import held, why_ended
from api.projections.native import interruption_is_over
from api.projections.one_way import Batches, Whole, one_way, whole
from api.security.live import OpenStreams
from contracts.commands import Question
from contracts.generation import GenerationEvent

log = structlog.get_logger()


class Framing(Protocol):
    """How a stream is written: events of SSE, or lines. `alive`: what keeps a silent line open and says nothing."""

    media_type: str
    alive: bytes


class Dialect(Framing, Protocol):
    """A streaming format."""

    def begins(self) -> bytes:
        """Before anything was said; empty where the format has nothing to say then."""
        ...

    def says(self, events: list[GenerationEvent]) -> bytes:
        """These events, the end included."""
        ...

    def fails(self, problem: Problem) -> bytes:
        """The end of a reply that does not come whole."""
        ...


class Telling:
    """One reply and one client. `abandons`: what ends the generation with the client; None where the client can ask for it again."""

    def __init__(
        self,
        question: Question,
        batches: Batches,
        streams: OpenStreams,
        credential_id: str,
        abandons: Abandoning | None,
    ) -> None:
        self._question = question
        self._batches = batches
        self._streams = streams
        self._credential_id = credential_id
        self._abandons = abandons
        self._ended = False

    def left(self) -> None:
        """The client has what it gets."""
        if not self._ended and self._abandons is not None:
            self._abandons.leave(self._question)

    def stream(self, dialect: Dialect) -> EventSourceResponse:
        """The answer that tells it as it comes."""
        return ToldStream(self, self._frames(dialect), dialect, self._streams)

    async def _frames(self, dialect: Dialect) -> AsyncGenerator[bytes, None]:
        with (
            self._streams.opened(self._credential_id, resumes=False) as stream,
            metrics.FOLLOWERS.track_inprogress(),
        ):
            stream.began()
            try:
                async with aclosing(self._batches), aclosing(one_way(self._batches)) as events:
                    if begun := dialect.begins():
                        yield begun
                    async for some in events:
                        metrics.EVENTS.inc(len(some))
                        self._ended = some[-1].event == "completed"
                        if told := dialect.says(some):
                            yield told
                        if stream.ended and not self._ended:
                            raise asyncio.CancelledError
            except NotAnswered as error:
                self._ended = error.code != "restarted"
                log.info("not_answered", code=error.code, why=str(error))
                yield dialect.fails(problem_of(error))
            except asyncio.CancelledError:
                if not stream.ended:
                    raise
                interruption_is_over()
                yield dialect.fails(problem_of(why_ended(self._streams)))

    async def whole(self, request: Request) -> Whole:
        """The reply when it has ended. Raises NotAnswered, Stopping, NotLoggedIn."""
        try:
            found = await held(self._streams, self._credential_id, request, self._read())
        except NotAnswered as error:
            self._ended = error.code != "client_gone"
            raise
        else:
            self._ended = True
            return found
        finally:
            self.left()

    async def _read(self) -> Whole:
        async with aclosing(self._batches):
            return await whole(self._batches)


class ToldStream(EventSourceResponse):
    """The stream of a telling. However it ends, the telling is told."""

    def __init__(
        self, telling: Telling, frames: AsyncGenerator[bytes, None], framing: Framing, streams: OpenStreams
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            frames,
            media_type=framing.media_type,
            ping=streams.alive_every,
            sep="\n",
            ping_message_factory=lambda: framing.alive,  # pyright: ignore[reportArgumentType] - bytes go out as they are
            send_timeout=streams.unread_for,
        )
        self._telling = telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("slow_client_cut", after_s=self.send_timeout)
        finally:
            self._telling.left()
