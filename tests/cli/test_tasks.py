"""Cards are listed, new ones checked; a task's split is frozen once, and stays."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clearbench import sharing
from clearbench.cli import main
from clearbench.cohort.table import read_cohort
from clearbench.errors import BadRequest
from clearbench.evaluation.task.card import find_task
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.store.cohorts import load_cohort, save_cohort
from clearbench.store.folder import StoreFolder, open_store

CARD = """
title = "T"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
[split]
folds = 2
repeats = 2
"""


def save(store: StoreFolder, patients: int) -> None:
    table = store.root.parent / "own.csv"
    rows = [f"s{i},p{i:02},a,{i % 2}" for i in range(patients)]
    table.write_text("\n".join(["scan_id,patient_id,path,ill", *rows]))
    save_cohort(read_cohort(table), store)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """Thirty patients and a card in ./tasks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "t.toml").write_text(CARD)
    found = open_store(tmp_path / "store", create=True)
    save(found, 30)
    return found


def freeze(*options: str) -> int:
    return run("tasks", "freeze", "t", *options)


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


def test_a_frozen_split_lies_beside_its_card_and_is_taken(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert freeze() == 0
    assert "t.split.json: 4 folds" in capsys.readouterr().out
    first = Path("tasks/t.split.json").read_bytes()
    [before] = prepare_from_store(find_task("t"), store)
    save(store, 36)
    [after] = prepare_from_store(find_task("t"), store)
    assert after.folds == before.folds
    assert after.units.excluded[-1].startswith("6 patients are not in the split file: p30")
    assert freeze() == 2
    assert "to replace it, run: clearbench tasks freeze" in capsys.readouterr().err
    assert Path("tasks/t.split.json").read_bytes() == first
    assert freeze("--replace") == 0
    [again] = prepare_from_store(find_task("t"), store)
    assert sum(len(fold.test) for fold in again.folds) == 2 * 36


def test_freezing_again_changes_nothing(store: StoreFolder) -> None:
    one = sharing.freeze("t", store=store.root)
    assert sharing.freeze("t", store=store.root) == one
    save(store, 36)
    with pytest.raises(BadRequest, match="has other folds"):
        sharing.freeze("t", store=store.root)


def test_a_broken_card_is_named_and_stops_no_other(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    Path("tasks/broken.toml").write_text(CARD.replace('"binary"', '"benign"'))
    Path("tasks/text.toml").write_text("no card at all")
    assert run("tasks", "list", "--json") == 1
    said = capsys.readouterr()
    names = {row["task"] for row in json.loads(said.out)}
    assert {"t", "synthetic-stage"} <= names
    assert not {"broken", "text"} & names
    assert "broken.toml: target: input should be 'binary'" in said.err
    assert "text.toml: not a TOML file" in said.err
    for name in ("broken", "text"):
        Path(f"tasks/{name}.toml").unlink()
    assert run("tasks", "list") == 0


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        (3, "3 patients can't make 5 folds"),
        (12, "6 of 12 patients are positive, and a test fold has 1 of the"),
    ],
)
def test_a_new_task_that_can_not_be_scored_yet_says_so(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], patients: int, words: str
) -> None:
    save(store, patients)
    assert run("tasks", "new", "few", "--cohort", "own", "--labels", "ill") == 0
    said = capsys.readouterr()
    assert "tasks/few.toml: binary, auroc" in said.out
    assert "next:" not in said.out
    assert "it can't be evaluated yet: " in said.err
    assert words in said.err
    save(store, 30)
    assert run("tasks", "new", "many", "--cohort", "own", "--labels", "ill") == 0
    said = capsys.readouterr()
    assert "next: clearbench evaluate --task many\n" in said.out
    assert said.err == ""
    store.root.rename("a store")
    more = ("--cohort", "own", "--labels", "ill", "--store", "a store")
    assert run("tasks", "new", "other", *more) == 0
    assert "next: clearbench evaluate --task other --store 'a store'\n" in capsys.readouterr().out


def test_a_new_task_names_the_labels_that_are_too_rare(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    table = store.root.parent / "own.csv"
    rows = [f"s{i},p{i:02},a,{i % 2},{int(i < 4)}" for i in range(30)]
    table.write_text("\n".join(["scan_id,patient_id,path,ill,rare", *rows]))
    save_cohort(read_cohort(table), store)
    assert run("tasks", "new", "both", "--cohort", "own", "--labels", "ill,rare") == 0
    said = capsys.readouterr()
    assert "too rare to be scored yet:\n  rare: 4 of 30 patients are positive" in said.err
    assert "next: clearbench evaluate --task both" in said.out


def test_a_new_task_may_leave_one_site_out_in_turn(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    table = store.root.parent / "own.csv"
    rows = [f"s{i},p{i:02},a,{i % 2},{'ABC'[i % 3]}" for i in range(36)]
    table.write_text("\n".join(["scan_id,patient_id,path,ill,site", *rows]))
    save_cohort(read_cohort(table), store)
    new = ["tasks", "new", "sites", "--cohort", "own", "--labels", "ill"]
    assert run(*new, "--group", "sit") == 2
    assert "did you mean site?" in capsys.readouterr().err
    assert run(*new, "--group", "site", "--head", "knn") == 0
    card = find_task("sites").card
    assert (card.split.group, card.head) == ("site", "knn")
    [prepared] = prepare_from_store(find_task("sites"), store)
    assert len(prepared.folds) == 3
    assert capsys.readouterr().err == ""


def test_a_new_task_may_be_tested_on_another_cohort(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    save_cohort(replace(load_cohort(store, "own"), name="other"), store)
    new = ["tasks", "new", "outside", "--cohort", "own", "--labels", "ill"]
    assert run(*new, "--test", "others") == 2
    assert "did you mean other?" in capsys.readouterr().err
    assert run(*new, "--test", "other", "--group", "ill") == 2
    assert "a split has one of column, group, test; not group and test" in capsys.readouterr().err
    assert not Path("tasks/outside.toml").exists()
    assert run(*new, "--test", "other") == 0
    assert find_task("outside").card.split.test == ("other",)
    assert capsys.readouterr().err == ""
    assert run("tasks", "check", "outside") == 0
    said = "outside: 60 patient units of 60 patients, 1 fold, tested on other"
    assert said in capsys.readouterr().out


def test_a_head_that_is_none_is_refused(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    assert run("tasks", "new", "x", "--cohort", "own", "--labels", "ill", "--head", "mil") == 2
    assert "head is one of abmil, " in capsys.readouterr().err
    assert not Path("tasks/x.toml").exists()


def test_other_labels_are_frozen_only_when_asked(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tasks/t.toml").write_text(CARD.replace("folds = 2\nrepeats = 2", 'column = "side"'))
    table = store.root.parent / "own.csv"
    rows = [f"s{i},p{i:02},a,{i % 2},{('train', 'tune', 'test')[i % 3]}" for i in range(60)]
    table.write_text("\n".join(["scan_id,patient_id,path,ill,side", *rows]))
    save_cohort(read_cohort(table), store)
    assert freeze() == freeze() == 0
    rows[0] = "s0,p00,a,1,train"
    table.write_text("\n".join(["scan_id,patient_id,path,ill,side", *rows]))
    save_cohort(read_cohort(table), store)
    assert freeze() == 2
    assert "t.split.json has other labels; to replace it, run" in capsys.readouterr().err
    assert freeze("--replace") == 0
