"""Following a command's stream to its end, whatever of it was lost: the store knows how the command stands."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from contracts.administration import AdminCommand
from contracts.errors import LogMissing, Unavailable
from contracts.generation import is_terminal
from contracts.ports.administration import CommandLogs, Commands
from contracts.ports.streams import LogEvent
from contracts.progress import accepted_of, encode_command_event, end_of

log = structlog.get_logger()

ASK_AGAIN = 0.5
"""Seconds between looks while there is no log: its worker makes one with the next thing it tells."""

Events = tuple[LogEvent, ...]


@dataclass(frozen=True)
class Watching:
    """Reads what administrators' commands tell."""

    commands: Commands
    logs: CommandLogs

    async def follow(self, command: AdminCommand, after: str | None = None) -> AsyncGenerator[Events, None]:
        """Batches of events from the start, or after the event of that id; the last one ends with the terminal event."""
        last = after
        while True:
            try:
                async with aclosing(self._log(command.id, last)) as batches:
                    async for events in batches:
                        last = next((one.id for one in reversed(events) if one.id), last)
                        yield events
                        if is_terminal(events[-1].encoded):
                            return
            except (LogMissing, Unavailable) as error:
                log.debug("command_log_not_read", command_id=command.id, why=str(error))
            ended = await self._ended(command.id)
            if ended is not None:
                yield _end(ended, from_start=last is None)
                return
            await asyncio.sleep(ASK_AGAIN)

    async def _log(self, command_id: str, after: str | None) -> AsyncGenerator[Events, None]:
        """Batches of the log, until its end or until the store knows an end that was not told."""
        async with aclosing(self.logs.follow(command_id, after)) as batches:
            async for batch in batches:
                if batch.events:
                    yield batch.events
                elif await self._ended(command_id) is not None:
                    return

    async def _ended(self, command_id: str) -> AdminCommand | None:
        """The command, if it has ended."""
        try:
            found = await self.commands.get(command_id)
        except Unavailable as error:
            log.warning("command_not_read", command_id=command_id, why=str(error))
            return None
        return found if found is not None and end_of(found) is not None else None


def _end(ended: AdminCommand, *, from_start: bool) -> Events:
    """What the store tells of a command that has ended; without ids, for no log holds them."""
    last = end_of(ended)
    assert last is not None
    first = (LogEvent(None, encode_command_event(accepted_of(ended))),) if from_start else ()
    return (*first, LogEvent(None, encode_command_event(last)))
