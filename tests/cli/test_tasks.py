"""A task's split is frozen once, and stays."""

import sys
from pathlib import Path

import pytest

from clearbench import sharing
from clearbench.cli import main
from clearbench.cohort.table import read_cohort
from clearbench.errors import BadRequest
from clearbench.evaluation.prepared import prepare_from_store
from clearbench.evaluation.tasks import find_task
from clearbench.store.cohorts import save_cohort
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", "tasks", "freeze", "t", *options])
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
    assert after.units.excluded[-1].startswith("6 patients are unknown to the frozen split: p30")
    assert freeze() == 2
    assert "--replace freezes these instead" in capsys.readouterr().err
    assert Path("tasks/t.split.json").read_bytes() == first
    assert freeze("--replace") == 0
    [anew] = prepare_from_store(find_task("t"), store)
    assert sum(len(fold.test) for fold in anew.folds) == 2 * 36


def test_freezing_again_changes_nothing(store: StoreFolder) -> None:
    one = sharing.freeze("t", store=store.root)
    assert sharing.freeze("t", store=store.root) == one
    save(store, 36)
    with pytest.raises(BadRequest, match="other folds are frozen there"):
        sharing.freeze("t", store=store.root)
