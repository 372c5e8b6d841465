"""Leaderboards and evaluations, as a person sees them."""

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import TextColumn
from rich.table import Table

from clearbench.board.overall import Overall
from clearbench.board.rendering import (
    OVERALL_HEADER,
    OVERALL_NOTE,
    TIER_NOTE,
    overall_cells,
    overall_title,
)
from clearbench.board.tables import Board, Leaderboard, Row
from clearbench.display.board_table import board_table
from clearbench.display.console import err, out, say, warn
from clearbench.display.progress import Bar
from clearbench.errors import counted, name_some, plain_text
from clearbench.results.record import Result
from clearbench.results.stale import StaleResult


def show_leaderboard(
    found: Leaderboard, *, all_heads: bool = False, console: Console | None = None
) -> None:
    """Print one table per task, then the average ranks over all tasks.

    Tables have the head that the task declares, and the floors that encoders must beat; with
    `all_heads` every head.
    """
    target = console or out
    hidden: list[Row] = []
    for board in found.boards:
        rows = list(board.rows) if all_heads else _main_rows(board)
        hidden += [row for row in board.rows if row not in rows]
        _show_board(board, rows, target)
    if found.tiered:
        target.print(f"\n{TIER_NOTE}", style="dim")
    elif not found.boards:
        say("no results yet; make some: clearbench evaluate --task NAME")
    if found.overall is not None:
        _show_overall(found.overall, target)
    _show_hidden(hidden)


def show_seeds(results: Sequence[Result], seeds: int | None) -> None:
    """Name the heads that were trained once per fold, though more seeds were typed."""
    once = dict.fromkeys(r.head for r in results if r.seeds < (seeds or 1))
    if once:
        warn(f"note: {', '.join(once)}: one head per fold, since all seeds give the same")


def show_stale(stale: Sequence[StaleResult]) -> None:
    """Say which stored results are of another question than their task has now."""
    tasks: dict[str, list[StaleResult]] = defaultdict(list)
    for each in stale:
        tasks[each.result.task].append(each)
    for task, some in tasks.items():
        changed = ", ".join(dict.fromkeys(what for each in some for what in each.changed))
        names = name_some([f"{each.result.encoder} {each.result.head}" for each in some])
        count = f"{len(some)} stored {'result' if len(some) == 1 else 'results'}"
        warn(
            f"{count} of {task} were made before a change of the {changed}, and are compared with "
            f"none of these: {names}; run: clearbench evaluate --task {task} --stale"
        )


def _main_rows(board: Board) -> list[Row]:
    """Return the declared head's rows, and the floors to beat; all rows if no encoder is left."""
    kept = [row for row in board.rows if row.gates or (not row.floor and _is_declared(row, board))]
    return kept if any(not row.floor for row in kept) else list(board.rows)


def _is_declared(row: Row, board: Board) -> bool:
    """Tell whether a row is of the declared head."""
    return row.head == board.declared_head


def _show_board(board: Board, rows: Sequence[Row], console: Console) -> None:
    """Print one task's table, and its notes."""
    task, words = (escape(plain_text(text)) for text in (board.task, board.title))
    title = f"[bold]{task}[/] · {words}"
    console.print(f"\n{title}\n{board.metric}, {board.protocol}")
    console.print(board_table(board.metric, rows, console.width))
    _show_notes(board.notes)


def _show_hidden(rows: Sequence[Row]) -> None:
    """Count the rows that are not shown, and name the option that shows them."""
    if rows:
        heads = name_some(sorted({row.head for row in rows}))
        count = counted(len(rows), "row")
        say("")
        say(f"{count} of other heads ({heads}) not shown: clearbench leaderboard --all-heads")


def _show_overall(overall: Overall, console: Console) -> None:
    """Print the average ranks, and the encoders and tasks that are left out."""
    preset = "" if overall.preset == "default" else f" · preset {overall.preset}"
    tasks = f"\n{', '.join(overall.tasks)}{preset}" if overall.ranks else ""
    console.print(f"\n[bold]{overall_title(overall)}[/]{tasks}")
    if overall.ranks:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(OVERALL_HEADER[0], overflow="fold")
        for name in OVERALL_HEADER[1:]:
            table.add_column(name, justify="right", no_wrap=True)
        for row in overall_cells(overall):
            table.add_row(*row)
        console.print(table)
    _show_notes(overall.notes)
    if overall.ranks:
        console.print(f"\n{OVERALL_NOTE}", style="dim")


def _show_notes(notes: Sequence[str]) -> None:
    """Print notes."""
    for note in notes:
        warn(f"note: {note}")


class EvaluationProgress(Bar):
    """Show the progress of an evaluation: a bar on a terminal, else one line per head."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.completed:.0f}/{task.total:.0f} heads ·"))

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` heads of one evaluation are trained."""
        if done == 1:
            self.begin(name, total)
        self.move(done)
        if done == total and not err.is_terminal:
            warn(f"{name}: {total} {'head' if total == 1 else 'heads'} trained")
