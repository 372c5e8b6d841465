"""The engine of this machine: readers → batches → network → writer, in bounded memory."""

import platform
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clearbench.cores import usable_cores
from clearbench.encoders.encoder import Encoder
from clearbench.engines.events import EmbedStarted, EncoderRun, OnEvent, ScanOutcome
from clearbench.engines.packer import BatchSize, Clock, Encoded, encode
from clearbench.engines.reader import ReadScan, ReadTask, facts_before, read_ahead
from clearbench.files import in_use, sweep_drafts
from clearbench.scans.volume import facts_as_json
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder
from clearbench.store.records import EncoderRecord, RunRecord, write_record, write_run
from clearbench.versions import FEATURE_LIBRARIES, library_versions

WRITES_AHEAD = 4
BATCH_CPU, BATCH_GPU = 16, 128


@dataclass(frozen=True)
class EmbedJob:
    """One encoder, one cohort, one store."""

    encoder: Encoder
    store: StoreFolder
    cohort: str
    tasks: tuple[ReadTask, ...]
    batch_size: int
    workers: int
    views_from_images: bool = False


def default_batch_size(encoder: Encoder) -> int:
    """Return a batch size that keeps the device busy and fits in memory: less for large inputs."""
    if encoder.card.input is None:
        return 1
    base = BATCH_CPU if encoder.device.type == "cpu" else BATCH_GPU
    area = (encoder.card.input.size_px / 224) ** 2
    return max(1, int(base / max(1.0, area)))


def run(job: EmbedJob, on_event: OnEvent, *, dry: bool = False) -> EncoderRun:
    """Embed every scan of a job that has no features yet; returns the outcome of each.

    A dry run only lists which scans have features. Raises StorageFull if the disk is full; written
    features stay, and a new run continues from there.
    """
    start = time.perf_counter()
    clock, size = Clock(), BatchSize(job.batch_size)
    started = _started(job)
    on_event(started)
    if dry:
        outcomes = tuple(_expected(task) for task in job.tasks)
        return EncoderRun(started, outcomes, time.perf_counter() - start)
    record = encoder_record(job.encoder)
    folder = job.store.encoder(record.name, record.fingerprint)
    sweep_drafts(folder)
    finished = []
    with in_use(folder):
        # before the first file, because features without a record are not found
        write_record(record, job.store)
        reads = read_ahead(job.tasks, job.workers)
        for outcome in _written(encode(job.encoder, reads, size, clock), job, clock):
            finished.append(outcome)
            on_event(outcome)
    seconds = time.perf_counter() - start
    total = sum(clock.seconds.values()) or 1.0
    shares = tuple((step, spent / total) for step, spent in clock.seconds.items())
    notes = () if size.images == job.batch_size else (_smaller(size.images, job.batch_size),)
    done = EncoderRun(started, tuple(finished), seconds, shares, notes)
    _remember_speed(done, job, record, size.images)
    return done


def _smaller(size: int, wanted: int) -> str:
    """Return the note of a run whose batches didn't fit in memory."""
    return (
        f"batches of {wanted} images don't fit in memory, so the rest was embedded in batches of "
        f"{size}; use --batch-size {size} next time"
    )


def _expected(task: ReadTask) -> ScanOutcome:
    """Return the outcome that a dry run expects, without reading the scan."""
    exists = not task.replace and facts_before(task) is not None
    return ScanOutcome(task.scan_id, str(task.source.path), "skipped" if exists else "written")


def _started(job: EmbedJob) -> EmbedStarted:
    """Return the event at the start of a job."""
    encoder = job.encoder
    return EmbedStarted(
        encoder=encoder.name,
        fingerprint=encoder.fingerprint,
        dim=encoder.card.dim,
        views=tuple(view.name for view in encoder.views),
        precision=encoder.precision,
        device=str(encoder.device),
        scans=len(job.tasks),
        views_from_images=job.views_from_images,
    )


def _written(
    results: Iterable[ReadScan | Encoded], job: EmbedJob, clock: Clock
) -> Iterator[ScanOutcome]:
    """Write features in a second thread while the network runs; at most a few wait in memory."""
    waiting: deque[tuple[Encoded, Future[Path]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writer:
        for result in results:
            if isinstance(result, ReadScan):
                yield _outcome(
                    result, "skipped" if result.status == "done" else "failed", result.reason
                )
            elif result.reason:
                yield _outcome(result.read, "failed", result.reason)
            else:
                waiting.append(
                    (result, writer.submit(write_features, scan_features(result, job), job.store))
                )
            while len(waiting) > WRITES_AHEAD or (waiting and waiting[0][1].done()):
                yield _finish(*waiting.popleft(), clock)
        while waiting:
            yield _finish(*waiting.popleft(), clock)


def _finish(result: Encoded, future: "Future[Path]", clock: Clock) -> ScanOutcome:
    """Wait for one file to be written."""
    moment = time.perf_counter()
    future.result()
    clock.add("write", moment)
    return _outcome(
        result.read, "written", slices=len(result.scan), problems=result.scan.facts.problems
    )


def _outcome(
    read: ReadScan, status: Any, reason: str = "", slices: int = 0, problems: tuple[str, ...] = ()
) -> ScanOutcome:
    """Return the outcome of one scan."""
    return ScanOutcome(
        read.task.scan_id, str(read.task.source.path), status, slices, reason, problems
    )


def scan_features(result: Encoded, job: EmbedJob) -> ScanFeatures:
    """Collect the contents of a feature file."""
    encoder, scan = job.encoder, result.scan
    key = ScanKey(encoder.name, encoder.fingerprint, job.cohort, result.read.task.scan_id)
    return ScanFeatures(
        key=key,
        patient_id=result.read.task.patient_id,
        features=result.features,
        present=result.present,
        z_mm=result.z_mm,
        slice_index=result.slice_index,
        source_signature=result.read.source_signature,
        pixels_signature=result.read.pixels_signature,
        about=about(encoder)
        | {
            "spacing_mm": [None if mm != mm else mm for mm in scan.spacing_mm],  # NaN isn't JSON
            "facts": facts_as_json(scan.facts),
            "source_windows": list(scan.windows),
        },
        sketch=result.read.sketch,
    )


def about(encoder: Encoder) -> dict[str, Any]:
    """Return a feature file's facts about its encoder, as JSON values."""
    return {
        "fingerprint": encoder.fingerprint,
        "card": encoder.card.model_dump(mode="json"),
        "views": [{"name": view.name, "windows_hu": view.windows_hu} for view in encoder.views],
        "precision": encoder.precision,
        "weights_sha256": encoder.weights_sha256,
        "device": encoder.device.type,
        "versions": library_versions(FEATURE_LIBRARIES),
    }


def encoder_record(encoder: Encoder) -> EncoderRecord:
    """Return the record of an encoder's features in a store."""
    return EncoderRecord(
        name=encoder.name,
        fingerprint=encoder.fingerprint,
        dim=encoder.card.dim,
        views=tuple(view.name for view in encoder.views),
        precision=encoder.precision,
        store_dtype=encoder.store_dtype,
        weights_sha256=encoder.weights_sha256,
        card=encoder.card.model_dump(mode="json"),
    )


def _remember_speed(
    done: EncoderRun, job: EmbedJob, record: EncoderRecord, batch_size: int
) -> None:
    """Write a run's speed next to the features, for the leaderboard."""
    if done.slices:
        device = (
            torch.cuda.get_device_name()
            if job.encoder.device.type == "cuda"
            else platform.machine()
        )
        run_record = RunRecord(
            slices=done.slices,
            scans=len(done.of("written")),
            seconds=round(done.seconds, 3),
            device=f"{job.encoder.device.type} {device}",
            cores=usable_cores(),
            batch_size=batch_size,
        )
        write_run(run_record, record, job.store)
