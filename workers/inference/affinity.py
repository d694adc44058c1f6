"""Which of several back-ends runs a call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workers.inference.places import Place

LOADED = 0.5
"""What it is worth that the model is loaded, as a share of slots: half of them. To load one takes seconds to minutes and may push another one
out, while a server that is half full answers nearly as fast as one that is empty."""
PREFIX = 0.25
"""What it is worth beyond that, that the chat was there last. To read a chat again takes a second or so, as much as a few
neighbours more cost over a whole answer."""


@dataclass(frozen=True)
class Wish:
    """What a call is about. `failed`: the back-ends that have failed it, the latest last. `prefers`: where its chat was last."""

    model: str
    failed: Sequence[str] = ()
    prefers: str | None = None


def usable(places: Iterable[Place], model: str) -> list[Place]:
    """Those that may be asked about that model now, free or not: an open circuit counts only where another place serves the model; where
    none does, what fails with this model is asked all the same, and what is away is not."""
    standing = [(one, one.health.standing(model)) for one in places]
    ready = [one for one, how in standing if how == "ready"]
    return ready or [one for one, how in standing if how == "shunned"]


def score(place: Place, wish: Wish) -> tuple[int, float]:
    """The lowest is best. In this order it counts that the place

    - has not failed this very call, or did so before the others (a whole number: nothing makes up for it);
    - has the beginning of this chat in its cache, as far as the model was not unloaded since;
    - has the model loaded;
    - is the least loaded: the share of its slots that is taken.

    The last three are one sum, so that what is warm gives way to what is empty: a place with the model is passed over once it is
    fuller than a cold one by more than half of its slots, one that also knows the chat by more than three quarters, and
    by more than a quarter than one that merely has the model. Open circuits are not here: `usable` leaves them out.
    """
    failed = max((at for at, name in enumerate(wish.failed, 1) if name == place.name), default=0)
    if not place.has_loaded(wish.model):
        return failed, place.load
    return failed, place.load - LOADED - (PREFIX if place.name == wish.prefers else 0.0)


def best(places: Iterable[Place], wish: Wish) -> Place | None:
    """The one of these with a free slot that suits best; None where none is free."""
    free = [one for one in usable(places, wish.model) if one.free > 0]
    return min(free, key=lambda one: score(one, wish), default=None)
