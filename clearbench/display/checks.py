"""Findings about an encoder, as text that can be pasted into a pull request."""

from collections.abc import Sequence
from typing import Any

from clearbench.display.console import say, warn
from clearbench.encoders.conformance.findings import CheckResult, Conformance
from clearbench.errors import counted

COLUMNS = ("check", "result", "measured", "limit", "finding")
RANDOM = (
    "**RANDOM WEIGHTS**: the network of the card was checked with seeded random weights, "
    "and its real weights were not."
)


def show_conformance(found: Conformance) -> None:
    """Print a report in Markdown: encoder and machine, then a table of all findings."""
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
    """Return the lines that name card, weights, libraries and machine."""
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
    """Return one finding's cells."""
    measured = "" if finding.measured is None else f"{finding.measured:.6g}"
    result = finding.status.upper() if finding.status == "fail" else finding.status
    # a bar would begin another cell, and a line break another row
    sentence = finding.sentence.replace("|", "/").replace("\n", " ")
    return (finding.check, result, measured, finding.limit, sentence)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table with columns that also line up as plain text."""
    *narrow, last = range(len(COLUMNS))
    widths = [max(len(row[column]) for row in (COLUMNS, *rows)) for column in narrow]
    rule = [*("-" * width for width in widths), "---"]
    return [
        f"| {' | '.join(row[c].ljust(widths[c]) for c in narrow)} | {row[last]} |"
        for row in (COLUMNS, rule, *rows)
    ]


def _counts(findings: Sequence[CheckResult]) -> str:
    """Return how many findings have each status."""
    found = [finding.status for finding in findings]
    warnings = "warning" if found.count("warn") == 1 else "warnings"
    words = {"pass": "passed", "fail": "failed", "warn": warnings, "skip": "skipped"}
    return ", ".join(f"{found.count(key)} {word}" for key, word in words.items() if key in found)


def show_vectors(written: Any) -> None:
    """Name the file of reference vectors that was written, and its size."""
    slices, views, dim = written.vectors.features.shape
    kilobytes = written.path.stat().st_size / 1000
    say(
        f"written: {written.path} ({counted(slices, 'slice')}, {counted(views, 'view')}, "
        f"{dim}-d, {kilobytes:.0f} kB)"
    )
    warn("keep it with the card: `clearbench models check` compares features with it")


def show_golden(check: Any) -> None:
    """Print the largest difference between a network and the published one: a GoldenCheck."""
    sizes = ", ".join(f"{key} {value}" for key, value in check.sizes.model_dump().items())
    say(f"{check.net}: {sizes}")
    say(f"{check.tensors} tensors loaded strictly; input {' × '.join(map(str, check.images))}")
    verdict = "agrees" if check.agrees else "DIFFERS (1e-4 is allowed)"
    say(
        f"largest difference {check.largest_difference:.2e} in features up to "
        f"{check.largest_feature:.2f}: {verdict}"
    )
