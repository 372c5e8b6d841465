"""Processes that clearbench starts: they import nothing from the folder in which it runs.

Python looks for modules in the working folder first when it is started with -c or -m, as all
pools do it. A folder of scans may hold anything, also a types.py.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

PARENT_CHECK_S = 1.0
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


def reader_pool(workers: int) -> "ProcessPoolExecutor":
    """Return a pool of reader processes, which ignore Ctrl-C and end with this one."""
    from loky import ProcessPoolExecutor

    # A reader whose parent is killed while it starts has another one already when it checks.
    follow = partial(_follow, os.getpid())
    # a helper process of the pool starts here, the readers when they get work
    with safe_children():
        return ProcessPoolExecutor(max_workers=workers, initializer=follow, env=dict(READER))


def _follow(parent: int) -> None:
    """Ignore Ctrl-C in a reader, because its parent handles it, and watch the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this reader after its parent was killed."""
    # an orphan gets another parent
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)  # sys.exit would end only this thread


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
