"""Results → leaderboard rows, and rows → Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clearbench.board.results import Result, published_results, read_results
from clearbench.errors import UnknownName

INTERVAL_NOTE = (
    "Intervals: 95 %, percentile bootstrap over patients; heads are not trained anew. Overlapping "
    "intervals "
    "don't tell encoders apart, and rows stand in order of their value, not of proven rank."
)
COLUMNS = (
    "encoder",
    "head",
    "preset",
    "value",
    "low",
    "high",
    "patients",
    "slices_per_s",
    "licence",
    "source",
)


@dataclass(frozen=True)
class Row:
    """One line of a board; `floor` marks an encoder that has learnt nothing."""

    task: str
    metric: str
    encoder: str
    fingerprint: str
    head: str
    preset: str
    value: float | None
    low: float | None
    high: float | None
    patients: int
    slices_per_s: float | None
    licence: str
    floor: bool
    source: str


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
    """Make one task's board."""
    first = group[0]
    rows = sorted(
        (_row(result, published) for result in group),
        key=lambda row: (row.value is None, -(row.value or 0.0), row.encoder, row.head),
    )
    excluded = dict.fromkeys(f"{r.encoder}: {text}" for r in group for text in r.excluded)
    not_scored = dict.fromkeys(f"not scored: {text}" for r in group for text in r.not_scored)
    protocol = f"{first.repeats} × {first.folds} folds" if first.crossed else "fixed test set"
    return Board(
        task=first.task,
        title=first.task_title,
        metric=first.metric,
        protocol=f"{protocol}, {first.test_patients} test patients",
        rows=tuple(rows),
        notes=(*not_scored, *excluded),
    )


def _row(result: Result, published: str) -> Row:
    """Make one line of a board."""
    score = result.score()
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
        patients=result.test_patients,
        slices_per_s=result.slices_per_s,
        licence=result.licence,
        floor=result.floor,
        source="published" if published and result.path.startswith(published) else "yours",
    )


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; a missing one is an en dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def as_markdown(boards: Sequence[Board]) -> str:
    """Render boards as Markdown tables."""
    parts = []
    for board in boards:
        head = ["encoder", "head", "preset", board.metric, "95 % interval", "slices/s", "licence"]
        lines = [
            f"## {board.title}",
            "",
            f"`{board.task}` · {board.metric} · {board.protocol}",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
        ]
        for row in board.rows:
            name = f"{row.encoder} (floor)" if row.floor else row.encoder
            cells = [
                name,
                row.head,
                row.preset,
                number(row.value),
                f"{number(row.low, 2)} – {number(row.high, 2)}",
                number(row.slices_per_s, 1),
                row.licence,
            ]
            lines.append(f"| {' | '.join(cells)} |")
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
