"""The path from scans to a leaderboard, as one story: read this first.

embed:     scans → slices in HU → frozen encoder → one feature file per scan → catalogue
evaluate:  features + labels → bags per patient → attention-MIL heads → honest scores → results
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clearbench.board.keep import make_result, write_result
from clearbench.board.results import Result
from clearbench.encoders.device import Precision, choose_device, choose_precision
from clearbench.encoders.encoder import Encoder, build_encoder
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.encoders.views import choose_views
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.engines.local import EmbedJob, default_batch_size, run
from clearbench.engines.plan import gather, keep, read_tasks
from clearbench.errors import BadRequest, BadTask
from clearbench.evaluation.heads.kinds import HEADS
from clearbench.evaluation.prepared import Prepared, prepare_task
from clearbench.evaluation.protocol import Way, evaluate_head, load_material
from clearbench.evaluation.tasks import Task, find_task
from clearbench.scans.inventory import default_workers
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder, default_store, open_store
from clearbench.store.records import (
    EncoderRecord,
    find_record,
    has_cohort,
    list_encoders,
    measured_rate,
    pin_weights,
)


def _unheard(_: object) -> None:
    """Let an event pass."""


def embed(  # noqa: PLR0913  options of a command
    scans: Path | str,
    models: Sequence[str],
    *,
    store: Path | str | None = None,
    views: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    store_dtype: str = "float32",
    batch_size: int | None = None,
    workers: int | None = None,
    shard: str = "",
    weights: Path | str | None = None,
    name: str = "",
    keep_ids: bool = False,
    resample: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    registry: Iterable[Path] = (),
    on_event: OnEvent = _unheard,
) -> EmbedReport:
    """Embed every scan that the store does not hold yet, with each of `models`.

    `scans` is a cohort table, a cohort of the store, a folder, or one file. A scan that can't be
    read is reported and costs nothing else; a rerun goes on where a killed run stopped.
    Raises UnknownName, BadRequest, BadCohort, BadStore, WeightsUnavailable, StorageFull.
    """
    _check(models, weights, store_dtype, batch_size, workers)
    cards = [find_encoder(model, registry) for model in models]
    folder = open_store(store or default_store(), create=True)
    readers = default_workers() if workers is None else workers
    found = gather(scans, folder, name=name, keep_ids=keep_ids, workers=readers)
    cohort = found.cohort if dry_run else keep(found.cohort, folder)
    runs = []
    for card in cards:
        encoder = _encoder(card, folder, views, device, precision, weights, store_dtype)
        tasks = read_tasks(
            found.cohort, encoder, folder, shard=shard, resample=resample, replace=replace
        )
        job = EmbedJob(
            encoder, folder, cohort.name, tasks, batch_size or default_batch_size(encoder), readers
        )
        runs.append(run(job, on_event, dry=dry_run))
    if not dry_run:
        refresh(folder)
    return EmbedReport(
        cohort.name,
        str(folder.root),
        tuple(runs),
        tuple(found.left_out.most_common()),
        cohort.problems,
    )


def _check(
    models: Sequence[str],
    weights: object,
    store_dtype: str,
    batch_size: int | None,
    workers: int | None,
) -> None:
    """Refuse options that can't be served."""
    if not models:
        raise BadRequest("name an encoder: --model NAME (`clearbench models list` shows them)")
    if weights is not None and len(models) > 1:
        raise BadRequest("--weights belongs to one encoder; name one --model")
    if store_dtype not in ("float32", "float16"):
        raise BadRequest(f"--store-dtype {store_dtype}: float32 or float16")
    if batch_size is not None and batch_size < 1:
        raise BadRequest("--batch-size must be at least 1")
    if workers is not None and workers < 0:
        raise BadRequest("--workers must be 0 (read in this process) or more")


def _encoder(  # noqa: PLR0913  the same options
    card: Registered,
    store: StoreFolder,
    views: Sequence[str],
    device: str,
    precision: str,
    weights: Path | str | None,
    store_dtype: str,
) -> Encoder:
    """Build an encoder; auto precision follows what the store holds for it."""
    names = tuple(view.name for view in choose_views(card.card, views))
    stored: Precision | None = None
    for record in list_encoders(store):
        if record.name == card.name and record.views == names and record.store_dtype == store_dtype:
            stored = choose_precision(record.precision, choose_device(device))
    exact = choose_precision(precision, choose_device(device), stored, card.card.precision)
    encoder = build_encoder(
        card, device=device, precision=exact, views=views, weights=weights, store_dtype=store_dtype
    )
    if (
        weights is None
        and card.card.weights.sha256 is None
        and card.card.source.startswith("hf-hub:")
    ):
        pin_weights(store, card.name, encoder.weights_sha256)
    return encoder


@dataclass(frozen=True)
class EvaluationStep:
    """How far an evaluation is: fold `done` of `total`."""

    task: str
    encoder: str
    head: str
    done: int
    total: int


def evaluate(  # noqa: PLR0913  options of a command
    tasks: Sequence[str],
    models: Sequence[str] = (),
    *,
    heads: Sequence[str] = (),
    preset: str = "default",
    seeds: int | None = None,
    store: Path | str | None = None,
    results: Path | str | None = None,
    device: str = "cpu",
    precision: str = "auto",
    task_folders: Iterable[Path] = (),
    on_step: Callable[[EvaluationStep], None] = _unheard,
) -> list[Result]:
    """Train heads on every task × encoder × head and write one result each.

    `heads` are the task's declared one and mean-logreg by default; "all" means each there is.
    `models` are names, or name@fp8 where a store holds several sets of features; none means every
    set that the task's cohort has. Heads train in bfloat16 where the processor multiplies it,
    unless `precision` is float32. Raises UnknownName, BadRequest, BadTask, BadStore.
    """
    if not tasks:
        raise BadRequest("name a task: --task NAME (`clearbench tasks list` shows them)")
    folder = open_store(store or default_store())
    target = Path(results) if results is not None else folder.results
    found = []
    for task in [find_task(name, task_folders) for name in tasks]:
        for prepared in _prepared(task, folder):
            for record in _records(folder, models, task.card.cohort):
                material = load_material(
                    prepared, record, folder, device=device, precision=precision
                )
                for way in _ways(task, heads, preset, seeds):
                    step = partial(_tell, on_step, task.name, record.name, way.head)
                    evaluation = evaluate_head(material, way, step)
                    result = make_result(evaluation, measured_rate(record, folder))
                    path = write_result(result, evaluation, target)
                    found.append(replace(result, path=str(path)))
    refresh(folder)
    return found


def _prepared(task: Task, store: StoreFolder) -> list[Prepared]:
    """Return a task's units and folds; one a test cohort, where others are tested."""
    own = load_cohort(store, task.card.cohort)
    others = [load_cohort(store, name) for name in task.card.split.test]
    return [prepare_task(task, own, other) for other in others] or [prepare_task(task, own)]


def _ways(task: Task, heads: Sequence[str], preset: str, seeds: int | None) -> list[Way]:
    """Return the heads to train for a task; the declared one first, if none is named."""
    names = list(HEADS) if "all" in heads else heads or (task.card.head, "mean-logreg")
    return [Way(head, preset, seeds) for head in dict.fromkeys(names)]


def _records(store: StoreFolder, models: Sequence[str], cohort: str) -> list[EncoderRecord]:
    """Return the sets of features to evaluate."""
    if models:
        return [find_record(store, model, cohort) for model in models]
    records = [record for record in list_encoders(store) if has_cohort(store, record, cohort)]
    if not records:
        raise BadTask(
            f"no encoder has features of cohort {cohort}; make them: clearbench embed {cohort} "
            "--model NAME"
        )
    return records


def _tell(
    on_step: Callable[[EvaluationStep], None],
    task: str,
    encoder: str,
    head: str,
    done: int,
    total: int,
) -> None:
    """Pass on how far a head is."""
    on_step(EvaluationStep(task, encoder, head, done, total))
