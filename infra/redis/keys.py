"""The names of keys and channels. A tag in braces keeps what belongs together in one slot of a cluster."""

OPEN_EXTRA_MS = 3600 * 1000
"""An open log, and an open entry, outlives its hard deadline by this."""
CLOSED_FOR_MS = 7 * 24 * 3600 * 1000
RECORDED_FOR_MS = 15 * 60 * 1000


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


def open_of(owner: str) -> str:
    """The hash of a person's open entries."""
    return f"{{u:{owner}}}:open"


def running_of(owner: str) -> str:
    """The sorted set of a person's generations that hold a slot, by hard deadline (ms)."""
    return f"{{u:{owner}}}:live"


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
