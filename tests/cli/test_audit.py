"""`clearbench audit` and `clearbench store rights`: what they say, and their exit codes."""

import io
import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from clearbench.cli import main
from clearbench.scans.write import write_nifti
from clearbench.store.folder import open_store

CARD = Path(__file__).parents[1] / "cards" / "tiny.toml"
NAME = "Oberlaender"


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


def test_what_is_found_is_listed_without_being_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text(f"Frau {NAME}")
    (tmp_path / f"{NAME}.csv").write_text("x")
    assert run("audit", tmp_path, "--id", NAME) == 1
    said = capsys.readouterr()
    assert "notes.txt" in said.out
    assert "O…r (11)" in said.out
    assert "found: identifiers in 2 places" in said.out
    assert NAME not in said.out + said.err
    assert run("audit", tmp_path, "--id", NAME, "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert not facts["clean"]
    assert [(row["where"], row["kind"]) for row in facts["findings"]] == [
        ("its name", "given"),
        ("", "given"),
    ]
    assert NAME not in json.dumps(facts)


def test_ids_in_a_file_or_on_standard_input_are_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "notes.txt").write_text(f"Frau {NAME}")
    ids = tmp_path / "ids.txt"
    ids.write_text(f"\n4711-0815\n{NAME}\n\n")
    assert run("audit", tmp_path / "place", "--ids", ids) == 1
    assert "looked for 2 identifiers" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{NAME}\n"))
    assert run("audit", tmp_path / "place", "--ids", "-") == 1
    ids.write_bytes(b"\xff\xfe\xfd")
    capsys.readouterr()
    assert run("audit", tmp_path / "place", "--ids", ids) == 2
    assert "ids.txt: can't be read (it is no text in UTF-8)" in capsys.readouterr().err
    assert run("audit", tmp_path / "place", "--ids", tmp_path / "none") == 2


def test_nothing_found_is_said_and_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nobody")
    assert run("audit", tmp_path, "--id", NAME) == 0
    assert capsys.readouterr().out == "nothing was found\n"
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4")
    assert run("audit", tmp_path, "--id", NAME) == 1
    assert "not everything could be searched" in capsys.readouterr().out
    assert run("audit", tmp_path, "--id", NAME, "--skip", "*.pdf") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "no such file or folder"),
        ([".", "--from", "none"], "none: no such file or folder"),
        (["."], "nothing to look for: give a folder of DICOM files (--from) or texts (--id)"),
        ([".", "--from", "empty"], "nothing to look for in empty"),
    ],
)
def test_what_can_t_be_served_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run("audit", *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_store_that_others_can_read_is_named_and_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path / "store", create=True)
    (store.root / "store.json").chmod(0o644)
    assert run("store", "rights", "--store", store.root) == 1
    said = capsys.readouterr()
    assert "is meant to be read by its owner alone" in said.out
    assert "1 files and folders can be read by others; --owner-only puts that right" in said.err
    assert run("store", "rights", "--owner-only", "--store", store.root) == 0
    assert stat.S_IMODE((store.root / "store.json").stat().st_mode) == 0o600
    both = ("store", "rights", "--owner-only", "--group-readable")
    assert run(*both, "--store", store.root) == 2
    for option in ((), ("--owner-only",)):  # a wrong name makes no new store
        assert run("store", "rights", *option, "--store", tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("first", ["embed", "rights"])
def test_a_groups_store_stays_one(tmp_path: Path, first: str) -> None:
    """The group reads features and tables, now and later, and never the keys."""
    store = tmp_path / "store"
    scans = tmp_path / "scans"
    for name in "ab":
        hu = np.random.default_rng(0).integers(-1000, 400, (3, 32, 32)).astype(np.int16)
        write_nifti(scans / f"{name}.nii.gz", hu, (5.0, 1.0, 1.0))
    embed = ("embed", scans, "--model", CARD, "--workers", 0, "--store", store)
    if first == "rights":
        assert run("store", "rights", "--group-readable", "--store", store) == 0
        assert run(*embed) == 0
    else:
        assert run(*embed, "--group-readable") == 0
    assert run("scans", scans, "-o", tmp_path / "series.csv", "--store", store) == 0
    assert run("cohort", "add", _table(tmp_path), "--store", store) == 0
    assert run("store", "rights", "--store", store) == 0
    for path in [store, *store.rglob("*"), tmp_path / "series.csv"]:
        alone = path.name in ("keys.csv", "secret.key")
        wanted = 0o750 if path.is_dir() else 0o600 if alone else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def _table(folder: Path) -> Path:
    path = folder / "more.csv"
    path.write_text("scan_id,patient_id,path\ns1,p1,/x/1\n")
    return path
