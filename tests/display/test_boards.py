import pytest

from clearbench.board.overall import Overall
from clearbench.board.tables import Board, Leaderboard
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
