"""How the fake back-end makes a model. One that is called as a pull that fails, fails like it: `pull-full:v2`."""

from collections.abc import AsyncGenerator, Mapping

from infra.fake.behaviour import Ended
from infra.fake.library import Held, Library
from infra.fake.pulling import Line, broken, pull_of


async def creating(name: str, body: Mapping[str, object], library: Library) -> AsyncGenerator[Line | Ended, None]:
    """The lines, and the end."""
    pull = pull_of(name)
    ending = pull.ending if pull is not None else "full" if library.full else "finished"
    base = _base(body, library)
    if isinstance(base, Held) and ending != "finished":
        async for one in broken(ending, {"status": "parsing GGUF"}):
            yield one
        return
    if not isinstance(base, Held):
        yield base
        yield Ended("refused")
        return
    yield {"status": "parsing GGUF"}
    yield {"status": f"using existing layer {base.layer}"}
    yield {"status": "writing manifest"}
    library.models[name] = base.made(name, body)
    yield {"status": "success"}
    yield Ended("finished")


def _base(body: Mapping[str, object], library: Library) -> Held | Line:
    """What it is made of, or the line that says why it cannot be."""
    if base := body.get("from"):
        return library.find(str(base)) or {"error": "pull model manifest: file does not exist"}  # it would pull it
    files = body.get("files")
    if not isinstance(files, dict) or not files:
        return {"error": "neither 'from' or 'files' was specified", "status": 400}
    layer = str(next(iter(files.values())))
    if layer not in library.blobs:
        return {"error": f"open /fake/blobs/{layer.replace(':', '-')}: no such file or directory"}
    return Held("small", "", layer, library.blobs[layer])
