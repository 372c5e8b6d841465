"""The way from scans to results: read this first.

embed:     scans → slices in HU → frozen encoder → one feature file per scan → catalogue
evaluate:  features + labels → bags per patient → heads, such as attention-MIL → scores → results
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from clearbench.cores import MOST_WORKERS, default_workers
from clearbench.encoders.encoder import Encoder
from clearbench.encoders.registry import Registered, check_trusted, find_encoder
from clearbench.engines.encoders import encoder_for, keep_seen_patients
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.engines.local import EmbedJob, default_batch_size, run
from clearbench.engines.plan import read_shard, read_tasks
from clearbench.engines.views import windows_of_images
from clearbench.errors import BadArgument, check_between
from clearbench.evaluation.heads.presets import RETRAINED_HEADS, check_retrained, check_seeds
from clearbench.evaluation.protocol.encoder_data import load_encoder_data
from clearbench.evaluation.protocol.learning_curve import read_training_sizes
from clearbench.evaluation.task.card import find_task
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.evaluator import (
    EvaluationStep,
    Evaluator,
    check_heads,
    chosen_heads,
    only_stale,
)
from clearbench.intake import gather, keep
from clearbench.results.record import Result
from clearbench.results.stale import StaleResult, find_stale
from clearbench.store.catalogue.fold import refresh
from clearbench.store.folder import default_store, open_store, share


def _ignore(_: object) -> None:
    """Do nothing with an event."""


MOST_IMAGES = 65_536  # of one forward pass


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
    window: str = "",
    resample: bool = False,
    replace: bool = False,
    replace_rows: bool = False,
    group_readable: bool = False,
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
    `views` are the card's by default; images that were windowed before have their own windows:
    those of their folders, of the table's column window, or `window`.
    With `group_readable`, the store's group may read it, now and later, except for its keys.
    `trust_remote_code` names those of `models` whose repository's code may run.
    Raises UnknownName, BadRequest, BadCohort, BadStore, WeightsUnavailable, StorageFull.
    """
    models = as_names(models)
    _check(models, weights, store_dtype, batch_size, workers)
    read_shard(shard)  # before an encoder is loaded
    check_trusted(trust_remote_code, models)
    # before a store is made: a misspelt name leaves nothing on the disk
    cards = [find_encoder(model, registry) for model in models]
    folder = open_store(store or default_store(), create=True)
    if group_readable and not dry_run:
        share(folder, group=True)
    readers = default_workers() if workers is None else workers
    found = gather(scans, folder, name=name, keep_ids=keep_ids, window=window, workers=readers)

    def build(model: str, card: Registered) -> tuple[Encoder, bool]:
        own = () if views else windows_of_images(card.card, found.cohort)
        trusted = model in trust_remote_code
        encoder = encoder_for(
            card, folder, views or own, device, precision, weights, store_dtype, trusted
        )
        return encoder, bool(own)

    # before the cohort is saved: an encoder that can't be had changes nothing in the store
    first = build(models[0], cards[0])
    cohort = keep(found.cohort, folder, replace_rows=replace_rows, dry_run=dry_run)
    runs = []
    for number, (model, card) in enumerate(zip(models, cards, strict=True)):
        encoder, own = build(model, card) if number else first
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
            views_from_images=own,
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
        tuple(dict.fromkeys((*cohort.problems, *found.cohort.problems))),
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
    if batch_size is not None:
        check_between("batch_size", batch_size, 1, MOST_IMAGES)
    if workers is not None:
        check_between("workers", workers, 0, MOST_WORKERS, " (0: read in this process)")


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
    views: Sequence[str] = (),
    task_folders: Iterable[Path] = (),
    save_heads: Path | str | None = None,
    stale: bool = False,
    on_step: Callable[[EvaluationStep], None] = _ignore,
) -> list[Result]:
    """Train heads on every task × encoder × head, and write one result each, and the floors.

    `heads` are the task's declared head and mean-logreg by default; "all" means every head but
    "best", which trains all others to choose one per fold. `models` are names, or name@fp8 where a
    store has several sets of features; by default every set of the task's cohort. `views` are the
    only stored views to use, such as brain of brain and bone. Heads train in bfloat16 where the
    processor has it, unless `precision` is float32. On a fixed split, `draws` more heads are
    retrained on bootstrapped training patients, so that comparisons include training variance; 0
    turns it off. `fractions` ("16,32,all") adds scores of the declared head with fewer training
    patients. `save_heads` is a folder for trained heads: <task>/<name of the result>/, for `apply`.
    With `stale`, only stored results are repeated whose card, labels or split changed since; of
    `models`, if any are named. Raises UnknownName, BadRequest, BadTask, BadStore.
    """
    tasks, models, heads = as_names(tasks), as_names(models), as_names(heads)
    if not tasks:
        raise BadArgument("tasks", "", "name a task (`clearbench tasks list` shows them)")
    check_retrained(draws)
    check_seeds(seeds)
    folder = open_store(store or default_store())
    sizes = read_training_sizes(fractions) if fractions else ()
    if stale and (heads or sizes):
        raise BadArgument("stale", True, "repeats the heads that were evaluated; leave heads out")
    chosen = [find_task(name, task_folders) for name in tasks]
    # all tasks are checked before the first head is trained
    for task in chosen:
        check_heads(task, heads, sizes, folder)
    place = Path(results) if results is not None else folder.results
    evaluators = [
        Evaluator(
            task=task,
            store=folder,
            results=place,
            heads=tuple(chosen_heads(task, heads)),
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
    if stale:
        evaluators = [part for one in evaluators for part in only_stale(one)]
    load = partial(
        load_encoder_data, store=folder, device=device, precision=precision, views=as_names(views)
    )
    found = [result for one in evaluators for result in one.run(models, load)]
    refresh(folder)
    return found


def stale_results(
    tasks: Sequence[str],
    *,
    store: Path | str | None = None,
    results: Path | str | None = None,
    task_folders: Iterable[Path] = (),
) -> tuple[StaleResult, ...]:
    """Return the stored results of some tasks whose card, labels or split changed since."""
    folder = open_store(store or default_store())
    place = Path(results) if results is not None else folder.results
    chosen = [find_task(name, task_folders) for name in as_names(tasks)]
    return tuple(
        each for task in chosen for each in find_stale(prepare_from_store(task, folder), place)
    )
