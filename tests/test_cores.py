import os

import loky
import pytest

from clearbench.cores import SLURM, prepare_threads, usable_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores of which this process may use four."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(loky, "cpu_count", lambda: 4)
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)


def test_the_limits_of_the_process_count() -> None:
    assert usable_cores() == 4


@pytest.mark.parametrize(
    ("given", "cores"), [({"SLURM_CPUS_PER_TASK": "2"}, 2), ({"SLURM_CPUS_ON_NODE": "3"}, 3),
                         ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "3"}, 2),
                         ({"SLURM_CPUS_PER_TASK": "64"}, 4), ({"SLURM_CPUS_ON_NODE": "2(x3)"}, 4)]
)  # fmt: skip
def test_slurm_can_only_lower_them(
    given: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert usable_cores() == cores


def test_threads_spin_briefly_and_are_no_more_than_the_cores() -> None:
    environment: dict[str, str] = {}
    prepare_threads(environment)
    assert int(environment.pop("GOMP_SPINCOUNT")) > 0
    assert environment == {"OMP_NUM_THREADS": "4"}


def test_on_a_whole_machine_the_number_of_threads_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loky, "cpu_count", lambda: 8)
    environment: dict[str, str] = {}
    prepare_threads(environment)
    assert "OMP_NUM_THREADS" not in environment


@pytest.mark.parametrize(
    "own",
    [
        {"OMP_WAIT_POLICY": "ACTIVE"},
        {"GOMP_SPINCOUNT": "infinity"},
        {"KMP_BLOCKTIME": "0"},
        {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
    ],
)
def test_the_users_own_settings_win(own: dict[str, str]) -> None:
    environment = dict(own)
    prepare_threads(environment)
    assert environment == {"OMP_NUM_THREADS": "4"} | own
