"""What can't be evaluated is refused in one sentence that says what, where and what to do."""

import sys
from collections.abc import Iterable, Sequence
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
[split]
folds = 5
repeats = 1
"""
HALF = [number % 2 for number in range(30)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """An empty store, and a card t in ./tasks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "t.toml").write_text(CARD)
    return open_store(tmp_path / "store", create=True)


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


def label(store: StoreFolder, labels: Sequence[object]) -> None:
    """Save one scan per patient, with these labels."""
    rows = [f"s{i:02},p{i:02},.,{value}" for i, value in enumerate(labels)]
    Path("own.csv").write_text("\n".join(["scan_id,patient_id,path,ill", *rows]) + "\n")
    save_cohort(read_cohort(Path("own.csv")), store)


def embed(store: StoreFolder, digits: str = "ab", scans: Iterable[int] = range(30)) -> None:
    """Write noise as the features of some scans."""
    record = EncoderRecord("enc", digits * 32, 4, ("soft",), "float32", "float32", "00" * 32)
    rng, rows = np.random.default_rng(int(digits, 16)), np.arange(3)
    about = {"fingerprint": record.fingerprint, "views": [{"name": "soft"}], "facts": {}}
    for number in scans:
        features = ScanFeatures(
            ScanKey("enc", record.fingerprint, "own", f"s{number:02}"), f"p{number:02}",
            rng.normal(size=(3, 1, 4)).astype(np.float32), np.ones((3, 1), bool),
            rows.astype(np.float32), rows.astype(np.int32), "source", "pixels", about,
        )  # fmt: skip
        write_features(features, store)
    write_record(record, store)


def evaluate(*options: object) -> int:
    return run("evaluate", "-t", "t", "--head", "mean-logreg", "--no-floors", *options)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1] * 30, "ill: 30 of 30 patients are positive, and a test fold has 0"),
        ([0, 1, 0, 1], "4 patients can't make 5 folds; label more of cohort own, or lower folds"),
        ([""] * 30, "no patient of cohort own has a value of ill; bring labels: clearbench cohort"),
        ([12.5, 33] * 15, "has the values 12.5 (15 scans), 33 (15 scans); the task allows"),
        (["maybe", *HALF[1:]], "of cohort own has the values maybe (1 scan); the task allows 0"),
    ],
    ids=["one class", "fewer patients than folds", "all blank", "numbers", "one wrong word"],
)
def test_labels_that_carry_no_task_are_refused(
    store: StoreFolder, labels: Sequence[object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, labels)
    embed(store, scans=range(len(labels)))
    assert evaluate() == 2
    said = capsys.readouterr().err
    assert said.startswith("clearbench: ")
    assert words in said
    assert said.count("\n") == 1
    assert not list(store.results.rglob("*.json"))


def test_a_column_that_is_not_there_is_met_with_the_nearest(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    embed(store)
    Path("tasks/t.toml").write_text(CARD.replace('"ill"', '"il"'))
    assert evaluate() == 2
    assert 'no column of cohort own is called "il"; did you mean ill?' in capsys.readouterr().err


def test_patients_without_features_are_named_with_the_command(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    embed(store, scans=range(2, 30))
    assert evaluate() == 0
    words = "2 without features of enc@abababab: p00, p01 (clearbench embed own --model enc)"
    assert words in capsys.readouterr().err


def test_a_task_without_features_is_checked_and_the_command_named(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    assert run("tasks", "check", "t") == 0
    said = capsys.readouterr()
    assert "t: 30 patient units of 30 patients, 5 folds" in said.out
    words = (
        "no encoder has features of cohort own; make them with `clearbench embed own --model NAME`"
    )
    assert words in said.err
    embed(store, scans=range(2, 30))
    assert run("tasks", "check", "t") == 0
    assert "2 without features of enc@abababab: p00, p01" in capsys.readouterr().err
    embed(store)
    assert run("tasks", "check", "t") == 0
    assert capsys.readouterr().err == ""


def test_two_sets_of_features_of_one_encoder_are_never_mixed(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    embed(store, "ab")
    embed(store, "cd")
    assert evaluate("-m", "enc") == 2
    words = "enc has several sets of features; name one: enc@abababab (soft, float32); enc@cdcdcdcd"
    assert words in capsys.readouterr().err
    assert evaluate("-m", "enc@cd") == 0
    assert [path.name for path in store.results.rglob("*.json")] == [
        "enc-cdcdcdcd--mean-logreg--default.json"
    ]
    assert evaluate() == 0
    said = capsys.readouterr().out
    assert "enc@abababab" in said
    assert "enc@cdcdcdcd" in said
    assert len(list(store.results.rglob("*.json"))) == 2


def test_more_training_patients_than_there_are_is_refused_before_any_head_is_trained(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    embed(store)
    Path("tasks/t.toml").write_text(CARD.replace("[split]", 'head = "mean-logreg"\n[split]'))
    assert evaluate("--fractions", "8,9999") == 2
    said = capsys.readouterr().err
    assert "--fractions 9999: t has 24 training patients in its largest fold; ask for" in said
    assert not list(store.results.rglob("*.json"))


@pytest.mark.parametrize("command", ["embed", "cohort add"])
def test_two_rows_of_one_scan_are_refused_by_name(
    store: StoreFolder, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("twice.csv").write_text("scan_id,patient_id,path,ill\ns1,p1,.,0\ns1,p1,.,1\n")
    options = ["--model", "random-vit-tiny"] if command == "embed" else []
    assert run(*command.split(), "twice.csv", *options) == 2
    assert "twice.csv: scan_id has more than one row: s1" in capsys.readouterr().err
    assert not list(store.cohorts.glob("*"))


def test_labels_that_contradict_each_other_change_nothing(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    before = [path.read_bytes() for path in store.cohorts.iterdir()]
    Path("news.csv").write_text("scan_id,ill\ns01,0\ns01,1\n")
    assert run("cohort", "add", "news.csv", "--name", "own") == 2
    assert "scan_id s01 has two rows that contradict each other" in capsys.readouterr().err
    assert [path.read_bytes() for path in store.cohorts.iterdir()] == before


def test_a_broken_encoder_card_is_named_and_stops_no_other(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    Path("registry").mkdir()
    Path("registry/mine.toml").write_text('title = "Mine"\n')
    assert run("models", "list") == 1
    said = capsys.readouterr()
    assert "random-vit-tiny" in said.out
    assert "mine.toml: family is missing" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["leaderboard", "nowhere"], "nowhere: no such folder of results"),
        (["leaderboard", "--store", "nowhere"], "nowhere: no such store"),
        (["cohort", "show", "owm"], 'no cohort is called "owm"; did you mean own?; '),
        (["cohort", "add", "tasks"], "tasks: a folder; give a table"),
        (["apply", "heads", "own"], "no bundle of heads in this folder; there is one in heads/a/b"),
        (["tasks", "new", "n", "--cohort", "own", "--labels", "ill", "--head", "abml"], "abmil?"),
    ],
    ids=["folder", "store", "cohort", "table", "bundle", "head"],
)
def test_what_is_not_there_is_named_with_the_way_out(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    label(store, HALF)
    (Path("heads") / "a" / "b").mkdir(parents=True)
    (Path("heads") / "a" / "b" / "bundle.json").write_text("{}")
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_a_misspelt_encoder_is_not_offered_to_be_embedded(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    label(store, HALF)
    embed(store)
    assert run("evaluate", "--task", "t", "--model", "emc") == 2
    said = capsys.readouterr().err
    assert "did you mean enc?" in said
    assert "--model emc" not in said
