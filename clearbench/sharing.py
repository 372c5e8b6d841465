"""Use heads, folds and results elsewhere.

apply:      a bundle of trained heads + features of a store → scores
freeze:     a task's folds → a split file next to its card
pack:       features, labels, folds and results of a task → one .zip without pixels
reproduce:  a pack and one of its results → the scores again, and their difference
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from clearbench.errors import BadRequest
from clearbench.evaluation.bundles.apply import Applied, apply_bundle, find_features
from clearbench.evaluation.bundles.bundle import read_bundle
from clearbench.evaluation.protocol.evaluate import OnFold
from clearbench.evaluation.task.card import find_task, split_path, task_file
from clearbench.evaluation.task.checks import labels_check
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.evaluation.task.split_file import (
    SplitFile,
    make_split_file,
    read_split,
    write_split,
)
from clearbench.evaluation.task.units import unlabelled_units
from clearbench.intake import gather
from clearbench.packs.facts import PackFacts
from clearbench.packs.plan import PackRequest
from clearbench.packs.read import opened_pack
from clearbench.packs.reproduce import Reproduction, repeat_result
from clearbench.packs.write import write_pack
from clearbench.store.folder import default_store, open_store
from clearbench.store.records import find_records


def apply(
    bundle: Path | str,
    scans: Path | str,
    *,
    store: Path | str | None = None,
    name: str = "",
    keep_ids: bool = False,
) -> Applied:
    """Score embedded scans with a bundle's heads; labels are not needed.

    `bundle` is a folder that `evaluate` wrote under `save_heads`; `scans` is a cohort of the store,
    or the table or folder that was embedded into it. Raises BadRequest if the bundle is damaged or
    the store lacks its features, BadTask if none of the units has them.
    """
    read, folder = read_bundle(Path(bundle)), open_store(store or default_store())
    find_features(read.facts, folder)  # before a long search of a folder of scans
    cohort = gather(scans, folder, name=name, keep_ids=keep_ids).cohort
    return apply_bundle(read, unlabelled_units(cohort, read.facts.task_card), folder)


def freeze(
    name: str,
    *,
    store: Path | str | None = None,
    task_folders: Iterable[Path] = (),
    replace: bool = False,
) -> SplitFile:
    """Write a task's folds to <task>.split.json next to its card, for every later evaluation.

    Raises UnknownName, BadTask, and without `replace` BadRequest if a file has other
    folds or labels.
    """
    task = find_task(name, task_folders)
    # else the folds would be read from the split file that is there
    unsplit = task.model_copy(update={"split_file": None})
    found = prepare_from_store(unsplit, open_store(store or default_store()))
    checks = {one.test_cohort: labels_check(one.units) for one in found}
    split = make_split_file(task, {one.test_cohort: one.folds for one in found}, checks)
    if task.split_file is not None and not replace:
        _refuse_other(task.split_file, read_split(task.split_file, task), split)
    write_split(split, split_path(name, task_folders))
    return split


def _refuse_other(path: Path, existing: SplitFile, split: SplitFile) -> None:
    """Refuse to replace a split file that has other folds, or the same folds of other labels."""
    other = "folds" if existing.folds != split.folds else ""
    if not other and existing.labels_check not in ({}, split.labels_check):
        other = "labels"
    if other:
        again = f"clearbench tasks freeze {split.task} --replace"
        raise BadRequest(f"{path} has other {other}; to replace it, run: {again}")


def pack(
    name: str,
    target: Path | str,
    models: Sequence[str] = (),
    *,
    store: Path | str | None = None,
    results: Path | str | None = None,
    task_folders: Iterable[Path] = (),
) -> PackFacts:
    """Write a task's features, labels, folds and results to one .zip, without pixels.

    Ids of a private cohort are replaced by numbers; the pack is still pseudonymised patient data.
    `models` as for `evaluate`. Raises UnknownName, BadTask, BadStore, StorageFull.
    """
    task, folder = find_task(name, task_folders), open_store(store or default_store())
    request = PackRequest(
        card_file=task_file(name, task_folders),
        prepared=tuple(prepare_from_store(task, folder)),
        records=tuple(find_records(folder, models, task.card.cohort)),
        store=folder,
        results=folder.results if results is None else Path(results),
    )
    return write_pack(request, Path(target))


def reproduce(
    pack: Path | str,
    result: Path | str,
    *,
    device: str = "cpu",
    on_fold: OnFold = lambda _done, _total: None,
) -> Reproduction:
    """Repeat a result from a pack, without a store, and return the difference.

    `result` is a file, or the name of one in the pack. Raises BadRequest for a damaged pack, or a
    result of another task or of features that the pack lacks.
    """
    with opened_pack(Path(pack)) as opened:
        return repeat_result(opened, Path(result), device=device, on_fold=on_fold)
