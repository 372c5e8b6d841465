"""Leaderboards and evaluations, as a person sees them."""

from collections.abc import Sequence

from rich.markup import escape
from rich.progress import TextColumn
from rich.table import Table

from clearbench.board.tables import INTERVAL_NOTE, Board, cells
from clearbench.display.console import err, out, say, warn
from clearbench.display.progress import Bar


def show_boards(boards: Sequence[Board]) -> None:
    """Print one table per task, floors and missing scores marked."""
    for board in boards:
        out.print(
            f"\n[bold]{board.task}[/] · {escape(board.title)}\n{board.metric}, {board.protocol}"
        )
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("tier", "encoder", "head"):
            table.add_column(name)
        for name in (board.metric, "95 % interval", "rank", "slices/s"):
            table.add_column(name, justify="right")
        table.add_column("", style="dim")
        for row in board.rows:
            head = row.head if row.preset == "default" else f"{row.head} ({row.preset})"
            tier, encoder, _, _, value, interval, rank, rate, *_ = cells(row)
            mark = "published" if row.source == "published" else ""
            table.add_row(tier, encoder, head, value, interval, rank, rate, mark)
        out.print(table)
        for note in board.notes:
            warn(f"note: {note}")
    if boards:
        out.print(f"\n{INTERVAL_NOTE}", style="dim")
    else:
        say("no results yet; make some: clearbench evaluate --task NAME")


class EvaluationProgress(Bar):
    """Show how far an evaluation is: a bar on a terminal, else a line per head."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.completed:.0f}/{task.total:.0f} heads ·"))

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` heads of one evaluation are trained."""
        if done == 1:
            self.begin(name, total)
        self.move(done)
        if done == total and not err.is_terminal:
            warn(f"{name}: {total} {'head' if total == 1 else 'heads'} trained")
