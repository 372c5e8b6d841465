import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearbench.evaluation.protocol.one_head as module
from clearbench.errors import BadRequest, BadTask, UnknownName
from clearbench.evaluation.head_registry import HEADS, plain_heads
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.evaluation.heads.parallel import Parallelism
from clearbench.evaluation.heads.presets import PRESETS
from clearbench.evaluation.protocol.encoder_data import load_encoder_data, rows_of
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import PreparedTask, prepare_task
from clearbench.evaluation.task.splits import split_sha256
from clearbench.metrics import auroc
from clearbench.store.features import ScanFeatures, map_features, read_file, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
RECORD = EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w")
N = 40
X = [str(i % 2) for i in range(N)]
SPLIT = {"folds": 3, "repeats": 2, "seed": 5}


def evaluate_one(
    prepared: PreparedTask,
    store: StoreFolder,
    head: str,
    preset: str = "default",
    *,
    seeds: int | None = None,
    device: str = "cpu",
    **more: Any,
) -> Evaluation:
    data = load_encoder_data(prepared, RECORD, store, device=device, precision="float32")
    return evaluate_head(data, HeadConfig(head, preset, seeds), **more)


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    """Features of 40 scans of 3 slices; those of odd number are shifted."""
    store = open_store(tmp_path / "store", create=True)
    rng = np.random.default_rng(0)
    for i in range(N):
        features = rng.normal(size=(3, 1, 4)).astype(np.float32)
        features[:, :, 0] += 2.0 * (i % 2)
        write_features(
            ScanFeatures(
                ScanKey("e", "f" * 64, "c", f"s{i}"), f"p{i}", features, np.ones((3, 1), bool),
                np.zeros(3, np.float32), np.arange(3, dtype=np.int32), "a", "b",
                {"views": [{"name": "lung"}]},
            ),
            store,
        )  # fmt: skip
    return store


@pytest.fixture
def prepared(make_cohort: Make, make_task: Make) -> PreparedTask:
    return prepare_task(make_task(split=SPLIT), make_cohort(x=X))


def test_an_evaluation_tests_every_patient_once_a_repeat(
    prepared: PreparedTask, store: StoreFolder
) -> None:
    steps: list[tuple[int, int]] = []
    found = evaluate_one(
        prepared, store, "mean-logreg", "default", on_fold=lambda *s: steps.append(s)
    )
    assert steps == [(i + 1, 6) for i in range(6)]
    assert found.seeds == 1
    tested = [unit for result in found.fold_results[:3] for unit in result.units]
    assert sorted(tested) == list(range(N))
    score = found.scores["auroc"]
    assert 0.8 < score.low <= score.value <= score.high <= 1
    assert found.prepared.split_sha256 == split_sha256(prepared.folds)
    assert len(found.units.ids) == len(found.bags) == N


def test_each_fold_repeat_and_seed_has_its_own_random_numbers_and_units(
    prepared: PreparedTask, store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    rows: list[list[int]] = []

    class Spy(MeanPoolClassifier):
        def fit_labelled(self, train: Any, tune: Any) -> Any:
            seeds.append(self.seed)
            rows.append([*train.bags.rows, *tune.bags.rows])
            return super().fit_labelled(train, tune)

    def make(request: Any) -> Any:
        return Spy(request.target, request.classes, seed=request.seed)

    monkeypatch.setattr(module, "make_head", make)
    found = evaluate_one(prepared, store, "abmil", seeds=2)
    assert len(set(seeds)) == len(seeds) == 12
    for trained_on, result in zip(rows, found.fold_results, strict=True):
        assert sorted([*trained_on, *result.units]) == list(range(N))


def test_heads_trained_at_once_score_as_they_do_alone(
    prepared: PreparedTask, store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for parallelism in (Parallelism(1, 1), Parallelism(3, 1)):
        monkeypatch.setattr(
            module, "choose_parallelism", lambda *_, parallelism=parallelism: parallelism
        )
        found.append(evaluate_one(prepared, store, "abmil"))
    for alone, at_once in zip(*(each.fold_results for each in found), strict=True):
        np.testing.assert_array_equal(alone.predictions.scores, at_once.predictions.scores)
        assert alone.settings == at_once.settings


def test_the_best_kind_is_chosen_without_the_units_that_test(
    prepared: PreparedTask, store: StoreFolder
) -> None:
    """Test units whose truth is turned round change neither the choice nor a score."""
    one = PreparedTask(prepared.task, prepared.units, prepared.folds[:1], ())
    data = load_encoder_data(one, RECORD, store, precision="float32")
    test = rows_of(one.folds[0].test, one.units)
    values = data.targets.values.copy()
    values[test] = 1 - values[test]
    turned = replace(data, targets=replace(data.targets, values=values))
    [found], [again] = (
        evaluate_head(each, HeadConfig("best")).fold_results for each in (data, turned)
    )
    assert found.settings == again.settings
    assert found.settings["kind"] in plain_heads()
    np.testing.assert_array_equal(found.predictions.scores, again.predictions.scores)


def test_another_cohort_is_tested(make_cohort: Make, make_task: Make, store: StoreFolder) -> None:
    for path in sorted((store.features / "e-ffffffff" / "c").glob("*.h5")):
        found = read_file(path)
        scan = ScanFeatures(
            ScanKey("e", "f" * 64, "d", path.stem), found.facts.patient_id,
            map_features(found.facts), found.rows.present, found.rows.z_mm,
            found.rows.slice_index, "a", "b", found.facts.about,
        )  # fmt: skip
        write_features(scan, store)
    task = make_task(split={"test": ["d"]})
    external = make_cohort(x=X)
    prepared = prepare_task(task, make_cohort(x=X), replace(external, name="d"))
    found = evaluate_one(prepared, store, "mean-logreg")
    assert (found.test_cohort, found.seeds, len(found.fold_results)) == ("d", 1, 1)
    assert {found.units.cohorts[row] for row in found.fold_results[0].units} == {"d"}
    assert len(found.fold_results[0].units) == N
    assert found.scores["auroc"].value > 0.8


def test_every_head_is_run(prepared: PreparedTask, store: StoreFolder) -> None:
    one = PreparedTask(prepared.task, prepared.units, prepared.folds[:1], ())
    for head in HEADS:
        found = evaluate_one(one, store, head, device="auto")
        assert found.head == head
        assert found.scores["auroc"].value > 0.6


@pytest.mark.parametrize(("preset", "seeds"), [("clear", 3), ("default", 1)])
def test_a_fixed_split_has_three_heads_unless_each_averages_seeds(
    preset: str, seeds: int, make_cohort: Make, make_task: Make, store: StoreFolder
) -> None:
    side = ["train" if i < 20 else "test" for i in range(N)]
    prepared = prepare_task(make_task(split={"column": "side"}), make_cohort(x=X, side=side))
    found = evaluate_one(prepared, store, "max-pool", preset)
    assert (found.seeds, len(found.fold_results)) == (seeds, seeds)
    assert found.seed_spread >= 0


def test_the_spread_over_seeds_is_that_of_single_networks(
    prepared: PreparedTask, store: StoreFolder
) -> None:
    found = evaluate_one(prepared, store, "abmil")
    networks = PRESETS["default"].networks
    assert all(len(each.predictions.networks) == networks for each in found.fold_results)
    areas = [
        [
            auroc(found.units.targets[list(each.units), 0], one[:, 0], np.ones((1, len(one))))[0]
            for one in each.predictions.networks
        ]
        for each in found.fold_results
    ]
    assert found.seed_spread == pytest.approx(np.std(np.mean(areas, axis=0), ddof=1))
    assert np.isnan(evaluate_one(prepared, store, "mean-logreg").seed_spread)


def test_with_shuffled_labels_one_network_is_trained(
    prepared: PreparedTask, store: StoreFolder
) -> None:
    one = PreparedTask(prepared.task, prepared.units, prepared.folds[:1], ())
    data = load_encoder_data(one, RECORD, store, precision="float32")
    found = evaluate_head(replace(data, shuffled=True), HeadConfig("abmil"))
    assert [len(each.predictions.networks) for each in found.fold_results] == [1]


def test_probabilities_are_those_of_the_true_frequencies_and_decisions_are_balanced(
    make_cohort: Make, make_task: Make, store: StoreFolder
) -> None:
    """Of a label that a quarter of the patients has."""
    rare = [str(int(i % 4 == 1)) for i in range(N)]
    prepared = prepare_task(make_task(split=SPLIT), make_cohort(x=rare))
    for head in ("mean-logreg", "knn", "abmil"):
        found = evaluate_one(prepared, store, head)
        scores = np.concatenate([each.predictions.scores for each in found.fold_results])
        assert scores.mean() == pytest.approx(0.25, abs=0.1), head
        cuts = [each.predictions.cuts[0] for each in found.fold_results]
        assert cuts == pytest.approx([0.25] * len(cuts), abs=0.06)
        decided = np.concatenate(
            [
                each.predictions.scores[:, 0] >= each.predictions.cuts[0]
                for each in found.fold_results
            ]
        )
        assert 0.2 < decided.mean() < 0.7, head


@pytest.mark.parametrize("head", [name for name in HEADS if HEADS[name].deterministic])
def test_a_deterministic_head_is_trained_once_unless_labels_are_shuffled(
    head: str, prepared: PreparedTask, store: StoreFolder
) -> None:
    one = PreparedTask(prepared.task, prepared.units, prepared.folds[:1], ())
    data = load_encoder_data(one, RECORD, store, precision="float32")
    found = evaluate_head(data, HeadConfig(head, seeds=3))
    assert (found.seeds, len(found.fold_results)) == (1, 1)
    shuffled = evaluate_head(replace(data, shuffled=True), HeadConfig(head, seeds=3))
    scores = [result.predictions.scores for result in shuffled.fold_results]
    assert len(scores) == 3
    assert not np.array_equal(scores[0], scores[1])


def test_rare_labels_are_reported_and_not_scored(
    make_cohort: Make, make_task: Make, store: StoreFolder
) -> None:
    """y has 9 positives, z only 5 known negatives among many blanks, w is blank throughout."""
    y = [str(int(i < 9)) for i in range(N)]
    z = ["0" if i < 5 else "1" if i < 20 else None for i in range(N)]
    cohort = make_cohort(x=X, y=y, z=z, w=[None] * N)
    task = make_task(target="multilabel", labels=["x", "y", "z", "w"], split=SPLIT)
    prepared = prepare_task(task, cohort)
    assert [note.partition(":")[0] for note in prepared.skipped] == ["y", "z", "w"]
    assert prepared.skipped[0].startswith("y: 9 of 40 patients are positive, and ")
    assert prepared.skipped[1].startswith("z: 15 of 20 patients are positive, and ")
    assert prepared.skipped[2].startswith(
        "w: 0 of 0 patients are positive, and a test fold has 0 of"
    )
    assert prepared.unscored == (1, 2, 3)
    found = evaluate_one(prepared, store, "mean-logreg", "default")
    assert all(np.isnan(found.scores[f"auroc/{k}"].value) for k in (1, 2, 3))
    assert found.scores["auroc_macro"] == found.scores["auroc/0"]


def test_rare_classes_are_not_scored_either(
    make_cohort: Make, make_task: Make, store: StoreFolder
) -> None:
    classes = ["III" if i < 4 else ["I", "II"][i % 2] for i in range(N)]
    task = make_task(target="multiclass", classes=["I", "II", "III"], split=SPLIT)
    prepared = prepare_task(task, make_cohort(x=classes))
    assert prepared.unscored == (2,)
    found = evaluate_one(prepared, store, "mean-logreg", "default").scores
    assert np.isnan(found["auroc/2"].value)
    mean = (found["auroc/0"].value + found["auroc/1"].value) / 2
    assert found["auroc_macro"].value == pytest.approx(mean)


def test_a_task_with_nothing_to_score_is_refused(make_cohort: Make, make_task: Make) -> None:
    x = [str(int(i < 3)) for i in range(N)]
    with pytest.raises(BadTask, match="t: nothing can be scored: x: 3 of 40 patients are positive"):
        prepare_task(make_task(), make_cohort(x=x))


def test_patients_without_features_are_named_and_folds_stay(
    prepared: PreparedTask, store: StoreFolder
) -> None:
    folder = store.features / "e-ffffffff" / "c"
    for scan in ("s3", "s4"):
        (folder / f"{scan}.h5").unlink()
    found = evaluate_one(prepared, store, "mean-logreg", "default")
    [note] = found.units.excluded
    assert note == "2 without features of e@ffffffff: p3, p4 (clearbench embed c --model e)"
    for before, after in zip(prepared.folds, found.prepared.folds, strict=True):
        assert set(before.test) - set(after.test) <= {"p3", "p4"}
        assert set(after.test) <= set(before.test)
        assert not {"p3", "p4"} & {*after.train, *after.tune, *after.test}
    assert found.prepared.split_sha256 == prepared.split_sha256, (
        "it is on the same board as the others"
    )


def test_too_few_features_are_refused(prepared: PreparedTask, store: StoreFolder) -> None:
    folder = store.features / "e-ffffffff" / "c"
    for path in sorted(folder.glob("*.h5"))[2:]:
        path.unlink()
    with pytest.raises(BadTask, match=r"t: too few patients have features; 38 without features"):
        evaluate_one(prepared, store, "mean-logreg", "default")
    shutil.rmtree(folder)
    with pytest.raises(BadTask, match="no unit of cohort c has features"):
        evaluate_one(prepared, store, "mean-logreg", "default")


def test_what_is_not_there_is_refused(prepared: PreparedTask, store: StoreFolder) -> None:
    with pytest.raises(UnknownName, match=r"did you mean abmil"):
        evaluate_one(prepared, store, "abmill", "default")
    with pytest.raises(UnknownName, match="no preset is called"):
        evaluate_one(prepared, store, "abmil", "none")
    with pytest.raises(BadRequest, match="seeds=0: must be from 1 to 1,000"):
        evaluate_one(prepared, store, "abmil", "default", seeds=0)
    with pytest.raises(BadRequest, match="gpu"):
        evaluate_one(prepared, store, "abmil", "default", device="gpu")
