import numpy as np

from clearbench.evaluation.bundles.apply import Applied
from clearbench.evaluation.bundles.bundle import BundleFacts
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.units import Units
from clearbench.results.applied import applied_table
from clearbench.store.records import EncoderRecord


def test_each_unit_and_output_is_a_row() -> None:
    card = {"title": "T", "version": 1, "cohort": "c", "target": "multilabel", "labels": ["x", "y"]}
    facts = BundleFacts(
        task="t", task_sha256="", task_card=TaskCard.model_validate(card), head="knn",
        encoder=EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w"),
        preset="default", head_precision="float32", outputs=("x", "y"), heads=(),
        thresholds=(0.5, None), threshold_rule="", not_scored=(), patients=1, split_sha256="",
        versions={}, arrays_sha256="",
    )  # fmt: skip
    units = Units(
        ("u1", "u2"),
        ("p1", "p2"),
        (("s1",), ("s2",)),
        np.full((2, 2), np.nan),
        ("d",) * 2,
        ("",) * 2,
    )
    scores = np.array([[0.9, 0.8], [0.2, 0.1]])
    decisions = np.array([[1.0, np.nan], [0.0, np.nan]])
    found = applied_table(Applied(facts, units, scores, scores / 10, decisions, 0)).to_pylist()
    assert [(row["unit"], row["label"], row["score"]) for row in found] == [
        ("u1", "x", 0.9), ("u2", "x", 0.2), ("u1", "y", 0.8), ("u2", "y", 0.1),
    ]  # fmt: skip
    assert [row["decision"] for row in found] == [1, 0, None, None]
    assert [row["threshold"] for row in found] == [0.5, 0.5, None, None]
    assert found[0]["spread"] == 0.09
    assert (found[0]["patient_id"], found[0]["cohort"], found[0]["encoder"]) == ("p1", "d", "e")
