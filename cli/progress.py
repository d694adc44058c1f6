"""How far a command has come, while it runs: bars in a terminal, a line for each phase elsewhere; always on standard error."""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from cli.cells import said, span
from cli.sse import Event

_WIDE = 70
"""Cells that a bar is worth its place from."""


class Shown(Protocol):
    """What shows progress. To be left before anything else is printed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def see(self, event: Event) -> None:
        """Show a `progress` event."""
        ...


def shown() -> Shown:
    """What suits standard error."""
    return Bars(Console(stderr=True, highlight=False)) if sys.stderr.isatty() else Lines()


class Lines(Shown):
    """One line for each phase of each back-end."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def see(self, event: Event) -> None:
        backend, phase = said(event.data.get("backend")), said(event.data.get("status"))
        if self._phases.get(backend) == phase:
            return
        self._phases[backend] = phase
        total = _number(event, "total")
        sys.stderr.write(f"{backend}: {phase}{f' ({decimal(int(total))})' if total else ''}\n")
        sys.stderr.flush()


class Bars(Shown):
    """One bar for each layer of each back-end; what is no matter of bytes turns."""

    def __init__(self, console: Console) -> None:
        bar = (BarColumn(None, table_column=Column(ratio=1)),) if console.width >= _WIDE else ()
        what = Column(no_wrap=True, overflow="ellipsis", ratio=None if bar else 1)
        self._room = max(3, console.height - 3)
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"), TextColumn("{task.description}", markup=False, table_column=what),
            *bar, _Figures(wide=bool(bar)), console=console, expand=True, transient=True,
        )  # fmt: skip
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._sized: dict[TaskID, bool] = {}
        self._phase: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def see(self, event: Event) -> None:
        backend, phase = said(event.data.get("backend")), said(event.data.get("status"))
        total, completed = _number(event, "total"), _number(event, "completed") or 0
        name = said(event.data.get("digest")) or phase
        self._leave(backend, name)
        at = self._tasks.get((backend, name))
        if at is None:
            at = self._tasks[backend, name] = self._progress.add_task(f"{backend} {_brief(phase)}", total=total)
        self._sized[at] = total is not None
        self._progress.update(
            at, total=total, completed=completed, rate=_number(event, "rate"), eta=_number(event, "eta_ms")
        )
        self._make_room(at)

    def _leave(self, backend: str, name: str) -> None:
        """A phase that is over goes; a layer that is whole stays."""
        before = self._phase.get(backend)
        self._phase[backend] = name
        at = self._tasks.get((backend, before)) if before not in (None, name) else None
        if at is not None and before is not None and not self._sized[at]:
            self._progress.remove_task(at)
            del self._tasks[backend, before]

    def _make_room(self, now: TaskID) -> None:
        for key, at in list(self._tasks.items()):
            if len(self._tasks) <= self._room:
                return
            if at != now:
                self._progress.remove_task(at)
                del self._tasks[key]


class _Figures(ProgressColumn):
    """Bytes, rate and time left."""

    def __init__(self, *, wide: bool) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._wide = wide

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text("")
        if task.finished:
            return Text(decimal(int(task.total)))
        rate, eta = task.fields.get("rate"), task.fields.get("eta")
        share = (
            f"{decimal(int(task.completed))}/{decimal(int(task.total))}" if self._wide else f"{task.percentage:.0f}%"
        )
        speed = f"{decimal(int(rate))}/s" if rate and self._wide else ""
        left = f"{span(eta / 1000)} left" if eta is not None else ""
        return Text("  ".join(part for part in (share, speed, left) if part))


def _brief(phase: str) -> str:
    return phase if len(phase) <= 30 else phase[:29] + "…"


def _number(event: Event, field: str) -> float | None:
    value = event.data.get(field)
    return float(value) if isinstance(value, int | float) else None
