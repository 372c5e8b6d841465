"""Pretraining, as a person sees it: a bar with loss and rate, one line per epoch, the files."""

from typing import Any

from rich.progress import TextColumn

from clearbench.display.console import say, show_list, warn
from clearbench.display.progress import Bar


class PretrainProgress(Bar):
    """Show events as they come: a bar on a terminal, and one line per epoch everywhere."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.fields[facts]} ·"))
        self._epochs = 0

    def scanned(self, done: int, total: int) -> None:
        """Show how many scans were read into stacks."""
        if done == 1:
            self.begin("reading", total, facts="")
        self.move(done, facts=f"{done}/{total} scans")
        if done == total:
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
        """Print network, device and data, and start the bar."""
        processes = f" × {event.processes} processes" if event.processes > 1 else ""
        warn(
            f"{event.name} · {event.net}, {event.parameters_m} M parameters · {event.precision} on "
            f"{event.device}{processes}"
        )
        warn(
            f"{event.slices:,} slices, {event.lesion_slices:,} with a lesion, of "
            f"{event.patients:,} patients · {event.steps_per_epoch:,} steps per epoch"
        )
        if event.resumed_after:
            warn(f"continuing after epoch {event.resumed_after} of {event.epochs}")
        self._epochs = event.epochs
        total = event.epochs * event.steps_per_epoch
        self.begin("training", total, event.resumed_after * event.steps_per_epoch, facts="")

    def _step(self, event: Any) -> None:
        """Move the bar."""
        facts = (
            f"epoch {event.epoch}/{self._epochs} · loss {event.loss:.3f} · lr {event.lr:.1e} · "
            f"{event.slices_per_s:.1f} slices/s"
        )
        self.move((event.epoch - 1) * event.steps + event.step, facts=facts)

    def _epoch(self, event: Any) -> None:
        """Print the line of one epoch."""
        knn = "" if event.knn is None else f" · k-NN {event.knn:.2f} (chance {event.chance:.2f})"
        warn(
            f"epoch {event.epoch}/{self._epochs} · loss {event.loss:.4f} · lr {event.lr:.1e} · "
            f"{event.slices_per_s:.1f} slices/s{knn} · spread {event.spread:.2f}"
        )

    def _collapsed(self, event: Any) -> None:
        """Print an alarm: all features are nearly the same."""
        warn(
            f"ALARM epoch {event.epoch}: features have collapsed (spread {event.spread:.3f}); "
            "lower --lr, raise --batch-size, or raise --momentum"
        )


def show_pretrained(done: Any) -> None:
    """Print what was written, and what to type next: a Pretrained."""
    last = done.history[-1]
    say(f"{done.name}: {len(done.history)} epochs, loss {last.loss:.4f}")
    say(f"written: {done.card}, {done.weights.name}; {done.folder}/log.json, loss.png")
    show_list(done.problems, f"✗ {len(done.problems)} left out")
    say(f"next: clearbench embed SCANS --model {done.name} --registry {done.card.parent}")
