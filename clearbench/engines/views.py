"""The views of images that were windowed before: the windows of their folders, or of the table."""

from collections import defaultdict
from collections.abc import Sequence

from clearbench.cohort.table import Cohort, ScanRow
from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadArgument, counted, name_some
from clearbench.scans.images import window_folders
from clearbench.windows import WINDOWS_HU

Windows = tuple[str, ...]


def windows_of_images(card: EncoderCard, cohort: Cohort) -> Windows:
    """Return the windows that all scans of a cohort have, in the order of WINDOWS_HU.

    Returns () for scans in HU, and for a card whose views the windows can't replace: fixed ones,
    raw HU, windows stacked as channels. Folders are listed, and no pixel is read; scans that are
    missing or empty don't count. Raises BadArgument if the scans have different windows.
    """
    seen = card.input
    if seen is None or seen.views != "free" or seen.channels != "repeat":
        return ()
    scans: dict[Windows, list[str]] = defaultdict(list)
    for row in cohort.rows():
        windows = _windows(row)
        if windows is not None:
            scans[windows].append(row.scan_id)
    if len(scans) > 1:
        raise BadArgument("views", "", _different(cohort.name, scans))
    return next(iter(scans), ())


def _windows(row: ScanRow) -> Windows | None:
    """Return a scan's windows, () for HU, None where nothing can be read."""
    if row.window:
        return (row.window.lower(),)
    if row.series_id or row.path.is_file():
        return ()
    try:
        found = window_folders(row.path)
        if not found:
            return () if any(row.path.iterdir()) else None
    except OSError:  # missing or closed: the reader reports it, and it costs this scan alone
        return None
    return tuple(name for name in WINDOWS_HU if name in found)


def _different(cohort: str, scans: dict[Windows, list[str]]) -> str:
    """Return which windows the scans have, and which views can be chosen."""
    known = [{name.split("=")[0] for name in windows} for windows in scans if windows]
    # Views that every scan has, if there are any: scans in HU can have all of them.
    common = set.intersection(*known) or set.union(*known)
    groups = "; ".join(
        f"{', '.join(windows) or 'HU'} ({_count(ids)})" for windows, ids in scans.items()
    )
    choice = ",".join(name for name in WINDOWS_HU if name in common)
    return f"scans of cohort {cohort} have different windows: {groups}; choose views, e.g. {choice}"


def _count(ids: Sequence[str]) -> str:
    """Return how many scans these are, and the first of them."""
    return f"{counted(len(ids), 'scan')}: {name_some(ids, 3)}"
