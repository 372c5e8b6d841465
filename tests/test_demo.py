from pathlib import Path

import pytest

from clearbench.demo import DemoSteps, run_demo


def nothing(*_: object) -> None:
    """Hear a step and say nothing."""


@pytest.mark.slow
def test_the_demo_shows_every_step_and_goes_on_from_where_it_was(tmp_path: Path) -> None:
    demo = run_demo(tmp_path, DemoSteps(nothing, nothing, nothing))
    assert not demo.report.failed
    assert len(demo.boards) == 3
    assert all(len(board.rows) == 4 for board in demo.boards)
    assert demo.answer.num_rows == 5
    best = {board.task: board.rows[0] for board in demo.boards}
    assert not best["synthetic-lung-disease"].floor
    again = run_demo(tmp_path, DemoSteps(nothing, nothing, nothing))
    assert all(not run.of("written") for run in again.report.runs)
