import re
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from clearbench.board.overall import Overall
from clearbench.board.tables import Board, Leaderboard, Row
from clearbench.display.boards import show_leaderboard
from clearbench.statistics.average_rank import AverageRank

BOARD = Board("nodule", "A nodule", "auroc", "fixed test set, 9 test patients", (), ())
RANKS = (AverageRank("lecl", 1.25, 1.0, 1.5), AverageRank("other", 1.75, 1.5, 2.0))
OVERALL = Overall("default", ("nodule", "stage"), RANKS, ("third is left out",))


def test_the_average_ranks_stand_after_the_boards(capsys: pytest.CaptureFixture[str]) -> None:
    show_leaderboard(Leaderboard((BOARD,), OVERALL))
    said = capsys.readouterr()
    _, _, overall = said.out.partition("average rank over 2 tasks")
    assert "nodule" in said.out
    assert "nodule, stage" in overall
    assert ["lecl", "1.25", "1.00", "–", "1.50"] in [line.split() for line in overall.splitlines()]
    assert "third is left out" in said.err


def test_without_results_or_ranks_the_way_on_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_leaderboard(Leaderboard((), None))
    assert "clearbench evaluate --task NAME" in capsys.readouterr().out
    show_leaderboard(Leaderboard((BOARD,), Overall("default", (), (), ("fewer than two tasks",))))
    said = capsys.readouterr()
    assert "average rank over" not in said.out
    assert "fewer than two tasks" in said.err


def row(encoder: str, value: float, **more: Any) -> Row:
    facts: dict[str, Any] = {
        "task": "nodule", "metric": "auroc", "encoder": encoder, "fingerprint": "01234567",
        "head": "abmil", "preset": "default", "value": value, "low": value - 0.1,
        "high": value + 0.1, "tier": None, "rank_low": None, "rank_high": None, "patients": 9,
        "slices_per_s": 31.25, "parameters_m": 86.5, "seconds": 12.0, "licence": "Apache-2.0",
        "floor": False, "gates": False, "source": "yours",
    }  # fmt: skip
    return Row(**facts | more)


LONG = "lecl-gated-cnn-tiny-of-our-hospital"
ROWS = (
    row(LONG, 0.85, tier=1, rank_low=1, rank_high=1, source="published"),
    row(LONG, 0.8, head="mean-logreg"),
    row("seeded", 0.7, floor=True, head="knn"),
    row("seeded", 0.65, floor=True, gates=True),
    row("floor-tags", 0.6, floor=True, gates=True, head="mean-logreg"),
)
FULL = replace(BOARD, rows=ROWS, declared_head="abmil")


def shown(board: Board, width: int, **options: bool) -> list[str]:
    """Return the lines of a board on a console of this width."""
    console = Console(width=width, file=StringIO())
    show_leaderboard(Leaderboard((board,), None), console=console, **options)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def line_of(lines: list[str], words: str) -> str:
    return next(line for line in lines if words in line)


@pytest.mark.parametrize("width", [80, 110, 160])
def test_names_are_whole_and_floors_are_marked_at_every_width(width: int) -> None:
    lines = shown(FULL, width)
    assert line_of(lines, LONG).startswith(f"1      {LONG}  ")
    assert line_of(lines, "floor-tags").startswith("floor  floor-tags ")
    assert "0.75 – 0.95" in line_of(lines, LONG)
    assert "…" not in "".join(lines)


def test_columns_go_before_names_are_shortened() -> None:
    def header(width: int) -> str:
        return line_of(shown(FULL, width), "tier ")

    assert header(80).split() == ["tier", "encoder", "auroc", "95", "%", "interval", "rank"]
    assert "slices/s" not in header(110)
    assert "slices/s" in header(130)
    assert "licence" not in header(130)
    wide = header(200)
    assert all(name in wide for name in ("head", "slices/s", "parameters, M", "head, s", "licence"))


def test_a_name_that_is_wider_than_the_terminal_is_folded_and_not_cut() -> None:
    lines = shown(FULL, 40)
    at = next(number for number, line in enumerate(lines) if LONG[:5] in line)
    pieces = [line.split()[-1 if number else 1] for number, line in enumerate(lines[at : at + 2])]
    assert "".join(pieces) == LONG


@pytest.mark.parametrize("width", [110, 160])
def test_whiskers_share_one_axis(width: int) -> None:
    lines = shown(FULL, width)
    header, first, last = (line_of(lines, words) for words in ("tier ", LONG, "floor-tags"))
    start, end = header.index("0.50"), header.index("0.95") + 3
    assert re.search(r" \|-+o-+\|( |$)", first)
    assert first.index("|-") > last.index("|-") >= start
    assert abs(first.rindex("-|") + 1 - end) <= 1, "0.95 is the axis' end"
    assert first.index("o-") > last.index("o-")


def test_a_narrow_terminal_or_a_metric_without_intervals_has_no_whiskers() -> None:
    assert not any("|-" in line for line in shown(FULL, 109))
    timed = tuple(replace(each, low=None, high=None) for each in ROWS)
    lines = shown(replace(FULL, rows=timed), 160)
    assert not any("|" in line for line in lines)
    assert "95 % interval" not in "\n".join(lines)


def test_other_heads_are_counted_and_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(FULL, 160)
    assert sum(LONG in line for line in lines) == 1
    assert sum(" seeded " in line for line in lines) == 1
    assert " abmil " in line_of(lines, " seeded "), (
        "the declared head of a floor is the one to beat"
    )
    words = "2 rows of other heads (knn, mean-logreg) not shown: clearbench leaderboard --all-"
    assert words in capsys.readouterr().out
    lines = shown(FULL, 160, all_heads=True)
    assert sum(LONG in line for line in lines) == sum(" seeded " in line for line in lines) == 2
    assert "not shown" not in capsys.readouterr().out


def test_a_board_without_the_declared_head_shows_what_there_is() -> None:
    rows = tuple(replace(each, head="knn", tier=None) for each in ROWS)
    lines = shown(replace(FULL, rows=rows), 160)
    assert sum(LONG in line for line in lines) == 2


def test_two_presets_are_told_apart_by_the_head() -> None:
    rows = (row("one", 0.8), row("one", 0.7, preset="clear"))
    lines = shown(replace(FULL, rows=rows), 110)
    assert [line.count("abmil (clear)") for line in lines if " one " in line] == [0, 1]
