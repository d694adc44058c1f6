"""Identifiers: UUIDv7 strings minted at the edge, and ids of events that are the same however often they are published."""

import uuid
from hashlib import sha256

import uuid_utils

_EVENTS = uuid.UUID("6f1f3c1e-5f0a-5d57-9d3a-0c7c2b8f4e11")
_FIXED_BITS = 0xF << 76 | 0b11 << 62
_VERSION_7 = 0x7 << 76 | 0b10 << 62
"""What says, behind its 48 bits of time, that a UUID is of version 7 (RFC 9562)."""


def new_id() -> str:
    """A UUIDv7: unique, and sorted by the time it was minted."""
    return str(uuid_utils.uuid7())


def id_at(milliseconds: int, seed: str) -> str:
    """The UUIDv7 of that moment (since 1970) that this seed always gives: it sorts among the ids that were minted then."""
    tail = int.from_bytes(sha256(seed.encode()).digest()[:10]) & ~_FIXED_BITS | _VERSION_7
    return str(uuid.UUID(int=(milliseconds % 2**48) << 80 | tail))


def moment_of(own_id: str) -> int:
    """When a UUIDv7 was minted, in milliseconds since 1970."""
    return uuid.UUID(own_id).int >> 80


def event_id(subject: str, event_type: str) -> str:
    """The CloudEvents id of the one event of this type about this subject: publishing it twice is harmless."""
    return str(uuid.uuid5(_EVENTS, f"{event_type}/{subject}"))


def is_id(text: str) -> bool:
    """Whether the text is a UUID in its canonical form; anything else names nothing of ours."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
