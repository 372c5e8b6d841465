import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from clearbench.board.overall import Overall
from clearbench.board.rendering import TIER_NOTE, board_csv, board_json, board_markdown
from clearbench.board.tables import Leaderboard, make_leaderboard
from clearbench.results.record import Result
from clearbench.statistics.average_rank import AverageRank

Make = Callable[..., Result]
RANKS = (AverageRank("b", 1.5, 1.0, 2.0), AverageRank("a", 1.5, 1.0, 2.0))
OVERALL = Overall("default", ("t", "u"), RANKS, ("c is left out",))


@pytest.fixture
def found(with_value: Make) -> Leaderboard:
    made = make_leaderboard([with_value("a", 0.6), with_value("b", 0.9), with_value("c", None)])
    return replace(made, overall=OVERALL)


def test_markdown_shows_every_board_and_then_the_average_ranks(found: Leaderboard) -> None:
    text = board_markdown(found)
    assert "| – | b | abmil | default | 0.900 | 0.90 – 0.90 |" in text
    assert "| – | c | abmil | default | – | – |" in text
    _, _, overall = text.partition("## Average rank over 2 tasks")
    assert "`t`, `u` · preset default" in overall
    assert "| b | 1.50 | 1.00 – 2.00 |" in overall
    assert "- c is left out" in overall


def test_markdown_marks_floors_and_tells_exclusions(with_value: Make) -> None:
    floor = with_value("random", 0.5, floor=True, excluded=("2 of 40 without a label",))
    text = board_markdown(make_leaderboard([floor]))
    assert "| floor | random | abmil |" in text
    assert "2 of 40 without a label" in text


def test_tiers_are_explained_where_there_are_any(make_result: Make) -> None:
    strong, floor = make_result("a", 3.0), make_result("f", 0.0, 3, floor=True)
    assert TIER_NOTE in board_markdown(make_leaderboard([strong, floor]))
    assert "one tier" not in board_markdown(make_leaderboard([strong]))


def test_without_ranks_the_reasons_are_shown_and_no_table(found: Leaderboard) -> None:
    text = board_markdown(replace(found, overall=replace(OVERALL, ranks=())))
    _, _, overall = text.partition("## Average rank")
    assert overall.strip() == "- c is left out"


def test_a_fact_is_written_as_short_as_in_its_own_column(with_value: Make) -> None:
    text = board_markdown(make_leaderboard([with_value("a", 0.6)], metric="seconds"))
    assert "| – | a | abmil | default | 1.0 | – |" in text


def test_csv_holds_every_row_and_the_average_ranks(found: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO(board_csv(found))))
    assert [row["encoder"] for row in rows] == ["b", "a", "c", "b", "a"]
    assert [row["metric"] for row in rows] == ["auroc"] * 3 + ["average_rank"] * 2
    last = rows[-1]
    assert last["task"] == "average rank over 2 tasks"
    assert (last["value"], last["low"], last["high"]) == ("1.5", "1.0", "2.0")
    assert last["licence"] == ""


def test_json_tells_how_every_two_encoders_compare(make_result: Make) -> None:
    """The difference, its interval, p, and p among all pairs: what a paper's table needs."""
    some = [make_result("strong", 3.0), make_result("twin", 3.0, 1), make_result("weak", 1.0, 2)]
    made = make_leaderboard([*some, make_result("floor", 0.0, 3, floor=True)])
    [board] = json.loads(board_json(made), parse_constant=lambda name: pytest.fail(name))["boards"]
    met = {(m["family"], m["one"][:-9], m["other"][:-9]): m for m in board["comparisons"]}
    assert list(met) == [
        ("encoders", "strong", "twin"),
        ("encoders", "strong", "weak"),
        ("encoders", "twin", "weak"),
        ("floor", "strong", "floor"),
        ("floor", "twin", "floor"),
        ("floor", "weak", "floor"),
    ]
    row = met["encoders", "strong", "weak"]
    assert row["separable"]
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["p"] < row["adjusted_p"] < 0.05
    assert not met["encoders", "strong", "twin"]["separable"]


def test_json_holds_the_same(found: Leaderboard) -> None:
    facts = json.loads(board_json(found))
    assert [row["encoder"] for row in facts["boards"][0]["rows"]] == ["b", "a", "c"]
    assert [rank["encoder"] for rank in facts["overall"]["ranks"]] == ["b", "a"]
    assert json.loads(board_json(replace(found, overall=None)))["overall"] is None
