"""How much a query may use: seconds, memory, and temporary files on the disk."""

import atexit
import math
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from clearbench.errors import BadArgument, BadQuery
from clearbench.files import draft_of, make_scratch

TIMEOUT_S = 600.0
MEMORY_SHARE = 0.4  # of what the machine or the container has; the answer may take as much again
DISK_SHARE = 0.5  # of what is free where temporary files go
LEAST_GB = 0.1  # with less, DuckDB can't open a store
GB = 1e9
MOST_S, MOST_GB = 1e9, 1e5  # DuckDB's settings overflow above
GRACE_S = 5.0  # in which a query stops by itself
MEMORY_GRACE_S = 0.5
LOOK_S = 0.05
THREAD = "clearbench-query"
STATM = Path("/proc/self/statm")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Limits:
    """What one query may use. Raises BadArgument for what is no limit.

    timeout_s  seconds
    memory_gb  memory of the query; the answer may take as much again. None: 40 % of the machine's
    temp_gb    temporary files of what doesn't fit into the memory. None: half of the free disk
    """

    timeout_s: float = TIMEOUT_S
    memory_gb: float | None = None
    temp_gb: float | None = None

    def __post_init__(self) -> None:
        _check("timeout_s", self.timeout_s, "seconds", 0)
        _check("memory_gb", self.memory_gb, "GB", LEAST_GB)
        _check("temp_gb", self.temp_gb, "GB", 0)

    @property
    def timeout_said(self) -> str:
        """Why a query that took too long ends, and the way out."""
        return (
            f"stopped after {self.timeout_s:g} s; ask for less, or allow more time "
            "(--timeout SECONDS, timeout_s=… in Python)"
        )


def _check(name: str, value: float | None, unit: str, least: float) -> None:
    """Raise BadArgument unless a limit is a number of seconds or GB above 0."""
    if value is None:
        return
    if not math.isfinite(value) or value <= 0:
        raise BadArgument(name, value, f"must be a number of {unit} above 0")
    if value < least:
        raise BadArgument(name, value, f"must be at least {least:g} {unit}")


@dataclass(frozen=True)
class SetLimits:
    """The limits that a connection has, in bytes."""

    wished: Limits
    memory_bytes: int
    temp_bytes: int

    @property
    def memory_said(self) -> str:
        """Why a query that needs too much memory ends, and the way out."""
        return (
            f"needs more than {self.memory_bytes / GB:,.1f} GB of memory; ask for fewer rows, "
            "columns or shorter values, or allow more (--memory-gb GB, memory_gb=… in Python)"
        )

    @property
    def temp_said(self) -> str:
        """Why a query that needs too much of the disk ends, and the way out."""
        return (
            f"needs more than {self.temp_bytes / GB:,.1f} GB of temporary files; ask for less, "
            "allow more (--temp-gb GB, temp_gb=… in Python), or set TMPDIR to a larger disk"
        )


def set_limits(connection: Any, limits: Limits) -> SetLimits:
    """Set a DuckDB connection's limits, and where its temporary files go."""
    milliseconds = math.ceil(min(limits.timeout_s, MOST_S) * 1000)
    connection.execute(f"SET max_execution_time = {milliseconds}")
    wished = limits.memory_gb
    share = f"{MEMORY_SHARE:.0%}" if wished is None else f"{min(wished, MOST_GB):.9f}GB"
    connection.execute(f"SET memory_limit = '{share}'")
    [[memory]] = connection.execute(
        "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
    ).fetchall()
    scratch = scratch_folder()
    temp = 0
    if scratch is not None:
        free = shutil.disk_usage(scratch).free
        temp = int(
            free * DISK_SHARE if limits.temp_gb is None else min(limits.temp_gb, MOST_GB) * GB
        )
        place = str(draft_of(scratch / "spilled")).replace("'", "''")
        connection.execute(f"SET temp_directory = '{place}'")
        connection.execute(f"SET max_temp_directory_size = '{temp / GB:.9f}GB'")
    else:
        connection.execute("SET temp_directory = ''")
    return SetLimits(limits, int(memory), temp)


@cache
def scratch_folder() -> Path | None:
    """Return this process's own folder for temporary files; None if there is no place for one.

    DuckDB makes a folder in it when a query needs one, and removes it with the query. Only its
    owner can read it: what a query spills is data of patients.
    """
    try:
        folder = make_scratch("query")
    except OSError:
        return None
    atexit.register(remove_scratch)
    return folder


def remove_scratch() -> None:
    """Remove this process's folder for temporary files."""
    folder = scratch_folder() if scratch_folder.cache_info().currsize else None
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    scratch_folder.cache_clear()


def run_watched(connection: Any, limits: SetLimits, work: Callable[[], Answer]) -> Answer:
    """Return what `work` returns, which runs a query of a connection; raises what it raises.

    DuckDB keeps the limits, but for a single call of a function: lpad('x', 2000000000) can't be
    interrupted, and the memory of a list of 10⁹ numbers isn't counted. So the query runs next to
    this thread, which raises BadQuery if it doesn't stop; it is then left to itself. Ctrl-C stops
    it too.
    """
    done: Future[Answer] = Future()
    threading.Thread(target=_settle, args=(done, work), name=THREAD, daemon=True).start()
    base = _memory_of_process()
    last = time.monotonic() + min(limits.wished.timeout_s, MOST_S) + GRACE_S
    said = ""
    try:
        while not wait([done], LOOK_S).done:
            now = time.monotonic()
            # twice: the query's, and that of the answer
            if not said and _memory_of_process() - base > 2 * limits.memory_bytes:
                said, last = limits.memory_said, min(last, now + MEMORY_GRACE_S)
                connection.interrupt()
            if now > last:
                raise BadQuery(said or limits.wished.timeout_said)
    except KeyboardInterrupt:
        connection.interrupt()
        wait([done], GRACE_S)
        raise
    if said and done.exception() is not None:
        raise BadQuery(said) from done.exception()
    return done.result()


def is_left_running() -> bool:
    """Return True if a query of this process didn't stop, and was left to itself."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def _settle(done: "Future[Answer]", work: Callable[[], Answer]) -> None:
    """Do some work, and keep what it returns or raises."""
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        done.set_exception(error)


def _memory_of_process() -> int:
    """Return the bytes of memory that only this process has; 0 where the system doesn't say."""
    try:
        # of feature files, only pages are mapped: the system takes them back when it needs them
        _, resident, shared, *_ = STATM.read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
