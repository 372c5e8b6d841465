"""A split file fixes the folds, whatever a later version would make."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import clearbench.evaluation.task.prepared as prepared_module
from clearbench.cohort.table import check_cohort
from clearbench.datasets.public.ct_ich import build
from clearbench.errors import BadTask
from clearbench.evaluation.task.card import Task, find_task
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.evaluation.task.split_file import make_split_file, write_split
from clearbench.evaluation.task.splits import split_sha256

Make = Callable[..., Any]
N = 40
X = [str(i % 2) for i in range(N)]
SPLIT = {"folds": 3, "repeats": 2, "seed": 5}


@pytest.fixture
def task_with_file(make_cohort: Make, make_task: Make, tmp_path: Path) -> Task:
    """A task of forty patients with a split file."""
    task, path = make_task(split=SPLIT), tmp_path / "t.split.json"
    folds = prepare_task(task, make_cohort(x=X)).folds
    write_split(make_split_file(task, {"": folds}), path)
    return task.model_copy(update={"split_file": path})


def test_a_split_file_outlives_another_algorithm(
    task_with_file: Task, make_cohort: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepare_task(task_with_file.model_copy(update={"split_file": None}), make_cohort(x=X))

    def refuse(*_: Any) -> None:
        raise AssertionError("new folds were made")

    monkeypatch.setattr(prepared_module, "make_folds", refuse)
    after = prepare_task(task_with_file, make_cohort(x=X))
    assert after.folds == before.folds
    assert split_sha256(after.folds) == split_sha256(before.folds)
    assert after.units.excluded == ()


def test_unknown_and_missing_patients_are_named(task_with_file: Task, make_cohort: Make) -> None:
    """Patients 3 and 4 have gone; three others have come."""
    rows = [i for i in range(N + 3) if i not in (3, 4)]
    cohort = make_cohort(x=[str(i % 2) for i in rows], patient_id=[f"p{i}" for i in rows])
    found = prepare_task(task_with_file, cohort)
    assert found.units.excluded == (
        "3 patients are not in the split file: p40, p41, p42",
        "2 patients of the split file have no unit: p3, p4",
    )
    assert set(found.units.patients) == {f"p{i}" for i in range(N)} - {"p3", "p4"}
    for fold in found.folds:
        assert len({*fold.train, *fold.tune, *fold.test}) == N - 2


def edit(task: Task, change: Callable[[dict[str, Any]], None]) -> None:
    assert task.split_file is not None
    facts = json.loads(task.split_file.read_text())
    change(facts)
    task.split_file.write_text(json.dumps(facts))


def both_sides(facts: dict[str, Any]) -> None:
    facts["folds"][1]["train"].append(facts["folds"][1]["test"][0])


def moved(facts: dict[str, Any]) -> None:
    facts["folds"][0]["train"].append(facts["folds"][0]["test"].pop())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (both_sides, r"patient p\d+ is in fold 1 of repeat 0 twice"),
        (moved, "folds were changed after it was written"),
        (lambda facts: facts.update(cohort="d"), "it is for cohort d, the card for c"),
        (lambda facts: facts["split"].update(folds=4), r"made for another \[split\]"),
        (lambda facts: facts.pop("folds"), r"not a split file \(folds is missing\)"),
    ],
)
def test_a_file_that_contradicts_itself_or_its_card_is_refused(
    task_with_file: Task, make_cohort: Make, change: Any, words: str
) -> None:
    edit(task_with_file, change)
    with pytest.raises(BadTask, match=rf"{words}.*tasks freeze t --replace"):
        prepare_task(task_with_file, make_cohort(x=X))


def test_the_split_of_other_patients_is_refused(task_with_file: Task, make_cohort: Make) -> None:
    cohort = make_cohort(x=X, patient_id=[f"q{i}" for i in range(N - 1)] + ["p0"])
    with pytest.raises(BadTask, match="a side has no patient with a unit"):
        prepare_task(task_with_file, cohort)


def test_each_test_cohort_has_its_own_folds(
    make_cohort: Make, make_task: Make, tmp_path: Path
) -> None:
    task, own = make_task(split={"test": ["d", "e"]}), make_cohort(x=X)
    others = {name: replace(make_cohort(x=X[:n]), name=name) for name, n in (("d", 30), ("e", 20))}
    made = {name: prepare_task(task, own, other).folds for name, other in others.items()}
    write_split(make_split_file(task, made), tmp_path / "t.split.json")
    task_with_file = task.model_copy(update={"split_file": tmp_path / "t.split.json"})
    for name, other in others.items():
        assert prepare_task(task_with_file, own, other).folds == made[name]


def test_the_published_split_of_ct_ich_is_the_one_that_is_made(shared_data: Path) -> None:
    root, task = shared_data / "ct-ich", find_task("ct-ich-hemorrhage")
    cohort = check_cohort(build(root).table, "ct-ich", root / "ct-ich.csv")
    assert task.split_file is not None
    made = prepare_task(task.model_copy(update={"split_file": None}), cohort)
    taken = prepare_task(task, cohort)
    assert taken.folds == made.folds
    digest = "0086a0c7e1ed09f65b38fba80288b2a056bce9580b0bbf55b58cd2b23197699f"
    assert split_sha256(taken.folds) == digest
