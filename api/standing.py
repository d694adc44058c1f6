"""How a back-end stands: what the catalog last saw of it, and what workers see from their own traffic, as one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.records import BackendHealth, BackendReport

Circuit = Literal["closed", "half-open", "open"]
_WORST: tuple[Circuit, ...] = ("open", "half-open", "closed")


@dataclass(frozen=True)
class Standing:
    """One back-end. `seen` None: the catalog has not looked yet. `reports`: of every worker that serves it now."""

    seen: BackendHealth | None
    reports: tuple[BackendReport, ...] = ()

    @property
    def circuit(self) -> Circuit | None:
        """The worst of all workers; None where none of them serves it."""
        told = {one.circuit for one in self.reports}
        return next((one for one in _WORST if one in told), None)

    @property
    def calls(self) -> int:
        """That ended within the last minute."""
        return sum(one.calls for one in self.reports)

    @property
    def failures(self) -> int:
        """Among the calls."""
        return sum(one.failures for one in self.reports)

    @property
    def error_rate(self) -> float | None:
        """Failures of each call, 0 to 1; None where there was none."""
        return round(self.failures / self.calls, 3) if self.calls else None

    @property
    def ttft_ms(self) -> int | None:
        """The median of the workers' medians, each as heavy as its calls; None where no first token came."""
        told = sorted((one.ttft_ms, max(1, one.calls)) for one in self.reports if one.ttft_ms is not None)
        left = sum(calls for _, calls in told) / 2
        for figure, calls in told:
            left -= calls
            if left <= 0:
                return figure
        return None

    @property
    def running(self) -> Mapping[str, int]:
        """Calls now, by model."""
        return sum((Counter(one.running) for one in self.reports), Counter[str]())

    @property
    def slots(self) -> int:
        """Calls that all workers together run there at once."""
        return sum(one.slots for one in self.reports)


@dataclass(frozen=True)
class Standings:
    """What is known of all back-ends at one moment."""

    seen: Mapping[str, BackendHealth]
    reports: tuple[BackendReport, ...]

    def of(self, name: str) -> Standing:
        """One of them; it need not have been seen."""
        return Standing(self.seen.get(name), tuple(one for one in self.reports if one.backend == name))


def standings(health: Sequence[BackendHealth], reports: Sequence[BackendReport]) -> Standings:
    """What was seen of each back-end, by its name."""
    return Standings({one.name: one for one in health}, tuple(reports))
