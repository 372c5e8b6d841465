from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_validate

import clearbench as cb
from clearbench.cohort.table import check_cohort
from clearbench.errors import BadArgument, UnknownName
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.store.cohorts import load_cohort, save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record

RECORD = EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w")
PATIENTS, SCANS = 40, 60  # the first twenty patients have two scans, each a unit of its own
CARD = """
title = "T"
version = 1
cohort = "{cohort}"
target = "{target}"
labels = {labels}
unit = "{unit}"
head = "mean-logreg"
{more}
"""


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    """Features of 60 scans of 3 slices of 40 patients; those of odd number are shifted."""
    store, rng = open_store(tmp_path / "store", create=True), np.random.default_rng(0)
    write_record(RECORD, store)
    patients = [scan % PATIENTS for scan in range(SCANS)]
    columns = {
        "scan_id": [f"s{i}" for i in range(SCANS)],
        "patient_id": [f"p{i}" for i in patients],
        "path": ["a"] * SCANS,
        "x": [str(i % 2) for i in patients],
        "z": [None if i % 4 else "1" for i in patients],
        "time": [str(1.0 + i) for i in patients],
        "stage": [str(i % 3) for i in patients],
    }
    for cohort in ("c", "d"):
        save_cohort(check_cohort(pa.table(columns), cohort, Path("/data/c.csv")), store)
        for scan, patient in enumerate(patients):
            features = rng.normal(size=(3, 1, 4)).astype(np.float32)
            features[:, :, 0] += 2.0 * (patient % 2)
            write_features(
                ScanFeatures(
                    ScanKey("e", "f" * 64, cohort, f"s{scan}"), f"p{patient}", features,
                    np.ones((3, 1), bool), np.zeros(3, np.float32), np.arange(3, dtype=np.int32),
                    "a", "b", {"views": [{"name": "lung"}]},
                ),
                store,
            )  # fmt: skip
    return store


@pytest.fixture
def card(tmp_path: Path) -> Callable[..., str]:
    def write(target: str = "binary", labels: str = '["x"]', more: str = "", **of: Any) -> str:
        path = tmp_path / "t.toml"
        facts = {"cohort": "c", "unit": "scan"} | of
        path.write_text(CARD.format(target=target, labels=labels, more=more, **facts))
        return str(path)

    return write


def test_another_library_scores_on_the_folds_of_the_evaluation(
    store: StoreFolder, card: Callable[..., str]
) -> None:
    task = card(more="[split]\nfolds = 3\nrepeats = 2")
    found = cb.load_task(task, "e", store=store.root)
    assert len(found.bags) == len(found.targets) == len(found.patients) == SCANS
    assert (found.task, found.encoder, found.metric) == ("t", "e@ffffffff", "auroc")
    means = np.stack([bag.mean(axis=0) for bag in found.bags])
    areas = []
    for train, test in found.splits():
        model = LogisticRegression().fit(means[train], found.targets[train])
        areas.append(roc_auc_score(found.targets[test], model.predict_proba(means[test])[:, 1]))
    [result] = cb.evaluate([task], ["e"], heads=["mean-logreg"], floors=False, store=store.root)
    assert len(areas) == 6
    assert np.mean(areas) == pytest.approx(float(str(result.score()["value"])), abs=0.05)


def test_heads_of_clearbench_run_on_it_as_they_do_there(
    store: StoreFolder, card: Callable[..., str]
) -> None:
    """The same head on a fold's rows ranks the test units as the stored predictions do."""
    task = card(more="[split]\nfolds = 3\nrepeats = 1")
    found = cb.load_task(task, "e@ffffffff", store=store.root)
    cb.evaluate(
        [task], ["e"], heads=["mean-logreg"], floors=False, store=store.root, precision="float32"
    )
    rows = cb.FeatureStore(store.root).table(
        "SELECT fold, unit, score FROM predictions WHERE head = 'mean-logreg'"
    )
    stored = {(row["fold"], row["unit"]): row["score"] for row in rows.to_pylist()}
    assert len(stored) == SCANS
    for fold in found.folds:
        train, tune = (
            ([found.bags[row] for row in rows], found.targets[rows])
            for rows in (fold.train, fold.tune)
        )
        head = MeanPoolClassifier().fit(*train, tune=tune)
        scores = head.scores([found.bags[row] for row in fold.test])[:, 0]
        there = [stored[fold.number, found.unit_ids[row]] for row in fold.test]
        np.testing.assert_allclose(scores, there, atol=1e-5)


def test_no_patient_is_on_two_sides_of_a_fold(store: StoreFolder, card: Callable[..., str]) -> None:
    found = cb.load_task(card(), "e", store=store.root)
    assert len(found.folds) == 25
    for fold in found.folds:
        sides = [set(found.patients[rows]) for rows in (fold.train, fold.tune, fold.test)]
        assert sum(map(len, sides)) == len(set().union(*sides)) == PATIENTS
    assert {name for name, _ in zip(found.unit_ids, found.bags, strict=True)} == {
        f"s{i}" for i in range(SCANS)
    }


def test_scikit_learn_takes_it_as_it_is(store: StoreFolder, card: Callable[..., str]) -> None:
    found = cb.load_task(card(more="[split]\nfolds = 3\nrepeats = 1"), "e", store=store.root)
    scores = cross_validate(
        MeanPoolClassifier(), found.bags, found.targets, cv=found.splits(), scoring="roc_auc"
    )
    assert scores["test_score"].mean() > 0.8


@pytest.mark.parametrize(
    ("target", "labels", "more", "shape", "kind"),
    [
        ("binary", '["x"]', "", (SCANS,), "i"),
        ("ordinal", '["stage"]', 'classes = ["0", "1", "2"]', (SCANS,), "i"),
        ("multilabel", '["x", "z"]', "", (SCANS, 2), "f"),
        ("survival", '["time", "x"]', "", (SCANS, 2), "f"),
    ],
)
def test_targets_have_the_shape_that_others_expect(
    store: StoreFolder,
    card: Callable[..., str],
    target: str,
    labels: str,
    more: str,
    shape: tuple[int, ...],
    kind: str,
) -> None:
    found = cb.load_task(card(target, labels, more), "e", store=store.root)
    assert (found.targets.shape, found.targets.dtype.kind) == (shape, kind)


def test_units_without_features_are_left_out_by_name(
    store: StoreFolder, card: Callable[..., str]
) -> None:
    (store.encoder("e", "f" * 64) / "c" / "s7.h5").unlink()
    found = cb.load_task(card(), "e", store=store.root)
    assert len(found.bags) == SCANS - 1
    assert "s7" in found.excluded[-1]
    assert "s7" not in found.unit_ids
    assert all(max(fold.test) < SCANS - 1 for fold in found.folds)


def test_an_external_cohort_tests(store: StoreFolder, card: Callable[..., str]) -> None:
    task = card(more='[split]\ntest = ["d"]', unit="patient")
    found = cb.load_task(task, "e", store=store.root)
    [fold] = found.folds
    assert {name.partition("/")[0] for name in found.unit_ids[fold.test]} == {"d"}
    assert {name.partition("/")[0] for name in found.unit_ids[fold.train]} == {"c"}


def test_of_several_test_cohorts_one_is_named(store: StoreFolder, card: Callable[..., str]) -> None:
    save_cohort(replace(load_cohort(store, "d"), name="d2"), store)
    task = card(more='[split]\ntest = ["d", "d2"]', unit="patient")
    with pytest.raises(BadArgument, match=r"test_cohort='': the task is tested on d, d2; name one"):
        cb.load_task(task, "e", store=store.root)
    found = cb.load_task(task, "e", store=store.root, test_cohort="d")
    assert {name.partition("/")[0] for name in found.unit_ids} == {"c", "d"}


def test_what_is_not_there_is_refused(store: StoreFolder, card: Callable[..., str]) -> None:
    with pytest.raises(BadArgument, match=r"test_cohort='d': the task is tested on its own"):
        cb.load_task(card(), "e", store=store.root, test_cohort="d")
    with pytest.raises(UnknownName, match="ee"):
        cb.load_task(card(), "ee", store=store.root)
