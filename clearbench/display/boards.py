"""Leaderboards and evaluations, as a person sees them."""

from collections.abc import Sequence
from types import TracebackType

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from clearbench.board.tables import INTERVAL_NOTE, Board, number
from clearbench.display.console import err, out, say, warn


def show_boards(boards: Sequence[Board]) -> None:
    """Print one table per task, floors and missing scores marked."""
    for board in boards:
        out.print(
            f"\n[bold]{board.task}[/] · {escape(board.title)}\n{board.metric}, {board.protocol}"
        )
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("encoder", "head"):
            table.add_column(name)
        for name in (board.metric, "95 % interval", "slices/s"):
            table.add_column(name, justify="right")
        table.add_column("", style="dim")
        for row in board.rows:
            head = row.head if row.preset == "default" else f"{row.head} ({row.preset})"
            marks = ", ".join(
                word
                for word in (
                    "floor" if row.floor else "",
                    "published" if row.source == "published" else "",
                )
                if word
            )
            interval = f"{number(row.low, 2)} – {number(row.high, 2)}"
            table.add_row(
                row.encoder, head, number(row.value), interval, number(row.slices_per_s, 1), marks
            )
        out.print(table)
        for note in board.notes:
            warn(f"note: {note}")
    if boards:
        out.print(f"\n{INTERVAL_NOTE}", style="dim")
    else:
        say("no results yet; make some: clearbench evaluate --task NAME")


class EvaluationProgress:
    """Show how far an evaluation is: a bar on a terminal, else a line per head."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.completed:.0f}/{task.total:.0f} heads ·"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> "EvaluationProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` heads of one evaluation are trained."""
        if done == 1:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(name, total=total)
        self._bar.update(self._bar.task_ids[-1], completed=done)
        if done == total and not err.is_terminal:
            warn(f"{name}: {total} heads trained")
