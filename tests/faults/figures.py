"""Of many values the few that tell."""

from collections.abc import Sequence


def percentile(values: Sequence[float], q: float) -> float | None:
    """The value below which that share of them lies; None of none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 1) if ordered else None
