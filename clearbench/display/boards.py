"""Leaderboards and evaluations, as a person sees them."""

from collections.abc import Sequence

from rich.markup import escape
from rich.progress import TextColumn
from rich.table import Table

from clearbench.board.overall import Overall
from clearbench.board.rendering import (
    OVERALL_HEADER,
    OVERALL_NOTE,
    TIER_NOTE,
    cells,
    overall_cells,
    overall_title,
)
from clearbench.board.tables import Board, Leaderboard
from clearbench.display.console import err, out, say, warn
from clearbench.display.progress import Bar
from clearbench.results.record import Result


def show_leaderboard(found: Leaderboard) -> None:
    """Print one table per task, floors and missing scores marked, then all tasks together."""
    for board in found.boards:
        _show_board(board)
    if found.tiered:
        out.print(f"\n{TIER_NOTE}", style="dim")
    elif not found.boards:
        say("no results yet; make some: clearbench evaluate --task NAME")
    if found.overall is not None:
        _show_overall(found.overall)


def show_seeds(results: Sequence[Result], seeds: int | None) -> None:
    """Say which heads were trained once per fold, though more were asked for."""
    once = dict.fromkeys(r.head for r in results if r.seeds < (seeds or 1))
    if once:
        warn(f"note: {', '.join(once)}: one head per fold, since all seeds give the same")


def _show_board(board: Board) -> None:
    """Print one task's table, and its notes."""
    out.print(f"\n[bold]{board.task}[/] · {escape(board.title)}\n{board.metric}, {board.protocol}")
    table = _table(("tier", "encoder", "head"), (board.metric, "95 % interval", "rank", "slices/s"))
    table.add_column("", style="dim")
    for row in board.rows:
        head = row.head if row.preset == "default" else f"{row.head} ({row.preset})"
        tier, encoder, _, _, value, interval, rank, rate, *_ = cells(row)
        mark = "published" if row.source == "published" else ""
        table.add_row(tier, encoder, head, value, interval, rank, rate, mark)
    out.print(table)
    _show_notes(board.notes)


def _show_overall(overall: Overall) -> None:
    """Print the average ranks, and who or what is left out."""
    preset = "" if overall.preset == "default" else f" · preset {overall.preset}"
    tasks = f"\n{', '.join(overall.tasks)}{preset}" if overall.ranks else ""
    out.print(f"\n[bold]{overall_title(overall)}[/]{tasks}")
    if overall.ranks:
        table = _table(OVERALL_HEADER[:1], OVERALL_HEADER[1:])
        for row in overall_cells(overall):
            table.add_row(*row)
        out.print(table)
    _show_notes(overall.notes)
    if overall.ranks:
        out.print(f"\n{OVERALL_NOTE}", style="dim")


def _table(words: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table of columns of words, then of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in words:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _show_notes(notes: Sequence[str]) -> None:
    """Print notes."""
    for note in notes:
        warn(f"note: {note}")


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
