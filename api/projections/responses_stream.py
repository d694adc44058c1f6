"""One response and one client that follows it, which may come back for the rest."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Response

from api import metrics
from api.errors import problem_of
from api.holding import why_ended
from api.projections.native import interruption_is_over
from api.projections.responses_events import ResponseEvents
from api.projections.telling import Telling, ToldStream


class FollowedResponse(Telling):
    """A telling that is not given up where this edge ends it, or the format: only where the client does."""

    def follow(self, told: ResponseEvents) -> Response:
        """The answer that tells it as it comes."""
        return ToldStream(self, self._followed(told), told, self._streams)

    async def _followed(self, told: ResponseEvents) -> AsyncGenerator[bytes, None]:
        with (
            self._streams.opened(self._credential_id, resumes=False) as stream,
            metrics.FOLLOWERS.track_inprogress(),
        ):
            stream.began()
            try:
                async with aclosing(self._batches):
                    async for batch in self._batches:
                        metrics.EVENTS.inc(len(batch))
                        frames = told.tells(batch)
                        self._ended = told.ended
                        if frames:
                            yield frames
                        if told.ended:
                            return
                        # asyncio.wait_for may lose an interruption that comes together with what it waits for
                        if stream.ended:
                            raise asyncio.CancelledError
            except asyncio.CancelledError:
                if not stream.ended:
                    raise
                interruption_is_over()
                self._ended = True
                yield told.fails(problem_of(why_ended(self._streams)))
