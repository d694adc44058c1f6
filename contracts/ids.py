"""Identifiers: UUIDv7 strings minted at the edge, and ids of events that are the same however often they are published."""

import uuid

import uuid_utils

_EVENTS = uuid.UUID("6f1f3c1e-5f0a-5d57-9d3a-0c7c2b8f4e11")


def new_id() -> str:
    """A UUIDv7: unique, and sorted by the time it was minted."""
    return str(uuid_utils.uuid7())


def event_id(subject: str, event_type: str) -> str:
    """The CloudEvents id of the one event of this type about this subject: publishing it twice is harmless."""
    return str(uuid.uuid5(_EVENTS, f"{event_type}/{subject}"))


def is_id(text: str) -> bool:
    """Whether the text is a UUID in its canonical form; anything else names nothing of ours."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
