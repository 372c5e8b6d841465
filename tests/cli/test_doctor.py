"""`clearbench doctor`, as it is typed; and what `models list` says of the same cards."""

import json
import sys
from pathlib import Path

import pytest

from clearbench.cli import main


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "kept"))


def test_the_doctor_says_what_can_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("doctor") == 0
    printed = capsys.readouterr().out
    for words in (
        "torch 2.",
        "cpu: ",
        "compressed DICOM that can be read: RLE; ",
        "encoders can run now: efficientnet-lite0, ",
        "wait to be trained, as no weights are published: lecl-",
        "have never run here with their real weights",
        f"store: {tmp_path / 'kept'} (does not exist yet), ",
        "nothing is broken",
    ):
        assert words in printed


def test_machines_read_the_doctor_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["sound"] is True
    states = {card["encoder"]: card["state"] for card in printed["cards"]}
    assert states["random-vit-tiny"] == "ready"
    assert run("models", "list", "--json") == 0
    listed = {row["encoder"]: row["ready"] for row in json.loads(capsys.readouterr().out)}
    assert {name: "yes" if state == "ready" else state for name, state in states.items()} == listed


def test_something_broken_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "odd.toml").write_text("titel = 1")
    assert run("doctor") == 1
    printed = capsys.readouterr()
    assert "odd.toml" in printed.err
    assert "something is broken: see above" in printed.out
    assert run("models", "list") == 1
    assert "odd.toml" in capsys.readouterr().err
