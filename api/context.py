"""What the model reads: the branch that a question continues, its newest whole turns that fit, always with the system prompt."""

import math
from collections.abc import Sequence

from api.errors import ContentTooLarge
from api.images import fit, refuse_too_many
from contracts.commands import Turn
from contracts.errors import ContextTooLong
from contracts.images import IMAGE_TOKENS, ImageReference
from contracts.records import Message

BYTES_PER_TOKEN = 3
"""A cautious estimate: English has four and more, so what it says to fit does fit."""
TURN_TOKENS = 8
"""What a template adds around a turn."""
UNKNOWN_LENGTH = 4096
"""Tokens assumed where no back-end tells its context length: what Ollama and llama.cpp start with."""
REPLY_SHARE = 4
"""A quarter of the context at most is kept free for the reply."""
REPLY_TOKENS = 1024
LARGEST = 512 * 1024
"""Bytes of a context at most, however long the model's is: a command stays near the 1 MiB that a broker takes well."""

MOST_BYTES_PER_TOKEN = 8
"""Text that is longer surely does not fit, in whatever language. What is in between, the model's server decides."""


def brought(turns: tuple[Turn, ...], length: int | None) -> tuple[Turn, ...]:
    """A context that its caller made, as it is: nobody here knows what may be left out of it.

    Raises ContentTooLarge over 512 KiB, TooManyImages, ContextTooLong where it surely does not fit a model of `length` tokens.
    """
    refuse_too_many(turns)
    size = sum(_bytes(one) for one in turns)
    if size > LARGEST:
        raise ContentTooLarge(LARGEST)
    if length is not None and size > length * MOST_BYTES_PER_TOKEN:
        raise ContextTooLong(length)
    return turns


def branch(messages: Sequence[Message], leaf: str | None) -> list[Message] | None:
    """The messages from the root to `leaf`; None when one of them is not there (a hole). No leaf: an empty branch."""
    by_id = {one.id: one for one in messages}
    found: list[Message] = []
    while leaf is not None:
        message = by_id.pop(leaf, None)  # popped, so that a loop in bad data ends as a hole
        if message is None:
            return None
        found.append(message)
        leaf = message.parent_id
    return found[::-1]


def newest(messages: Sequence[Message]) -> str | None:
    """Where a question goes on that does not say where: after the newest message (ids sort by time).

    That is a reply, unless Redis lost what it knew of a question that is recorded: then after the question, which is not forgotten.
    """
    return max((one.id for one in messages), default=None)


def system_of(messages: Sequence[Message], own: str | None) -> str | None:
    """The system prompt in force: the question's own, else the newest one along the branch."""
    if own is not None:
        return own
    return next((one.system for one in reversed(messages) if one.system is not None), None)


def context_of(
    messages: Sequence[Message],
    content: str,
    system: str | None,
    length: int | None,
    max_tokens: int | None,
    *,
    images: tuple[ImageReference, ...] = (),
    sees: bool = True,
) -> tuple[Turn, ...]:
    """The turns for a model of `length` tokens, ending with the question. Raises ContextTooLong when that alone is too long.

    How many tokens an image is, only the model's server knows: they are counted where older turns are left out, and no question
    is refused for them. `sees` False: images of older turns are left out, for the model does not read them.
    """
    limit = length or UNKNOWN_LENGTH
    last = Turn(role="user", content=content, images=images)
    turns = _merged([*(one if sees else _without_images(one) for one in turns_of(messages)), last])
    head = [Turn(role="system", content=system)] if system else []
    room = limit - sum(_tokens(one) for one in head)
    if _tokens(_without_images(last)) > room:
        raise ContextTooLong(limit)
    room -= min(max_tokens or REPLY_TOKENS, REPLY_TOKENS, limit // REPLY_SHARE)
    room = min(room, LARGEST // BYTES_PER_TOKEN)
    kept = _newest_that_fit(turns, room)
    return (*head, *(kept or [last]))


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """The branch as turns: cancelled replies as they stand, failed ones and empty ones left out."""
    return [
        Turn(role=one.role, content=one.content, tool_calls=one.tool_calls, images=one.images)
        for one in messages
        if one.status in ("complete", "cancelled") and (one.content or one.tool_calls)
    ]


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Neighbouring user turns become one: a failed reply stood between them."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and turn.role == "user" and merged[-1].role == "user":
            before = merged.pop()
            images = (*before.images, *turn.images)
            turn = Turn(role="user", content=f"{before.content}\n\n{turn.content}", images=images)
        merged.append(turn)
    return merged


def _newest_that_fit(turns: Sequence[Turn], room: int) -> list[Turn]:
    """From the end backwards, beginning with a user's turn; empty when even the last one does not fit."""
    kept: list[Turn] = []
    images: tuple[ImageReference, ...] = ()
    for turn in reversed(turns):
        room -= _tokens(turn)
        images += turn.images
        if room < 0 or not fit(images):
            break
        kept.append(turn)
    while kept and kept[-1].role != "user":
        kept.pop()
    return kept[::-1]


def _tokens(turn: Turn) -> int:
    return math.ceil(_bytes(turn) / BYTES_PER_TOKEN) + TURN_TOKENS + len(turn.images) * IMAGE_TOKENS


def _without_images(turn: Turn) -> Turn:
    return turn.model_copy(update={"images": ()}) if turn.images else turn


def _bytes(turn: Turn) -> int:
    return len(turn.content.encode()) + sum(len(one.model_dump_json()) for one in turn.tool_calls)
