import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clearbench.board.results import Result, published_results, read_results
from clearbench.board.tables import as_csv, as_json, as_markdown, leaderboard, make_boards
from clearbench.errors import BadRequest, UnknownName

BASE = Result(
    task="t",
    task_title="T",
    task_version=1,
    task_sha256="0",
    cohort="c",
    target="binary",
    metric="auroc",
    outputs=("ill",),
    encoder="a",
    encoder_title="A",
    fingerprint="f" * 64,
    views=("lung",),
    precision="float32",
    head="abmil",
    declared_head="abmil",
    head_precision="float32",
    test_cohort="",
    preset="default",
    seeds=1,
    folds=5,
    repeats=5,
    crossed=True,
    split_sha256="s",
    patients=40,
    units=40,
    test_patients=40,
    excluded=(),
    not_scored=(),
    scores={"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}},
    fold_scores=[],
    guards=[],
    curve=[],
    floor=False,
    licence="MIT",
    parameters_m=1.0,
    slices_per_s=10.0,
    seconds=1.0,
    versions={},
    cores=2,
    created="2026-01-01T00:00:00Z",
)


def with_value(encoder: str, value: float | None, **more: object) -> Result:
    score = {"value": value, "low": value, "high": value}
    return replace(BASE, encoder=encoder, scores={"auroc": score}, **more)  # type: ignore[arg-type]


def saved(result: Result, folder: Path) -> Path:
    path = folder / result.task / f"{result.stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({k: v for k, v in vars(result).items() if k != "path"}))
    return path


def test_rows_stand_by_value_and_a_missing_score_last() -> None:
    [board] = make_boards(
        [with_value("low", 0.6), with_value("none", None), with_value("high", 0.9)]
    )
    assert [row.encoder for row in board.rows] == ["high", "low", "none"]
    assert "| none | abmil | default | – |" in as_markdown([board])


def test_two_sets_of_an_encoders_features_are_told_apart() -> None:
    [board] = make_boards(
        [with_value("a", 0.8), with_value("a", 0.7, fingerprint="e" * 64), with_value("b", 0.6)]
    )
    assert [row.encoder for row in board.rows] == ["a@ffffffff", "a@eeeeeeee", "b"]


def test_other_splits_are_never_on_one_board() -> None:
    boards = make_boards([with_value("a", 0.6), with_value("b", 0.9, split_sha256="other")])
    assert len(boards) == 2


def test_floors_and_exclusions_are_shown() -> None:
    floor = with_value("random", 0.5, floor=True, excluded=("2 of 40 without a label",))
    text = as_markdown(make_boards([floor]))
    assert "| floor | random | abmil |" in text
    assert "2 of 40 without a label" in text


def test_tiers_and_ranks_are_shown(make_result: Callable[..., Result]) -> None:
    strong, weak = make_result("strong", 3.0), make_result("weak", 1.0, seed=2)
    floor = make_result("floor", 0.0, seed=3, floor=True)
    [board] = make_boards([weak, strong, floor])
    assert [(row.tier, row.rank) for row in board.rows] == [(1, "1"), (2, "2"), (None, "")]
    text = as_markdown([board])
    assert "| 1 | strong | abmil | default | 0.800 | 0.70 – 0.90 | 1 |" in text
    assert "- compared by: corrected resampled t-test over folds" in text
    assert "smallest difference that these patients would show: 0." in text
    [none] = make_boards([make_result("a", 0.02), floor])
    assert "no signal: no encoder beats the floor floor, so none is ranked" in none.notes
    assert all(row.tier is None for row in none.rows)


def test_csv_and_json_hold_the_same_rows() -> None:
    boards = make_boards([with_value("a", 0.6), with_value("b", 0.9)])
    rows = list(csv.DictReader(io.StringIO(as_csv(boards))))
    assert [row["encoder"] for row in rows] == ["b", "a"]
    assert [row["encoder"] for row in json.loads(as_json(boards))[0]["rows"]] == ["b", "a"]


def test_own_results_stand_beside_the_published(tmp_path: Path) -> None:
    saved(BASE, tmp_path)
    boards = leaderboard([tmp_path])
    assert {row.source for board in boards if board.task == "t" for row in board.rows} == {"yours"}
    published = [row for board in boards if board.task != "t" for row in board.rows]
    assert published
    assert {row.source for row in published} == {"published"}
    assert [board.task for board in leaderboard([tmp_path], published=False)] == ["t"]


def test_an_unknown_task_is_named(tmp_path: Path) -> None:
    saved(BASE, tmp_path)
    with pytest.raises(UnknownName, match="evaluate --task other"):
        leaderboard([tmp_path], "other")


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "bad.json").write_text("{}")
    with pytest.raises(BadRequest, match=r"bad\.json: not a result"):
        read_results([tmp_path])


def test_the_published_results_can_be_read() -> None:
    results = read_results([published_results()])
    assert {result.task for result in results} >= {"ct-ich-hemorrhage"}
    assert all(result.score()["value"] is not None for result in results)
    assert any(result.floor for result in results)
