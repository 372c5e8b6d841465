"""Processes that clearbench starts: they import nothing from the folder in which it runs.

Python looks for modules in the working folder first when it is started with -c or -m, as all
pools do it. A folder of scans may hold anything, also a types.py.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

SAFE_PATH = "PYTHONSAFEPATH"
READER = MappingProxyType({SAFE_PATH: "1", "OMP_NUM_THREADS": "1"})  # there are several readers


@contextmanager
def safe_children() -> Iterator[None]:
    """Let the processes that are started in this block import nothing from the working folder."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def reader_pool(workers: int, start: Callable[[], None] | None = None) -> "ProcessPoolExecutor":
    """Return a pool of reader processes; each runs `start` first."""
    from loky import ProcessPoolExecutor

    # a helper process of the pool starts here, the readers when they get work
    with safe_children():
        return ProcessPoolExecutor(max_workers=workers, initializer=start, env=dict(READER))


@contextmanager
def mapping(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a `map` that runs in so many reader processes, or in this one."""
    if workers < 2:
        yield map
        return
    pool = reader_pool(workers)
    try:
        yield pool.map
    finally:
        pool.shutdown(wait=False, kill_workers=True)
