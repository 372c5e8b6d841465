"""The same commands give the same features, folds, scores and board, whatever is in between."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench import pipeline
from clearbench.board.tables import leaderboard
from clearbench.scans.write import write_nifti
from clearbench.store.feature_store import FeatureStore

CARD_FILE = str(Path(__file__).parent / "cards" / "tiny.toml")
SCANS, SPACING_MM = 24, (5.0, 1.0, 1.0)
# What two runs don't share: when and how fast.
OF_A_RUN = ("created", "seconds", "slices_per_s", "path")
TASK = """
title = "Denser"
version = 1
cohort = "small"
target = "binary"
labels = ["dense"]
[split]
folds = 2
repeats = 2
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of 2 to 5 slices, and the rows of their cohort."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(SCANS):
        hu = np.random.default_rng(number).normal(15 * (number % 2), 200, (2 + number % 4, 40, 48))
        write_nifti(folder / f"{number}.nii.gz", hu.astype(np.int16), SPACING_MM)
    return folder


def run(scans: Path, work: Path, order: np.ndarray, **options: Any) -> Path:
    """Embed and evaluate in a new folder, with the scans in some order; returns the store."""
    work.mkdir()
    rows = [f"s{n},p{n},{scans / f'{n}.nii.gz'},{n % 2}" for n in order]
    (work / "small.csv").write_text("\n".join(["scan_id,patient_id,path,dense", *rows]) + "\n")
    (work / "denser.toml").write_text(TASK)
    options = {"workers": 0, "batch_size": 8, **options}
    store = work / "store"
    report = pipeline.embed(
        work / "small.csv", [CARD_FILE], store=store, precision="float32", **options
    )
    assert not report.failed
    pipeline.evaluate([str(work / "denser.toml")], heads=["mean-logreg", "abmil"], store=store)
    return store


def features_of(store: Path) -> dict[str, np.ndarray]:
    opened = FeatureStore(store)
    return {f"s{n}": opened.features("tiny", f"s{n}") for n in range(SCANS)}


def answers_of(store: Path) -> tuple[dict[str, Any], list[tuple[Any, ...]], str]:
    """Return results, predictions and the board, without what belongs to one run."""
    results = {}
    for path in sorted((store / "results").rglob("*.json")):
        facts = json.loads(path.read_text())
        results[path.stem] = {name: facts[name] for name in facts if name not in OF_A_RUN}
    predictions = FeatureStore(store).sql("SELECT * FROM predictions ORDER BY ALL").fetchall()
    board = json.dumps(asdict(leaderboard([store / "results"], published=False)), default=str)
    return results, predictions, re.sub(r'"(seconds|slices_per_s)": [^,}]*', "", board)


def test_order_and_readers_change_nothing(scans: Path, tmp_path: Path) -> None:
    order = np.arange(SCANS)
    one = run(scans, tmp_path / "one", order)
    shuffled = np.random.default_rng(1).permutation(order)
    other = run(scans, tmp_path / "other", shuffled, workers=2)
    for scan, features in features_of(one).items():
        np.testing.assert_array_equal(features_of(other)[scan], features)
    results, predictions, board = answers_of(one)
    again, same, same_board = answers_of(other)
    assert again == results
    assert same == predictions
    assert same_board == board


def test_a_run_that_is_cut_in_two_gives_the_same_bits(scans: Path, tmp_path: Path) -> None:
    whole = run(scans, tmp_path / "whole", np.arange(SCANS))
    work = tmp_path / "parts"
    store = run(scans, work, np.arange(SCANS))
    for path in sorted(store.rglob("*.h5"))[::3]:
        path.unlink()
    pipeline.embed(
        work / "small.csv", [CARD_FILE], store=store, precision="float32", workers=0, batch_size=8
    )
    for scan, features in features_of(whole).items():
        np.testing.assert_array_equal(features_of(store)[scan], features)


def test_the_batch_size_changes_features_within_the_tolerance(scans: Path, tmp_path: Path) -> None:
    one = run(scans, tmp_path / "one", np.arange(SCANS))
    other = run(scans, tmp_path / "other", np.arange(SCANS), batch_size=3)
    for scan, features in features_of(one).items():
        np.testing.assert_allclose(features_of(other)[scan], features, rtol=1e-4, atol=1e-5)
    scores = [answers_of(store)[0] for store in (one, other)]
    for name, result in scores[0].items():
        for metric, score in result["scores"].items():
            assert scores[1][name]["scores"][metric]["value"] == pytest.approx(
                score["value"], abs=0.01
            )
