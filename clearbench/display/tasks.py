"""A checked task, as a person sees it."""

from pathlib import Path

from clearbench.checked_task import CheckedTask
from clearbench.display.boards import show_stale
from clearbench.display.console import say, show_list


def show_checked(checked: CheckedTask, group_copies: Path | None = None) -> None:
    """Print a task's size, notes, alarms and stale results, and what was written."""
    for summary in checked.summaries:
        say(summary)
    show_list(checked.notes, "note")
    alarms = [f"{found.guard}: {found.says}" for found in checked.findings if found.alarm]
    show_list(alarms, "ALARM")
    for found in checked.findings:
        if not found.alarm:
            say(f"  {found.guard}: {found.says}")
    show_stale(checked.stale)
    if group_copies is not None:
        what = f"{checked.grouped} patients would become another one"
        say(
            f"{group_copies}: {what}; look at it, then: clearbench cohort add {group_copies}"
            if checked.grouped
            else "no copies to group; nothing is written"
        )
