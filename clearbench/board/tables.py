"""Results → one board per task, and the average rank over all."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clearbench.board.notes import (
    alarms,
    claims,
    intervals,
    narrow_floors,
    no_claims,
    only_floors,
    protocol,
    why_older,
)
from clearbench.board.overall import Overall, TaskResults, one_preset, rank_overall
from clearbench.board.standings import Comparison, make_standings
from clearbench.errors import UnknownName
from clearbench.metrics.registry import less_is_better
from clearbench.results.record import (
    Question,
    Result,
    find_results,
    forgotten_note,
    published_results,
)
from clearbench.statistics.tiers import Standing

FACTS = ("seconds", "slices_per_s", "parameters_m")  # columns of a result, without an interval
LESS_IS_BETTER = ("seconds", "parameters_m")  # of FACTS; the metrics' registry has the others


@dataclass(frozen=True)
class Row:
    """One line of a board; `floor` is True for a floor, `gates` if encoders must beat it.

    seed_spread: the standard deviation of the task's metric over networks of other seeds

    tier and ranks are those of the declared head; None for other heads and without a signal.
    """

    task: str
    metric: str
    encoder: str
    fingerprint: str
    head: str
    preset: str
    value: float | None
    low: float | None
    high: float | None
    tier: int | None
    rank_low: int | None
    rank_high: int | None
    patients: int
    slices_per_s: float | None
    parameters_m: float | None
    seconds: float
    licence: str
    floor: bool
    gates: bool
    source: str
    seed_spread: float | None = None

    @property
    def rank(self) -> str:
        """Return the rank interval as text: 2 or 1–3."""
        if self.rank_low is None:
            return ""
        one = self.rank_low == self.rank_high
        return f"{self.rank_low}" if one else f"{self.rank_low}–{self.rank_high}"


@dataclass(frozen=True)
class Board:
    """One task's rows by one metric: ranked rows first, each part by value, best first.

    Tiers, ranks, comparisons and claims exist for the task's own metric only. `older`: of a card or
    of labels that changed since.
    """

    task: str
    title: str
    metric: str
    protocol: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()
    declared_head: str = ""
    older: bool = False


@dataclass(frozen=True)
class Leaderboard:
    """Every task's board, and the average rank over tasks, None without two tasks to rank.

    `unreadable` names the files that aren't results, with the reason.
    """

    boards: tuple[Board, ...]
    overall: Overall | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def tiered(self) -> bool:
        """Tell whether any board has tiers."""
        return any(row.tier is not None for board in self.boards for row in board.rows)


def leaderboard(
    folders: Sequence[Path | str], task: str = "", *, published: bool = True, metric: str = ""
) -> Leaderboard:
    """Return the boards of the results below some folders, and of the published ones.

    With `metric`, boards are by another metric than the tasks' own, without tiers or ranks, for
    tasks that have it. A file that isn't a result is listed in `unreadable`. Raises UnknownName for
    a task without results or a metric that no result has.
    """
    shipped = published_results()
    own = [Path(folder) for folder in folders]
    found = find_results([*own, shipped] if published else own)
    known = {result.task for result in found.results}
    if task and task not in known:
        unreadable = "".join(f"; {fault}" for fault in found.unreadable[:1])
        hint = f"; make some: clearbench evaluate --task {task}{unreadable}"
        raise UnknownName.among("task with results", task, known, hint)
    kept = [result for result in found.results if task in ("", result.task)]
    made = make_leaderboard(kept, str(shipped) if published else "", metric)
    return replace(made, unreadable=found.unreadable)


def make_leaderboard(
    results: Sequence[Result], published: str = "", metric: str = ""
) -> Leaderboard:
    """Make one board per question: one task, card, labels, scans and split.

    Boards of older cards and labels come after the newest, with a note, and count for no average
    rank. Results below `published` have that source. Raises UnknownName for a metric that no result
    has.
    """
    if metric:
        _check_metric(metric, results)
    groups = _groups([each for each in results if not metric or _has(each, metric)])
    newest = _newest(groups)
    tasks = [
        (_task_results(group, metric), why_older(group, newest[_asked(group[0])]))
        for group in groups
    ]
    tasks.sort(key=lambda each: (*_asked(each[0].first), bool(each[1]), each[0].first.question))
    boards = tuple(_board(task, published, metric, older) for task, older in tasks)
    current = [task for task, older in tasks if not older]
    return Leaderboard(boards, None if metric else rank_overall(current))


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Group results by their question, and by the pixels from which their features were made.

    Pixels can be compared where two encoders have features of the same units. The newest result
    decides which pixels are the present ones.
    """
    questions: dict[Question, list[Result]] = {}
    for result in results:
        questions.setdefault(result.question, []).append(result)
    groups: dict[tuple[str, ...], list[Result]] = {}
    for question, group in questions.items():
        by_time = sorted(group, key=lambda each: each.created)
        present = {each.units_check: each.pixels_check for each in by_time}
        for each in group:
            now = each.pixels_check == present[each.units_check]
            key = () if now else (each.units_check, each.pixels_check)
            groups.setdefault((*question, *key), []).append(each)
    return list(groups.values())


def _has(result: Result, metric: str) -> bool:
    """Tell whether a result has a metric."""
    return metric in result.scores or metric in FACTS


def _task_results(group: Sequence[Result], metric: str) -> TaskResults:
    """Compare one task's results, if they are shown by the task's own metric."""
    own = metric in ("", group[0].metric)
    return TaskResults(tuple(group), make_standings(one_preset(group)) if own else None)


def _check_metric(metric: str, results: Sequence[Result]) -> None:
    """Refuse a metric that no result has."""
    known = dict.fromkeys([name for result in results for name in result.scores] + [*FACTS])
    if metric not in known:
        plain = ", ".join(name for name in known if "/" not in name)
        raise UnknownName.among("metric of these results", metric, known, f" ({plain})")


def _asked(result: Result) -> tuple[str, str]:
    """Return the name under which results stand together: task and test cohort."""
    return result.task, result.test_cohort


def _newest(groups: Iterable[Sequence[Result]]) -> dict[tuple[str, str], Result]:
    """Return the newest result of every task and test cohort."""
    every = sorted((each for group in groups for each in group), key=lambda each: each.created)
    return {_asked(result): result for result in every}


def _board(task: TaskResults, published: str, metric: str, older: str) -> Board:
    """Make one task's board: the tiers first, then what is not ranked, best value first."""
    first, group, standings = task.first, task.results, task.standings
    shown = metric or first.metric
    places = {place.encoder: place for place in standings.places} if standings else {}
    rows = sorted((_row(each, published, shown, places) for each in group), key=_order)
    excluded = dict.fromkeys(f"{r.encoder}: {text}" for r in group for text in r.excluded)
    not_scored = dict.fromkeys(f"not scored: {text}" for r in group for text in r.not_scored)
    rows = _distinct(rows)
    other = () if shown == first.metric else (no_claims(shown, first.metric),)
    return Board(
        task=first.task,
        title=first.task_title,
        metric=shown,
        protocol=f"{protocol(first)}, {first.test_patients} test patients",
        rows=tuple(rows),
        notes=(
            *((older,) if older else ()),
            *alarms(group),
            *other,
            *intervals(group, shown),
            *forgotten_note(group),
            *(only_floors(group) or claims(standings)),
            *narrow_floors(group),
            *not_scored,
            *excluded,
        ),
        comparisons=standings.comparisons if standings else (),
        declared_head=first.declared_head,
        older=bool(older),
    )


def _order(row: Row) -> tuple[bool, bool, float, str, str]:
    """Order rows: ranked ones, others, missing scores last; each by value, the best first."""
    value = row.value if row.value is not None else 0.0
    less = row.metric in LESS_IS_BETTER or less_is_better(row.metric)
    better = value if less else -value
    return (row.tier is None, row.value is None, better, row.encoder, row.head)


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Add the fingerprint to the name of an encoder with several sets of features."""
    sets = Counter(name for name, _ in {(row.encoder, row.fingerprint) for row in rows})
    return [
        replace(row, encoder=f"{row.encoder}@{row.fingerprint}") if sets[row.encoder] > 1 else row
        for row in rows
    ]


def _row(result: Result, published: str, metric: str, places: dict[str, Standing]) -> Row:
    """Make one line of a board."""
    score = result.score(metric)
    ranked = result.head == result.declared_head and not result.floor
    place = places.get(result.reference) if ranked else None
    return Row(
        task=result.task,
        metric=metric,
        encoder=result.encoder + (f" [{', '.join(result.views)}]" if result.stored_views else ""),
        fingerprint=result.fingerprint[:8],
        head=result.head,
        preset=result.preset,
        value=getattr(result, metric) if metric in FACTS else score["value"],
        low=score["low"],
        high=score["high"],
        tier=place.tier if place else None,
        rank_low=place.rank_low if place else None,
        rank_high=place.rank_high if place else None,
        patients=result.test_patients,
        slices_per_s=result.slices_per_s,
        parameters_m=result.parameters_m,
        seconds=result.seconds,
        licence=result.licence,
        floor=result.floor,
        gates=result.gates,
        seed_spread=result.seed_spread if metric == result.metric else None,
        source="published" if _is_below(result.path, published) else "yours",
    )


def _is_below(path: str, folder: str) -> bool:
    """Tell whether a file is in a folder; a folder whose name begins alike is another one."""
    return bool(folder) and Path(path).is_relative_to(folder)
