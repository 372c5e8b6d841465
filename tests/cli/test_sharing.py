"""Heads trained on one half of real head CTs, used on the other half in another store."""

import csv
import json
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from clearbench.cli import main

CARD = Path(__file__).parents[1] / "cards" / "tiny.toml"
TASK = """
title = "Haemorrhage, one half tested"
version = 1
cohort = "ct-ich"
target = "binary"
labels = ["hemorrhage"]
[split]
column = "side"
"""


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


def embed(table: Path, store: Path) -> None:
    options = ["--model", CARD, "--views", "brain,bone", "--precision", "float32", "--workers", 0]
    assert run("embed", table, *options, "--store", store) == 0


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """12 patients with haemorrhage and 12 without, in one store; the test half alone in another."""
    root, source = tmp_path_factory.mktemp("halves"), shared_data / "ct-ich"
    with (source / "patient_labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = [[row for row in rows if row["hemorrhage"] == kind][:12] for kind in "10"]
    lines = [
        f"s{row['patient_id']},{row['patient_id']},{source / row['patient_id']}"
        f",{row['hemorrhage']},{('train', 'test')[number % 2]}"
        for some in chosen
        for number, row in enumerate(some)
    ]
    columns = "scan_id,patient_id,path,hemorrhage,side"
    (root / "ct-ich.csv").write_text("\n".join([columns, *lines]))
    tested = [",".join(line.split(",")[:3]) for line in lines if line.endswith("test")]
    (root / "elsewhere.csv").write_text("\n".join(["scan_id,patient_id,path", *tested]))
    (root / "halves.toml").write_text(TASK)
    embed(root / "ct-ich.csv", root / "store")
    embed(root / "elsewhere.csv", root / "other")
    for head in ("abmil", "mean-logreg"):
        options = ["--head", head, "--store", root / "store", "--save-heads", root / "heads"]
        options += ["--draws", 2]  # enough for a spread; the default of ten takes minutes
        options += ["--no-floors"] if head == "mean-logreg" else []
        assert run("evaluate", "--task", root / "halves.toml", *options) == 0
    return root


def bundle_of(root: Path, head: str) -> Path:
    [found] = (root / "heads" / "halves").glob(f"tiny-*--{head}--default")
    return found


@pytest.mark.parametrize("head", ["abmil", "mean-logreg"])
@pytest.mark.parametrize("scans", ["elsewhere", "elsewhere.csv"])
def test_saved_heads_score_elsewhere_as_they_did_in_the_evaluation(
    halves: Path,
    head: str,
    scans: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(halves)
    place = halves / "predictions.parquet"
    assert run("apply", bundle_of(halves, head), scans, "--store", "other", "-o", place) == 0
    found = {row["patient_id"]: row for row in pyarrow.parquet.read_table(place).to_pylist()}
    [kept] = (halves / "store" / "results" / "halves").glob(f"tiny-*{head}*.predictions.parquet")
    said: dict[str, list[float]] = {}
    for row in pyarrow.parquet.read_table(kept).to_pylist():
        if row["draw"] == 0:  # heads of drawn patients are not kept
            said.setdefault(row["patient_id"], []).append(row["score"])
    assert len(found) == 12
    assert set(found) == set(said)
    for patient, scores in said.items():
        assert len(scores) == 1, "a fixed split has one head, the mean of its networks"
        assert found[patient]["score"] == pytest.approx(scores[0], abs=1e-6)
        assert found[patient]["decision"] == (
            found[patient]["score"] >= found[patient]["threshold"]
        )
    assert any(row["spread"] > 1e-6 for row in found.values()) == (head == "abmil")
    assert f"halves · tiny · {head}: one head trained on" in capsys.readouterr().err


def test_floors_leave_no_heads(halves: Path) -> None:
    """They are results, and stand on no features that another store could have."""
    results = [path.name for path in (halves / "store" / "results" / "halves").glob("*.json")]
    assert any(name.startswith("floor-") for name in results)
    assert {path.name.partition("-")[0] for path in (halves / "heads" / "halves").iterdir()} == {
        "tiny"
    }


def test_answers_may_be_csv_and_say_what_is_missing(
    halves: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = (halves / "elsewhere.csv").read_text()
    (tmp_path / "elsewhere.csv").write_text(f"{table}\nnew,new,nowhere.nii\n")
    place = tmp_path / "answers.csv"
    options = ["--store", halves / "other", "-o", place]
    assert run("apply", bundle_of(halves, "abmil"), tmp_path / "elsewhere.csv", *options) == 1
    with place.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["label"] for row in rows} == {"hemorrhage"}
    words = capsys.readouterr().err
    assert "1 without features of tiny@" in words
    assert "clearbench embed elsewhere --model tiny --views brain,bone" in words


def test_other_features_are_refused_by_name(
    halves: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    views = ["--views", "brain", "--precision", "float32", "--workers", 0]
    table = halves / "elsewhere.csv"
    assert run("embed", table, "--model", CARD, *views, "--store", tmp_path / "store") == 0
    capsys.readouterr()
    facts = json.loads((bundle_of(halves, "abmil") / "bundle.json").read_text())
    with_store = ["--store", tmp_path / "store"]
    assert run("apply", bundle_of(halves, "abmil"), "elsewhere", *with_store) == 2
    words = capsys.readouterr().err
    wanted = facts["encoder"]["fingerprint"][:8]
    assert f"needs features {wanted} of encoder tiny (brain, bone; float32)" in words
    assert "of tiny (brain; float32)" in words
    assert "clearbench embed SCANS --model tiny --views brain,bone --precision float32" in words


def test_a_pack_repeats_a_result_and_says_so_by_its_exit_code(
    halves: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pack = tmp_path / "halves.zip"
    card = halves / "halves.toml"
    assert run("pack", card, "-o", pack, "--store", halves / "store") == 0
    words = capsys.readouterr()
    assert "halves · ct-ich (24 patients) · tiny@" in words.out
    assert "pseudonymised patient data" in words.err
    [result] = (halves / "store" / "results" / "halves").glob("tiny-*--abmil--default.json")
    assert run("evaluate", "--pack", pack, "--reproduce", result.name) == 0
    assert "repeated: 0 ≤ 0.001" in capsys.readouterr().out
    facts = json.loads(result.read_text())
    facts["scores"]["auroc"]["value"] -= 0.25
    other = tmp_path / "other.json"
    other.write_text(json.dumps(facts | {"versions": facts["versions"] | {"torch": "0.1"}}))
    assert run("evaluate", "--pack", pack, "--reproduce", other) == 1
    words = capsys.readouterr()
    assert "not repeated: 0.25 > 0.001" in words.out
    assert "torch 0.1 then" in words.err


def test_a_pack_alone_is_no_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--pack", "x.zip") == 2
    assert "--reproduce RESULT.json belong together" in capsys.readouterr().err
