import csv
from pathlib import Path

import pytest

from clearbench.demo import Demo, DemoSteps, run_demo
from clearbench.pretraining.outcome import patient_hash


def nothing(*_: object) -> None:
    """Hear a step and say nothing."""


def assert_only_training_patients_were_seen(demo: Demo) -> None:
    with demo.cohort.open() as file:
        sides = {row["patient_id"]: row["split"] for row in csv.DictReader(file)}
    seen = set(demo.card.with_name("lecl-demo.patients.txt").read_text().split())
    assert seen == {patient_hash(name) for name, side in sides.items() if side == "train"}
    assert not seen & {patient_hash(name) for name, side in sides.items() if side == "test"}


@pytest.mark.slow
def test_the_demo_shows_every_step_and_goes_on_from_where_it_was(tmp_path: Path) -> None:
    demo = run_demo(tmp_path, DemoSteps(nothing, nothing, nothing, nothing))
    assert not demo.report.failed
    assert_only_training_patients_were_seen(demo)
    assert len(demo.leaderboard.boards) == 3
    assert all(len(board.rows) == 9 for board in demo.leaderboard.boards), "three of them floors"
    assert demo.answer.num_rows == 5
    rows = {
        (row.task, row.encoder, row.head): row.value
        for b in demo.leaderboard.boards
        for row in b.rows
    }
    ours, rng = (
        rows["synthetic-lung-disease", name, "abmil"] for name in ("lecl-demo", "floor-permuted")
    )
    assert ours is not None
    assert rng is not None
    assert ours > rng + 0.2
    again = run_demo(tmp_path, DemoSteps(nothing, nothing, nothing, nothing))
    assert all(not run.of("written") for run in again.report.runs)
