"""One task: every head on every encoder, with guards and floors, each a result on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clearbench.errors import BadArgument
from clearbench.evaluation.bundles.bundle import write_bundle
from clearbench.evaluation.guards.copies import Sketches, find_copies
from clearbench.evaluation.guards.report import (
    GuardFinding,
    guard_contamination,
    guard_copies,
    guard_labels,
    guard_patients,
    guard_shortcuts,
    guard_split,
)
from clearbench.evaluation.head_registry import find_head, plain_heads
from clearbench.evaluation.protocol.encoder_data import EncoderData
from clearbench.evaluation.protocol.evaluate import evaluate_head
from clearbench.evaluation.protocol.floors import make_floors
from clearbench.evaluation.protocol.learning_curve import check_training_sizes, learning_curve
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.protocol.retrained import with_retrained
from clearbench.evaluation.protocol.sketches import read_sketches
from clearbench.evaluation.task.card import Task
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.files import check_folder
from clearbench.results.copies import write_copies
from clearbench.results.record import Result
from clearbench.results.stale import find_stale
from clearbench.results.write import make_result, write_result
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder
from clearbench.store.records import find_records, measured_rate


@dataclass(frozen=True)
class EvaluationStep:
    """The progress of an evaluation: `done` of `total` heads are trained."""

    task: str
    encoder: str
    head: str
    done: int
    total: int


@dataclass(frozen=True)
class Evaluator:
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
    only: frozenset[str] | None = None  # names of features, name@fp8

    def run(self, models: Sequence[str], load: Callable[..., EncoderData]) -> list[Result]:
        """Evaluate every encoder on every test cohort of the task; floors come first.

        Raises BadRequest before any head is trained if what is found can't be written.
        """
        for folder in (self.results, self.saved_heads):
            if folder is not None:
                check_folder(folder)
        found: list[Result] = []
        for prepared in prepare_from_store(self.task, self.store):
            records = [
                record
                for record in find_records(self.store, models, self.task.card.cohort)
                if self.only is None or record.reference in self.only
            ]
            if not records:
                continue
            sketches = read_sketches(prepared.units, records[0], self.store)
            copies = find_copies(prepared.units, sketches, prepared.folds)
            write_copies(copies.copies, self.task.name, prepared.test_cohort, self.results)
            shared = [guard_split(prepared.folds), guard_copies(copies)]
            shared += [guard_patients(prepared.units, prepared.folds), *guard_labels(prepared)]
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


def only_stale(evaluator: Evaluator) -> list[Evaluator]:
    """Return the evaluators that repeat a task's stale results, one per head and preset.

    Floors are evaluated with the first of them.
    """
    found = find_stale(prepare_from_store(evaluator.task, evaluator.store), evaluator.results)
    declared = evaluator.task.card.head
    embedded = find_records(evaluator.store, (), evaluator.task.card.cohort)
    known = {record.reference for record in embedded}
    again: dict[tuple[str, str], set[str]] = {}
    floors = False
    for each in found:
        if each.result.reference in known:
            key = (each.result.preset, each.result.head)
            again.setdefault(key, set()).add(each.result.reference)
        floors |= each.result.floor
    if floors and not again:
        again["default", declared] = {embedded[0].reference}
    # the declared head first, because floors go with it
    order = sorted(again, key=lambda key: (key[0] != "default", key[1] != declared, key))
    return [
        replace(
            evaluator,
            preset=preset,
            heads=(head,),
            only=frozenset(again[preset, head]),
            floors=floors and evaluator.floors and number == 0,
        )
        for number, (preset, head) in enumerate(order)
    ]


def check_heads(task: Task, heads: Sequence[str], sizes: Sequence[int], store: StoreFolder) -> None:
    """Refuse heads that don't exist, and sizes of learning curves that aren't possible."""
    chosen = chosen_heads(task, heads)
    for head in chosen:
        find_head(head)
    if not sizes:
        return
    if task.card.head not in chosen:
        reason = f"{task.name} declares the head {task.card.head}; evaluate it too"
        raise BadArgument("heads", ", ".join(heads), reason)
    for prepared in prepare_from_store(task, store):
        check_training_sizes(sizes, prepared.folds, task.name)


def chosen_heads(task: Task, heads: Sequence[str]) -> list[str]:
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
