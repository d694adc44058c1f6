"""Where a page of chats ended, as one opaque word: the same in every store."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
_END_OF_TIME = 253_402_300_800_000
"""Milliseconds: the year 10000, which no datetime reaches."""


def write_cursor(updated_at: datetime, chat_id: str) -> str:
    """The cursor behind this chat of a list that is ordered by (updated_at, id)."""
    return _encoded((updated_at - _EPOCH) // _MILLISECOND, chat_id)


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """`updated_at` (whole milliseconds, UTC) and id of the last chat before the cursor. Raises ValueError for any other text."""
    try:
        figure, _, chat_id = base64.urlsafe_b64decode(cursor.encode("ascii")).decode().partition("/")
        milliseconds = int(figure)
    except (ValueError, binascii.Error) as error:
        raise ValueError("This cursor was not made by this list.") from error
    # decoding skips what it does not know, and int() reads more than digits: only what comes out the same was ours
    if not 0 <= milliseconds < _END_OF_TIME or _encoded(milliseconds, chat_id) != cursor:
        raise ValueError("This cursor was not made by this list.")
    return _EPOCH + milliseconds * _MILLISECOND, chat_id


def _encoded(milliseconds: int, chat_id: str) -> str:
    return base64.urlsafe_b64encode(f"{milliseconds}/{chat_id}".encode()).decode()
