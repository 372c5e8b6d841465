"""Records of an encoder's checks; this module needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "warn", "skip"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: status, sentence, measured value, and its limit."""

    check: str
    status: Status
    sentence: str
    measured: float | None = None
    limit: str = ""


@dataclass(frozen=True)
class Conformance:
    """All findings about one encoder, with the card, weights and machine of the checks.

    random_weights  the card's network was checked with random weights
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
        """Whether no check failed; warnings and skipped checks are not failures."""
        return all(finding.status != "fail" for finding in self.findings)
