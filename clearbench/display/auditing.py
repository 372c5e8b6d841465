"""An audit, as a person sees it: where identifiers are, without showing them."""

from clearbench.display.console import say, show_list, show_rows, warn
from clearbench.errors import counted
from clearbench.store.auditing.audit import Audit

SHOWN = 200


def show_audit(done: Audit) -> None:
    """Print what was looked for, where it was found, and what could not be searched."""
    wanted = done.wanted
    headers = f" of {counted(wanted.files, 'DICOM file')}" if wanted.files else ""
    looked_for = counted(len(wanted.identifiers), "identifier")
    warn(f"looked for {looked_for}{headers}, in {counted(done.files, 'file')}")
    for reason, count in wanted.left_out:
        warn(f"not looked for: {count} × {reason}")
    rows = [
        {
            "file": finding.path,
            "where": finding.where,
            "what": finding.kind,
            "how many": finding.count,
            "such as": finding.example,
            "kept there": finding.kept,
        }
        for finding in done.findings[:SHOWN]
    ]
    if rows:
        show_rows(rows)
    if len(done.findings) > SHOWN:
        warn(f"… and {len(done.findings) - SHOWN} more lines; --json has all")
    show_list(done.skipped, f"{len(done.skipped)} left out", len(done.skipped))
    gaps = [f"{path}: {why}" for path, why in done.unsearched]
    show_list(gaps, f"{len(gaps)} not searched, so they may have anything", len(gaps))
    files = len({finding.path for finding in done.findings})
    if files:
        say(f"found: identifiers in {counted(files, 'place')}")
    elif gaps:
        say("nothing was found, but not everything could be searched")
    else:
        say("nothing was found")
