"""How many cores this process may use, and how its threads wait for each other.

`prepare_threads` must run before torch is loaded: OpenMP reads its settings once, at loading.
"""

import os
from collections.abc import MutableMapping

import loky

SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")  # the first that is set counts
WAIT_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SPINS = 1_000  # benchmarks/reports/busy.md
MOST_READERS = 8


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1.

    The least of the machine's cores, the process's affinity, its cgroup's quota (containers),
    LOKY_MAX_CPU_COUNT and what SLURM gave the job.
    """
    given = next((os.environ[name] for name in SLURM if name in os.environ), "")
    cores: int = loky.cpu_count()
    return max(1, min(cores, int(given))) if given.isdecimal() else cores


MOST_WORKERS = 1024  # processes that a command may ask for


def default_workers() -> int:
    """Return how many readers suit this process: half its cores, at most eight."""
    return max(1, min(MOST_READERS, usable_cores() // 2))


def prepare_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set OpenMP's threads before torch is loaded; the user's own settings win.

    Threads that wait at a barrier spin by default, for a very long time. Where another program
    needs a core, they spin while the thread they wait for has none. So they spin briefly here, then
    sleep (benchmarks/busy.py measures the cost and the gain).
    """
    if not any(name in environment for name in WAIT_SETTINGS):
        environment["GOMP_SPINCOUNT"] = str(SPINS)
    cores = usable_cores()
    if cores < (os.cpu_count() or 1):
        # OpenMP doesn't know a container's quota, and would start a thread for every core
        environment.setdefault("OMP_NUM_THREADS", str(cores))
