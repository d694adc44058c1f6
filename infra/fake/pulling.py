"""How the fake back-end pulls, and how that fails, chosen by the model's name: `pull-slow`, `pull-slow:v2`, `hub/library/pull-slow:v2`.

All of MODELS can be pulled, too, at once. A pull goes on from the bytes that are there.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from infra.fake.behaviour import MODELS, Ended
from infra.fake.library import FULL, Held, Library, digest_of, kind, plain

TICK = 0.05
"""Seconds between two lines of a layer; Ollama takes 0.06."""
BREAKS_AFTER = 3
"""Lines of the layer in which a faulty pull breaks."""


@dataclass(frozen=True)
class Pull:
    """`layers`: their bytes, the weights first. seconds: for all of them. status: refuses with it. ending: how it ends.

    `first`: how it ends the first time, where that is another way.
    """

    says: str
    seconds: float = 0.5
    layers: tuple[int, ...] = (60_000_000, 12_000, 400)
    status: int = 200
    ending: str = "finished"
    first: str = ""


PULLS: dict[str, Pull] = {
    "pull-fast": Pull("three layers at once", seconds=0),
    "pull-slow": Pull("four layers in four seconds", seconds=4, layers=(60_000_000, 30_000_000, 12_000, 400)),
    "pull-long": Pull("a minute of one layer after the other", seconds=60, layers=(60_000_000, 30_000_000, 400)),
    "pull-frail": Pull("cuts in mid-line the first time, then goes on from there", first="cut"),
    "pull-stall": Pull("says nothing more in mid-layer", ending="stalled"),
    "pull-repeat": Pull(
        "says the same again and again, as Ollama does where its registry is silent", ending="repeated"
    ),
    "pull-cut": Pull("cuts in mid-line", ending="cut"),
    "pull-end": Pull("ends without its end mark", ending="ended"),
    "pull-garbage": Pull("sends garbage in mid-layer", ending="garbage"),
    "pull-html": Pull("answers with a web page", ending="html"),
    "pull-error": Pull("sends an error object in mid-layer", ending="error"),
    "pull-mismatch": Pull("finds another digest than the layer should have, and throws it away", ending="mismatch"),
    "pull-full": Pull("has no room left in mid-layer", ending="full"),
    "pull-refuse": Pull("refuses with 500", status=500),
}
AT_ONCE = Pull("", seconds=0)
ERRORS = {
    "error": "max retries exceeded: EOF",
    "full": FULL,
    "mismatch": "digest mismatch, file must be downloaded again: want sha256:1, got sha256:2",
    "unknown": "pull model manifest: file does not exist",
}
"""What it says in the error object that such an ending is."""

Line = dict[str, object]


def pull_of(name: str) -> Pull | None:
    """What pulling that name is like; None: its registry has none of it."""
    return PULLS.get(kind(name)) or (AT_ONCE if kind(name) in MODELS else None)


def layers_of(name: str, pull: Pull) -> list[tuple[str, int]]:
    """Digest and size of each, the weights first."""
    return [(digest_of(f"layer {number} of {plain(name)}"), size) for number, size in enumerate(pull.layers)]


def forget_layers(name: str, library: Library) -> None:
    """What was pulled for that name, unless another one is made of it."""
    pull = pull_of(name)
    layers = layers_of(name, pull) if pull is not None else []
    if not any(one.layer == digest for one in library.models.values() for digest, _ in layers):
        for digest, _ in layers:
            library.blobs.pop(digest, None)


async def pulling(name: str, pull: Pull, library: Library, *, anew: bool) -> AsyncGenerator[Line | Ended, None]:
    """The lines of one pull, and its end. `anew`: it is pulled for the first time."""
    ending = pull.first if anew and pull.first else pull.ending
    if ending == "html":
        yield Ended(ending)
        return
    yield {"status": "pulling manifest"}
    layers = layers_of(name, pull)
    for digest, size in layers:
        async for one in _layer(digest, size, pull, library, ending):
            yield one
            if isinstance(one, Ended):
                return
    yield {"status": "verifying sha256 digest"}
    for digest, _ in layers:
        library.layers.pop(digest, None)
    if ending == "mismatch":
        yield Ended(ending)
        return
    library.blobs.update(layers)
    yield {"status": "writing manifest"}
    library.models[plain(name)] = library.find(name) or Held.pulled(plain(name), layers[0][0], sum(pull.layers))
    yield {"status": "success"}
    yield Ended("finished")


async def _layer(
    digest: str, size: int, pull: Pull, library: Library, ending: str
) -> AsyncGenerator[Line | Ended, None]:
    """The lines of one layer, an end only where it breaks in it."""
    step = int(sum(pull.layers) * TICK / pull.seconds) if pull.seconds else size
    breaks = ending not in ("finished", "mismatch")
    told = 0
    while True:
        there = library.blobs.get(digest, library.layers.get(digest, 0))
        yield _line(digest, size, there)
        told += 1
        if there >= size:
            return
        if breaks and (told >= BREAKS_AFTER or there + step >= size):
            async for one in broken(ending, _line(digest, size, there)):
                yield one
            return
        if pull.seconds:
            await asyncio.sleep(TICK)
        library.layers[digest] = min(size, library.layers.get(digest, 0) + step)


async def broken(ending: str, last: Line) -> AsyncGenerator[Line | Ended, None]:
    """The end, after what some do before it: nothing any more, or the last line for ever."""
    if ending == "stalled":
        await asyncio.Event().wait()
    while ending == "repeated":
        yield last
        await asyncio.sleep(TICK)
    yield Ended(ending)


def _line(digest: str, size: int, there: int) -> Line:
    """As Ollama tells it: zeros are left out."""
    done = {"completed": there} if there else {}
    return {"status": f"pulling {digest.removeprefix('sha256:')[:12]}", "digest": digest, "total": size, **done}
