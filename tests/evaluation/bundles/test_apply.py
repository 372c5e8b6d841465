from typing import Any

import numpy as np
import pytest

from clearbench.evaluation.bundles.apply import decide, embed_command
from clearbench.evaluation.bundles.bundle import BundleFacts
from clearbench.evaluation.task.card import TaskCard
from clearbench.store.records import EncoderRecord

FREE = {"input": {"views": "free", "default_views": ["lung"]}}


def facts(target: str, thresholds: tuple[float | None, ...], **card: Any) -> BundleFacts:
    plain = {"title": "T", "version": 1, "cohort": "c", "target": target}
    return BundleFacts(
        task="t", task_sha256="", task_card=TaskCard.model_validate(plain | card), head="knn",
        encoder=EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w"),
        preset="default", head_precision="float32", outputs=(), heads=(), thresholds=thresholds,
        threshold_rule="", not_scored=(), patients=1, split_sha256="", versions={},
        arrays_sha256="",
    )  # fmt: skip


def test_a_score_on_the_threshold_is_positive_and_without_one_nothing_is_decided() -> None:
    both = facts("multilabel", (0.4, None), labels=("x", "y"))
    found = decide(both, np.array([[0.4, 0.9], [0.39, 0.1]]))
    np.testing.assert_array_equal(found, [[1, np.nan], [0, np.nan]])


def test_the_likeliest_class_is_decided_for() -> None:
    three = facts("multiclass", (None,) * 3, labels=("x",), classes=("a", "b", "c"))
    found = decide(three, np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]))
    assert found.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_a_risk_is_not_decided() -> None:
    risk = facts("survival", (None,), labels=("time", "dead"))
    assert np.isnan(decide(risk, np.array([[3.0], [-1.0]]))).all()


@pytest.mark.parametrize(
    ("views", "dtype", "options"),
    [
        (("lung",), "float32", " --precision float32"),
        (("brain", "bone"), "float32", " --views brain,bone --precision float32"),
        (("lung",), "float16", " --precision float32 --store-dtype float16"),
    ],
)
def test_the_command_makes_just_these_features(
    views: tuple[str, ...], dtype: str, options: str
) -> None:
    record = EncoderRecord("e", "f" * 64, 4, views, "float32", dtype, "w", FREE)
    assert embed_command(record) == f"clearbench embed SCANS --model e{options}"
