"""What an evaluation says of itself."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from clearbench.cli import main
from clearbench.cohort.table import read_cohort
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record

CARD = """
title = "T"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
head = "mean-logreg"
[split]
"""
PATIENTS = 36


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """Noise as features of 36 patients of three sites, half of them ill, one third tested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    (tmp_path / "tasks").mkdir()
    found = open_store(tmp_path / "store", create=True)
    record = EncoderRecord("enc", "ab" * 32, 4, ("soft",), "float32", "float32", "00" * 32)
    rng, rows = np.random.default_rng(0), np.arange(3)
    about = {"fingerprint": record.fingerprint, "views": [{"name": "soft"}], "facts": {}}
    lines = ["scan_id,patient_id,path,ill,site,side"]
    for i in range(PATIENTS):
        features = ScanFeatures(
            ScanKey("enc", record.fingerprint, "own", f"s{i}"), f"p{i}",
            rng.normal(size=(3, 1, 4)).astype(np.float32), np.ones((3, 1), bool),
            rows.astype(np.float32), rows.astype(np.int32), "source", "pixels", about,
        )  # fmt: skip
        write_features(features, found)
        side = "test" if i % 3 == 0 else "train"
        lines.append(f"s{i},p{i},.,{i % 2},site{'ABC'[i % 3]},{side}")
    Path("own.csv").write_text("\n".join(lines) + "\n")
    save_cohort(read_cohort(Path("own.csv")), found)
    write_record(record, found)
    return found


def evaluate(split: str, *options: object) -> int:
    Path("tasks/t.toml").write_text(CARD + split)
    return run("evaluate", "-t", "t", "--no-floors", *options)


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ('group = "site"', "auroc, each site of 3 left out once, 36 test patients"),
        ("folds = 3\nrepeats = 1", "auroc, 1 × 3 folds, 36 test patients"),
        ('column = "side"', "auroc, fixed test set, 12 test patients"),
    ],
    ids=["sites", "folds", "sides"],
)
def test_a_board_says_how_patients_were_split(
    store: StoreFolder, split: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    assert evaluate(split, "--draws", 0) == 0
    assert words in capsys.readouterr().out


def test_heads_that_all_seeds_make_alike_are_trained_once_and_it_is_told(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = ["--head", "mean-logreg", "--head", "knn"]
    assert evaluate('column = "side"', "--draws", 0, "--seeds", 4, *heads) == 0
    said = capsys.readouterr().err
    assert "mean-logreg: 1 head trained" in said
    assert "note: mean-logreg, knn: one head per fold, since all seeds give the same" in said
    facts = [json.loads(path.read_text()) for path in store.results.rglob("*.json")]
    assert [each["seeds"] for each in facts] == [1, 1]


@pytest.mark.parametrize("fmt", ["table", "json"])
def test_a_damaged_result_is_named_beside_the_boards_of_the_others(
    store: StoreFolder, fmt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("folds = 2\nrepeats = 1") == 0
    assert "Encoders of one tier" not in capsys.readouterr().out, "no floor, so no tiers"
    assert run("leaderboard", "--own", "--format", fmt) == 0
    (store.results / "t" / "bad.json").write_text("{")
    capsys.readouterr()
    assert run("leaderboard", "--own", "--format", fmt) == 1
    said = capsys.readouterr()
    assert "enc" in said.out
    assert "left out, as they can't be read:\n  " in said.err
    assert "bad.json: not a result of this clearbench" in said.err


def test_labels_that_changed_since_the_split_was_frozen_are_an_alarm(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    split = "folds = 2\nrepeats = 1"
    assert evaluate(split) == 0
    assert run("tasks", "freeze", "t") == 0
    assert evaluate(split) == 0
    assert "ALARM" not in capsys.readouterr().err
    Path("news.csv").write_text("patient_id,ill\np0,1\n")
    assert run("cohort", "add", "news.csv", "--name", "own") == 0
    words = "labels: not those of the split file"
    assert run("tasks", "check", "t") == 0
    assert words in capsys.readouterr().err
    assert evaluate(split) == 0
    assert f"ALARM: {words}" in capsys.readouterr().err
    assert run("tasks", "freeze", "t", "--replace") == 0
    assert evaluate(split) == 0
    assert "ALARM" not in capsys.readouterr().err
