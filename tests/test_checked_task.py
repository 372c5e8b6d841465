"""A task is checked before anything is trained; copies can be grouped into patients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearbench import checked_task
from clearbench.checked_task import check_task
from clearbench.cohort.files import read_table
from clearbench.cohort.table import read_cohort
from clearbench.evaluation.guards.copies import TWO_SIDES, Copy, FoundCopies
from clearbench.evaluation.task.card import find_task
from clearbench.store.cohorts import load_cohort, save_cohort, with_table
from clearbench.store.folder import StoreFolder, open_store

CARD = """
title = "T"
version = 1
cohort = "mine"
target = "binary"
labels = ["x"]
[split]
folds = 2
repeats = 1
"""


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    """A store with a cohort of 24 patients, one of them under two ids."""
    names = [f"p{n}" for n in range(23)] + ["P1"]
    rows = [f"s{n},{name},.,{n % 2},{'Yes' if n % 4 == 1 else 'yes' if n % 2 else 'no'}"
            for n, name in enumerate(names)]  # fmt: skip
    (tmp_path / "mine.csv").write_text("\n".join(["scan_id,patient_id,path,x,word", *rows]))
    folder = open_store(tmp_path / "store", create=True)
    save_cohort(read_cohort(tmp_path / "mine.csv"), folder)
    return folder


def card(tmp_path: Path, **changes: str) -> Any:
    text = CARD
    for old, new in changes.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    (tmp_path / "t.toml").write_text(text)
    return find_task(str(tmp_path / "t.toml"))


def test_what_is_checked_before_anything_is_embedded(store: StoreFolder, tmp_path: Path) -> None:
    checked = check_task(card(tmp_path, x="word"), store)
    assert checked.summaries == ("t: 24 patient units of 24 patients, 2 folds",)
    assert "label word: read as one value each: Yes = yes" in checked.notes
    alarms = {found.guard: found.says for found in checked.findings if found.alarm}
    assert "P1 = p1" in alarms["patients"]
    [copies] = [found for found in checked.findings if found.guard == "copies"]
    assert copies.says == "not searched: 0 of 24 scans have a thumbnail"


def test_a_proposal_of_patients_is_a_table_that_the_cohort_takes(
    store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Copy("mine", "s2", "p2", "mine", "s9", "p9", 0.999, 8.0, TWO_SIDES)
    found: Callable[..., FoundCopies] = lambda *_: FoundCopies((pair,), 24, 24)  # noqa: E731
    monkeypatch.setattr(checked_task, "_copies", found)
    target = tmp_path / "groups.csv"
    assert check_task(card(tmp_path), store, target).grouped == 1
    table = read_table(target)
    assert table.to_pylist() == [{"scan_id": "s9", "patient_id": "p2"}]
    save_cohort(with_table(table, "mine", target, store), store)
    cohort = load_cohort(store, "mine")
    pairs = dict(zip(cohort.column("scan_id"), cohort.column("patient_id"), strict=True))
    assert pairs["s9"] == pairs["s2"] == "p2"
