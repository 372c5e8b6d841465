import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.cohort.table import check_cohort
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.heads.presets import HEADS_VERSION
from clearbench.evaluation.protocol.encoder_data import make_encoder_data
from clearbench.evaluation.protocol.evaluate import Evaluation, RetrainedHead, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.card import Task, TaskCard
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.metrics import score_outputs
from clearbench.results.predictions import HeadKey, predictions_path, read_predictions
from clearbench.results.record import Result, read_result
from clearbench.results.write import make_result, write_result
from clearbench.store.records import EncoderRecord

N = 60
KIND = np.arange(N) % 5 // 3  # two in five are ill
STAGE = np.arange(N) % 3
RECORD = EncoderRecord("e", "f" * 64, 4, ("v",), "float32", "float32", "w")
COLUMNS = {
    "binary": {"x": KIND},
    "multiclass": {"x": [("a", "b", "c")[k] for k in STAGE]},
    "ordinal": {"x": [("a", "b", "c")[k] for k in STAGE]},
    "survival": {"time": 9 - 2 * KIND + STAGE, "dead": (np.arange(N) % 4 > 0) * 1},
}


def evaluated(target: str = "binary", head: str = "knn") -> Evaluation:
    ids = [f"p{i:02}" for i in range(N)]
    given = {"scan_id": ids, "patient_id": ids, "path": ["a"] * N} | COLUMNS[target]
    cohort = check_cohort(
        pa.table({name: [str(v) for v in column] for name, column in given.items()}),
        "c",
        Path("/data/c.csv"),
    )
    more: dict[str, Any] = (
        {"classes": ("a", "b", "c")} if target in ("multiclass", "ordinal") else {}
    )
    card = TaskCard(
        title="T", version=1, cohort="c", target=target, labels=tuple(COLUMNS[target]),
        split={"folds": 2, "repeats": 1}, **more,
    )  # fmt: skip
    prepared = prepare_task(Task(name="t", card=card, sha256="0" * 64), cohort)
    rng, bags = np.random.default_rng(0), []
    for row in range(N):
        features = rng.normal(size=(3, 4)).astype(np.float32) + 2 * KIND[row] + STAGE[row]
        bags.append(Bag(features, ("s",) * 3, np.arange(3, dtype=np.int32), ("v",) * 3))
    data = make_encoder_data(prepared, RECORD, prepared.units, tuple(bags), precision="float32")
    return evaluate_head(data, HeadConfig(head))


def written(evaluation: Evaluation, folder: Path) -> Result:
    return read_result(write_result(make_result(evaluation, None), evaluation, folder))


def test_the_spread_over_seeds_is_in_the_result(tmp_path: Path) -> None:
    found = evaluated(head="max-pool")
    result = written(found, tmp_path)
    assert result.seed_spread == pytest.approx(found.seed_spread, abs=1e-6)
    assert result.heads_version == HEADS_VERSION
    assert written(evaluated(), tmp_path).seed_spread is None, "knn has no seed"


def test_a_result_from_before_says_which_heads_it_has(tmp_path: Path) -> None:
    path = Path(written(evaluated(), tmp_path).path)
    facts = json.loads(path.read_text())
    del facts["seed_spread"], facts["heads_version"]
    path.write_text(json.dumps(facts))
    assert (read_result(path).seed_spread, read_result(path).heads_version) == (None, 1)


def test_predictions_have_the_probability_and_where_it_decides(tmp_path: Path) -> None:
    found = evaluated()
    result = written(found, tmp_path)
    table = pyarrow.parquet.read_table(predictions_path(result)).to_pylist()
    assert np.mean([row["score"] for row in table]) == pytest.approx(0.4, abs=0.1)
    for one in found.fold_results:
        rows = [row for row in table if row["fold"] == one.fold.number]
        assert {row["cut"] for row in rows} == {one.predictions.cuts[0]}


@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal", "survival"])
def test_what_is_read_back_scores_as_the_evaluation_did(target: str, tmp_path: Path) -> None:
    """Every metric that may rank, decisions too."""
    found = evaluated(target)
    stored = read_predictions(written(found, tmp_path))
    for one, of_fold in zip(found.fold_results, found.fold_scores, strict=True):
        once = np.ones((1, len(one.units)))
        before = score_outputs(
            target, of_fold.truth, one.predictions.scores, once, cuts=one.predictions.cuts
        )
        back = stored[HeadKey(one.fold.repeat, one.fold.number, one.seed)]
        after = score_outputs(target, back.truth, back.scores, once)
        for name in {"auroc", "balanced_accuracy", "f1", "auroc_macro", "quadratic_kappa", "uno_c"}:
            if name in before:
                np.testing.assert_allclose(after[name], before[name], err_msg=name)


def test_predictions_of_older_heads_are_cut_at_a_half(tmp_path: Path) -> None:
    result = written(evaluated(), tmp_path)
    path = predictions_path(result)
    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.drop_columns(["cut"]), path)
    there = {(row["fold"], row["unit"]): row["score"] for row in table.to_pylist()}
    for key, each in read_predictions(result).items():
        scores = [there[key.fold, unit] for unit in each.units]
        np.testing.assert_allclose(each.scores[:, 0], scores)


def test_a_risk_has_no_cut(tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(predictions_path(written(evaluated("survival"), tmp_path)))
    assert set(table.column("cut").to_pylist()) == {None}


def test_retrained_heads_have_their_own_cut(tmp_path: Path) -> None:
    found = evaluated()
    first = found.fold_results[0]
    again = RetrainedHead(1, first.units, first.predictions.scores, np.array([0.123]))
    table = pyarrow.parquet.read_table(
        predictions_path(written(replace(found, retrained=(again,)), tmp_path))
    )
    cuts = {row["cut"] for row in table.to_pylist() if row["draw"] == 1}
    assert cuts == {0.123}
