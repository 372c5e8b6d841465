"""The way from scans to results: read this first.

embed:     scans → slices in HU → frozen encoder → one feature file per scan → catalogue
evaluate:  features + labels → bags per patient → heads, such as attention-MIL → scores → results
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clearbench.cores import default_workers
from clearbench.encoders.registry import check_trusted, find_encoder
from clearbench.engines.encoders import encoder_for, keep_seen_patients
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.engines.local import EmbedJob, default_batch_size, run
from clearbench.engines.plan import read_tasks
from clearbench.engines.views import windows_of_images
from clearbench.errors import BadArgument
from clearbench.evaluation.bundles.bundle import write_bundle
from clearbench.evaluation.guards.report import (
    GuardFinding,
    Sketches,
    guard_contamination,
    guard_copies,
    guard_labels,
    guard_shortcuts,
    guard_split,
)
from clearbench.evaluation.head_registry import find_head, plain_heads
from clearbench.evaluation.heads.presets import RETRAINED_HEADS, check_retrained
from clearbench.evaluation.protocol.encoder_data import EncoderData, load_encoder_data
from clearbench.evaluation.protocol.evaluate import evaluate_head
from clearbench.evaluation.protocol.floors import make_floors, read_sketches
from clearbench.evaluation.protocol.learning_curve import (
    check_training_sizes,
    learning_curve,
    read_training_sizes,
)
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.protocol.retrained import with_retrained
from clearbench.evaluation.task.card import Task, find_task
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.intake import gather, keep
from clearbench.results.record import Result
from clearbench.results.write import make_result, write_result
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder, default_store, open_store
from clearbench.store.records import find_records, measured_rate


def _ignore(_: object) -> None:
    """Do nothing with an event."""


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
    replace_rows: bool = False,
    dry_run: bool = False,
    registry: Iterable[Path] = (),
    trust_remote_code: Collection[str] = (),
    on_event: OnEvent = _ignore,
) -> EmbedReport:
    """Embed every scan that the store does not have yet, with each of `models`.

    `scans` is a cohort table, a cohort of the store, a folder, or one file. A scan that can't be
    read is reported and the others go on; a new run continues a stopped one. What a table changes
    in the stored cohort of its name is in the report's notes; with `replace_rows`, scans that it
    lacks leave that cohort.
    `views` are the card's by default; images that were windowed before have their own windows.
    `trust_remote_code` names those of `models` whose repository's code may run.
    Raises UnknownName, BadRequest, BadCohort, BadStore, WeightsUnavailable, StorageFull.
    """
    models = as_names(models)
    _check(models, weights, store_dtype, batch_size, workers)
    check_trusted(trust_remote_code, models)
    # before a store is made: a misspelt name leaves nothing on the disk
    cards = [find_encoder(model, registry) for model in models]
    folder = open_store(store or default_store(), create=True)
    readers = default_workers() if workers is None else workers
    found = gather(scans, folder, name=name, keep_ids=keep_ids, workers=readers)
    cohort = keep(found.cohort, folder, replace_rows=replace_rows, dry_run=dry_run)
    runs = []
    for model, card in zip(models, cards, strict=True):
        own = () if views else windows_of_images(card.card, found.cohort)
        encoder = encoder_for(
            card,
            folder,
            views or own,
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
            encoder,
            folder,
            cohort.name,
            tasks,
            batch_size or default_batch_size(encoder),
            readers,
            views_from_images=bool(own),
        )
        runs.append(run(job, on_event, dry=dry_run))
    if not dry_run:
        # once for all encoders, because it copies the catalogue
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
    """Refuse arguments that can't be served."""
    if not models:
        raise BadArgument("models", "", "name an encoder (`clearbench models list` shows them)")
    if weights is not None and len(models) > 1:
        raise BadArgument("weights", weights, "a file of weights is for one encoder; name one")
    if store_dtype not in ("float32", "float16"):
        raise BadArgument("store_dtype", store_dtype, "must be float32 or float16")
    if batch_size is not None and batch_size < 1:
        raise BadArgument("batch_size", batch_size, "must be at least 1")
    if workers is not None and workers < 0:
        raise BadArgument("workers", workers, "must be at least 0 (0: read in this process)")


@dataclass(frozen=True)
class EvaluationStep:
    """The progress of an evaluation: `done` of `total` heads are trained."""

    task: str
    encoder: str
    head: str
    done: int
    total: int


def as_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return names as a tuple; a text is one name, not many letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def evaluate(  # noqa: PLR0913  options of a command
    tasks: Sequence[str],
    models: Sequence[str] = (),
    *,
    heads: Sequence[str] = (),
    preset: str = "default",
    seeds: int | None = None,
    draws: int = RETRAINED_HEADS,
    store: Path | str | None = None,
    results: Path | str | None = None,
    device: str = "cpu",
    precision: str = "auto",
    floors: bool = True,
    fractions: str = "",
    task_folders: Iterable[Path] = (),
    save_heads: Path | str | None = None,
    on_step: Callable[[EvaluationStep], None] = _ignore,
) -> list[Result]:
    """Train heads on every task × encoder × head, and write one result each, and the floors.

    `heads` are the task's declared head and mean-logreg by default; "all" means every head but
    "best", which trains all others to choose one per fold. `models` are names, or name@fp8 where a
    store has several sets of features; by default every set of the task's cohort. Heads train in
    bfloat16 where the processor has it, unless `precision` is float32. On a fixed split, `draws`
    more heads are retrained on bootstrapped training patients, so that comparisons include training
    variance; 0 turns it off. `fractions` ("16,32,all") adds scores of the declared head with fewer
    training patients. `save_heads` is a folder for trained heads: <task>/<name of the result>/, for
    `apply`. Raises UnknownName, BadArgument, BadTask, BadStore.
    """
    tasks, models, heads = as_names(tasks), as_names(models), as_names(heads)
    if not tasks:
        raise BadArgument("tasks", "", "name a task (`clearbench tasks list` shows them)")
    check_retrained(draws)
    folder = open_store(store or default_store())
    sizes = read_training_sizes(fractions) if fractions else ()
    chosen = [find_task(name, task_folders) for name in tasks]
    # all tasks are checked before the first head is trained
    for task in chosen:
        _check_heads(task, heads, sizes, folder)
    evaluators = [
        _Evaluator(
            task=task,
            store=folder,
            results=Path(results) if results is not None else folder.results,
            heads=tuple(_heads(task, heads)),
            preset=preset,
            seeds=seeds,
            retrained=draws,
            sizes=sizes,
            floors=floors,
            on_step=on_step,
            saved_heads=None if save_heads is None else Path(save_heads),
        )
        for task in chosen
    ]
    load = partial(load_encoder_data, store=folder, device=device, precision=precision)
    found = [result for one in evaluators for result in one.run(models, load)]
    refresh(folder)
    return found


@dataclass(frozen=True)
class _Evaluator:
    """One task: how its heads are trained, and the folder of their results."""

    task: Task
    store: StoreFolder
    results: Path
    heads: tuple[str, ...]
    preset: str
    seeds: int | None
    retrained: int
    sizes: tuple[int, ...]
    floors: bool
    on_step: Callable[[EvaluationStep], None]
    saved_heads: Path | None

    def run(self, models: Sequence[str], load: Callable[..., EncoderData]) -> list[Result]:
        """Evaluate every encoder on every test cohort of the task; floors come first."""
        found: list[Result] = []
        for prepared in prepare_from_store(self.task, self.store):
            records = find_records(self.store, models, self.task.card.cohort)
            sketches = read_sketches(prepared.units, records[0], self.store)
            shared = [guard_split(prepared.folds), guard_copies(prepared.units, sketches)]
            shared += guard_labels(prepared)
            for record in records:
                data = load(prepared, record)
                # floors need no encoder, so one set of features is enough
                if self.floors and record is records[0]:
                    results, shortcuts = self._run_floors(data, sketches)
                    found += results
                    shared += shortcuts
                guards = [*shared, guard_contamination(record, self.store, data.prepared)]
                found += [self._run_head(data, head, guards) for head in self.heads]
        return found

    def _run_floors(
        self, data: EncoderData, sketches: Sketches
    ) -> tuple[list[Result], list[GuardFinding]]:
        """Evaluate the floors; returns their results, and the guards' findings on shortcuts.

        The floor of shuffled labels trains the declared head, and is left out if that isn't
        evaluated.
        """
        cohorts = {name: load_cohort(self.store, name) for name in set(data.units.cohorts)}
        results = [
            self._run_head(floor.data, floor.head)
            for floor in make_floors(data, cohorts, sketches)
            if not floor.data.shuffled or floor.head in self.heads
        ]
        lows = {result.encoder: result.score()["low"] for result in results}
        return results, guard_shortcuts(lows, self.task.card)

    def _run_head(
        self, data: EncoderData, head: str, guards: Sequence[GuardFinding] = ()
    ) -> Result:
        """Train one head and write its result; the declared head gets a learning curve.

        Trained heads are saved if there is a folder for them, except those of floors.
        """
        folder = self.saved_heads if data.bags else None
        config = HeadConfig(head, self.preset, self.seeds, folder is not None, self.retrained)
        step = partial(_report, self.on_step, self.task.name, data.record.name)
        evaluation = evaluate_head(data, config, partial(step, head))
        evaluation = with_retrained(
            evaluation, data, config, partial(step, f"{head}, retrained on bootstrapped patients")
        )
        declared = head == self.task.card.head and not data.shuffled
        curve = (
            learning_curve(data, config, self.sizes, partial(step, f"{head}, fewer patients"))
            if declared and self.sizes
            else ()
        )
        rate = measured_rate(data.record, self.store)
        result = make_result(evaluation, rate, guards, curve)
        path = write_result(result, evaluation, self.results)
        if folder is not None:
            write_bundle(evaluation, data, folder / result.task / result.stem)
        return replace(result, path=str(path))


def _check_heads(
    task: Task, heads: Sequence[str], sizes: Sequence[int], store: StoreFolder
) -> None:
    """Refuse heads that don't exist, and sizes of learning curves that aren't possible."""
    chosen = _heads(task, heads)
    for head in chosen:
        find_head(head)
    if not sizes:
        return
    if task.card.head not in chosen:
        reason = f"{task.name} declares the head {task.card.head}; evaluate it too"
        raise BadArgument("heads", ", ".join(heads), reason)
    for prepared in prepare_from_store(task, store):
        check_training_sizes(sizes, prepared.folds, task.name)


def _heads(task: Task, heads: Sequence[str]) -> list[str]:
    """Return the heads to train for a task; by default the declared one and mean-logreg."""
    plain = plain_heads() if "all" in heads else ()
    named = [head for head in heads if head != "all"]
    return list(dict.fromkeys([*plain, *named] or (task.card.head, "mean-logreg")))


def _report(
    on_step: Callable[[EvaluationStep], None],
    task: str,
    encoder: str,
    head: str,
    done: int,
    total: int,
) -> None:
    """Report how many heads are trained."""
    on_step(EvaluationStep(task, encoder, head, done, total))
