"""Batches that cross the borders of scans, so that the device never waits between scans."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearbench.encoders.encoder import Encoder
from clearbench.encoders.finite import (
    Embedded,
    as_stored,
    uniform_images,
    why_not_finite,
    why_not_stored,
)
from clearbench.encoders.inputs.preprocess import neighbourhood
from clearbench.engines.reader import ReadScan
from clearbench.errors import NoMemory, UnreadableScan
from clearbench.scans.volume import Scan


@dataclass
class Clock:
    """Seconds by step; it changes over time, as the batch size does."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("read", "prepare", "net", "write"), 0.0)
    )

    def add(self, step: str, since: float) -> float:
        """Add the time since a moment to a step; returns the current time."""
        now = time.perf_counter()
        self.seconds[step] += now - since
        return now


@dataclass
class BatchSize:
    """How many images one forward pass has: halved after a pass that didn't fit in memory."""

    images: int


@dataclass(frozen=True)
class Encoded:
    """One scan's features [n, views, dim] as they are stored, NaN where a view is missing.

    `reason` says why they can't be used. A volume encoder has one row for the whole scan, without
    slice index or z.
    """

    read: ReadScan
    scan: Scan
    features: NDArray[np.floating]
    present: NDArray[np.bool_]
    reason: str = ""
    whole: bool = False

    @property
    def z_mm(self) -> NDArray[np.float32]:
        """Return the z of each row's slice in mm [rows]; NaN for the whole scan."""
        return np.full(1, np.nan, np.float32) if self.whole else self.scan.z_mm

    @property
    def slice_index(self) -> NDArray[np.int32]:
        """Return the index of each row's slice in its source [rows]; -1 for the whole scan."""
        return np.full(1, -1, np.int32) if self.whole else self.scan.slice_index


@dataclass
class _Open:
    """A scan with `left` embeddings still missing.

    `uniform` [n, views] marks images without structure among those with features that fail.
    """

    read: ReadScan
    scan: Scan
    present: NDArray[np.bool_]
    features: NDArray[np.float32]
    uniform: NDArray[np.bool_]
    left: int


@dataclass(frozen=True)
class _Segment:
    """Prepared images of one scan, and the rows of their features."""

    owner: _Open
    rows: NDArray[np.int64]
    images: Tensor


def encode(
    encoder: Encoder, reads: Iterable[ReadScan], size: BatchSize, clock: Clock
) -> Iterator[ReadScan | Encoded]:
    """Yield each scan when it is complete; failed scans and those with features are passed on.

    Batches cross the borders of scans, and every forward pass has exactly `size` images, so that
    a scan's features don't depend on what else is embedded. At most one batch is in memory besides
    the current scan.
    """
    waiting: deque[_Segment] = deque()
    moment = time.perf_counter()
    for read in reads:
        moment = clock.add("read", moment)
        if read.scan is None:
            yield read
            # the time that the caller spends with a scan doesn't count as reading
            moment = time.perf_counter()
            continue
        if encoder.card.volume is not None:
            yield _whole(encoder, read, read.scan, clock)
        else:
            yield from _feed(encoder, read, read.scan, waiting, size, clock)
        moment = time.perf_counter()
    while waiting:
        yield from _run_batch(encoder, waiting, size, clock)


def _whole(encoder: Encoder, read: ReadScan, scan: Scan, clock: Clock) -> ReadScan | Encoded:
    """Embed a scan as one volume; scans differ in size, so every batch is one scan."""
    try:
        encoder.check_windows(scan.windows)
        moment = time.perf_counter()
        volume = encoder.prepare_volume(scan.pixels, scan.spacing_mm)
        moment = clock.add("prepare", moment)
        features = encoder.forward(volume)[None].cpu().numpy()
        clock.add("net", moment)
    except (UnreadableScan, NoMemory) as error:
        return ReadScan(read.task, "failed", reason=str(error))
    uniform = uniform_images(volume)[None]
    owner = _Open(read, scan, np.ones((1, 1), np.bool_), features, uniform, 0)
    return _complete(owner, encoder, whole=True)


def _feed(
    encoder: Encoder,
    read: ReadScan,
    scan: Scan,
    waiting: deque[_Segment],
    size: BatchSize,
    clock: Clock,
) -> Iterator[ReadScan | Encoded]:
    """Prepare a scan in parts, and run a batch when there are enough images."""
    try:
        present = _present(encoder, scan)
        if not present.any():
            raise UnreadableScan("no slice has the wanted views")
        owner = _Open(
            read,
            scan,
            present,
            np.full((len(scan), present.shape[1], encoder.card.dim), np.nan, np.float32),
            np.zeros_like(present),
            int(present.sum()),
        )
        step = max(1, size.images // present.shape[1])
        for start in range(0, len(scan), step):
            moment = time.perf_counter()
            wanted = range(start, min(start + step, len(scan)))
            images = encoder.prepare(scan.pixels, scan.windows, wanted).flatten(0, 1)
            rows = np.flatnonzero(present[start : start + step].reshape(-1))
            waiting.append(
                _Segment(owner, rows + start * present.shape[1], images[torch.from_numpy(rows)])
            )
            clock.add("prepare", moment)
            while sum(len(segment.rows) for segment in waiting) >= size.images:
                yield from _run_batch(encoder, waiting, size, clock)
    except UnreadableScan as error:
        yield ReadScan(read.task, "failed", reason=str(error))


def _present(encoder: Encoder, scan: Scan) -> NDArray[np.bool_]:
    """Return which slices have which views [n, views]; with context, neighbours need them too."""
    if not scan.windows:
        return np.repeat(scan.present, len(encoder.views), axis=1)
    encoder.check_windows(scan.windows)
    columns = [[scan.windows.index(name) for name in view.window_names] for view in encoder.views]
    present = np.stack([scan.present[:, column].all(axis=1) for column in columns], axis=1)
    _, around = neighbourhood(range(len(scan)), len(scan), encoder.card.slicing.context)
    return present if around is None else present[np.array(around)].all(axis=1)


def _run_batch(
    encoder: Encoder, waiting: deque[_Segment], size: BatchSize, clock: Clock
) -> Iterator[Encoded]:
    """Run one batch from the start of the queue, and yield the completed scans."""
    moment = time.perf_counter()
    batch = _take(waiting, size.images)
    features = _features(encoder, torch.cat([segment.images for segment in batch]), size)
    clock.add("net", moment)
    ends = np.cumsum([0, *(len(segment.rows) for segment in batch)])
    for segment, (start, end) in zip(batch, pairwise(ends), strict=True):
        owner = segment.owner
        owner.features.reshape(-1, owner.features.shape[-1])[segment.rows] = features[start:end]
        if not np.isfinite(features[start:end]).all():
            owner.uniform.reshape(-1)[segment.rows] = uniform_images(segment.images)
        owner.left -= len(segment.rows)
        if owner.left == 0:
            yield _complete(owner, encoder)


def _features(encoder: Encoder, images: Tensor, size: BatchSize) -> NDArray[np.float32]:
    """Return the features of images [b, dim]; `size` is halved until a pass fits in memory.

    Raises NoMemory if one image doesn't fit.
    """
    while True:
        try:
            starts = range(0, len(images), size.images)
            parts = [
                _one_pass(encoder, images[at : at + size.images], size.images) for at in starts
            ]
            return np.concatenate(parts)
        except NoMemory:
            if size.images == 1:
                raise
            size.images //= 2


def _one_pass(encoder: Encoder, images: Tensor, size: int) -> NDArray[np.float32]:
    """Return the features of images [b, dim] from a pass of exactly `size` images.

    Libraries choose how they multiply by the shape of a batch, and round differently then.
    """
    lacking = size - len(images)
    full = torch.cat([images, images[-1:].expand(lacking, *images.shape[1:])])
    # .cpu() waits for the GPU, so the clock measures the whole run
    features: NDArray[np.float32] = encoder.forward(full)[: len(images)].cpu().numpy()
    return features


def _take(waiting: deque[_Segment], count: int) -> list[_Segment]:
    """Take `count` images from the queue, or all; the last segment may be split."""
    batch: list[_Segment] = []
    room = count
    while waiting and room:
        segment = waiting.popleft()
        if len(segment.rows) > room:
            waiting.appendleft(_Segment(segment.owner, segment.rows[room:], segment.images[room:]))
            segment = _Segment(segment.owner, segment.rows[:room], segment.images[:room])
        batch.append(segment)
        room -= len(segment.rows)
    return batch


def _complete(owner: _Open, encoder: Encoder, *, whole: bool = False) -> Encoded:
    """Return a scan's features as they are stored, and why they can't be used."""
    features, present = owner.features, owner.present
    stored = as_stored(features, encoder.store_dtype)
    slices = [-1] if whole else owner.scan.slice_index.tolist()
    embedded = Embedded(features, present, owner.uniform, slices, encoder.precision)
    reason = why_not_finite(embedded) or why_not_stored(features, stored, present)
    return Encoded(owner.read, owner.scan, stored, present, reason, whole)
