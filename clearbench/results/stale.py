"""Results that answer another question than now: card, labels, split or training changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.evaluation.heads.presets import HEADS_VERSION
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.results.record import QUESTION, Question, Result, find_results


@dataclass(frozen=True)
class StaleResult:
    """A stored result, and what changed since it was made: card, labels, split."""

    result: Result
    changed: tuple[str, ...]


def question_now(prepared: PreparedTask) -> Question:
    """Return what a result of this task would answer, as `Result.question` has it."""
    card = prepared.task.card
    return (
        prepared.task.name,
        str(card.version),
        card.content_sha256,
        prepared.labels_check,
        prepared.scans_check,
        prepared.split_sha256,
        str(HEADS_VERSION),
    )


def find_stale(prepared: Sequence[PreparedTask], folder: Path) -> tuple[StaleResult, ...]:
    """Return the stale results of one task; `prepared` is that task on each test cohort."""
    if not prepared:
        return ()
    now = {each.test_cohort: question_now(each) for each in prepared}
    task = prepared[0].task.name
    found = find_results([folder / task]).results
    stale = []
    for result in found:
        wanted = now.get(result.test_cohort)
        if result.task == task and wanted is not None and result.question != wanted:
            pairs = zip(QUESTION, result.question, wanted, strict=True)
            changed = tuple(name for name, before, after in pairs if before != after)
            stale.append(StaleResult(result, changed))
    return tuple(stale)
