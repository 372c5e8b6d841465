"""What the checks of an encoder found: records, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "warn", "skip"]


@dataclass(frozen=True)
class CheckResult:
    """One check: how it ended, the value measured, what is allowed, and a sentence about it."""

    check: str
    status: Status
    sentence: str
    measured: float | None = None
    limit: str = ""


@dataclass(frozen=True)
class Conformance:
    """All findings about one encoder, and what they hold for.

    random_weights  the card's network was checked, with weights that are not the card's
    cores           processor cores that this process may use
    """

    encoder: str
    title: str
    card_sha256: str
    weights_sha256: str
    fingerprint: str
    random_weights: bool
    views: tuple[str, ...]
    precision: str
    device: str
    cores: int
    versions: Mapping[str, str]
    findings: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed; warnings and skipped checks are no failures."""
        return all(finding.status != "fail" for finding in self.findings)
