"""The demo, as a person sees it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from clearbench.demo import SQL, Demo, DemoSteps
from clearbench.display.boards import EvaluationProgress, show_leaderboard
from clearbench.display.console import out, say, show_rows, warn
from clearbench.display.embedding import EmbedProgress
from clearbench.display.pretraining import PretrainProgress
from clearbench.display.progress import Bar

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
        f"drawing 60 synthetic patients under {folder / 'cohort'}; training a small LeCL encoder "
        f"on 36 of them under {folder / 'lecl'}; embedding and evaluating under {folder / 'store'}"
    )
    steps = DemoSteps(Drawing(), PretrainProgress(), EmbedProgress(), EvaluationProgress())
    with ExitStack() as shown:
        for bar in vars(steps).values():
            shown.enter_context(bar)
        demo = run(folder, steps)
    show_leaderboard(demo.leaderboard)
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


class Drawing(Bar):
    """A bar for the drawing of scans; without a terminal one line at the end."""

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` scans are drawn."""
        if done == 1:
            self.begin("drawing scans", total)
        self.move(done)
        if done == total:
            warn(f"{total} synthetic scans drawn")
