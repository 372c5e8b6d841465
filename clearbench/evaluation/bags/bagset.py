"""Many bags as one set to learn from: every instance once in memory, or on the device.

Instances are kept centred and scaled by the mean and spread of them all, so that bfloat16 rounds
what varies and not a large common part. No head learns from those two numbers: a fold's own
standardisation is put on top exactly (see `affine`), whatever the common centre was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearbench.arrays import Floats
from clearbench.errors import BadTask

KEPT_BYTES = 4 << 30  # instances are kept in memory, or on the device, up to this much
TINY = 1e-6


class Padded(NamedTuple):
    """A batch of bags: features [b, n, dim], mask [b, n] (true where an instance stands)."""

    features: Tensor
    mask: Tensor


class Moments(NamedTuple):
    """Mean and spread of instances as they came, both [dim]."""

    mean: Floats
    spread: Floats


class Affine(NamedTuple):
    """A standardisation of kept instances, (x - shift) / spread; both [dim] float32."""

    shift: Tensor
    spread: Tensor


@dataclass(frozen=True)
class _Instances:
    """What all views of one set share.

    kept     [instances, dim] centred and scaled, on the device; None where `sources` are too big
    sources  each bag as it came [n, dim]
    first    [bags + 1] where each bag begins
    sums, squares  [bags, dim] float64 of each bag's instances as they came
    """

    kept: Tensor | None
    sources: tuple[NDArray[np.floating], ...]
    first: NDArray[np.int64]
    centre: Tensor
    scale: Tensor
    sums: Floats
    squares: Floats
    dtype: torch.dtype


@dataclass(frozen=True)
class BagSet:
    """Some bags of a shared set, in the order of `rows`."""

    shared: _Instances
    rows: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        bags: Sequence[NDArray[np.floating]],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        keep_bytes: int = KEPT_BYTES,
        common: Moments | None = None,
    ) -> "BagSet":
        """Gather bags [n, dim] of one dim into a set.

        `common` are the moments by which instances are kept, those of these bags by default; under
        another set's, instances are rounded as they were there. Raises BadTask for no bags, an
        empty one, another dim, or a value that is no number.
        """
        _check(bags)
        sums = np.stack([bag.sum(axis=0, dtype=np.float64) for bag in bags])
        squares = np.stack([np.square(bag, dtype=np.float64).sum(axis=0) for bag in bags])
        broken = np.flatnonzero(~np.isfinite(squares).all(axis=1))
        if len(broken):
            raise BadTask(f"bag {broken[0] + 1} of {len(bags)} holds a value that is no number")
        first = np.cumsum([0, *map(len, bags)], dtype=np.int64)
        mean = sums.sum(axis=0) / first[-1]
        spread = np.sqrt(np.maximum(squares.sum(axis=0) / first[-1] - mean**2, 0)) + TINY
        by = common or Moments(mean, spread)
        shared = _Instances(
            kept=None,
            sources=tuple(bags),
            first=first,
            centre=_tensor(by.mean, device),
            scale=_tensor(by.spread, device),
            sums=sums,
            squares=squares,
            dtype=dtype,
        )
        everyone = cls(shared, np.arange(len(bags)))
        return (
            everyone._kept() if first[-1] * len(mean) * dtype.itemsize <= keep_bytes else everyone
        )

    def _kept(self) -> "BagSet":
        """Move every instance to the device, once."""
        shared = self.shared
        kept = torch.empty(
            (int(shared.first[-1]), self.dim), dtype=shared.dtype, device=self.device
        )
        for row, start, stop in zip(self.rows, shared.first[:-1], shared.first[1:], strict=True):
            kept[start:stop] = self._read(int(row))
        return replace(self, shared=replace(shared, kept=kept, sources=()))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """Return the length of one instance."""
        return int(self.shared.sums.shape[1])

    @property
    def device(self) -> torch.device:
        """Return where instances lie."""
        return self.shared.centre.device

    @property
    def common(self) -> Moments:
        """Return the moments by which instances are kept."""
        return Moments(_array(self.shared.centre), _array(self.shared.scale))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return how many instances each bag holds [bags]."""
        return np.diff(self.shared.first)[self.rows]

    @property
    def means(self) -> Floats:
        """Return the mean instance of each bag, as it came [bags, dim]."""
        found: Floats = self.shared.sums[self.rows] / self.lengths[:, None]
        return found

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> "BagSet":
        """Return some bags of this set; nothing is copied."""
        return replace(self, rows=self.rows[np.asarray(places, np.int64)])

    def moments(self) -> Moments:
        """Return mean and spread over the instances of this set."""
        count = self.lengths.sum()
        mean = self.shared.sums[self.rows].sum(axis=0) / count
        variance = self.shared.squares[self.rows].sum(axis=0) / count - mean**2
        return Moments(mean, np.sqrt(np.maximum(variance, 0)) + TINY)

    def unmoved(self) -> Moments:
        """Return moments that leave instances as they came."""
        return Moments(np.zeros(self.dim), np.ones(self.dim))

    def affine(self, moments: Moments) -> Affine:
        """Return what standardises the kept instances of this set by some moments."""
        centre, scale = (_array(part) for part in (self.shared.centre, self.shared.scale))
        return Affine(
            _tensor((moments.mean - centre) / scale, self.device),
            _tensor(moments.spread / scale, self.device),
        )

    def parts(self, place: int, there: NDArray[np.bool_]) -> "BagSet":
        """Return parts of one bag as bags of a set of their own, kept as this set keeps it.

        there [parts, n] says which instances each part has. Raises BadTask for an empty part.
        """
        if not there.any(axis=1).all():
            raise BadTask("a part of a bag without an instance")
        row = int(self.rows[place])
        start, stop = self.shared.first[row], self.shared.first[row + 1]
        kept = self.shared.kept
        whole = self._read(row).to(self.shared.dtype) if kept is None else kept[start:stop]
        raw = _array(whole.float() * self.shared.scale + self.shared.centre)
        index = torch.from_numpy(np.nonzero(there)[1]).to(self.device)
        shared = replace(
            self.shared,
            kept=whole.index_select(0, index),
            sources=(),
            first=np.cumsum([0, *there.sum(axis=1)], dtype=np.int64),
            sums=there @ raw,
            squares=there @ raw**2,
        )
        return BagSet(shared, np.arange(len(there)))

    def joined(self, other: "BagSet") -> "BagSet":
        """Put two sets together; views of one set copy nothing."""
        if other.shared is self.shared:
            return replace(self, rows=np.concatenate([self.rows, other.rows]))
        return BagSet.of([*self._raw(), *other._raw()], device=self.device, dtype=self.shared.dtype)

    def _raw(self) -> list[NDArray[np.float32]]:
        """Return bags as they came, as far as they are kept."""
        centre, scale = self.shared.centre, self.shared.scale
        found = []
        for row in self.rows:
            start, stop = self.shared.first[row], self.shared.first[row + 1]
            kept = self.shared.kept
            one = self._read(int(row)) if kept is None else kept[start:stop].float()
            found.append((one * scale + centre).cpu().numpy())
        return found

    def batch(
        self, places: Sequence[int], most: int = 0, rng: np.random.Generator | None = None
    ) -> Padded:
        """Pad some bags into one batch; with `most`, a random draw of so many instances each.

        A draw is for training only: scores are taken from whole bags.
        """
        rows = self.rows[list(places)]
        starts, lengths = self.shared.first[rows], np.diff(self.shared.first)[rows]
        chosen = [_draw(int(length), most, rng) for length in lengths]
        longest = max(map(len, chosen))
        mask = np.arange(longest) < np.array([len(part) for part in chosen])[:, None]
        there = torch.from_numpy(mask).to(self.device)
        if self.shared.kept is None:
            return Padded(self._stack(rows, chosen, longest), there)
        index = np.zeros(mask.shape, np.int64)
        index[mask] = np.concatenate(
            [start + part for start, part in zip(starts, chosen, strict=True)]
        )
        flat = torch.from_numpy(index.reshape(-1)).to(self.device)
        return Padded(self.shared.kept.index_select(0, flat).view(*mask.shape, self.dim), there)

    def _stack(
        self, rows: NDArray[np.int64], chosen: Sequence[NDArray[np.int64]], longest: int
    ) -> Tensor:
        """Read and pad bags that are not kept."""
        shape = (len(rows), longest, self.dim)
        out = torch.zeros(shape, dtype=self.shared.dtype, device=self.device)
        for place, (row, part) in enumerate(zip(rows, chosen, strict=True)):
            out[place, : len(part)] = self._read(int(row), part)
        return out

    def _read(self, row: int, part: NDArray[np.int64] | None = None) -> Tensor:
        """Return one bag's instances, centred and scaled."""
        source = self.shared.sources[row]
        found = torch.from_numpy(np.array(source if part is None else source[part], np.float32))
        return (found.to(self.device) - self.shared.centre) / self.shared.scale


def _check(bags: Sequence[NDArray[np.floating]]) -> None:
    """Refuse bags that make no set."""
    if not bags:
        raise BadTask("no bags")
    for number, bag in enumerate(bags, start=1):
        if bag.ndim != 2 or not len(bag) or bag.shape[1] != bags[0].shape[-1]:
            raise BadTask(
                f"bag {number} of {len(bags)} has the shape {bag.shape}; "
                f"a bag is [instances, {bags[0].shape[-1]}], with one instance or more"
            )


def _draw(length: int, most: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """Return the places of a bag's instances, or of `most` drawn ones, in order."""
    if not most or length <= most or rng is None:
        return np.arange(length)
    return np.sort(rng.choice(length, most, replace=False))


def _tensor(values: Floats, device: torch.device | str) -> Tensor:
    """Move float64 numbers to the device as float32."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _array(values: Tensor) -> Floats:
    """Return a tensor's numbers as float64."""
    found: Floats = values.cpu().double().numpy()
    return found
