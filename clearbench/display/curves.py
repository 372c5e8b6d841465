"""Label-efficiency curves, as a person sees them."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from clearbench.board.curves import PLOT, curve_tables, plot_curves
from clearbench.display.console import out, say
from clearbench.results.record import Result


def show_curves(results: Sequence[Result], folder: Path) -> None:
    """Print each task's label-efficiency table, and plot it next to the results."""
    for curves in curve_tables(results):
        out.print(
            f"\n[bold]{curves.task}[/] · {curves.metric} by training patients (± spread of subsets)"
        )
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("encoder")
        for size in curves.sizes:
            table.add_column(str(size), justify="right")
        for encoder, cells in curves.rows:
            table.add_row(encoder, *cells)
        out.print(table)
        shown = [result for result in results if result.task == curves.task]
        say(f"written: {plot_curves(shown, folder / curves.task / PLOT)}")
