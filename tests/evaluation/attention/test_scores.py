"""Attention is scored in every evaluation; marked slices are never used in training."""

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench.evaluation.attention.scores import AttentionData, HeadAttention, score_attention
from clearbench.evaluation.head_registry import HEADS, plain_heads
from clearbench.evaluation.protocol.encoder_data import load_encoder_data
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.floors import make_floors
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.results.write import make_result, write_result
from clearbench.store.catalogue.fold import refresh
from clearbench.store.catalogue.query import fetch_table
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
RECORD = EncoderRecord("e", "f" * 64, 4, ("lung", "bone"), "float32", "float32", "w")
N, SLICES = 40, 10
TRUE_MARKS = ["2 3" if i % 2 else None for i in range(N)]
WRONG_MARKS = ["8 9" if i % 2 else None for i in range(N)]
FAITHFULNESS = {"faithfulness_deletion", "faithfulness_insertion"}
LOCALISATION = {"localisation_ap", "localisation_ap_uniform", "localisation_ap_central"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreFolder:
    """Features of 40 scans of 12 slices; those of odd number have a finding in slices 2 and 3."""
    store = open_store(tmp_path_factory.mktemp("made") / "store", create=True)
    rng = np.random.default_rng(0)
    for i in range(N):
        features = rng.normal(size=(SLICES, 2, 4)).astype(np.float32)
        features[2:4, :, 0] += 6.0 * (i % 2)
        write_features(
            ScanFeatures(
                ScanKey("e", "f" * 64, "c", f"s{i}"), f"p{i}", features, np.ones((SLICES, 2), bool),
                np.zeros(SLICES, np.float32), np.arange(SLICES, dtype=np.int32), "a", "b",
                {"views": [{"name": "lung"}, {"name": "bone"}]},
            ),
            store,
        )  # fmt: skip
    return store


@pytest.fixture
def evaluate(store: StoreFolder, make_cohort: Make, make_task: Make) -> Callable[..., Evaluation]:
    """Evaluate a head, trained briefly by default; columns of the cohort may be given."""

    def run(
        head: str = "abmil", preset: str = "clear", task: Any = None, **columns: Any
    ) -> Evaluation:
        cohort = make_cohort(**{"x": [str(i % 2) for i in range(N)], **columns})
        prepared = prepare_task(task or make_task(split={"folds": 2, "repeats": 1}), cohort)
        data = load_encoder_data(prepared, RECORD, store, precision="float32")
        return evaluate_head(data, HeadConfig(head, preset))

    return run


def test_attention_on_the_finding_scores_above_its_priors(
    evaluate: Callable[..., Evaluation],
) -> None:
    found = evaluate(preset="default", key_slices=TRUE_MARKS).attention_scores
    assert set(found) == FAITHFULNESS | LOCALISATION
    assert found["localisation_ap"].low > 0.9
    assert found["localisation_ap_uniform"].value < 0.4
    assert found["localisation_ap_central"].value < 0.4
    assert found["faithfulness_deletion"].low > 0.1
    assert found["faithfulness_insertion"].low > 0


def test_other_marks_change_the_localisation_and_no_prediction(
    evaluate: Callable[..., Evaluation],
) -> None:
    right, wrong, without = (
        evaluate(**columns)
        for columns in ({"key_slices": TRUE_MARKS}, {"key_slices": WRONG_MARKS}, {})
    )
    for one, *others in zip(
        right.fold_results, wrong.fold_results, without.fold_results, strict=True
    ):
        for other in others:
            assert one.units == other.units
            assert one.settings == other.settings
            np.testing.assert_array_equal(one.predictions.scores, other.predictions.scores)
            for weights, others_weights in zip(
                one.predictions.attention, other.predictions.attention, strict=True
            ):
                np.testing.assert_array_equal(weights, others_weights)
    scored = [{k: astuple(v) for k, v in e.scores.items()} for e in (right, wrong, without)]
    for other in scored[1:]:
        np.testing.assert_equal(other, scored[0])  # NaN is like NaN
    better, worse = (each.attention_scores["localisation_ap"] for each in (right, wrong))
    assert worse.value < better.value
    assert set(without.attention_scores) == FAITHFULNESS


@pytest.mark.parametrize("head", plain_heads())
def test_every_head_with_importances_is_scored_and_no_other(
    evaluate: Callable[..., Evaluation], head: str
) -> None:
    found = evaluate(head, key_slices=TRUE_MARKS)
    assert set(found.attention_scores) == (
        FAITHFULNESS | LOCALISATION if HEADS[head].network else set()
    )


def test_importances_of_some_heads_are_scored_and_the_others_counted(
    evaluate: Callable[..., Evaluation],
) -> None:
    """The head "best" may give attention in one fold and none in another."""
    with_, without = (evaluate(head, key_slices=TRUE_MARKS) for head in ("abmil", "mean-logreg"))
    answers = (with_.fold_results[0], without.fold_results[1])
    looks = [
        HeadAttention(each.units, each.predictions.attention, each.faithfulness) for each in answers
    ]
    positive = with_.units.targets[:, 0] == 1
    found = score_attention(AttentionData(with_.units, with_.bags, positive, looks), seed=0)
    assert set(found.scores) == FAITHFULNESS | LOCALISATION
    assert found.notes == ("attention of 1 of 2 heads: these heads have none",)
    alone = score_attention(AttentionData(with_.units, with_.bags, positive, looks[:1]), seed=0)
    assert (alone.scores, alone.notes) == (found.scores, ())


def test_nobody_asks_where_a_floor_looks(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    cohort = make_cohort(x=[str(i % 2) for i in range(N)], key_slices=TRUE_MARKS)
    prepared = prepare_task(make_task(split={"folds": 2, "repeats": 1}), cohort)
    data = load_encoder_data(prepared, RECORD, store, precision="float32")
    floor = make_floors(data, {"c": cohort}, {})[0].data
    assert floor.shuffled
    found = evaluate_head(floor, HeadConfig("abmil", "clear"))
    assert found.attention_scores == {}


def test_units_without_a_marked_slice_are_named(evaluate: Callable[..., Evaluation]) -> None:
    found = evaluate(key_slices=[None] * 4 + TRUE_MARKS[4:])
    note = "localisation of 2 of 20 positive units: no slice is marked, or all are"
    assert found.attention_notes == (note,)
    assert make_result(found, None).not_scored == (note,)


def test_a_task_that_takes_marked_slices_alone_cannot_be_localised(
    evaluate: Callable[..., Evaluation], make_task: Make
) -> None:
    task = make_task(slices="key", split={"folds": 2})
    marks = ["2 3" if i % 2 else "7" for i in range(N)]
    found = evaluate(task=task, key_slices=marks)
    assert not set(found.attention_scores) & LOCALISATION
    assert found.attention_notes[0].startswith("localisation of 20 of 20")


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"target": "multiclass", "labels": ["stage"], "classes": [*"012"]}, FAITHFULNESS),
        (
            {"target": "ordinal", "labels": ["stage"], "classes": [*"012"]},
            FAITHFULNESS | LOCALISATION,
        ),
        ({"target": "survival", "labels": ["time", "x"]}, set()),
    ],
)
def test_what_is_scored_follows_the_target(
    evaluate: Callable[..., Evaluation], make_task: Make, facts: dict[str, Any], names: set[str]
) -> None:
    task = make_task(**facts, split={"folds": 2})
    time = [str(1 + i % 7) for i in range(N)]
    stage = [str(i % 3 * (i % 2)) for i in range(N)]
    found = evaluate(task=task, key_slices=TRUE_MARKS, time=time, stage=stage)
    assert set(found.attention_scores) == names


def test_results_carry_them_and_sql_shows_them(
    evaluate: Callable[..., Evaluation], tmp_path: Path
) -> None:
    found = evaluate(key_slices=TRUE_MARKS)
    folder = open_store(tmp_path / "store", create=True)
    result = make_result(found, None)
    write_result(result, found, folder.results)
    refresh(folder)
    sql = "SELECT metric, value, low, high FROM results WHERE metric LIKE 'localisation%'"
    rows = {row["metric"]: row for row in fetch_table(folder, sql).to_pylist()}
    assert set(rows) == LOCALISATION
    assert rows["localisation_ap"]["value"] == pytest.approx(
        found.attention_scores["localisation_ap"].value, abs=1e-6
    )
    assert rows["localisation_ap"]["low"] <= rows["localisation_ap"]["value"]
