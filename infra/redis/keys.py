"""The names of keys and channels. A tag in braces keeps what belongs together in one slot of a cluster."""

from hashlib import sha256
from zlib import crc32

OPEN_EXTRA_MS = 3600 * 1000
"""An open log, and an open entry, outlives its hard deadline by this."""
CLOSED_FOR_MS = 7 * 24 * 3600 * 1000
RECORDED_FOR_MS = 15 * 60 * 1000
KEY_FOR_MS = 24 * 3600 * 1000
"""A caller's key finds its generation for so long."""
NOTED_FOR_MS = 8 * 24 * 3600 * 1000
"""The sweep's notes are kept so long after the last of them: a day longer than a log that nobody recorded."""
REPORTS = "{reports}"
"""The hash of what workers last said of back-ends, by "<worker> <back-end>"."""
REPORTED = "{reports}:at"
"""The sorted set of these names, by when it was said (ms)."""
SWEEPS = 16
"""The sweep's notes are spread over so many sorted sets, and so over a cluster."""


def log_of(generation_id: str) -> str:
    """The hash: state, epoch, next, owner, lease, … of a generation."""
    return f"{{g:{generation_id}}}"


def events_of(generation_id: str) -> str:
    """The stream of its events, ids `<epoch>-<seq>`."""
    return f"{{g:{generation_id}}}:s"


def live_of(generation_id: str) -> str:
    """The channel of its events as they come: "<id> <json>" lines, or "!": look at the log."""
    return f"{{g:{generation_id}}}:p"


def control_of(worker: str) -> str:
    """The control channel of one worker process: "cancel <generation> <epoch>"."""
    return f"w:{worker}"


def embedding_of(embedding_id: str) -> str:
    """What came of an embedding, until somebody fetches it."""
    return f"{{e:{embedding_id}}}"


def embedding_came(embedding_id: str) -> str:
    """The channel that says when it is there."""
    return f"{{e:{embedding_id}}}:p"


def open_of(owner: str) -> str:
    """The hash of a person's open entries."""
    return f"{{u:{owner}}}:open"


def running_of(owner: str) -> str:
    """The sorted set of a person's generations that hold a slot, by hard deadline (ms)."""
    return f"{{u:{owner}}}:live"


def idempotency_of(owner: str, name: str = "") -> str:
    """What a person's key of that name says: "<sha> <generation>"."""
    return f"{{u:{owner}}}:idem:{name}"


def name_of_key(value: str) -> str:
    """A caller's key may be long, and may hold anything: its name is its hash, 64 hexadecimal digits."""
    return sha256(value.encode(errors="surrogatepass")).hexdigest()


def sweep_of(generation_id: str) -> str:
    """The sorted set of the sweep that has this generation's note, by hard deadline (ms)."""
    return f"sweep:{crc32(generation_id.encode()) % SWEEPS}"


def note_of(owner: str, generation_id: str) -> str:
    """A member of it."""
    return f"{owner}:{generation_id}"


def line_of(lane: str) -> str:
    """The sorted set of the generations that wait in "<pool>:<lane>", by Redis' time of their log's first event (ms)."""
    return f"q:{lane}"


def workers_of(pool: str) -> str:
    """The sorted set of a pool's workers, "<slots> <worker>" by their last beat (ms)."""
    return f"workers:{pool}"


def service_of(pool: str) -> str:
    """The hash of how long the pool's generations hold their slot, by model (ms)."""
    return f"service:{pool}"


def probes_of(backend: str) -> str:
    """The hash of what was found out about the models of a back-end, by model."""
    return f"probes:{backend}"
