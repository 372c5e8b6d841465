"""The path from scans to a leaderboard, as one story: read this first.

embed:     scans → slices in HU → frozen encoder → one feature file per scan → catalogue
evaluate:  features + labels → bags per patient → attention-MIL heads → honest scores → results
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clearbench.board.keep import make_result, write_result
from clearbench.board.results import Result
from clearbench.encoders.registry import check_trusted, find_encoder
from clearbench.engines.encoders import encoder_for, keep_seen_patients
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.engines.local import EmbedJob, default_batch_size, run
from clearbench.engines.plan import gather, keep, read_tasks
from clearbench.errors import BadRequest
from clearbench.evaluation.bundles import write_bundle
from clearbench.evaluation.efficiency import check_sizes, learning_curve, read_sizes
from clearbench.evaluation.floors import make_floors, read_sketches
from clearbench.evaluation.guards.report import (
    Finding,
    Sketches,
    guard_contamination,
    guard_copies,
    guard_labels,
    guard_shortcuts,
    guard_sides,
)
from clearbench.evaluation.heads.kinds import check_head
from clearbench.evaluation.heads.single import SINGLE
from clearbench.evaluation.material import Material, load_material
from clearbench.evaluation.prepared import prepare_from_store
from clearbench.evaluation.presets import DRAWS, check_draws
from clearbench.evaluation.protocol import Way, evaluate_head
from clearbench.evaluation.redrawn import with_redrawn
from clearbench.evaluation.tasks import Task, find_task
from clearbench.scans.inventory import default_workers
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder, default_store, open_store
from clearbench.store.records import find_records, measured_rate


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
    trust_remote_code: Collection[str] = (),
    on_event: OnEvent = _unheard,
) -> EmbedReport:
    """Embed every scan that the store does not hold yet, with each of `models`.

    `scans` is a cohort table, a cohort of the store, a folder, or one file. A scan that can't be
    read is reported and costs nothing else; a rerun goes on where a killed run stopped.
    `trust_remote_code` names those of `models` whose repository's code may run.
    Raises UnknownName, BadRequest, BadCohort, BadStore, WeightsUnavailable, StorageFull.
    """
    _check(models, weights, store_dtype, batch_size, workers)
    check_trusted(trust_remote_code, models)
    cards = [find_encoder(model, registry) for model in models]
    folder = open_store(store or default_store(), create=True)
    readers = default_workers() if workers is None else workers
    found = gather(scans, folder, name=name, keep_ids=keep_ids, workers=readers)
    cohort = found.cohort if dry_run else keep(found.cohort, folder)
    runs = []
    for model, card in zip(models, cards, strict=True):
        encoder = encoder_for(
            card,
            folder,
            views,
            device,
            precision,
            weights,
            store_dtype,
            model in trust_remote_code,
        )
        tasks = read_tasks(
            found.cohort, encoder, folder, shard=shard, resample=resample, replace=replace
        )
        if not dry_run:
            keep_seen_patients(card, encoder, folder)
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
    draws: int = DRAWS,
    store: Path | str | None = None,
    results: Path | str | None = None,
    device: str = "cpu",
    precision: str = "auto",
    floors: bool = True,
    fractions: str = "",
    task_folders: Iterable[Path] = (),
    save_heads: Path | str | None = None,
    on_step: Callable[[EvaluationStep], None] = _unheard,
) -> list[Result]:
    """Train heads on every task × encoder × head and write one result each, beside the floors.

    `heads` are the task's declared one and mean-logreg by default; "all" means each kind there is,
    and not "best", which trains them all again to choose one per fold.
    `models` are names, or name@fp8 where a store holds several sets of features; none means every
    set that the task's cohort has. Heads train in bfloat16 where the processor multiplies it,
    unless `precision` is float32. A fixed split gets `draws` heads of drawn training patients
    besides, for its comparisons. `fractions` ("16,32,all") adds the declared head's scores with so
    many training patients. With `save_heads` the heads of each encoder's result are written to
    <save_heads>/<task>/<the result's stem>/, for `apply`. Raises UnknownName, BadRequest, BadTask,
    BadStore.
    """
    if not tasks:
        raise BadRequest("name a task: --task NAME (`clearbench tasks list` shows them)")
    check_draws(draws)
    folder = open_store(store or default_store())
    target = Path(results) if results is not None else folder.results
    sizes = read_sizes(fractions) if fractions else ()
    found: list[Result] = []
    chosen = [find_task(name, task_folders) for name in tasks]
    for task in chosen:
        _check_heads(task, heads, sizes, folder)
    for task in chosen:
        for prepared in prepare_from_store(task, folder):
            records = find_records(folder, models, task.card.cohort)
            kept = None if save_heads is None else Path(save_heads)
            jury = _Jury(task, folder, target, preset, seeds, draws, sizes, on_step, kept)
            sketches = read_sketches(prepared.units, records[0], folder)
            shared = [guard_sides(prepared.folds), guard_copies(prepared.units, sketches)]
            shared += guard_labels(prepared)
            for record in records:
                material = load_material(
                    prepared, record, folder, device=device, precision=precision
                )
                if floors and record is records[0]:
                    made, shortcuts = _floors(material, sketches, jury, _heads(task, heads))
                    found += made
                    shared += shortcuts
                guards = [*shared, guard_contamination(record, folder, material.prepared)]
                for head in _heads(task, heads):
                    found.append(jury.judge(material, head, guards))
    refresh(folder)
    return found


@dataclass(frozen=True)
class _Jury:
    """How the heads of one task are trained, and where their results go."""

    task: Task
    store: StoreFolder
    target: Path
    preset: str
    seeds: int | None
    draws: int
    sizes: tuple[int, ...]
    on_step: Callable[[EvaluationStep], None]
    heads: Path | None = None

    def judge(self, material: Material, head: str, guards: Sequence[Finding] = ()) -> Result:
        """Train one kind of head, and write its result; the declared one's curve with it.

        An encoder's trained heads are written too, if they have a place; a floor's never.
        """
        kept = self.heads if material.bags else None
        record, way = (
            material.record,
            Way(head, self.preset, self.seeds, kept is not None, self.draws),
        )
        step = partial(_tell, self.on_step, self.task.name, record.name)
        evaluation = evaluate_head(material, way, partial(step, head))
        again = partial(step, f"{head}, other training patients")
        evaluation = with_redrawn(evaluation, material, way, again)
        declared = head == self.task.card.head and not material.shuffled
        curve = (
            learning_curve(material, way, self.sizes, partial(step, f"{head}, fewer patients"))
            if declared and self.sizes
            else ()
        )
        result = make_result(evaluation, measured_rate(record, self.store), guards, curve)
        path = write_result(result, evaluation, self.target)
        if kept is not None:
            write_bundle(evaluation, material, kept / result.task / result.stem)
        return replace(result, path=str(path))


def _floors(
    material: Material, sketches: Sketches, jury: _Jury, heads: Sequence[str]
) -> tuple[list[Result], list[Finding]]:
    """Judge what needs no encoder; returns the rows, and what they say of shortcuts.

    Shuffled labels are for the declared head, and left out where it isn't asked for.
    """
    cohorts = {name: load_cohort(jury.store, name) for name in set(material.units.cohorts)}
    results = [
        jury.judge(floor.material, floor.head)
        for floor in make_floors(material, cohorts, sketches)
        if not floor.material.shuffled or floor.head in heads
    ]
    return results, guard_shortcuts({r.encoder: r.score()["low"] for r in results}, jury.task.card)


def _check_heads(
    task: Task, heads: Sequence[str], sizes: Sequence[int], store: StoreFolder
) -> None:
    """Refuse heads that aren't there, and a curve of which nothing would be seen, or not all."""
    for head in _heads(task, heads):
        check_head(head)
    if not sizes:
        return
    if task.card.head not in _heads(task, heads):
        raise BadRequest(
            f"--fractions: {task.name} declares the head {task.card.head}; add --head "
            f"{task.card.head}, or leave --head out"
        )
    for prepared in prepare_from_store(task, store):
        check_sizes(sizes, prepared.folds, task.name)


def _heads(task: Task, heads: Sequence[str]) -> list[str]:
    """Return the heads to train for a task; the declared one first, if none is named."""
    kinds = SINGLE if "all" in heads else ()
    named = [head for head in heads if head != "all"]
    return list(dict.fromkeys([*kinds, *named] or (task.card.head, "mean-logreg")))


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
