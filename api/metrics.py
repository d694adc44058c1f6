"""The figures that an operator of edges asks first."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Histogram(
    "ollamanet_edge_request_seconds",
    "From a request until its answer begins, by route.",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
ACCEPT = Histogram(
    "ollamanet_edge_accept_seconds", "From a question until its acceptance is durable.", buckets=_SECONDS
)
QUESTIONS = Counter("ollamanet_edge_questions_total", "Questions accepted, or refused with this code.", ["outcome"])
EMBEDDINGS = Counter(
    "ollamanet_edge_embeddings_total", "Calls for vectors: `embedded`, or why there were none.", ["outcome"]
)
FOLLOWERS = Gauge("ollamanet_edge_followers", "Open streams.")
EVENTS = Counter("ollamanet_edge_events_total", "Events written to followers.")
EXPLORE = Counter("ollamanet_edge_explore_reads_total", "Times that the list of models was read from the store.")
