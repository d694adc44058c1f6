"""Places in a line, and the times that follow from it.

Places count from 1 across the lanes in the order in which they are served, ageing ignored: who waits in `bulk` or `batch` for long
may come sooner than told. A place's time is the sum of what those up to it hold a slot for, divided by the slots; of its own lane by
those that this lane may hold, where that is longer.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from contracts.commands import LANES, Lane
from contracts.generation import Queued
from contracts.ports.lines import Line
from contracts.topology import lane_slots


class Place(NamedTuple):
    """Where a generation waits. `ms`: until it probably gets a slot; meaningless where nobody can tell.

    A tuple, for up to 3,000 are made a second.
    """

    lane: Lane
    position: int
    ms: float


@dataclass(frozen=True)
class Seen:
    """A line as it stood. `ends`: milliseconds until the last of a lane probably gets a slot. `usual_ms`: how long one holds it,
    None where nobody can tell."""

    places: Mapping[str, Place]
    ends: Mapping[Lane, float]
    usual_ms: float | None
    slots: int
    at: float

    @property
    def age(self) -> float:
        """Seconds since the look."""
        return time.monotonic() - self.at

    @property
    def tells(self) -> bool:
        """Whether times can be told: somebody serves the pool, and it is known how long that takes."""
        return self.slots > 0 and self.usual_ms is not None

    def queued(self, generation_id: str) -> Queued | None:
        """What its followers are told; None where it does not wait here."""
        place = self.places.get(generation_id)
        if place is None:
            return None
        return Queued(position=place.position, eta_ms=round(place.ms) if self.tells else None)

    def end_ms(self, lane: Lane) -> int | None:
        """Until the last of that lane gets a slot; None where nobody can tell."""
        return round(self.ends[lane]) if self.tells else None


def seen_as(line: Line, models: Mapping[str, str]) -> Seen:
    """The line with everybody's place. `models`: of the waiting ones, where known."""
    usual = _usual(line, models)
    places: dict[str, Place] = {}
    ends: dict[Lane, float] = {}
    slots = max(1, line.slots)
    ahead = 0.0
    for lane in LANES:
        before = ahead
        share = max(1, sum(lane_slots(one, lane) for one in line.workers or (line.slots,)))
        ends[lane] = ahead / slots
        for generation_id in line.waiting.get(lane, ()):
            ahead += line.service_ms.get(models.get(generation_id, ""), usual or 0.0)
            ends[lane] = max(ahead / slots, (ahead - before) / share)
            places[generation_id] = Place(lane, len(places) + 1, ends[lane])
    return Seen(places, ends, usual, line.slots, time.monotonic())


def _usual(line: Line, models: Mapping[str, str]) -> float | None:
    """What a generation needs whose own model's mean is not known: the mean of those that wait here, else of the pool."""
    waiting = (models.get(one, "") for lane in line.waiting.values() for one in lane)
    means = [line.service_ms[model] for model in waiting if model in line.service_ms] or list(line.service_ms.values())
    return sum(means) / len(means) if means else None
