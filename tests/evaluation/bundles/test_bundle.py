"""Heads on disk: what comes back judges as what was written."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadRequest
from clearbench.evaluation.bundles.bundle import read_bundle, write_bundle
from clearbench.evaluation.bundles.thresholds import choose_threshold
from clearbench.evaluation.head_registry import HEADS
from clearbench.evaluation.heads import presets
from clearbench.evaluation.protocol.encoder_data import EncoderData, make_encoder_data, rows_of
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
RECORD = EncoderRecord("e", "f" * 64, 8, ("lung",), "float32", "float32", "w", {"title": "E"})
N = 48
KIND = np.arange(N) % 3
QUICK = replace(
    presets.PRESETS["default"], steps=6, learning_rate=1e-3, weight_decay=0.01, networks=2, passes=0
)
TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"columns": {"x": (KIND > 0).astype(int)}},
    "multilabel": {
        "columns": {"x": (KIND > 0).astype(int), "y": [None if k == 1 else k // 2 for k in KIND]},
        "labels": ["x", "y"],
    },
    "multiclass": {"columns": {"x": ["abc"[k] for k in KIND]}, "classes": ["a", "b", "c"]},
    "ordinal": {"columns": {"x": ["abc"[k] for k in KIND]}, "classes": ["a", "b", "c"]},
    "survival": {
        "columns": {"time": 10 - 3 * KIND + np.arange(N) % 2, "dead": (np.arange(N) % 4 > 0) * 1},
        "labels": ["time", "dead"],
    },
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "PRESETS", {"default": QUICK})


@pytest.fixture
def data(make_cohort: Make, make_task: Make, make_bags: Make) -> Callable[..., EncoderData]:
    def make(target: str, precision: str = "float32") -> EncoderData:
        facts = {**TARGETS[target]}
        cohort = make_cohort(**facts.pop("columns"))
        task = make_task(target=target, split={"folds": 2, "repeats": 1}, **facts)
        prepared = prepare_task(task, cohort)
        bags = tuple(make_bags(KIND))
        return make_encoder_data(prepared, RECORD, prepared.units, bags, precision=precision)

    return make


def evaluated(data: EncoderData, head: str, seeds: int = 1) -> Evaluation:
    return evaluate_head(data, HeadConfig(head, seeds=seeds, keep_heads=True))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", TARGETS)
def test_heads_come_back_bit_for_bit(
    head: str, target: str, data: Callable[..., EncoderData], tmp_path: Path
) -> None:
    given = data(target)
    found = evaluated(given, head)
    bundle = read_bundle(write_bundle(found, given, tmp_path / "b"))
    assert [facts.settings for facts in bundle.facts.heads] == [
        a.settings for a in found.fold_results
    ]
    for result, again in zip(found.fold_results, bundle.heads, strict=True):
        assert again.settings == result.settings
        predicted = again.predictions(given.instances.take(list(result.units)))
        np.testing.assert_array_equal(predicted.scores, result.predictions.scores)
        for one, other in zip(predicted.attention, result.predictions.attention, strict=True):
            np.testing.assert_array_equal(one, other)


def test_bfloat16_heads_come_back_too(data: Callable[..., EncoderData], tmp_path: Path) -> None:
    given = data("binary", "bfloat16")
    found = evaluated(given, "abmil")
    bundle = read_bundle(write_bundle(found, given, tmp_path / "b"))
    assert bundle.facts.head_precision == "bfloat16"
    predicted = bundle.heads[0].predictions(given.instances.take(list(found.fold_results[0].units)))
    np.testing.assert_array_equal(predicted.scores, found.fold_results[0].predictions.scores)


def test_a_bundle_says_what_it_was_trained_on_and_how(
    data: Callable[..., EncoderData], tmp_path: Path
) -> None:
    given = data("multilabel")
    found = evaluated(given, "abmil", seeds=2)
    facts = read_bundle(write_bundle(found, given, tmp_path / "b")).facts
    assert facts.encoder == RECORD
    assert facts.task_card == given.prepared.task.card
    assert facts.outputs == ("x", "y")
    assert [(h.fold, h.seed) for h in facts.heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert facts.heads[0].train + facts.heads[0].tune + facts.heads[0].test == N


def test_thresholds_come_from_tuning_units_before_heads_are_fitted_to_them(
    data: Callable[..., EncoderData], tmp_path: Path
) -> None:
    """The final head is fitted to its tuning units too; the threshold must not use that head."""
    given = data("binary")
    found = evaluated(given, "mean-logreg")
    tuning = [rows_of(result.fold.tune, given.units) for result in found.fold_results]
    heads = [result.head for result in found.fold_results if result.head is not None]
    before = np.concatenate([head.tuning_[:, 0] for head in heads])
    pairs = zip(heads, tuning, strict=True)
    after = np.concatenate([h.scores(given.instances.take(r))[:, 0] for h, r in pairs])
    assert not np.allclose(before, after)
    truth = given.units.targets[np.concatenate(tuning), 0]
    facts = read_bundle(write_bundle(found, given, tmp_path / "b")).facts
    assert facts.thresholds == (choose_threshold(truth, before),)


@pytest.mark.parametrize("target", ["multiclass", "survival"])
def test_classes_and_risks_have_no_threshold(
    target: str, data: Callable[..., EncoderData], tmp_path: Path
) -> None:
    given = data(target)
    bundle = read_bundle(write_bundle(evaluated(given, "knn"), given, tmp_path / "b"))
    assert set(bundle.facts.thresholds) == {None}


def test_heads_that_were_not_kept_are_not_written(
    data: Callable[..., EncoderData], tmp_path: Path
) -> None:
    given = data("binary")
    with pytest.raises(BadRequest, match="keep_heads"):
        write_bundle(evaluate_head(given, HeadConfig("knn")), given, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.fixture
def written(data: Callable[..., EncoderData], tmp_path: Path) -> Path:
    given = data("binary")
    return write_bundle(evaluated(given, "abmil"), given, tmp_path / "b")


def edit(folder: Path, **news: Any) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | news))


def test_a_missing_or_foreign_bundle_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no bundle of heads in this folder"):
        read_bundle(tmp_path / "missing")
    (written / "bundle.json").write_text('{"model": "of another"}')
    with pytest.raises(BadRequest, match=r"not a readable bundle .*--save-heads"):
        read_bundle(written)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            lambda text: text[: len(text) // 2],
            "it isn't a JSON record any more",
        ),
        (lambda _: "[]", "not a table of keys and values"),
        (lambda text: text.replace('"seed"', '"sead"'), "heads.0.seed is missing"),
        (lambda _: "{}", "task is missing; task_sha256 is missing; .* and 11 more"),
    ],
    ids=["cut off", "a list", "a letter changed", "empty"],
)
def test_damaged_facts_are_named_in_plain_words_with_the_way_out(
    written: Path, harm: Callable[[str], str], words: str
) -> None:
    path = written / "bundle.json"
    path.write_text(harm(path.read_text()))
    with pytest.raises(BadRequest, match=words) as caught:
        read_bundle(written)
    assert str(caught.value).startswith(f"{path}: not a readable bundle (")
    assert "restore a copy, or make a new one: clearbench evaluate" in str(caught.value)
    assert not re.search("pydantic|validation error|BundleFacts|input_value", str(caught.value))


def test_a_damaged_bundle_is_refused(written: Path) -> None:
    arrays = written / "heads.safetensors"
    image = bytearray(arrays.read_bytes())
    image[-5] ^= 1
    arrays.write_bytes(image)
    with pytest.raises(BadRequest, match="damaged"):
        read_bundle(written)
    arrays.unlink()
    with pytest.raises(BadRequest, match="No such file"):
        read_bundle(written)


@pytest.mark.parametrize(
    "news",
    [
        {"bundle": 1},
        {"head": "transformer"},
        {"head": "knn"},
        {"head": "none"},
        {"preset": "none"},
        {"head_precision": "float16"},
        {"unheard": 1},
    ],
)
def test_a_bundle_of_another_version_or_head_is_refused(
    written: Path, news: dict[str, Any]
) -> None:
    edit(written, **news)
    with pytest.raises(BadRequest, match="not a readable bundle"):
        read_bundle(written)


def test_arrays_that_are_no_safetensors_are_refused(written: Path) -> None:
    import hashlib

    image = b"\x80\x04N."  # a pickle
    (written / "heads.safetensors").write_bytes(image)
    edit(written, arrays_sha256=hashlib.sha256(image).hexdigest())
    with pytest.raises(BadRequest, match="not a readable bundle"):
        read_bundle(written)
