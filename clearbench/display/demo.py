"""The demo, as a person sees it."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from clearbench.demo import SQL, Demo, DemoSteps
from clearbench.display.boards import EvaluationProgress, show_boards
from clearbench.display.console import err, out, say, show_rows, warn
from clearbench.display.embedding import EmbedProgress

WHAT_IT_IS = (
    "This is a test of the plumbing on a synthetic cohort (drawn by a computer, seeded): it shows "
    "that every "
    "step runs here. It is no evidence about any encoder, and says nothing about patients."
)


def show_demo(run: Callable[[Path, DemoSteps], Demo], folder: Path) -> None:
    """Run the demo, showing each step, its boards, one SQL answer, and what to type next."""
    start = time.monotonic()
    warn(WHAT_IT_IS)
    warn(
        f"1 · drawing 60 synthetic patients under {folder / 'cohort'}, embedding and evaluating "
        f"under {folder / 'store'}"
    )
    with Drawing() as drawing, EmbedProgress() as embedding, EvaluationProgress() as heads:
        demo = run(folder, DemoSteps(drawing, embedding, heads))
    show_boards(demo.boards)
    out.print(
        "\n[bold]One question in SQL:[/] the slices that decide the disease, for ill patients"
    )
    say(SQL)
    show_rows(demo.answer.to_pylist())
    say(f"\n{WHAT_IT_IS}")
    say(f"Done in {time.monotonic() - start:.0f} s. What to type next:")
    for line in (
        f'clearbench query "SELECT * FROM scans LIMIT 5" --store {demo.store}',
        f"clearbench leaderboard --store {demo.store}",
        "clearbench scans FOLDER                    your own scans: what would be read",
        "clearbench cohort build folder FOLDER --labels labels.csv --on PatientID -o cohort.csv",
        "clearbench embed cohort.csv --model efficientnet-lite0",
    ):
        say(f"  {line}")


class Drawing:
    """A bar for the drawing of scans; without a terminal one line at the end."""

    def __init__(self) -> None:
        self._bar = Progress(console=err, transient=True, disable=not err.is_terminal)

    def __enter__(self) -> "Drawing":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` scans are drawn."""
        if not self._bar.task_ids:
            self._bar.start()
            self._bar.add_task("drawing scans", total=total)
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self._bar.stop()
            warn(f"{total} synthetic scans drawn")
