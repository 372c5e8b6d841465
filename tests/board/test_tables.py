import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearbench.board.tables import leaderboard, make_leaderboard
from clearbench.errors import BadRequest, UnknownName
from clearbench.results.record import Result, published_results, read_results

Make = Callable[..., Result]


def saved(result: Result, folder: Path) -> Path:
    path = folder / result.task / f"{result.stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({k: v for k, v in vars(result).items() if k != "path"}))
    return path


LATER = {"created": "2026-02-02T00:00:00Z"}


def test_rows_are_ordered_by_value_and_a_missing_score_is_last(with_value: Make) -> None:
    results = [with_value("low", 0.6), with_value("none", None), with_value("high", 0.9)]
    [board] = make_leaderboard(results).boards
    assert [row.encoder for row in board.rows] == ["high", "low", "none"]


def test_two_sets_of_an_encoders_features_have_different_names(with_value: Make) -> None:
    results = [with_value("a", 0.8), with_value("a", 0.7, fingerprint="e" * 64)]
    [board] = make_leaderboard([*results, with_value("b", 0.6)]).boards
    assert [row.encoder for row in board.rows] == ["a@ffffffff", "a@eeeeeeee", "b"]


def test_other_splits_are_never_on_one_board(with_value: Make) -> None:
    results = [with_value("a", 0.6), with_value("b", 0.9, split_sha256="other")]
    assert len(make_leaderboard(results).boards) == 2


def test_other_training_of_heads_is_another_question(with_value: Make) -> None:
    old = with_value("a", 0.9)
    new = with_value("b", 0.8, heads_version=2, **LATER)
    first, second = make_leaderboard([old, new]).boards
    assert [row.encoder for row in first.rows] == ["b"]
    assert "the training of heads changed after these results" in second.notes[0]


def test_a_result_of_an_older_version_says_so(with_value: Make) -> None:
    """It doesn't say which labels it was made with."""
    old = with_value("a", 0.9, content_sha256="", labels_check="")
    _, board = make_leaderboard([old, with_value("b", 0.8, **LATER)]).boards
    assert "clearbench changed after these results" in board.notes[0]


def test_a_random_network_much_narrower_than_an_encoder_is_noted(with_value: Make) -> None:
    encoder = with_value("wide", 0.8, dim=1280)
    narrow = with_value("random-vit-tiny", 0.7, dim=192, floor=True)
    [board] = make_leaderboard([encoder, narrow]).boards
    [note] = [note for note in board.notes if "wider" in note]
    assert note.startswith("wide: much wider than every random network here (192 features)")
    fair = with_value("random-vit-base", 0.7, dim=768, floor=True)
    assert not [n for n in make_leaderboard([encoder, fair]).boards[0].notes if "wider" in n]


def test_two_labels_and_two_cards_are_three_boards_and_never_compared(make_result: Make) -> None:
    """The newest comes first; the others say what changed and what to run."""
    first = make_result("a", 3.0)
    labels = make_result("b", 1.0, labels_check="m", created="2026-01-02T00:00:00Z")
    card = make_result("c", 2.0, labels_check="m", content_sha256="k2", **LATER)
    found = make_leaderboard([first, labels, card])
    assert [[row.encoder for row in board.rows] for board in found.boards] == [["c"], ["a"], ["b"]]
    assert [board.older for board in found.boards] == [False, True, True]
    assert all(board.comparisons == () for board in found.boards)
    older = {board.rows[0].encoder: board.notes[0] for board in found.boards[1:]}
    assert older["b"].startswith("not compared with the board above: the card changed after")
    assert older["a"].startswith("not compared with the board above: the card and the labels chan")
    assert "(2026-01-01); run: clearbench evaluate --task t --stale" in older["a"]


def test_other_scans_of_the_same_patients_are_another_question(make_result: Make) -> None:
    """Second visits were added, with the same labels."""
    old = make_result("a", 3.0)
    new = make_result("b", 1.0, scans_check="more", **LATER)
    first, second = make_leaderboard([old, new]).boards
    assert [row.encoder for row in first.rows] == ["b"]
    assert "the scans of patients changed after these results" in second.notes[0]
    assert first.comparisons == second.comparisons == ()


def test_features_of_other_pixels_stand_apart(make_result: Make) -> None:
    """The files were replaced, and only one encoder embedded them again."""
    old = make_result("a", 3.0)
    new = make_result("b", 1.0, pixels_check="new", **LATER)
    # features of other patients say nothing about the pixels of these
    fewer = make_result("few", 2.0, units_check="fewer", pixels_check="z")
    first, second = make_leaderboard([old, new, fewer]).boards
    assert {row.encoder for row in first.rows} == {"b", "few"}
    assert [row.encoder for row in second.rows] == ["a"]
    assert "the pixels of scans changed after these results" in second.notes[0]
    assert "clearbench embed c --model a --replace" in second.notes[0]
    assert second.older


def test_a_new_title_is_the_same_question(with_value: Make) -> None:
    """Only the content counts, not the bytes of the card."""
    results = [with_value("a", 0.6), with_value("b", 0.7, task_sha256="1", task_title="T2")]
    [board] = make_leaderboard(results).boards
    assert len(board.rows) == 2


def test_older_labels_count_for_no_average_rank(make_result: Make) -> None:
    floors = [make_result("f", 0.0, seed=9, floor=True, task=task) for task in ("t", "u")]
    now = [
        make_result(name, strength, task=task, **LATER)
        for task in ("t", "u")
        for name, strength in (("a", 3.0), ("b", 1.0))
    ]
    current = make_leaderboard([*floors, *now]).overall
    assert current is not None
    assert current.tasks == ("t", "u")
    newer = make_result("c", 2.0, task="u", labels_check="new", created="2026-03-03T00:00:00Z")
    after = make_leaderboard([*floors, *now, newer]).overall
    assert after is not None
    assert after.tasks == ("t",)


def test_tiers_and_ranks_are_claimed_where_there_is_a_signal(make_result: Make) -> None:
    strong, weak = make_result("strong", 3.0), make_result("weak", 1.0, seed=2)
    floor = make_result("floor", 0.0, seed=3, floor=True)
    [board] = make_leaderboard([weak, strong, floor]).boards
    assert [(row.tier, row.rank) for row in board.rows] == [(1, "1"), (2, "2"), (None, "")]
    assert "compared by: corrected resampled t-test over folds" in board.notes
    assert any("smallest difference that these patients would show: 0." in n for n in board.notes)
    [none] = make_leaderboard([make_result("a", 0.02), floor]).boards
    [note] = [note for note in none.notes if note.startswith("no signal")]
    assert "no encoder beats every floor, so none is ranked; a@ffffffff against floor@ffff" in note
    assert re.search(r"[+-]0\.\d{3} \([+-]0\.\d{3} to \+0\.\d{3}\), p = [01]\.\d{3}$", note)
    assert all(row.tier is None for row in none.rows)


def scored(make_result: Make, encoder: str, strength: float, **scores: float) -> Result:
    made = make_result(encoder, strength)
    more = {name: {"value": value, "low": value, "high": value} for name, value in scores.items()}
    return replace(made, scores=made.scores | more, seconds=10 * strength)


def test_scores_made_with_somebody_who_left_say_so(with_value: Make) -> None:
    [board] = make_leaderboard([with_value("a", 0.8), with_value("b", 0.7, forgotten=1)]).boards
    says = (
        "these scores were made with 1 patient who was removed since; "
        "run clearbench evaluate --task t again"
    )
    assert says in board.notes
    [plain] = make_leaderboard([with_value("a", 0.8)]).boards
    assert not any("removed since" in note for note in plain.notes)


def test_another_metric_is_shown_without_ranks(make_result: Make) -> None:
    strong = scored(make_result, "strong", 3.0, brier=0.3)
    weak = scored(make_result, "weak", 1.0, brier=0.2)
    [board] = make_leaderboard([strong, weak], metric="brier").boards
    assert board.metric == "brier"
    assert [(r.encoder, r.value, r.metric) for r in board.rows] == [
        ("weak", 0.2, "brier"),
        ("strong", 0.3, "brier"),
    ], "of a Brier score less is better"
    assert {(row.tier, row.rank_low) for row in board.rows} == {(None, None)}
    note = "no tiers or ranks by brier: they are by auroc only, the task's own metric"
    assert note in board.notes
    [timed] = make_leaderboard([strong, weak], metric="seconds").boards
    assert [(r.encoder, r.value, r.low) for r in timed.rows] == [
        ("weak", 10.0, None),
        ("strong", 30.0, None),
    ]


def test_a_metric_is_shown_for_the_tasks_that_have_it(make_result: Make, with_value: Make) -> None:
    one = scored(make_result, "one", 3.0, **{"auroc/liver": 0.7})
    found = make_leaderboard([one, with_value("a", 0.8, task="other")], metric="auroc/liver")
    assert [board.task for board in found.boards] == ["t"]
    assert found.overall is None


def test_the_tasks_own_metric_keeps_its_ranks(make_result: Make) -> None:
    floor = make_result("floor", 0.0, seed=3, floor=True)
    [board] = make_leaderboard([make_result("a", 3.0), floor], metric="auroc").boards
    assert [row.tier for row in board.rows] == [1, None]


def test_notes_say_which_variance_the_intervals_include(with_value: Make) -> None:
    def note(**facts: Any) -> str:
        [board] = make_leaderboard([with_value("a", 0.6, **facts)]).boards
        return next(note for note in board.notes if note.startswith("intervals, 95 %: "))

    assert note().endswith("corrected resampled t over folds")
    assert note(folds=3, repeats=1).endswith("from 3 folds only")
    assert "without the variance over training sets" in note(crossed=False)
    assert note(crossed=False, draws=10).endswith(
        "for abmil and floors with the variance over training sets"
    )


def test_without_the_declared_heads_result_the_reason_is_shown(with_value: Make) -> None:
    [board] = make_leaderboard([with_value("a", 0.6, head="knn")]).boards
    assert "none is ranked: the task's declared head has no result to compare" in board.notes


def test_a_board_of_floors_alone_names_the_command(with_value: Make) -> None:
    floors = [with_value("floor-tags", 0.6, floor=True), with_value("seeded", 0.5, floor=True)]
    [board] = make_leaderboard(floors).boards
    words = "only floors were evaluated: clearbench evaluate --task t --model NAME"
    assert words in board.notes
    assert not any("none is ranked" in note for note in board.notes)
    [both] = make_leaderboard([*floors, with_value("a", 0.7)]).boards
    assert words not in both.notes
    assert both.declared_head == "abmil"


def test_an_unknown_metric_offers_the_nearest(with_value: Make) -> None:
    with pytest.raises(UnknownName, match=r'"auroq"; did you mean auroc\? \(auroc, seconds'):
        make_leaderboard([with_value("a", 0.5)], metric="auroq")


def test_own_results_are_on_a_board_with_the_published(tmp_path: Path, with_value: Make) -> None:
    saved(with_value("a", 0.8), tmp_path)
    boards = leaderboard([tmp_path]).boards
    assert {row.source for board in boards if board.task == "t" for row in board.rows} == {"yours"}
    published = [row for board in boards if board.task != "t" for row in board.rows]
    assert published
    assert {row.source for row in published} == {"published"}
    assert [board.task for board in leaderboard([tmp_path], published=False).boards] == ["t"]


def test_an_unknown_task_is_named(tmp_path: Path, with_value: Make) -> None:
    saved(with_value("a", 0.8), tmp_path)
    with pytest.raises(UnknownName, match="evaluate --task other"):
        leaderboard([tmp_path], "other")


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "bad.json").write_text("{}")
    with pytest.raises(BadRequest, match=r"bad\.json: not a result"):
        read_results([tmp_path])


def test_a_damaged_result_stops_no_other(tmp_path: Path, with_value: Make) -> None:
    saved(with_value("a", 0.8), tmp_path)
    (tmp_path / "t" / "bad.json").write_text("{")
    found = leaderboard([tmp_path], published=False)
    assert [row.encoder for board in found.boards for row in board.rows] == ["a"]
    [reason] = found.unreadable
    assert reason.startswith(f"{tmp_path / 't' / 'bad.json'}: not a result of this clearbench")
    with pytest.raises(UnknownName, match=r"evaluate --task other; .*bad\.json: not a result"):
        leaderboard([tmp_path], "other", published=False)


def test_the_published_results_can_be_read() -> None:
    results = read_results([published_results()])
    assert {result.task for result in results} >= {"ct-ich-hemorrhage"}
    assert all(result.score()["value"] is not None for result in results)
    assert any(result.floor for result in results)
