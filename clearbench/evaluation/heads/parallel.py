"""Many heads at once, or many networks of one head: one per thread, over the same instances.

One small network can't fill many cores, and threads that share one wait for each other. Each has
its own random numbers, so those that train at the same time don't change it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple, TypeVar

import torch

from clearbench.cores import usable_cores

Answer = TypeVar("Answer")


class Parallelism(NamedTuple):
    """How many jobs run at once, and on how many threads each."""

    workers: int
    threads: int


def choose_parallelism(jobs: int, device: torch.device, cores: int | None = None) -> Parallelism:
    """Divide the cores that this thread may use among jobs; on a GPU one runs after another."""
    cores = cores or min(torch.get_num_threads(), usable_cores())
    workers = 1 if device.type != "cpu" else max(1, min(jobs, cores))
    return Parallelism(workers, max(1, cores // workers))


def run_parallel(
    jobs: Sequence[Callable[[], Answer]], parallelism: Parallelism
) -> Iterator[tuple[int, Answer]]:
    """Run jobs at once and yield (number, answer) as each is done.

    The first error cancels the jobs that have not started, and is raised. torch's number of
    threads changes for the workers only, and is restored at the end.
    """
    if parallelism.workers == 1:
        yield from ((number, job()) for number, job in enumerate(jobs))
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(
        parallelism.workers, initializer=torch.set_num_threads, initargs=(parallelism.threads,)
    )
    try:
        waiting = {pool.submit(job): number for number, job in enumerate(jobs)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def run_all(
    jobs: Sequence[Callable[[], Answer]],
    parallelism: Parallelism,
    on_done: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Answer, ...]:
    """Run jobs at once and return their answers in the order of the jobs.

    `on_done(done, total)` is called after each.
    """
    found: dict[int, Answer] = {}
    for number, answer in run_parallel(jobs, parallelism):
        found[number] = answer
        on_done(len(found), len(jobs))
    return tuple(found[number] for number in range(len(jobs)))
