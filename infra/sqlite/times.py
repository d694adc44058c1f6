"""Times as they are stored: milliseconds since the epoch, UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)


def stored(moment: datetime) -> int:
    """A moment as milliseconds: in whole numbers, so that what was read is stored as it was."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    """The moment of stored milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def moment_or_none(milliseconds: int | None) -> datetime | None:
    """`moment`, where there is one."""
    return None if milliseconds is None else moment(milliseconds)
