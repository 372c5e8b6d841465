"""Repeat a result from a pack: the same head on the same folds, and the largest difference."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clearbench.errors import BadRequest
from clearbench.evaluation.protocol.encoder_data import load_encoder_data
from clearbench.evaluation.protocol.evaluate import OnFold, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.protocol.retrained import with_retrained
from clearbench.evaluation.task.prepared import PreparedTask, prepare_from_store
from clearbench.packs.facts import PackedFeatures
from clearbench.packs.read import Pack
from clearbench.results.predictions import largest_difference, predictions_path, read_predictions
from clearbench.results.record import Result, read_result
from clearbench.results.write import make_result, write_result
from clearbench.store.records import EncoderRecord, every_record

TOLERANCE = 1e-3  # other processors and library versions round differently
AGAIN = "again"  # the folder of the repeated result in an unpacked pack


@dataclass(frozen=True)
class Reproduction:
    """A result, its repetition, and their absolute differences.

    unit_gap: the largest over all scores of units; None if the result has no predictions
    metric_gaps: by metric; infinite where one of the two has no value
    """

    before: Result
    after: Result
    metric_gaps: Mapping[str, float]
    unit_gap: float | None
    notes: tuple[str, ...]

    @property
    def gap(self) -> float:
        """Return the largest difference of units' scores, or without predictions of metrics."""
        metrics = max(self.metric_gaps.values(), default=float("inf"))
        return metrics if self.unit_gap is None else self.unit_gap

    @property
    def repeated(self) -> bool:
        """Tell whether the scores are the same within TOLERANCE."""
        return self.gap <= TOLERANCE


def repeat_result(
    pack: Pack,
    result: Path,
    *,
    device: str = "cpu",
    on_fold: OnFold = lambda _done, _total: None,
) -> Reproduction:
    """Repeat a result from a pack; `result` is a file, or the name of one in the pack.

    Raises BadRequest if the result is of another task, or of features that the pack lacks.
    """
    path = _result_file(pack, result)
    before = read_result(path)
    features, record = _features(pack, before)
    data = load_encoder_data(
        _prepared(pack, before),
        record,
        pack.store,
        device=device,
        precision=before.head_precision,
    )
    config = HeadConfig(before.head, before.preset, before.seeds, retrained=before.draws)
    evaluation = with_retrained(evaluate_head(data, config, on_fold), data, config, on_fold)
    plain = make_result(evaluation, None)
    after = replace(plain, path=str(write_result(plain, evaluation, pack.root / AGAIN)))
    return Reproduction(
        before=before,
        after=after,
        metric_gaps=_metric_gaps(before, after),
        unit_gap=_unit_gap(before, after, renamed=_has_new_names(pack, before, features)),
        notes=_notes(before, after, features),
    )


def _result_file(pack: Pack, result: Path) -> Path:
    """Return a result's file, on the disk or in the pack."""
    if result.is_file():
        return result
    packed = {Path(name).name: pack.root / name for name in pack.facts.results}
    if result.name not in packed:
        names = ", ".join(packed) or "none"
        raise BadRequest(f"{result}: no such file, and no such result in the pack (it has {names})")
    return packed[result.name]


def _features(pack: Pack, result: Result) -> tuple[PackedFeatures, EncoderRecord]:
    """Return the features of a result; raises BadRequest for another task or other features."""
    if result.task != pack.task.name:
        raise BadRequest(f"the result is of task {result.task}, the pack of task {pack.task.name}")
    packed = {features.fingerprint: features for features in pack.facts.features}
    for record in every_record(pack.store):
        if record.fingerprint == result.fingerprint and record.fingerprint in packed:
            return packed[record.fingerprint], record.with_views(result.views)
    has = ", ".join(f"{one.encoder}@{one.fingerprint[:8]}" for one in pack.facts.features)
    wanted = f"{result.encoder}@{result.fingerprint[:8]}"
    raise BadRequest(f"the result is of features {wanted}; the pack has {has}")


def _prepared(pack: Pack, result: Result) -> PreparedTask:
    """Return the pack's units and folds for the cohort that a result was tested on."""
    for prepared in prepare_from_store(pack.task, pack.store):
        if prepared.test_cohort == result.test_cohort:
            return prepared
    raise BadRequest(f"the result was tested on cohort {result.test_cohort}, which isn't packed")


def _metric_gaps(before: Result, after: Result) -> dict[str, float]:
    """Return the difference of every metric that either has."""
    names = dict.fromkeys([*before.scores, *after.scores])
    return {name: _gap(before.score(name)["value"], after.score(name)["value"]) for name in names}


def _gap(one: float | None, other: float | None) -> float:
    """Return an absolute difference; 0 for two missing values."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other)


def _unit_gap(before: Result, after: Result, *, renamed: bool) -> float | None:
    """Return the largest difference between units' scores; None without the old predictions.

    Older versions trained deterministic heads once per seed. They are trained once now, so only
    the first is compared.
    """
    if not predictions_path(before).is_file():
        return None
    old = read_predictions(before)
    repeated = {key: each for key, each in old.items() if key.seed < after.seeds}
    return largest_difference(repeated, read_predictions(after), renamed=renamed)


def _has_new_names(pack: Pack, result: Result, features: PackedFeatures) -> bool:
    """Tell whether a result from outside has the packed units under their original names."""
    outside = pack.root not in Path(result.path).parents
    renamed = any(cohort.renamed for cohort in pack.facts.cohorts)
    return outside and renamed and result.split_sha256 in features.split_sha256


def _notes(before: Result, after: Result, features: PackedFeatures) -> tuple[str, ...]:
    """Return notes on other versions, another card or other folds."""
    notes = [
        f"{name} {version} then, {after.versions.get(name, 'none')} now"
        for name, version in before.versions.items()
        if after.versions.get(name) != version
    ]
    if before.heads_version != after.heads_version:
        notes.append(f"heads of version {before.heads_version} then, {after.heads_version} now")
    if before.task_sha256 != after.task_sha256:
        notes.append("the pack's task card differs from the result's")
    if before.split_sha256 not in (*features.split_sha256, after.split_sha256):
        notes.append("the pack's folds differ from the result's")
    return tuple(notes)
