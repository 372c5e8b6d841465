import threading
from collections.abc import Callable

import pytest
import torch

from clearbench.evaluation.heads.parallel import (
    Parallelism,
    choose_parallelism,
    run_parallel,
)

CPU = torch.device("cpu")


def test_every_job_is_answered_under_its_number() -> None:
    jobs: list[Callable[[], int]] = [lambda n=n: n * n for n in range(20)]  # type: ignore[misc]
    for parallelism in (Parallelism(1, 1), Parallelism(3, 1)):
        assert dict(run_parallel(jobs, parallelism)) == {n: n * n for n in range(20)}


def test_jobs_run_at_once_on_their_own_threads_and_the_callers_are_left() -> None:
    before = torch.get_num_threads()
    meeting = threading.Barrier(2, timeout=20)

    def meet() -> int:
        meeting.wait()
        return torch.get_num_threads()

    found = dict(run_parallel([meet, meet], Parallelism(2, 1)))
    assert found == {0: 1, 1: 1}
    assert torch.get_num_threads() == before


def test_the_first_error_ends_it() -> None:
    done = []

    def fail() -> None:
        raise ValueError("no")

    def late() -> None:
        done.append(1)

    with pytest.raises(ValueError, match="no"):
        list(run_parallel([fail, *[late] * 200], Parallelism(2, 1)))
    assert len(done) < 200


def test_cores_are_shared_out() -> None:
    assert choose_parallelism(25, CPU, 8) == Parallelism(8, 1)
    assert choose_parallelism(3, CPU, 8) == Parallelism(3, 2)
    assert choose_parallelism(1, CPU, 8) == Parallelism(1, 8)
    assert choose_parallelism(25, torch.device("cuda"), 8) == Parallelism(1, 8)
