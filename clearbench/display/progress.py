"""A progress bar that appears with its first work and goes when the work is done."""

from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from clearbench.display.console import err

WIDTH = 32


class Bar:
    """A bar on a terminal, nothing without one; several may exist, and one is shown at a time."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=WIDTH),
            *columns,
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, description: str, total: int, done: int = 0, **fields: Any) -> None:
        """Show new work, instead of the work before."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(description, total=total, completed=done, **fields)
        self._bar.start()

    def move(self, done: int, **fields: Any) -> None:
        """Show how much of the work is done; the bar goes when all is done."""
        task = self._bar.tasks[-1]
        self._bar.update(task.id, completed=done, **fields)
        if task.finished:
            self._bar.stop()
