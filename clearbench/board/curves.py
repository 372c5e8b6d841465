"""Label efficiency as a table and a plot: the score by number of training patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from clearbench.files import write_output
from clearbench.results.record import Result

PLOT = "label-efficiency.png"


@dataclass(frozen=True)
class CurveTable:
    """One task's curves: a row per encoder, a cell per number of training patients."""

    task: str
    metric: str
    sizes: tuple[int, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def curve_tables(results: Sequence[Result]) -> list[CurveTable]:
    """Return the curves of some results, one table per task; none for tasks without curves."""
    tasks = dict.fromkeys(result.task for result in results if result.curve)
    return [_table([r for r in results if r.task == task and r.curve]) for task in tasks]


def _table(results: Sequence[Result]) -> CurveTable:
    """Make the table of one task's curves."""
    sizes = tuple(sorted({point["patients"] for r in results for point in r.curve}))
    rows = tuple((r.encoder, tuple(_cell(r, size) for size in sizes)) for r in results)
    return CurveTable(results[0].task, results[0].metric, sizes, rows)


def _cell(result: Result, size: int) -> str:
    """Write one point: the score, and its standard deviation over training subsets."""
    for point in result.curve:
        if point["patients"] == size and point["value"] is not None:
            return f"{point['value']:.3f} ± {point['spread']:.3f}"
    return "–"


def plot_curves(results: Sequence[Result], path: Path) -> Path:
    """Plot one task's curves with their intervals, and write them as PNG."""
    # Figure, because pyplot keeps global state and may look for a display.
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(result for result in results if result.curve):
        points = [point for point in result.curve if point["value"] is not None]
        sizes = [point["patients"] for point in points]
        values = [point["value"] for point in points]
        errors = [
            [point["value"] - point["low"] for point in points],
            [point["high"] - point["value"] for point in points],
        ]
        shifted = [
            size * 1.02**number for size in sizes
        ]  # so that the error bars of one size don't overlap
        axes.errorbar(shifted, values, yerr=errors, marker="o", capsize=3, label=result.encoder)
    axes.set_xscale("log", base=2)
    ticks = sorted({point["patients"] for result in results for point in result.curve})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training patients")
    axes.set_ylabel(results[0].metric)
    axes.set_title(results[0].task_title, fontsize=10)
    axes.legend(fontsize=8)
    write_output(path, lambda draft: figure.savefig(draft, format="png", dpi=120))
    return path
