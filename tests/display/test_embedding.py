"""Failed scans are counted by reason, the most frequent first; --verbose names every one."""

from typing import Any

import pytest

from clearbench.display.embedding import EmbedProgress, show_report
from clearbench.engines.events import EmbedReport, EmbedStarted, EncoderRun, ScanOutcome

STARTED = EmbedStarted("tiny", "ab" * 32, 8, ("brain", "bone"), "float32", "cpu", 9)
LOST = "the path does not exist"
TORN = "slice 2 of 7 is truncated"


def outcome(number: int, status: Any, **facts: Any) -> ScanOutcome:
    return ScanOutcome(f"s{number}", f"/data/ct/{number}.nii.gz", status, **facts)


OUTCOMES = (
    outcome(0, "failed", reason=TORN),
    *(outcome(number, "failed", reason=LOST) for number in range(1, 6)),
    outcome(6, "written", slices=3, problems=("a single slice",)),
    outcome(7, "written", slices=3, problems=("a single slice",)),
    ScanOutcome("084", "/data/ct/084", "written", 3, problems=("slice 36 lacks bone",)),
)


def report(*outcomes: ScanOutcome) -> EmbedReport:
    return EmbedReport("mine", "store", (EncoderRun(STARTED, outcomes, 1.0),))


def test_one_line_per_reason_by_frequency(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(*OUTCOMES))
    said = capsys.readouterr()
    assert "3 scans, 9 slices written   ↷ 0 done before   ✗ 6 failed" in said.out
    assert said.err.splitlines() == [
        "failed (--verbose lists every scan):",
        f"  5 × {LOST}: s1 (ct/1.nii.gz), s2 (ct/2.nii.gz), s3 (ct/3.nii.gz) and 2 more",
        f"  1 × {TORN}: s0 (ct/0.nii.gz)",
        "3 scans have notes:",
        "  2 × a single slice: s6 (ct/6.nii.gz), s7 (ct/7.nii.gz)",
        "  1 × slice 36 lacks bone: 084",
    ]


def test_verbose_names_every_scan_with_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(*OUTCOMES), verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "failed:",
        f"  s0  /data/ct/0.nii.gz: {TORN}",
        f"  s1  /data/ct/1.nii.gz: {LOST}",
    ]
    assert sum(LOST in line for line in lines) == 5
    assert "  s7  /data/ct/7.nii.gz: a single slice" in lines


def test_without_failures_no_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report(outcome(1, "written", slices=3)))
    said = capsys.readouterr()
    assert said.err == ""
    assert "next: clearbench query" in said.out
    assert "clearbench tasks new NAME --cohort mine --labels COLUMNS --store store" in said.out


@pytest.mark.parametrize(
    ("own", "words"),
    [(True, "views brain, bone (from the images) ·"), (False, "views brain, bone ·")],
)
def test_the_source_of_the_views_is_shown(
    own: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmbedProgress() as show:
        show(EmbedStarted(**{**vars(STARTED), "views_from_images": own}))
    assert words in capsys.readouterr().err
