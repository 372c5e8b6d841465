"""Pretraining, as a person sees it: a bar with loss and rate, a line an epoch, what was written."""

from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clearbench.display.console import err, say, show_list, warn

SHOWN = 10


class PretrainProgress:
    """Show events as they come: a bar on a terminal, and one line an epoch everywhere."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task("reading", total=None, facts="")
        self._epochs = 0

    def __enter__(self) -> "PretrainProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def scanned(self, done: int, total: int) -> None:
        """Count scans that were read into stacks."""
        self._bar.update(self._task, completed=done, total=total, facts=f"{done}/{total} scans ·")
        if not err.is_terminal and done == total:
            warn(f"{total} scans read")

    def __call__(self, event: Any) -> None:
        """Show one event of a pretraining."""
        show = {
            "PretrainStarted": self._started,
            "StepDone": self._step,
            "EpochFacts": self._epoch,
            "Collapsed": self._collapsed,
        }
        show[type(event).__name__](event)

    def _started(self, event: Any) -> None:
        """Head the work."""
        processes = f" × {event.processes} processes" if event.processes > 1 else ""
        warn(
            f"{event.name} · {event.net}, {event.parameters_m} M parameters · {event.precision} on "
            f"{event.device}{processes}"
        )
        warn(
            f"{event.slices:,} slices, {event.lesion_slices:,} with a lesion, of "
            f"{event.patients:,} patients · {event.steps_per_epoch:,} steps an epoch"
        )
        if event.resumed_after:
            warn(f"going on after epoch {event.resumed_after} of {event.epochs}")
        self._epochs = event.epochs
        total = event.epochs * event.steps_per_epoch
        done = event.resumed_after * event.steps_per_epoch
        self._bar.update(self._task, description="training", total=total, completed=done, facts="")

    def _step(self, event: Any) -> None:
        """Move the bar."""
        facts = (
            f"epoch {event.epoch}/{self._epochs} · loss {event.loss:.3f} · lr {event.lr:.1e} · "
            f"{event.slices_per_s:.1f} slices/s ·"
        )
        done = (event.epoch - 1) * event.steps + event.step
        self._bar.update(self._task, completed=done, facts=facts)

    def _epoch(self, event: Any) -> None:
        """Write one line."""
        knn = "" if event.knn is None else f" · k-NN {event.knn:.2f} (chance {event.chance:.2f})"
        warn(
            f"epoch {event.epoch}/{self._epochs} · loss {event.loss:.4f} · lr {event.lr:.1e} · "
            f"{event.slices_per_s:.1f} slices/s{knn} · spread {event.spread:.2f}"
        )

    def _collapsed(self, event: Any) -> None:
        """Raise the alarm."""
        warn(
            f"ALARM epoch {event.epoch}: features have collapsed (spread {event.spread:.3f}); "
            "lower --lr, raise --batch-size, or raise --momentum"
        )


def show_pretrained(done: Any) -> None:
    """Say what was written, and what to type next: a Pretrained."""
    last = done.history[-1]
    say(f"{done.name}: {len(done.history)} epochs, loss {last.loss:.4f}")
    say(f"written: {done.card}, {done.weights.name}; {done.folder}/log.json, loss.png")
    if done.problems:
        more = len(done.problems) - SHOWN
        rest = [f"and {more} more"] if more > 0 else []
        show_list([*done.problems[:SHOWN], *rest], f"✗ {len(done.problems)} left out")
    say(f"next: clearbench embed SCANS --model {done.name} --registry {done.card.parent}")
