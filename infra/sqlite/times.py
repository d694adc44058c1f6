"""Times as they are stored: milliseconds since the epoch, UTC."""

from datetime import UTC, datetime


def stored(moment: datetime) -> int:
    """A moment as milliseconds."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """The moment of stored milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def moment_or_none(milliseconds: int | None) -> datetime | None:
    """`moment`, where there is one."""
    return None if milliseconds is None else moment(milliseconds)
