from pathlib import Path
from typing import Any

import pytest

from clearbench.errors import BadCard, UnknownName
from clearbench.evaluation.task.card import find_task, task_names

CARD = """
title   = "T"
version = 1
cohort  = "c"
target  = "multilabel"
labels  = ["x", "y"]

[split]
folds = 3
"""


def test_a_task_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(CARD)
    task = find_task("own", [tmp_path])
    assert task == find_task(str(tmp_path / "own.toml"))
    assert (task.card.primary, task.card.outputs, task.card.split.folds) == (
        "auroc_macro",
        ("x", "y"),
        3,
    )
    assert "own" in task_names([tmp_path])


def test_the_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(CARD)
    before = find_task(str(path)).sha256
    path.write_text(CARD.replace("version = 1", "version = 2"))
    assert find_task(str(path)).sha256 != before


def test_an_unknown_task_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean synthetic-stage or"):
        find_task("synthetic-stages")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version", "verson", r"unknown key verson; did you mean version\?"),
        ("folds", "fold", r"unknown key split\.fold; did you mean folds\?"),
        ("folds = 3", "folds = 1", r"split\.folds"),
        ('["x", "y"]', '["x"]', "two or more labels"),
        ('"multilabel"', '"binary"', "binary target has one label, not 2"),
        ('"multilabel"', '"ordered"', "target"),
        (
            "version = 1",
            'version = 1\nmetric = "auroc"',
            "multilabel target is one of auroc_",
        ),
        ("version = 1", 'version = 1\nunit = "lesion"', "unit"),
    ],
)
def test_a_faulty_card_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(CARD.replace(old, new))
    with pytest.raises(BadCard, match=rf"own\.toml: .*{fault}"):
        find_task(str(path))


def test_classes_fit_the_target(make_task: Any) -> None:
    stages = ["I", "II", "III"]
    assert make_task(target="multiclass", classes=stages).card.outputs == tuple(stages)
    assert make_task(classes=["no", "yes"], positive="yes").card.outputs == ("x",)
    with pytest.raises(BadCard, match="three or more classes"):
        make_task(target="multiclass", classes=["a", "b"])
    with pytest.raises(BadCard, match="classes of a binary target are two"):
        make_task(classes=["a"])
    with pytest.raises(BadCard, match='positive word: positive = "abnormal" or "normal"'):
        make_task(classes=["abnormal", "normal"])
    with pytest.raises(BadCard, match="positive is for the two classes"):
        make_task(positive="yes")
    with pytest.raises(BadCard, match="b is in classes and in unknown"):
        make_task(classes=["a", "b"], positive="b", unknown=["b"])


def test_the_content_of_a_card_is_all_but_its_title(make_task: Any) -> None:
    """Other labels are another question; another title, or the metric by its name, is not."""
    card = make_task().card
    assert make_task(title="Another").card.content_sha256 == card.content_sha256
    assert make_task(metric="auroc").card.content_sha256 == card.content_sha256
    for change in ({"labels": ["y"]}, {"unit": "scan"}, {"head": "knn"}, {"version": 2},
                   {"unknown": ["9"]}, {"split": {"folds": 4}}):  # fmt: skip
        assert make_task(**change).card.content_sha256 != card.content_sha256, change
