"""Server-sent events as a client reads them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson


@dataclass(frozen=True)
class Event:
    """One event; `id` is None where the server gave none."""

    name: str
    data: dict[str, object]
    id: str | None = None

    def text(self, field: str) -> str:
        """A field as text; empty where it is missing."""
        value = self.data.get(field)
        return "" if value is None else str(value)


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events of these lines; comments, `retry:` and an unfinished last event are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "event" in fields and "data" in fields:
                yield Event(fields["event"], orjson.loads(fields["data"]), fields.get("id"))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
