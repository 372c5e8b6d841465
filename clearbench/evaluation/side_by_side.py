"""Many heads at once: one thread per core, a head each, over the same instances in memory.

A head is small, so its own operations don't fill many cores; heads beside each other do. Each has
its own chance, so that what trains beside it changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple, TypeVar

import torch

Answer = TypeVar("Answer")


class Crew(NamedTuple):
    """How many jobs run at once, and on how many threads each."""

    workers: int
    threads: int


def choose_crew(jobs: int, device: torch.device, most: int | None = None) -> Crew:
    """Share the cores out among jobs; a GPU takes one head after another."""
    cores = most or torch.get_num_threads()
    workers = 1 if device.type != "cpu" else max(1, min(jobs, cores))
    return Crew(workers, max(1, cores // workers))


def run_side_by_side(
    jobs: Sequence[Callable[[], Answer]], crew: Crew
) -> Iterator[tuple[int, Answer]]:
    """Run jobs at once and yield (number, answer) as each is done.

    The first error stops those that have not begun, and is raised. torch's number of threads is
    set for the workers alone, and put back for the caller.
    """
    if crew.workers == 1:
        yield from ((number, job()) for number, job in enumerate(jobs))
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(crew.workers, initializer=_settle, initargs=(crew.threads,))
    try:
        waiting = {pool.submit(job): number for number, job in enumerate(jobs)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def _settle(threads: int) -> None:
    """Keep a worker's operations to its own threads."""
    torch.set_num_threads(threads)
