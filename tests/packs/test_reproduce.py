"""A result comes out of a pack as it went in."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench import sharing
from clearbench.errors import BadRequest

Packed = Any  # see conftest


@pytest.mark.parametrize("head", ["abmil", "knn"])
def test_a_private_result_is_repeated_to_the_bit_under_other_names(
    private: Packed, head: str
) -> None:
    """Once from the result in the pack, once from the one in the store, whose ids differ."""
    inside = [Path(name) for name in private.facts.results if head in name]
    for result in [*inside, private.result(head)]:
        found = sharing.reproduce(private.file, result)
        assert found.repeated
        assert found.unit_gap == 0.0
        assert set(found.metric_gaps.values()) == {0.0}
        assert found.notes == ()


def test_a_public_result_is_repeated_without_its_store(public: Packed) -> None:
    steps: list[int] = []
    found = sharing.reproduce(
        public.file, public.result("knn"), on_fold=lambda done, _total: steps.append(done)
    )
    assert found.repeated
    assert steps == [1, 2]


def changed(packed: Packed, folder: Path, shift: float = 0.0, **news: object) -> Path:
    """Copy a result of knn and change it; the first score is shifted."""
    source, target = packed.result("knn"), folder / packed.result("knn").name
    target.write_text(json.dumps(json.loads(source.read_text()) | news))
    table = pyarrow.parquet.read_table(source.with_suffix(".predictions.parquet"))
    scores = table.column("score").to_pylist()
    scores[0] += shift
    place = table.column_names.index("score")
    table = table.set_column(place, "score", pa.array(scores))
    pyarrow.parquet.write_table(table, target.with_suffix(".predictions.parquet"))
    return target


@pytest.mark.parametrize(("shift", "repeated"), [(0.0009, True), (0.0011, False), (-0.3, False)])
def test_the_furthest_unit_decides(
    private: Packed, tmp_path: Path, shift: float, repeated: bool
) -> None:
    found = sharing.reproduce(private.file, changed(private, tmp_path, shift))
    assert found.unit_gap == pytest.approx(abs(shift))
    assert found.repeated is repeated


def test_metrics_decide_without_predictions(private: Packed, tmp_path: Path) -> None:
    scores = json.loads(private.result("knn").read_text())["scores"]
    for moved, repeated in ((0.0, True), (0.1, False)):
        auroc = scores["auroc"] | {"value": scores["auroc"]["value"] - moved}
        result = changed(private, tmp_path, scores=scores | {"auroc": auroc})
        result.with_suffix(".predictions.parquet").unlink()
        found = sharing.reproduce(private.file, result)
        assert found.unit_gap is None
        assert found.gap == pytest.approx(moved)
        assert found.repeated is repeated


def test_what_is_not_alike_is_named(private: Packed, tmp_path: Path) -> None:
    versions = json.loads(private.result("knn").read_text())["versions"]
    news = {"versions": versions | {"torch": "1.0"}, "task_sha256": "0" * 64}
    found = sharing.reproduce(private.file, changed(private, tmp_path, **news))
    assert found.notes[0].startswith("torch 1.0 then, ")
    assert found.notes[1] == "the pack's task card differs from the result's"


@pytest.mark.parametrize(
    ("news", "words"),
    [
        ({"task": "other"}, "result is of task other, the pack of task planted-task"),
        ({"fingerprint": "cd" * 32}, "of features planted@cdcdcdcd; the pack has planted@abababab"),
        ({"test_cohort": "d"}, "tested on cohort d"),
        ({"split_sha256": "0" * 64}, "other units, folds or truths"),
    ],
)
def test_a_result_that_the_pack_cannot_serve_is_refused(
    private: Packed, tmp_path: Path, news: dict[str, object], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        sharing.reproduce(private.file, changed(private, tmp_path, **news))


def test_a_result_that_is_nowhere_is_refused_with_those_there_are(private: Packed) -> None:
    with pytest.raises(
        BadRequest, match=r"no such result in the pack \(it has planted-abababab--abmil"
    ):
        sharing.reproduce(private.file, "none.json")


def test_damaged_predictions_are_refused(private: Packed, tmp_path: Path) -> None:
    result = changed(private, tmp_path)
    predictions = result.with_suffix(".predictions.parquet")
    predictions.write_bytes(predictions.read_bytes()[:-100])
    with pytest.raises(BadRequest, match="not predictions of this clearbench"):
        sharing.reproduce(private.file, result)
    shutil.copy(private.store / "cohorts" / "own.parquet", predictions)
    with pytest.raises(BadRequest, match="not predictions of this clearbench"):
        sharing.reproduce(private.file, result)
