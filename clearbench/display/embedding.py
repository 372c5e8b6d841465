"""Embedding, as a person sees it: progress, one line per scan without a terminal, the report."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.progress import MofNCompleteColumn, TextColumn

from clearbench.display.console import err, out, say, show_list, store_option, warn
from clearbench.display.progress import Bar
from clearbench.display.scans import show_left_out
from clearbench.engines.events import EmbedReport, EmbedStarted, EncoderRun, ScanOutcome
from clearbench.errors import counted, name_some
from clearbench.store.feature_store import Verified

EXAMPLES = 3  # scans that are named per reason


class EmbedProgress(Bar):
    """Show events as they come: a bar on a terminal, else one line per scan on standard error."""

    def __init__(self) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("scans · {task.fields[rate]} slices/s ·"))
        self._start = time.monotonic()
        self._slices = 0
        self._done = 0
        self._total = 0

    def __call__(self, event: EmbedStarted | ScanOutcome) -> None:
        """Show one event."""
        if isinstance(event, EmbedStarted):
            self._started(event)
        else:
            self._finished(event)

    def _started(self, event: EmbedStarted) -> None:
        """Print the facts of one encoder's work, and start its bar."""
        views = ", ".join(event.views) + (" (from the images)" if event.views_from_images else "")
        warn(
            f"{event.encoder} · {event.dim}-d · views {views} · {event.precision} on "
            f"{event.device} · features {event.fingerprint[:8]}"
        )
        self.begin("embedding", event.scans, rate="–")
        self._start, self._slices, self._done, self._total = time.monotonic(), 0, 0, event.scans

    def _finished(self, event: ScanOutcome) -> None:
        """Count one scan."""
        self._slices += event.slices
        self._done += 1
        seconds = max(time.monotonic() - self._start, 1e-9)  # never divide by 0
        rate = f"{self._slices / seconds:.1f}"
        if err.is_terminal:
            self.move(self._done, rate=rate)
        else:
            more = event.reason or "; ".join(event.problems)
            warn(
                f"[{self._done}/{self._total}] {event.scan_id} {event.status} {event.slices} "
                f"slices · {rate} slices/s{f' · {more}' if more else ''}"
            )


def show_damaged(faults: list[str]) -> None:
    """Warn of files that can't be used; answers are made without them."""
    count = "1 damaged file is" if len(faults) == 1 else f"{len(faults)} damaged files are"
    show_list(faults, f"note: {count} left out (`clearbench store verify` lists all)")


def show_verified(checked: Verified) -> None:
    """Show how many feature files are whole, and each file that is not."""
    say(f"{checked.intact} feature files are intact, {len(checked.damaged)} are not")
    if checked.older:
        warn(
            f"note: {checked.older} of them are of an older version, and have a checksum of their "
            "features only: nothing else in them could be compared"
        )
    for faults, title in ((checked.damaged, "damaged"), (checked.others, "other files at fault")):
        show_list(faults, title, shown=len(faults))


def show_report(report: EmbedReport, *, dry_run: bool = False, verbose: bool = False) -> None:
    """Show what was written, skipped and failed, the shares of time, and what to type next.

    Failed scans are grouped by reason; `verbose` lists each of them with its path.
    """
    for run in report.runs:
        _show_run(run, dry_run, verbose, named=len(report.runs) > 1)
    for note in report.notes:
        warn(f"note: {note}")
    show_left_out(Counter(dict(report.left_out)))
    written = [run.started.encoder for run in report.runs if run.of("written")]
    if written and not dry_run:
        models = " ".join(f"--model {name}" for name in written)
        store = store_option(report.store)
        say(f'next: clearbench query "SELECT * FROM scans LIMIT 5"{store}')
        say(f"      clearbench tasks new NAME --cohort {report.cohort} --labels COLUMNS{store}")
        say(f"      clearbench evaluate --task NAME {models}{store}")


def _show_run(run: EncoderRun, dry_run: bool, verbose: bool, *, named: bool) -> None:
    """Show what one encoder did; with its name, if there are several."""
    written, skipped, failed = (run.of(status) for status in ("written", "skipped", "failed"))
    if dry_run:
        say(
            f"{run.started.encoder}: {counted(len(written), 'scan')} would be embedded, "
            f"{len(skipped)} are done"
        )
        return
    out.print(
        f"[green]✓[/] {f'{run.started.encoder}: ' if named else ''}"
        f"{counted(len(written), 'scan')}, {counted(run.slices, 'slice')} written   "
        f"↷ {len(skipped)} done before   "
        f"{'[red]✗[/]' if failed else '✗'} {len(failed)} failed"
    )
    _show_reasons(failed, lambda outcome: outcome.reason, "failed", verbose)
    odd = [outcome for outcome in written if outcome.problems]
    title = f"{len(odd)} scan{'s have notes' if len(odd) > 1 else ' has notes'}"
    _show_reasons(odd, lambda outcome: "; ".join(outcome.problems), title, verbose)
    for note in run.notes:
        warn(f"note: {note}")
    if run.slices:
        shares = " · ".join(f"{step} {share:.0%}" for step, share in run.shares)
        say(f"{run.slices / run.seconds:.1f} slices/s; time: {shares}")


def _show_reasons(
    outcomes: Iterable[ScanOutcome],
    reason: Callable[[ScanOutcome], str],
    title: str,
    verbose: bool,
) -> None:
    """Print one line per reason, the most frequent first; or one per scan."""
    if verbose:
        lines = [f"{each.scan_id}  {each.path}: {reason(each)}" for each in outcomes]
        show_list(lines, title, shown=len(lines))
        return
    groups: dict[str, list[str]] = defaultdict(list)
    for each in outcomes:
        groups[reason(each)].append(_scan_name(each))
    common = sorted(groups.items(), key=lambda group: -len(group[1]))
    some = any(len(scans) > EXAMPLES for _, scans in common)
    show_list(
        [f"{len(scans)} × {text}: {name_some(scans, EXAMPLES)}" for text, scans in common],
        f"{title} (--verbose lists every scan)" if some else title,
        shown=len(common),
    )


def _scan_name(outcome: ScanOutcome) -> str:
    """Return a scan's id, and the end of its path where that is another name."""
    *_, folder, name = ("", *Path(outcome.path).parts)
    return outcome.scan_id if name == outcome.scan_id else f"{outcome.scan_id} ({folder}/{name})"
