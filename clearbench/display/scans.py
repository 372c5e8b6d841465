"""Scans and cohorts, as a person sees them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from clearbench.cohort.table import Cohort
from clearbench.datasets.own.folder import BuiltCohort
from clearbench.datasets.series import NamedScan, people_notes
from clearbench.display.console import say, show_list, show_rows, warn
from clearbench.errors import counted, name_some
from clearbench.scans.found import Inventory

NAMES_SHOWN = 3


def show_inventory(inventory: Inventory, scans: Sequence[NamedScan]) -> None:
    """Print every scan with its geometry and problems, and the files left out by reason."""
    rows = [_scan_row(item) for item in scans]
    show_rows(rows, more="a wider terminal shows them, and -o FILE.csv has them")
    odd = [(item.scan_id, item.scan.error or "; ".join(item.scan.facts.problems)) for item in scans]
    for scan_id, problems in odd:
        if problems:
            warn(f"{scan_id}: {problems}")
    unreadable = sum(1 for item in scans if item.scan.error)
    noted = sum(1 for item in scans if item.scan.facts.notes and not item.scan.error)
    warn(
        counted(len(rows), "scan")
        + (f"; {noted} with notes" if noted else "")
        + (f"; {unreadable} of them can't be embedded as they are" if unreadable else "")
    )
    for note in people_notes(scans):
        warn(f"note: {note}")
    show_left_out_files(inventory)


def _scan_row(item: NamedScan) -> dict[str, object]:
    """Return one scan's cells."""
    scan, facts = item.scan, item.scan.facts
    spacing = " × ".join(f"{mm:.2f}" for mm in scan.spacing_mm if mm == mm)  # without NaN
    thickness = f"{facts.thickness_mm:g} mm" if facts.thickness_mm else ""
    return {
        "": "✗" if scan.error else "!" if facts.problems else "",
        "scan": item.scan_id,
        "path": item.place,
        "shape": " × ".join(map(str, scan.shape)),
        "spacing mm": spacing,
        "axes": scan.orientation,
        "thickness": thickness,
        "kernel": facts.kernel,
        "contrast": facts.contrast,
        "windows": ", ".join(scan.windows),
    }


def show_left_out(reasons: "Counter[str]") -> None:
    """Count the files that are not scans, by reason."""
    for reason, count in reasons.most_common():
        warn(f"left out: {count} × {reason}")


def show_left_out_files(inventory: Inventory) -> None:
    """Count the files that are not scans, by reason, with the names of the first ones."""
    names: dict[str, list[str]] = defaultdict(list)
    for item in inventory.left_out:
        names[item.reason].append(item.path.name)
    for reason, some in sorted(names.items(), key=lambda entry: -len(entry[1])):
        warn(f"left out: {len(some)} × {reason}: {name_some(some, NAMES_SHOWN)}")


def show_built(built: BuiltCohort, target: Path, pick: str) -> None:
    """Print what a cohort was made of, and what did not match."""
    labelled = len(built.scans) - len(built.unmatched_scans)
    say(f"{target}: {counted(len(built.scans), 'scan')}, {labelled} with labels")
    warn(f"one series per study, by: {pick}")
    for key, count in built.decided.most_common():
        studies = f"{count} stud{'ies' if count > 1 else 'y'} of several series"
        warn(f"  {studies}: decided by {key or 'nothing, see the ties'}")
    for note in built.notes:
        warn(f"note: {note}")
    ties = [" = ".join(tie) + f", took {tie[0]}" for tie in built.ties]
    show_list(ties, f"{len(ties)} ties")
    show_list(built.unmatched_labels, f"{len(built.unmatched_labels)} label rows without a scan")
    show_list(
        built.unmatched_scans,
        f"{counted(len(built.unmatched_scans), 'scan')} without a label row (kept, labels blank)",
    )
    show_list(built.without, f"{len(built.without)} studies without a usable series")
    show_list(built.unreadable, f"{len(built.unreadable)} series can't be embedded as they are")


def show_cohort(cohort: Cohort) -> None:
    """Print a cohort's size, its labels with their values, and its problems."""
    patients = len(set(cohort.column("patient_id")))
    say(
        f"{cohort.name}: {counted(cohort.table.num_rows, 'scan')} "
        f"of {counted(patients, 'patient')}{', public' if cohort.public else ''}"
    )
    rows = []
    for name in ("split", "site", *cohort.labels):
        values = cohort.column(name)
        if values:
            counts = Counter(value for value in values if value is not None)
            common = ", ".join(
                f"{value}: {count}" for value, count in sorted(counts.most_common(8))
            )
            rows.append(
                {
                    "column": name,
                    "values (scans)": common,
                    "blank": sum(value is None for value in values),
                }
            )
    if rows:
        show_rows(rows)
    for problem in cohort.problems:
        warn(f"note: {problem}")
