"""The demo, as a person sees it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from clearbench.demo import SQL, Demo, DemoSteps
from clearbench.display.boards import EvaluationProgress, show_leaderboard
from clearbench.display.console import out, say, say_lines, show_rows, warn
from clearbench.display.embedding import EmbedProgress
from clearbench.display.pretraining import PretrainProgress
from clearbench.display.progress import Bar

WHAT_IT_IS = (
    "This is a test of the software on a synthetic cohort, made by a computer from a seed: it "
    "shows that every step runs here. It is not evidence about any encoder or about patients."
)


def show_demo(run: Callable[[Path, DemoSteps], Demo], folder: Path) -> None:
    """Run the demo and show each step, its boards, one SQL answer, and what to type next."""
    start = time.monotonic()
    warn(WHAT_IT_IS)
    warn(
        f"60 synthetic patients go to {folder / 'cohort'}, a small LeCL encoder trained on 36 of "
        f"them to {folder / 'lecl'}, features and results to {folder / 'store'}"
    )
    steps = DemoSteps(ScanProgress(), PretrainProgress(), EmbedProgress(), EvaluationProgress())
    with ExitStack() as shown:
        for bar in vars(steps).values():
            shown.enter_context(bar)
        demo = run(folder, steps)
    show_leaderboard(demo.leaderboard)
    out.print(
        "\n[bold]One question in SQL:[/] the slices with most attention, of patients with disease"
    )
    say_lines(SQL)
    show_rows(demo.answer.to_pylist())
    say("")
    say(WHAT_IT_IS)
    say(f"Done in {time.monotonic() - start:.0f} s. What to type next:")
    for line in (
        f'clearbench query "SELECT * FROM scans LIMIT 5" --store {demo.store}',
        f"clearbench leaderboard --store {demo.store}",
        "clearbench scans FOLDER                    your own scans: what would be read",
        "clearbench cohort build folder FOLDER --labels labels.csv --on PatientID -o cohort.csv",
        "clearbench embed cohort.csv --model efficientnet-lite0",
    ):
        say(f"  {line}")


class ScanProgress(Bar):
    """A bar while synthetic scans are made; without a terminal one line at the end."""

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` scans are made."""
        if done == 1:
            self.begin("making scans", total)
        self.move(done)
        if done == total:
            warn(f"{total} synthetic scans made")
