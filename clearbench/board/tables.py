"""Results → leaderboard rows, and rows → Markdown, CSV and JSON."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clearbench.board.results import Result, published_results, read_results
from clearbench.board.standings import Standings, stand
from clearbench.errors import UnknownName
from clearbench.evaluation.statistics.tiers import Standing

INTERVAL_NOTE = (
    "Intervals: 95 %, percentile bootstrap over patients; heads are not trained anew. Encoders of "
    "one tier can't be told apart with these patients (Holm over all pairs, α = 0.05); a rank is "
    "the interval that those tests leave. Only the head that the task declares is ranked."
)


@dataclass(frozen=True)
class Row:
    """One line of a board; `floor` marks an encoder that has learnt nothing.

    tier and ranks are those of the declared head; None where nothing is claimed.
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
    source: str

    @property
    def rank(self) -> str:
        """Return the rank interval as people write it."""
        if self.rank_low is None:
            return ""
        one = self.rank_low == self.rank_high
        return f"{self.rank_low}" if one else f"{self.rank_low}–{self.rank_high}"


@dataclass(frozen=True)
class Board:
    """One task's rows, best value first, floors and missing scores where they fall."""

    task: str
    title: str
    metric: str
    protocol: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def leaderboard(
    folders: Sequence[Path | str], task: str = "", *, published: bool = True
) -> list[Board]:
    """Return the boards of the results below some folders, beside the published ones.

    Raises UnknownName for a task without results, BadRequest for a file that is no result.
    """
    shipped = published_results()
    own = [Path(folder) for folder in folders]
    results = read_results([*own, shipped] if published else own)
    known = {result.task for result in results}
    if task and task not in known:
        hint = f"; make some: clearbench evaluate --task {task}"
        raise UnknownName.among("task with results", task, known, hint)
    kept = [result for result in results if task in ("", result.task)]
    return make_boards(kept, str(shipped) if published else "")


def make_boards(results: Sequence[Result], published: str = "") -> list[Board]:
    """Sort results into one board per task, version and split; mark those below `published`."""
    tasks: dict[tuple[str, int, str], list[Result]] = {}
    for result in results:
        tasks.setdefault((result.task, result.task_version, result.split_sha256), []).append(result)
    return [_board(group, published) for _, group in sorted(tasks.items())]


def _board(group: Sequence[Result], published: str) -> Board:
    """Make one task's board: the tiers first, then what is not ranked, best value first."""
    first = group[0]
    standings = stand(_one_preset(group))
    places = {place.encoder: place for place in standings.places} if standings else {}
    rows = sorted((_row(result, published, places) for result in group), key=_order)
    excluded = dict.fromkeys(f"{r.encoder}: {text}" for r in group for text in r.excluded)
    not_scored = dict.fromkeys(f"not scored: {text}" for r in group for text in r.not_scored)
    rows = _told_apart(rows)
    protocol = f"{first.repeats} × {first.folds} folds" if first.crossed else "fixed test set"
    return Board(
        task=first.task,
        title=first.task_title,
        metric=first.metric,
        protocol=f"{protocol}, {first.test_patients} test patients",
        rows=tuple(rows),
        notes=(*_alarms(group), *_claims(standings), *not_scored, *excluded),
    )


def _alarms(group: Sequence[Result]) -> tuple[str, ...]:
    """Say what the guards warn of, each once; an encoder's own by its name."""
    found: dict[str, None] = {}
    for result in group:
        for finding in result.guards:
            if finding["alarm"]:
                own = finding["guard"] == "contamination"
                of = f"{result.encoder}, " if own else ""
                found[f"ALARM: {of}{finding['guard']}: {finding['says']}"] = None
    return tuple(found)


def _one_preset(group: Sequence[Result]) -> list[Result]:
    """Return the results that may be compared: those of one preset, the default if it is there."""
    presets = {result.preset for result in group}
    preset = "default" if "default" in presets else min(presets)
    return [result for result in group if result.preset == preset]


def _order(row: Row) -> tuple[bool, bool, float, str, str]:
    """Order rows: ranked ones, others, missing scores last; each by value."""
    value = row.value if row.value is not None else 0.0
    return (row.tier is None, row.value is None, -value, row.encoder, row.head)


def _told_apart(rows: Sequence[Row]) -> list[Row]:
    """Add the fingerprint to the name of an encoder of which there are several sets of features."""
    sets = Counter(name for name, _ in {(row.encoder, row.fingerprint) for row in rows})
    return [
        replace(row, encoder=f"{row.encoder}@{row.fingerprint}") if sets[row.encoder] > 1 else row
        for row in rows
    ]


def _claims(standings: Standings | None) -> tuple[str, ...]:
    """Say what the comparison allows, in sentences."""
    if standings is None:
        return ()
    lines = [f"compared by: {standings.method}"] if standings.pairs else []
    if standings.signal is None:
        lines.append("no floor was evaluated beside: clearbench embed … --model random-vit-tiny")
    elif not standings.signal:
        lines.append(f"no signal: no encoder beats the floor {standings.floor}, so none is ranked")
    if standings.detectable is not None:
        lines.append(
            f"smallest difference that these patients would show: {standings.detectable:.3f}"
        )
    return (*lines, *standings.notes)


def _row(result: Result, published: str, places: dict[str, Standing]) -> Row:
    """Make one line of a board."""
    score = result.score()
    name = f"{result.encoder}@{result.fingerprint[:8]}"
    ranked = result.head == result.declared_head and not result.floor
    place = places.get(name) if ranked else None
    return Row(
        task=result.task,
        metric=result.metric,
        encoder=result.encoder,
        fingerprint=result.fingerprint[:8],
        head=result.head,
        preset=result.preset,
        value=score["value"],
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
        source="published" if published and result.path.startswith(published) else "yours",
    )


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; a missing one is an en dash."""
    return "–" if value is None else f"{value:.{digits}f}"


HEADER = (
    *("tier", "encoder", "head", "preset", "{metric}", "95 % interval", "rank", "slices/s"),
    *("parameters, M", "head, s", "licence"),
)


def cells(row: Row) -> tuple[str, ...]:
    """Write a row under HEADER."""
    return (
        "floor" if row.floor else str(row.tier or "–"),
        row.encoder,
        row.head,
        row.preset,
        number(row.value),
        f"{number(row.low, 2)} – {number(row.high, 2)}",
        row.rank or "–",
        number(row.slices_per_s, 1),
        number(row.parameters_m, 1),
        number(row.seconds, 0),
        row.licence or "–",
    )


def as_markdown(boards: Sequence[Board]) -> str:
    """Render boards as Markdown tables."""
    parts = []
    for board in boards:
        head = [name.format(metric=board.metric) for name in HEADER]
        lines = [
            f"## {board.title}",
            "",
            f"`{board.task}` · {board.metric} · {board.protocol}",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
            *(f"| {' | '.join(cells(row))} |" for row in board.rows),
        ]
        notes = [f"- {note}" for note in board.notes]
        parts.append("\n".join([*lines, *(["", *notes] if notes else [])]))
    return "\n\n".join([*parts, INTERVAL_NOTE]) + "\n"


def as_csv(boards: Sequence[Board]) -> str:
    """Render boards as one CSV table."""
    text = io.StringIO()
    rows = [asdict(row) for board in boards for row in board.rows]
    writer = csv.DictWriter(text, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(boards: Sequence[Board]) -> str:
    """Render boards as JSON."""
    return json.dumps([asdict(board) for board in boards], indent=1, ensure_ascii=False) + "\n"
