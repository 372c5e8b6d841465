"""What can go, what goes with a patient, and the proof that it is gone."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import MofNCompleteColumn, TextColumn

from clearbench.display.console import say, show_list, show_rows, warn
from clearbench.display.progress import Bar
from clearbench.errors import counted, name_some
from clearbench.store.forgetting.forget import Plan
from clearbench.store.forgetting.search import Searched
from clearbench.store.forgetting.traces import Trace
from clearbench.store.garbage import CohortWeight, FoundGarbage, Garbage, size_of

NAMED = 3
WHOLE = ("features", "draft", "slices")  # kinds of traces whose file goes whole


class SearchProgress(Bar):
    """Show how many files are searched: a bar on a terminal, nothing without one."""

    def __init__(self) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("files ·"))

    def __call__(self, done: int, total: int) -> None:
        """Show one more file."""
        if done == 1:
            self.begin("searching", total)
        self.move(done)


def show_garbage(found: FoundGarbage, freed: int | None, *, other_sets: bool) -> None:
    """Print what can go, by kind, and how much it is; `freed` bytes if it went."""
    now = [item for item in found.items if item.kind != "other set" or other_sets]
    later = [item for item in found.items if item not in now]
    _show_items(now)
    for note in found.notes:
        warn(f"note: {note}")
    if freed is not None:
        say(f"deleted: {_mb(freed)}")
    elif now:
        size = sum(item.size for item in now)
        say(f"{_mb(size)} can go; nothing was deleted: type --delete to do it")
    else:
        say("nothing can go")
    if later:
        more = _mb(sum(item.size for item in later))
        say("")
        say(f"sets with other views or precision, {more}: --delete --other-sets deletes them too")
        _show_items(later)


def _show_items(items: Sequence[Garbage]) -> None:
    """Print a line per item."""
    if items:
        show_rows(
            [
                {"what": item.kind, "MB": _number(item.size), "name": item.name, "why": item.reason}
                for item in items
            ]
        )


def _mb(size: int) -> str:
    """Return bytes as MB."""
    return f"{_number(size)} MB"


def _number(size: int) -> str:
    """Return the number of MB with two digits behind the point."""
    return f"{size / 1e6:.2f}"


def show_cohort_to_remove(cohort: CohortWeight) -> None:
    """Print what a cohort has, and what stays of it."""
    say(
        f"{cohort.name}: {counted(cohort.scans, 'scan')} of "
        f"{counted(cohort.patients, 'patient')}, labels {', '.join(cohort.labels) or 'none'}"
    )
    say(
        f"features of {cohort.name}: {counted(cohort.files, 'file')}, {_mb(cohort.size)}; they "
        "stay until `clearbench store gc --delete`, and results stay"
    )


def show_plan(plan: Plan) -> None:
    """Print who leaves, what goes, and what is not removed."""
    leaving = plan.leaving
    if plan.resumed:
        warn("note: an earlier run began this and did not finish")
    cohorts = name_some(sorted(leaving.cohorts)) or "–"
    say(
        f"{name_some(sorted(leaving.patients))} in cohort {cohorts}: "
        f"{_scans(sorted({scan for _, scan in leaving.scans}))}; "
        f"paths and identifiers in clear: {len(leaving.identifiers)}"
    )
    show_rows(_rows(plan), "what goes (catalogue.duckdb is made again)")
    show_list(plan.outside, "what is not removed", shown=len(plan.outside))


def _scans(scans: Sequence[str]) -> str:
    """Count scans and name the first."""
    return f"{counted(len(scans), 'scan')} ({name_some(scans)})" if scans else "no scan"


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """Return one line per kind of trace."""
    groups: dict[str, list[Trace]] = defaultdict(list)
    for trace in plan.traces:
        groups[trace.kind].append(trace)
    return [
        {
            "what": kind,
            "files": len(some),
            "rows": sum(trace.rows for trace in some) or None,
            "MB": _number(sum(size_of(t.path) for t in some)) if kind in WHOLE else "",
            "how": _how(kind, some),
            "where": name_some([_short(trace.path, plan.store.root) for trace in some], NAMED),
        }
        for kind, some in groups.items()
    ]


def _short(path: Path, root: Path) -> str:
    """Return a path within the store, or as it is."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _how(kind: str, traces: Sequence[Trace]) -> str:
    """Say what happens to the files of a kind."""
    if kind in WHOLE:
        return "deleted"
    if kind == "result":
        marked = sum(trace.mark is not None for trace in traces)
        return f"{marked} marked: made with a patient who left"
    return "rows leave"


def show_proof(plan: Plan, proof: Searched) -> None:
    """Print what the search found: nothing, or the files that still have an id."""
    mentions = plan.leaving.mentions
    if proof.found:
        show_list(
            proof.found, "NOT CLEAN: these still have something of a patient", len(proof.found)
        )
        say(
            "remove these (of a cohort, take the text out of its table, and add that table again), "
            "and run the same command again: it searches again for all ids"
        )
        return
    patients = name_some(sorted(plan.leaving.patients))
    others = len(mentions.names - plan.leaving.patients)
    say(
        f"searched {counted(proof.files, 'file')}: none has {patients}, or one of {others} other "
        "ids and paths"
    )
    if mentions.short:
        say(
            f"so short that it may be any word: {len(mentions.short)} of these; searched for in "
            "columns of ids, names of files and notes of results only"
        )
