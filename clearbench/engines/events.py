"""Events of an engine while it works, and its report."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EmbedStarted:
    """One encoder starts: the facts of its features.

    views_from_images: the views are the windows of images that were windowed before.
    """

    encoder: str
    fingerprint: str
    dim: int
    views: tuple[str, ...]
    precision: str
    device: str
    scans: int
    views_from_images: bool = False


@dataclass(frozen=True)
class ScanOutcome:
    """One scan is finished: written, skipped because its features exist, or failed."""

    scan_id: str
    path: str
    status: Literal["written", "skipped", "failed"]
    slices: int = 0
    reason: str = ""
    problems: tuple[str, ...] = ()


OnEvent = Callable[[EmbedStarted | ScanOutcome], None]


@dataclass(frozen=True)
class EncoderRun:
    """One encoder's run on a list of scans; `shares` of time: read, prepare, net, write.

    `notes` say what went otherwise than asked.
    """

    started: EmbedStarted
    outcomes: tuple[ScanOutcome, ...]
    seconds: float
    shares: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, status: str) -> tuple[ScanOutcome, ...]:
        """Return the outcomes of one status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)

    @property
    def slices(self) -> int:
        """Return the number of written slices."""
        return sum(outcome.slices for outcome in self.of("written"))


@dataclass(frozen=True)
class EmbedReport:
    """The report of `embed`, by encoder; `left_out` counts files that are not scans, by reason."""

    cohort: str
    store: str
    runs: tuple[EncoderRun, ...]
    left_out: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[str, str]:
        """Return the reason for each failed scan, by scan id."""
        return {
            outcome.scan_id: outcome.reason for run in self.runs for outcome in run.of("failed")
        }
