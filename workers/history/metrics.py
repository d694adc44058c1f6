"""The figures that an operator of history workers asks first."""

from prometheus_client import Counter, Histogram

RECORDED = Counter("ollamanet_history_recorded_total", "Outcomes that the store holds, by what it holds.", ["kind"])
DISCARDED = Counter("ollamanet_history_discarded_total", "Outcomes whose chat was deleted.")
QUESTIONS = Counter("ollamanet_history_questions_total", "Questions recorded before their outcome.")
DEAD_LETTERS = Counter(
    "ollamanet_history_dead_letters_total",
    "Dead letters kept, by the queue in which they died and of what.",
    ["queue", "reason"],
)
SWEPT = Counter(
    "ollamanet_history_swept_total",
    "Generations past their hard deadline that nobody had brought to their record, by what was done about it.",
    ["what"],
)
BATCH = Histogram(
    "ollamanet_history_batch_size", "Messages in one write of the store.", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
DELAY = Histogram(
    "ollamanet_history_delay_seconds",
    "From a reply's end until it is recorded.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0),
)
