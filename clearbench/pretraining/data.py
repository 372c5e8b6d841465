"""Batches of slices: the same views in the same order for any number of reader processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from clearbench.datasets.lesions.slice_sets import SliceSet
from clearbench.errors import UnreadableScan
from clearbench.npy import read_npy_row
from clearbench.pretraining.views import ViewMaker
from clearbench.scans.images import read_hu_image

MOST_DAMAGED = 20  # unreadable slices in a row; more means that the data are wrong


@dataclass(frozen=True)
class Batch:
    """views [2, b, size, size] float32 in 0 to 1, lesion [b] bool, patient [b] int64.

    `damaged` names the slices that could not be read; the next readable ones replace them.
    """

    views: Tensor
    lesion: Tensor
    patient: Tensor
    damaged: tuple[str, ...] = ()


Item = tuple[NDArray[np.float32], bool, int, tuple[str, ...]]


def read_slice(slices: SliceSet, index: int) -> NDArray[np.int16]:
    """Return one slice in HU [y, x]; raises UnreadableScan for a missing or damaged file."""
    row = int(slices.rows[index])
    path = slices.root / str(slices.files[index])
    if row < 0:
        return read_hu_image(path)
    try:
        # not as a memory map: a file that gets shorter meanwhile would end the process
        plane: NDArray[np.int16] = read_npy_row(path, row)
    except (OSError, ValueError) as error:
        raise UnreadableScan(f"not a readable stack of slices ({error})") from error
    return plane


class Pairs(Dataset[Item]):
    """Both views of a slice, random by (seed, epoch, slice) only; items are (epoch, slice)."""

    def __init__(self, slices: SliceSet, maker: ViewMaker, seed: int) -> None:
        self.slices, self.maker, self.seed = slices, maker, seed

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, item: tuple[int, int]) -> Item:
        epoch, wanted = item
        rng = np.random.default_rng([self.seed, epoch, wanted])
        index, hu, damaged = self._readable(wanted)
        boxes = self.slices.boxes_of(index)
        views = self.maker.views(hu, boxes, rng)
        return views, len(boxes) > 0, int(self.slices.patient[index]), damaged

    def _readable(self, wanted: int) -> tuple[int, NDArray[np.int16], tuple[str, ...]]:
        """Read a slice, or the next readable one."""
        damaged: list[str] = []
        for index in range(wanted, wanted + MOST_DAMAGED):
            place = index % len(self.slices)
            try:
                return place, read_slice(self.slices, place), tuple(damaged)
            except UnreadableScan as error:
                damaged.append(f"{self.slices.files[place]}: {error}")
        raise UnreadableScan(f"{MOST_DAMAGED} slices in a row can't be read ({damaged[0]})")


class EpochOrder(Sampler[list[tuple[int, int]]]):
    """The slices of each batch: one shuffled pass per epoch, in the same order in every process.

    A process takes its part of each global batch; the last incomplete batch is left out.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.rank, self.world, self.epoch = rank, world, 0

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        local = self.batch_size // self.world
        for step in range(len(self)):
            start = step * self.batch_size + self.rank * local
            # the epoch goes with the slice: readers that stay alive have an old copy of all else
            yield [(self.epoch, int(index)) for index in order[start : start + local]]


def collate(items: list[Item]) -> Batch:
    """Make one batch of slices."""
    planes, lesion, patient, damaged = zip(*items, strict=True)
    views = torch.from_numpy(np.stack(planes, axis=1))
    reasons = tuple(reason for found in damaged for reason in found)
    return Batch(views, torch.tensor(lesion), torch.tensor(patient), reasons)


def loader(pairs: Pairs, order: EpochOrder, workers: int) -> "DataLoader[Batch]":
    """Return the batches of an epoch; reader processes stay alive between epochs."""
    return DataLoader(
        pairs,  # type: ignore[arg-type]  # collate makes batches of its items
        batch_sampler=order,
        generator=torch.Generator(),  # else the loader changes torch's global generator
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_use_one_core,
        persistent_workers=workers > 0,
        # a fork of a process that has threads may hang
        multiprocessing_context="forkserver" if workers else None,
    )


def _use_one_core(_worker: int) -> None:
    """Limit a reader to one core."""
    torch.set_num_threads(1)
