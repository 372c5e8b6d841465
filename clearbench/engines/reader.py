"""Read scans ahead of the network, in reader processes; these import no torch."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.cohort.table import ScanRow
from clearbench.errors import BadStore, UnreadableScan
from clearbench.processes import reader_pool
from clearbench.scans.damage import damage_as_unreadable
from clearbench.scans.hu import HuRules
from clearbench.scans.slices import (
    ScanSource,
    pixels_signature,
    read_scan,
    source_signature,
    take_every,
)
from clearbench.scans.thumbnail import Sketch, take_sketch
from clearbench.scans.volume import Scan, facts_as_json
from clearbench.store.features import FileFacts, read_file, renew_source
from clearbench.store.records import EncoderRecord

KILLED = "its reader process was killed, probably out of memory"


@dataclass(frozen=True)
class ReadTask:
    """One scan to read; `done` is the path of its feature file, if it was embedded before.

    record: the encoder whose features these must be
    """

    scan_id: str
    patient_id: str
    source: ScanSource
    done: Path
    spacing_mm: float | None = None
    resample: bool = False
    replace: bool = False
    pseudonyms: Pseudonyms | None = None
    record: EncoderRecord | None = None


def source_of(row: ScanRow) -> ScanSource:
    """Return where a cohort's scan is, with the user's rules for its values."""
    return ScanSource(row.path, row.series_id, HuRules(row.hu_offset, row.accept_hu, row.window))


@dataclass(frozen=True)
class ReadScan:
    """A scan that was read, has features already ("done"), or failed.

    The sketch is of the whole scan, also if the encoder embeds only some of its slices.
    """

    task: ReadTask
    status: Literal["read", "done", "failed"]
    scan: Scan | None = None
    source_signature: str = ""
    pixels_signature: str = ""
    reason: str = ""
    sketch: Sketch | None = None


def read_one(task: ReadTask) -> ReadScan:
    """Read one scan, unless its features exist and its source has not changed."""
    try:
        with damage_as_unreadable():
            return _read(task)
    except UnreadableScan as error:
        return ReadScan(task, "failed", reason=str(error))


def _read(task: ReadTask) -> ReadScan:
    """Compare file signatures first, and pixels only if those differ; see read_one.

    Files that were touched or copied, or rules of reading that are newer than the features, cost
    one reading, and no embedding if the pixels are the same.
    """
    if not task.source.path.exists():
        raise UnreadableScan("the path does not exist")
    before = None if task.replace else facts_before(task)
    cheap = source_signature(task.source.path) + task.source.rules.signature
    cheap += ":resampled" if task.resample else ""
    if before is not None and before.source_signature == cheap:
        return ReadScan(task, "done")
    names = task.pseudonyms
    whole = read_scan(
        task.source,
        pseudonym=names.series if names else None,
        other=names.other if names else None,
        resample=task.resample,
    )
    exact = pixels_signature(whole)
    if before is not None and before.pixels_signature == exact:
        renew_source(task.done, cheap, facts_as_json(whole.facts))
        return ReadScan(task, "done")
    if before is not None:
        raise UnreadableScan(
            "the store has features of this id from other pixels; use replace (--replace), "
            "or another name if it is another scan (ids of a plain folder are its paths)"
        )
    return ReadScan(
        task,
        "read",
        take_every(whole, task.spacing_mm),
        source_signature=cheap,
        pixels_signature=exact,
        sketch=take_sketch(whole),
    )


def facts_before(task: ReadTask) -> FileFacts | None:
    """Return the facts in a scan's feature file; None if it is missing or damaged.

    It is read whole: a scan is done only if no bit of its features has changed. Raises
    UnreadableScan for a folder, which no file replaces.
    """
    if task.done.is_dir():
        raise UnreadableScan(f"{task.done} is a folder where its features belong; remove it")
    try:
        return read_file(task.done, task.record).facts
    except BadStore:
        return None


def read_ahead(tasks: Iterable[ReadTask], workers: int) -> Iterator[ReadScan]:
    """Yield every task's scan in order; a few are read ahead, so memory doesn't grow with tasks.

    If a reader process is killed, only its scan fails.
    """
    if workers < 1:
        yield from map(read_one, tasks)
        return
    rest = iter(tasks)
    pool = reader_pool(workers)
    waiting: deque[tuple[ReadTask, Future[ReadScan]]] = deque()
    try:
        # one more than there are workers, so that none waits for its next scan
        for task in islice(rest, workers + 1):
            waiting.append((task, pool.submit(read_one, task)))
        while waiting:
            task, future = waiting.popleft()
            try:
                read = future.result()
            except BrokenExecutor:
                # loky breaks the whole pool when one process dies: the waiting scans start again
                read = _read_alone(task)
                again = [task for task, _ in waiting]
                pool = reader_pool(workers)
                waiting = deque((task, pool.submit(read_one, task)) for task in again)
            waiting.extend((task, pool.submit(read_one, task)) for task in islice(rest, 1))
            yield read
    finally:
        pool.shutdown(wait=False, kill_workers=True)


def _read_alone(task: ReadTask) -> ReadScan:
    """Read a scan in its own process, to find out whether it was the one that broke the pool."""
    pool = reader_pool(1)
    try:
        read: ReadScan = pool.submit(read_one, task).result()
        return read
    except BrokenExecutor:
        return ReadScan(task, "failed", reason=KILLED)
    finally:
        pool.shutdown(wait=False, kill_workers=True)
