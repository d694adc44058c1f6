"""Server-sent events, byte by byte: feed what came, get the frames that are whole."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 8 * 1024 * 1024
"""Characters of one line, and of one event's data: 1 MiB of text, every character escaped."""


@dataclass(frozen=True)
class Frame:
    """One event as it came."""

    event: str
    data: str
    id: str | None


class Frames:
    """`retry`: seconds that the platform asked to wait before coming back."""

    def __init__(self) -> None:
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._clear()

    def _clear(self) -> None:
        self._event, self._data, self._size, self._id = "", list[str](), 0, None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Only "\\n" ends a line: what else looks like an end is text."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            if found := self._line(line.removesuffix("\r")):
                yield found
        if max(len(self._rest), self._size) > LONGEST:
            raise ValueError("The stream sent an event without an end.")

    def _line(self, line: str) -> Frame | None:
        if not line:
            found = Frame(self._event or "message", "\n".join(self._data), self._id) if self._data else None
            self._clear()
            return found
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == "id":
            self._id: str | None = value
        elif name == "retry" and value.isdigit() and len(value) < 7:
            self.retry = int(value) / 1000
        return None
