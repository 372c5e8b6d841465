import pytest

from clearbench.display.checks import show_conformance
from clearbench.encoders.conformance.findings import CheckResult, Conformance


def report(*findings: CheckResult) -> Conformance:
    return Conformance(
        "mine", "Mine [beta]", "ab", "cd", "ef01234567", False, ("lung",), "float32", "cpu", 2,
        {"torch": "2"}, findings,
    )  # fmt: skip


def test_a_sentence_cannot_break_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_conformance(
        report(CheckResult("alone", "fail", "it says [b]a | b[/b]\nand more", 0.5, "≤ 1"))
    )
    said = capsys.readouterr().out.splitlines()
    assert "| alone | FAIL   | 0.5      | ≤ 1   | it says [b]a / b[/b] and more |" in said
    assert "- encoder: mine (Mine [beta])" in said


def test_a_long_sentence_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "word " * 100 + "end"
    show_conformance(report(CheckResult("alone", "warn", sentence)))
    assert any(line.endswith(f"{sentence} |") for line in capsys.readouterr().out.splitlines())


def test_findings_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    ends = [
        CheckResult("a", "pass", ""),
        CheckResult("b", "pass", ""),
        CheckResult("c", "skip", ""),
    ]
    show_conformance(report(*ends))
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 skipped"
