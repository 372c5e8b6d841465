"""A leaderboard as text: Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict

from clearbench.board.overall import Overall
from clearbench.board.tables import FACTS, Board, Leaderboard, Row

TIER_NOTE = (
    "Encoders of one tier don't differ significantly on these patients (Holm over all pairs, "
    "α = 0.05); a rank is the interval that follows from these tests. Only the head that the task "
    "declares is ranked, and only where an encoder beats every floor."
)
OVERALL_NOTE = (
    "Ranks among these encoders, by each task's declared head and metric, averaged over tasks; "
    "95 % intervals over resamples of patients, together for tasks of one cohort. Heads are not "
    "retrained, so these intervals are too narrow for cross-validated results; where encoders are "
    "nearly equal they are only a guide."
)


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; a missing one is an en dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Write an interval; a missing one is an en dash."""
    return "–" if low is None or high is None else f"{number(low, 2)} – {number(high, 2)}"


HEADER = (
    *("tier", "encoder", "head", "preset", "{metric}", "95 % interval", "rank", "± seeds"),
    *("slices/s", "parameters, M", "head, s", "licence"),
)
OVERALL_HEADER = ("encoder", "average rank", "95 % interval")


def cells(row: Row) -> tuple[str, ...]:
    """Write a row under HEADER."""
    return (
        "floor" if row.floor else str(row.tier or "–"),
        row.encoder,
        row.head,
        row.preset,
        number(row.value, 1 if row.metric in FACTS else 3),
        interval(row.low, row.high),
        row.rank or "–",
        number(row.seed_spread),
        number(row.slices_per_s, 1),
        number(row.parameters_m, 1),
        number(row.seconds, 0),
        row.licence or "–",
    )


def overall_title(overall: Overall) -> str:
    """Return the title of the table over all tasks."""
    return f"average rank over {len(overall.tasks)} tasks" if overall.ranks else "average rank"


def overall_cells(overall: Overall) -> list[tuple[str, ...]]:
    """Write the encoders under OVERALL_HEADER."""
    return [
        (rank.encoder, number(rank.value, 2), interval(rank.low, rank.high))
        for rank in overall.ranks
    ]


def board_markdown(found: Leaderboard) -> str:
    """Render a leaderboard as Markdown tables."""
    parts = [*map(_board, found.boards), *((TIER_NOTE,) if found.tiered else ())]
    if found.overall is not None:
        parts += _overall(found.overall)
    return "\n\n".join(parts) + "\n"


def _board(board: Board) -> str:
    """Render one task's board."""
    head = [name.format(metric=board.metric) for name in HEADER]
    parts = [
        f"## {board.title}",
        f"`{board.task}` · {board.metric} · {board.protocol}",
        _table(head, map(cells, board.rows)),
        *_notes(board.notes),
    ]
    return "\n\n".join(parts)


def _overall(overall: Overall) -> list[str]:
    """Render the average ranks over all tasks."""
    title = overall_title(overall)
    if not overall.ranks:
        return [f"## {title.capitalize()}", *_notes(overall.notes)]
    return [
        f"## {title.capitalize()}",
        f"{', '.join(f'`{task}`' for task in overall.tasks)} · preset {overall.preset}",
        _table(OVERALL_HEADER, overall_cells(overall)),
        *_notes(overall.notes),
        OVERALL_NOTE,
    ]


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Render a table."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _notes(notes: Iterable[str]) -> list[str]:
    """Render notes as one list, if there are any."""
    text = "\n".join(f"- {note}" for note in notes)
    return [text] if text else []


def board_csv(found: Leaderboard) -> str:
    """Render a leaderboard as one CSV table; average ranks are rows of the metric average_rank."""
    text = io.StringIO()
    rows = [asdict(row) for board in found.boards for row in board.rows]
    # Python's csv ends lines with \r\n by default.
    writer = csv.DictWriter(text, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if found.overall is not None:
        facts = {
            "task": overall_title(found.overall),
            "metric": "average_rank",
            "preset": found.overall.preset,
        }
        writer.writerows(facts | asdict(rank) for rank in found.overall.ranks)
    return text.getvalue()


def board_json(found: Leaderboard) -> str:
    """Render a leaderboard as JSON: boards, and overall (null without average ranks).

    Boards have each comparison of two encoders too, which other formats only show as tiers.
    """
    return json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n"
