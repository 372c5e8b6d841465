import threading
from collections.abc import Callable

import pytest
import torch

from clearbench.evaluation.side_by_side import Crew, choose_crew, run_side_by_side

CPU = torch.device("cpu")


def test_every_job_is_answered_under_its_number() -> None:
    jobs: list[Callable[[], int]] = [lambda n=n: n * n for n in range(20)]  # type: ignore[misc]
    for crew in (Crew(1, 1), Crew(3, 1)):
        assert dict(run_side_by_side(jobs, crew)) == {n: n * n for n in range(20)}


def test_jobs_run_at_once_on_their_own_threads_and_the_callers_are_left() -> None:
    before = torch.get_num_threads()
    meeting = threading.Barrier(2, timeout=20)

    def meet() -> int:
        meeting.wait()
        return torch.get_num_threads()

    found = dict(run_side_by_side([meet, meet], Crew(2, 1)))
    assert found == {0: 1, 1: 1}
    assert torch.get_num_threads() == before


def test_the_first_error_ends_it() -> None:
    done = []

    def fail() -> None:
        raise ValueError("no")

    def late() -> None:
        done.append(1)

    with pytest.raises(ValueError, match="no"):
        list(run_side_by_side([fail, *[late] * 200], Crew(2, 1)))
    assert len(done) < 200


def test_cores_are_shared_out() -> None:
    assert choose_crew(25, CPU, 8) == Crew(8, 1)
    assert choose_crew(3, CPU, 8) == Crew(3, 2)
    assert choose_crew(1, CPU, 8) == Crew(1, 8)
    assert choose_crew(25, torch.device("cuda"), 8) == Crew(1, 8)
