"""Ollama's calls about models themselves: what is sent, the lines that tell how they go on, and what their errors mean."""

import re
from dataclasses import dataclass, field
from typing import Annotated, NoReturn

import aiohttp
import msgspec

from contracts.errors import BackendFailed
from contracts.ports.management import NewModel, Pulled
from infra.backends.lines import Patience
from infra.backends.refusals import SAID_BYTES, SECRETIVE, broke_off, garbage, read_at_most, refusal

MOST_LAYERS = 1000
"""A model has five; of what goes on telling new ones nothing more is remembered."""
WORDS = 300
"""Characters of a phase's name that are told."""
READ_A_SECOND = 50_000_000
"""Bytes: what even a slow disk reads. A pull says nothing while it reads all its layers once more to verify them."""
LONGEST_SILENCE = 4 * 3600.0
"""Seconds, whatever size a server tells."""

Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

# the first is Linux', the second Windows'; Ollama passes on what its system says
_FULL = re.compile(rb"no space left on device|not enough space on the disk|disk quota exceeded", re.IGNORECASE)
_OTHER_DIGEST = re.compile(rb"digest mismatch", re.IGNORECASE)
# of its own, and of a registry that answers 404; not "404 page not found", which is no Ollama's
_UNKNOWN = re.compile(rb"model (?:\S+ )?not found|file does not exist", re.IGNORECASE)
# another try sends the same: no TLS without `insecure`, or a registry's own 4xx (412: this Ollama is too old for the model)
_FOR_GOOD = re.compile(rb"insecure protocol http|like a TLS handshake|pull model manifest: 4(?!08|29)\d\d\b")
MEANINGS = (
    (_FULL, "disk_full", False),
    (_OTHER_DIGEST, "digest_mismatch", True),
    (_UNKNOWN, "model_not_found", False),
    (_FOR_GOOD, "backend_error", False),
)


class Version(msgspec.Struct):
    """The answer of `/api/version`."""

    version: str


class Progress(msgspec.Struct):
    """One line of `/api/pull` or `/api/create`. Its newer client leaves `status` out of those about a layer; zeros are left out by both.

    Beside an error, `status` is one of HTTP.
    """

    status: str | int = ""
    digest: str | None = None
    total: Bytes | None = None
    completed: Bytes | None = None
    error: str | None = None

    def pulled(self) -> Pulled:
        """As the port tells it."""
        if self.digest is None:
            return Pulled(str(self.status)[:WORDS])
        status = str(self.status) or f"pulling {self.digest.removeprefix('sha256:')[:12]}"
        return Pulled(status[:WORDS], self.digest, self.total, self.completed or 0)


_lines = msgspec.json.Decoder(Progress)


def parsed(line: bytes, server: str) -> Progress:
    """A line of theirs. Raises BackendFailed where it tells an error, or is none."""
    try:
        said = _lines.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise garbage(server) from error
    if said.error is not None:
        raise meant(broke_off(line, server), line)
    if isinstance(said.status, int) or not (said.status or said.digest):
        raise garbage(server)
    return said


@dataclass
class Listening(Patience):
    """How long a pull may say nothing new. That it says the same again, as Ollama does 16 times a second while its registry is
    silent, prolongs nothing; while it verifies, it may be silent for as long as reading all its layers takes.
    """

    patience: float = 60.0
    layers: dict[str, Progress] = field(default_factory=dict[str, Progress])

    def listen(self, said: Progress) -> None:
        """It said so."""
        if said.digest is None:
            size = sum(one.total or 0 for one in self.layers.values())
            self.between = min(self.patience + size / READ_A_SECOND, max(self.patience, LONGEST_SILENCE))
            self.heard()
        elif said != self.layers.get(said.digest):
            self.between = self.patience
            if said.digest in self.layers or len(self.layers) < MOST_LAYERS:
                self.layers[said.digest] = said
                self.heard()

    def lost(self, server: str) -> BackendFailed:
        waited = self.between if self.begun else self.first
        return BackendFailed("pull_stalled", f"{server} told nothing new for {waited:g} s.")


def create_body(model: NewModel) -> dict[str, object]:
    """`/api/create`, as Ollama has it since 0.5.5."""
    asked: dict[str, object] = {
        "from": model.base,
        "files": dict(model.files),
        "template": model.template,
        "system": model.system,
        "license": list(model.license),
        "parameters": dict(model.parameters),
        "messages": [dict(one) for one in model.messages],
        "quantize": model.quantize,
    }
    # an empty template or system is one, an empty list is none
    told = {name: value for name, value in asked.items() if value not in (None, [], {})}
    return {"model": model.name, "stream": True, **told}


async def refuse_to_manage(response: aiohttp.ClientResponse, server: str) -> NoReturn:
    """Raise what an error status means where something was to be done to a model."""
    said = await read_at_most(response, SAID_BYTES)
    if response.status in SECRETIVE:
        raise refusal(response.status, said, server)
    raise meant(refusal(response.status, said, server), said)


def meant(failed: BackendFailed, said: bytes) -> BackendFailed:
    """The same failure with the code that its words mean."""
    for words, code, retryable in MEANINGS:
        if words.search(said):
            return BackendFailed(code, str(failed), retryable=retryable)
    return failed
