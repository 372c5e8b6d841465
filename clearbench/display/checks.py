"""What the checks of an encoder found, as text that can be pasted into a pull request."""

from collections.abc import Sequence
from typing import Any

from clearbench.display.console import say, warn
from clearbench.encoders.conformance.findings import CheckResult, Conformance

COLUMNS = ("check", "result", "measured", "limit", "what it says")
RANDOM = (
    "**RANDOM WEIGHTS**: the network of the card was checked with seeded random weights; "
    "this says nothing of the real ones."
)


def show_conformance(found: Conformance) -> None:
    """Print a report in Markdown: what was checked, on what, and a table of all findings."""
    say(f"## models check {found.encoder}: {'passed' if found.passed else 'FAILED'}")
    say("")
    if found.random_weights:
        say(RANDOM)
        say("")
    for line in _header(found):
        say(f"- {line}")
    say("")
    for line in _table([_row(finding) for finding in found.findings]):
        say(line)
    say("")
    say(_counts(found.findings))


def _header(found: Conformance) -> list[str]:
    """Say which card and weights were checked, and on what."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return [
        f"encoder: {found.encoder} ({found.title})",
        f"card sha256: {found.card_sha256}",
        f"weights sha256: {found.weights_sha256}",
        f"fingerprint: {found.fingerprint[:8]} ({', '.join(found.views)}; {found.precision})",
        f"libraries: {versions}",
        f"device: {found.device}, {found.cores} cores",
    ]


def _row(finding: CheckResult) -> tuple[str, ...]:
    """Write one finding's cells."""
    measured = "" if finding.measured is None else f"{finding.measured:.6g}"
    result = finding.status.upper() if finding.status == "fail" else finding.status
    sentence = finding.sentence.replace("|", "/").replace("\n", " ")
    return (finding.check, result, measured, finding.limit, sentence)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Write rows as a Markdown table whose columns also line up as plain text."""
    *narrow, last = range(len(COLUMNS))
    widths = [max(len(row[column]) for row in (COLUMNS, *rows)) for column in narrow]
    rule = [*("-" * width for width in widths), "---"]
    return [
        f"| {' | '.join(row[c].ljust(widths[c]) for c in narrow)} | {row[last]} |"
        for row in (COLUMNS, rule, *rows)
    ]


def _counts(findings: Sequence[CheckResult]) -> str:
    """Count the findings by how they ended."""
    ends = [finding.status for finding in findings]
    warnings = "warning" if ends.count("warn") == 1 else "warnings"
    named = {"pass": "passed", "fail": "failed", "warn": warnings, "skip": "skipped"}
    return ", ".join(f"{ends.count(end)} {word}" for end, word in named.items() if end in ends)


def show_frozen(frozen: Any) -> None:
    """Say which reference vectors were written: a WrittenVectors."""
    slices, views, dim = frozen.vectors.features.shape
    kilobytes = frozen.path.stat().st_size / 1000
    say(f"written: {frozen.path} ({slices} slices, {views} views, {dim}-d, {kilobytes:.0f} kB)")
    warn("keep it with the card: `clearbench models check` compares with it")


def show_golden(check: Any) -> None:
    """Say how far a network is from the published one: a GoldenCheck."""
    sizes = ", ".join(f"{key} {value}" for key, value in check.sizes.model_dump().items())
    say(f"{check.net}: {sizes}")
    say(f"{check.tensors} tensors loaded strictly; input {' × '.join(map(str, check.images))}")
    verdict = "agrees" if check.agrees else "DIFFERS (1e-4 is allowed)"
    say(
        f"largest difference {check.largest_difference:.2e} in features up to "
        f"{check.largest_feature:.2f}: {verdict}"
    )
