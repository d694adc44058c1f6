"""Deciding on dead letters: to replay one, as a new generation or published again, or to discard it.

A letter is decided before anything is published, so that two administrators replay it once. It waits again when its replay was
refused; where an edge died in between, the next replay finds that its generation never began, and begins it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.admitting import ABANDONED
from api.asking_again import AskingAgain
from api.auditing import Auditing
from contracts.commands import EmbedTexts, GenerateReply
from contracts.envelope import MESSAGES, Envelope, Message, handling
from contracts.errors import Conflict, NotFound, OllamaNetError, Overloaded, Unavailable
from contracts.ids import id_at, is_id, moment_of, new_id
from contracts.ports.bus import Bus
from contracts.ports.stores import DeadLetters
from contracts.records import DeadLetter

log = structlog.get_logger()


@dataclass(frozen=True)
class Replayed:
    """A letter that was replayed; `generation_id`: the new one, where it was a question."""

    letter_id: str
    generation_id: str | None = None


@dataclass(frozen=True)
class Replaying:
    """What administrators do with dead letters."""

    letters: DeadLetters
    bus: Bus
    asking: AskingAgain
    auditing: Auditing

    async def find(self, letter_id: str) -> DeadLetter:
        """The letter. Raises NotFound."""
        letter = await self.letters.get(letter_id) if is_id(letter_id) else None
        if letter is None:
            raise NotFound("There is no such dead letter.")
        return letter

    async def replay(self, letter_id: str, by: str, key: str | None = None) -> Replayed:
        """Handle it once more, for the administrator `by`; a repeat under the same key answers what the first one did.

        Raises NotFound, Conflict (already_decided, not_replayable, chat_deleted), and what asking a question raises; then the letter waits.
        """
        letter = await self.find(letter_id)
        async with self.auditing.noted(by, "ReplayDeadLetter", letter.id, _noted_of(letter)):
            message = message_of(letter)
            with _caused_by(letter):
                return await self._replay(letter, message, by, key)

    async def _replay(self, letter: DeadLetter, message: Message, by: str, key: str | None) -> Replayed:
        if letter.status == "waiting":
            replayed = await self._first(letter, message, by, key)
            if replayed is not None:
                return replayed
            letter = await self.find(letter.id)  # somebody else was quicker
            if letter.status == "waiting":  # and was refused
                raise Unavailable("This letter was being replayed in the same moment: try again.")
        if isinstance(message, GenerateReply):
            return await self._ask_once_more(letter, message, by, key)
        return await self._publish_once_more(letter, message, by, key)

    async def replay_all(
        self, letter_ids: Sequence[str], by: str, key: str | None = None
    ) -> dict[str, Replayed | OllamaNetError]:
        """What happened to each, one after the other; where a server is away or a queue full, the rest is not tried."""
        outcomes: dict[str, Replayed | OllamaNetError] = {}
        stopped: OllamaNetError | None = None
        for letter_id in dict.fromkeys(letter_ids):
            try:
                outcomes[letter_id] = stopped or await self.replay(letter_id, by, key)
            except OllamaNetError as error:
                outcomes[letter_id] = error
                stopped = error if isinstance(error, Unavailable | Overloaded) else None
        return outcomes

    async def discard(self, letter_id: str, by: str, key: str | None = None) -> DeadLetter:
        """Nothing is to be done. Raises NotFound, Conflict("already_decided")."""
        letter = await self.find(letter_id)
        async with self.auditing.noted(by, "DiscardDeadLetter", letter.id, _noted_of(letter)):
            return await self._discard(letter, by, key)

    async def _discard(self, letter: DeadLetter, by: str, key: str | None) -> DeadLetter:
        decided = await self.letters.decide(letter.id, "discarded", by=by, at=datetime.now(UTC))
        if decided is not None:
            log.info("dead_letter_discarded", letter_id=letter.id, by=by, type=letter.type)
            return decided
        letter = await self.find(letter.id)
        if key is None or (letter.status, letter.decided_by) != ("discarded", by):
            raise _already_decided(letter)
        return letter

    async def _first(self, letter: DeadLetter, message: Message, by: str, key: str | None) -> Replayed | None:
        """None: somebody else decided in between."""
        generation = None
        if isinstance(message, GenerateReply):
            seed = _seed(letter, by, key)
            generation = id_at(_now_ms(), seed) if seed else new_id()
            message = await self.asking.renewed(message, generation)
        if not await self._decided(letter, by, generation):
            return None
        return await self._put(letter, message, by)

    async def _ask_once_more(self, letter: DeadLetter, command: GenerateReply, by: str, key: str | None) -> Replayed:
        """Of a letter that was replayed: what it became, if that began; else it begins now, under the same id.

        An id that was taken back is no other generation's ever: the next one follows from it, for whoever asks.
        """
        generation, seed = letter.replayed_as, _seed(letter, by, key)
        if letter.status != "replayed" or generation is None or letter.decided_at is None:
            raise _already_decided(letter)
        is_repeat = seed is not None and generation == id_at(moment_of(generation), seed)
        began = await self.asking.began(command.question.owner, generation)
        if began == "yes" and is_repeat:
            return Replayed(letter.id, generation)
        if began != "yes" and datetime.now(UTC) - letter.decided_at >= ABANDONED:
            if began == "taken back":
                generation = id_at(moment_of(generation) + 1, generation)
            renewed = await self.asking.renewed(command, generation)
            if await self._decided(letter, by, generation):
                return await self._put(letter, renewed, by)
        if is_repeat:
            raise Unavailable("This letter is being replayed: try again.")
        raise _already_decided(letter)

    async def _publish_once_more(self, letter: DeadLetter, message: Message, by: str, key: str | None) -> Replayed:
        """A repeat may follow an edge that died before it published: its event's id is the same, so that twice is harmless."""
        if key is None or (letter.status, letter.decided_by) != ("replayed", by):
            raise _already_decided(letter)
        await self.bus.publish(message)
        return Replayed(letter.id)

    async def _put(self, letter: DeadLetter, message: Message, by: str) -> Replayed:
        """Ask or publish; where that is refused, the letter waits again."""
        generation = message.question.generation_id if isinstance(message, GenerateReply) else None
        try:
            if isinstance(message, GenerateReply):
                await self.asking.accept(message)
            else:
                await self.bus.publish(message)
        except Exception:
            await self._waits_again(letter, by)
            raise
        log.info("dead_letter_replayed", letter_id=letter.id, by=by, type=letter.type, generation_id=generation)
        return Replayed(letter.id, generation)

    async def _decided(self, letter: DeadLetter, by: str, generation: str | None) -> bool:
        decided = await self.letters.decide(
            letter.id, "replayed", by=by, at=datetime.now(UTC), replayed_as=generation, before=letter.status
        )
        return decided is not None

    async def _waits_again(self, letter: DeadLetter, by: str) -> None:
        try:
            await self.letters.decide(letter.id, "waiting", by=by, at=datetime.now(UTC), before="replayed")
        except OllamaNetError as error:  # the next replay of a question finds that it never began
            log.error("dead_letter_left_replayed", letter_id=letter.id, why=str(error))


def message_of(letter: DeadLetter) -> Message:
    """What it was; Conflict("not_replayable") where it is nothing that could be handled."""
    kind = MESSAGES.get(letter.type or "")
    if kind is None:
        raise _not_replayable("it is no message that anybody here knows")
    try:
        message = kind.model_validate_json(letter.body)
    except ValueError as error:
        raise _not_replayable(f"its body is not a valid {kind.type}") from error
    if isinstance(message, EmbedTexts):
        raise _not_replayable("nobody waits for its vectors any more")
    if isinstance(message, GenerateReply):
        asked = message.question
        if not all(map(is_id, (asked.generation_id, asked.owner, asked.chat_id, asked.message_id, asked.reply_id))):
            raise _not_replayable("it names ids that are none of ours")
    return message


def _noted_of(letter: DeadLetter) -> dict[str, object]:
    """What the audit record says of it; nothing that a person wrote."""
    return {"type": letter.type, "queue": letter.queue, "reason": letter.reason}


def _caused_by(letter: DeadLetter) -> AbstractContextManager[None]:
    """What is published inside belongs to the request that the letter belonged to."""
    try:
        return handling(Envelope.model_validate(letter.attributes))
    except ValueError:  # it came without them
        return nullcontext()


def _seed(letter: DeadLetter, by: str, key: str | None) -> str | None:
    """What a new generation's id is made from under a key, so that a repeat knows it again."""
    return None if key is None else f"{letter.id}/{by}/{key}"


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _not_replayable(why: str) -> Conflict:
    return Conflict("not_replayable", f"This letter cannot be replayed, for {why}: discard it.")


def _already_decided(letter: DeadLetter) -> Conflict:
    generation = f" as {letter.replayed_as}" if letter.replayed_as else ""
    told = {"letter_status": letter.status, "decided_by": letter.decided_by, "replayed_as": letter.replayed_as}
    return Conflict("already_decided", f"This letter was {letter.status} already{generation}.", **told)
