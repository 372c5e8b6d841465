"""One malformed result costs itself, and is said; the others stand on the board."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from clearbench.board.rendering import board_csv, board_json, board_markdown
from clearbench.board.tables import Leaderboard, leaderboard, make_leaderboard
from clearbench.display.boards import show_leaderboard
from clearbench.errors import BadRequest
from clearbench.results.predictions import predictions_path, read_predictions
from clearbench.results.record import find_results, published_results, read_result
from hostile.cases import Case
from hostile.limits import by_kind, check_sentence, limited, said_by, try_each, usual_part
from hostile.result_cases import FOLDER, NAME, STEM, more_damage, result_cases

CASES = by_kind(result_cases())


@pytest.mark.filterwarnings("ignore")  # numpy warns of means of nothing
@pytest.mark.parametrize("kind", CASES)
def test_a_malformed_result_is_shown_or_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    try_each(usual_part(CASES[kind]), tmp_path, check)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CASES)
def test_no_damage_of_a_result_is_another_error(kind: str, tmp_path: Path) -> None:
    try_each(more_damage(kind, range(20, 600)), tmp_path, check)


def check(case: Case, folder: Path) -> None:
    def read() -> None:
        result = read_result(folder / NAME)
        if predictions_path(result).exists() or case.name.startswith("predictions"):
            read_predictions(result)
        show(make_leaderboard([result]))

    said = said_by(read)
    if case.refused is not None:
        assert bool(said) == case.refused, said or "read"


def show(board: Leaderboard) -> None:
    """Show a board in every format, as the command does."""
    for text in (board_csv(board), board_json(board), board_markdown(board)):
        text.encode()
    show_leaderboard(board, all_heads=True)


@pytest.mark.filterwarnings("ignore")
def test_malformed_results_cost_the_others_nothing(tmp_path: Path) -> None:
    for number, case in enumerate(CASES["result"][::5] + CASES["predictions"][::5]):
        (tmp_path / f"{number}").mkdir()
        case.write(tmp_path / f"{number}")
    for path in FOLDER.glob("*"):
        if "knn" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with limited():
        found = leaderboard([tmp_path], published=False)
        show(found)
    rows = {(row.encoder, row.head) for board in found.boards for row in board.rows}
    assert ("efficientnet-lite0", "mean-logreg") in rows
    assert ("random-vit-tiny", "abmil") in rows
    assert found.unreadable
    for text in found.unreadable:
        check_sentence(text)


def test_published_results_are_read() -> None:
    found = find_results([published_results()])
    assert not found.unreadable
    assert len(found.results) > 40
    for result in found.results:
        if predictions_path(result).is_file():
            read_predictions(result)


def test_a_result_comes_back_as_it_was_written() -> None:
    result = read_result(FOLDER / f"{STEM}.json")
    facts = json.loads((FOLDER / f"{STEM}.json").read_text())
    again = json.loads(json.dumps({k: v for k, v in asdict(result).items() if k != "path"}))
    assert again == facts


def test_a_pack_of_predictions_of_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes((FOLDER / f"{STEM}.json").read_bytes())
    with pytest.raises(BadRequest, match="not predictions of this"):
        read_predictions(read_result(tmp_path / NAME))
