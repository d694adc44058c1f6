"""The figures that an operator of inference workers asks first."""

from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

QUEUE_WAIT = Histogram(
    "ollamanet_inference_queue_wait_seconds", "From the question's acceptance to its first claim.", buckets=_SECONDS
)
FIRST_TOKEN = Histogram(
    "ollamanet_inference_first_token_seconds",
    "From asking the back-end to its first token.",
    ["backend"],
    buckets=_SECONDS,
)
TOKENS = Counter("ollamanet_inference_tokens_total", "Tokens that back-ends produced.", ["backend"])
OUTCOMES = Counter(
    "ollamanet_inference_outcomes_total", "Generations that ended here; `code` of the failed ones.", ["kind", "code"]
)
RUNNING = Gauge("ollamanet_inference_running", "Generations that run on a back-end now.")
BACKEND_ERRORS = Counter("ollamanet_inference_backend_errors_total", "Failed calls.", ["backend", "code"])
EMBEDDING = Gauge("ollamanet_inference_embedding", "Calls for vectors that hold a slot now.")
EMBEDDED = Counter("ollamanet_inference_embedded_texts_total", "Texts that back-ends turned into vectors.", ["backend"])
EMBEDDINGS = Counter(
    "ollamanet_inference_embeddings_total",
    "Calls for vectors: `embedded`, a failure's code, `late`, or `in vain` where nobody waited any more.",
    ["outcome"],
)
TAKEOVERS = Counter("ollamanet_inference_takeovers_total", "Claims of a generation that somebody had begun.")
CONTINUED = Counter(
    "ollamanet_inference_continued_total",
    "Answers that had been begun: `continued` from there, or `restarted` (what was shown is void).",
    ["how"],
)
FENCED = Counter("ollamanet_inference_fenced_total", "Runs dropped because another epoch stands.")
RESTORED = Counter("ollamanet_inference_logs_restored_total", "Logs that were lost and written again by their worker.")
LISTED = Gauge(
    "ollamanet_inference_backend_models",
    "Models that a back-end listed when it was last asked; 0: it did not answer.",
    ["backend"],
)
CIRCUITS = Counter(
    "ollamanet_inference_circuit_changes_total",
    "Changes of circuits: of a whole back-end, or of a model on it (`scope`), to `open`, `half-open` or `closed`.",
    ["backend", "scope", "state"],
)


def forget(backend: str) -> None:
    """It is gone."""
    with suppress(KeyError):
        LISTED.remove(backend)
