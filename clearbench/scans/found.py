"""What was found under a path: one record per scan, and the files left out."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from clearbench.scans.dicom.records import Identity, LeftOut
from clearbench.scans.volume import ScanFacts


@dataclass(frozen=True)
class FoundScan:
    """One scan, from its headers; `error` is why it can't be read, "" if it can.

    `path` is the folder or file to read. `identity` (DICOM only) is in clear and is never stored.
    `window` is the user's, of 8-bit images that lie in no folder of a window's name.
    `dynamic` is True for one time point of several, such as of a perfusion or a gated scan.
    """

    path: Path
    kind: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    identity: Identity | None = None
    facts: ScanFacts = field(default_factory=ScanFacts)
    windows: tuple[str, ...] = ()
    window: str = ""
    dynamic: bool = False
    error: str = ""


@dataclass(frozen=True)
class Inventory:
    """Every scan under a root, in path order, and the files that aren't scans."""

    root: Path
    scans: tuple[FoundScan, ...]
    left_out: tuple[LeftOut, ...]

    def reasons(self) -> Counter[str]:
        """Return how many files were left out for each reason."""
        return Counter(item.reason for item in self.left_out)


def by_path(scan: FoundScan) -> tuple[Path, str]:
    """Return the sort key of a scan."""
    return scan.path, scan.identity.series_uid if scan.identity else ""
