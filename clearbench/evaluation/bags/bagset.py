"""Many bags as one set: every instance is in memory, or on the device, once.

Instances are kept centred and scaled by the mean and spread of all of them, because bfloat16 would
spend its few digits on a large common part. This leaks nothing from test to training bags: each
fold's own standardisation is applied on top, exactly (see `affine`), whatever the common centre is.
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

KEPT_BYTES = 4 << 30  # up to this size instances are kept on the device; else read per batch
TINY = 1e-6


class Padded(NamedTuple):
    """A batch of bags: features [b, n, dim], mask [b, n] (true for an instance, not padding)."""

    features: Tensor
    mask: Tensor


class Moments(NamedTuple):
    """Mean and spread of instances before centring and scaling, both [dim]."""

    mean: Floats
    spread: Floats


class Affine(NamedTuple):
    """A standardisation of kept instances, (x - shift) / spread; both [dim] float32."""

    shift: Tensor
    spread: Tensor


@dataclass(frozen=True)
class _Instances:
    """The instances that all views of one set share.

    kept     [instances, dim] centred and scaled, on the device; None if they are too large
    sources  the given bags [n, dim]; () once they are kept
    first    [bags + 1] the first row of each bag
    sums, squares  [bags, dim] float64, of each bag's given instances
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

        Instances are centred and scaled by `common`, by default the moments of these bags. With the
        moments of another set, bfloat16 rounds as in that set, so a saved head scores the same.
        Raises BadTask for no bags, an empty bag, another dim, or a value that is not a number.
        """
        _check(bags)
        # float64: long sums lose digits, and the variance is a difference of such sums.
        sums = np.stack([bag.sum(axis=0, dtype=np.float64) for bag in bags])
        squares = np.stack([np.square(bag, dtype=np.float64).sum(axis=0) for bag in bags])
        # NaN and infinity show in the sums of squares, so the instances are not read again.
        broken = np.flatnonzero(~np.isfinite(squares).all(axis=1))
        if len(broken):
            raise BadTask(
                f"bag {broken[0] + 1} of {len(bags)} has a value that is not a number; embed its "
                "scan again"
            )
        first = np.cumsum([0, *map(len, bags)], dtype=np.int64)
        mean = sums.sum(axis=0) / first[-1]
        # Rounding can make a variance negative; TINY, because a constant feature would divide by 0.
        spread = np.sqrt(np.maximum(squares.sum(axis=0) / first[-1] - mean**2, 0)) + TINY
        moments = common or Moments(mean, spread)
        shared = _Instances(
            kept=None,
            sources=tuple(bags),
            first=first,
            centre=_tensor(moments.mean, device),
            scale=_tensor(moments.spread, device),
            sums=sums,
            squares=squares,
            dtype=dtype,
        )
        whole = cls(shared, np.arange(len(bags)))
        return whole._kept() if first[-1] * len(mean) * dtype.itemsize <= keep_bytes else whole

    def _kept(self) -> "BagSet":
        """Move every instance to the device, once."""
        shared = self.shared
        # Filled bag by bag, so that memory never holds a second copy of all instances.
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
        """Return the device of the instances."""
        return self.shared.centre.device

    @property
    def common(self) -> Moments:
        """Return the moments by which instances are centred and scaled."""
        return Moments(_array(self.shared.centre), _array(self.shared.scale))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of instances of each bag [bags]."""
        return np.diff(self.shared.first)[self.rows]

    @property
    def means(self) -> Floats:
        """Return the mean of each bag's given instances [bags, dim]."""
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
        """Return moments that don't change the given instances."""
        return Moments(np.zeros(self.dim), np.ones(self.dim))

    def affine(self, moments: Moments) -> Affine:
        """Return the standardisation of kept instances that equals `moments` on the given ones."""
        centre, scale = (_array(part) for part in (self.shared.centre, self.shared.scale))
        return Affine(
            _tensor((moments.mean - centre) / scale, self.device),
            _tensor(moments.spread / scale, self.device),
        )

    def parts(self, place: int, chosen: NDArray[np.bool_]) -> "BagSet":
        """Return parts of one bag as bags of a new set, with the moments of this set.

        chosen [parts, n] are the instances of each part. Raises BadTask for an empty part.
        """
        if not chosen.any(axis=1).all():
            raise BadTask("a part of a bag needs at least one instance")
        row = int(self.rows[place])
        start, stop = self.shared.first[row], self.shared.first[row + 1]
        kept = self.shared.kept
        whole = self._read(row).to(self.shared.dtype) if kept is None else kept[start:stop]
        given = (whole.float() * self.shared.scale + self.shared.centre).cpu().double()
        index = torch.from_numpy(np.nonzero(chosen)[1]).to(self.device)
        # By torch, because numpy takes every core, also where heads train on the others.
        share = torch.from_numpy(chosen).double()
        shared = replace(
            self.shared,
            kept=whole.index_select(0, index),
            sources=(),
            first=np.cumsum([0, *chosen.sum(axis=1)], dtype=np.int64),
            sums=(share @ given).numpy(),
            squares=(share @ given.square()).numpy(),
        )
        return BagSet(shared, np.arange(len(chosen)))

    def joined(self, other: "BagSet") -> "BagSet":
        """Join two sets; views of one set are not copied."""
        if other.shared is self.shared:
            return replace(self, rows=np.concatenate([self.rows, other.rows]))
        return BagSet.of(
            [*self._given(), *other._given()], device=self.device, dtype=self.shared.dtype
        )

    def _given(self) -> list[NDArray[np.float32]]:
        """Return the given bags, up to the rounding of kept instances."""
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
        """Pad some bags into one batch; `most` limits the instances of a bag, chosen by `rng`.

        The limit is for training only: whole bags are scored.
        """
        rows = self.rows[list(places)]
        starts, lengths = self.shared.first[rows], np.diff(self.shared.first)[rows]
        chosen = [_choose(int(length), most, rng) for length in lengths]
        longest = max(map(len, chosen))
        mask = np.arange(longest) < np.array([len(part) for part in chosen])[:, None]
        valid = torch.from_numpy(mask).to(self.device)
        if self.shared.kept is None:
            return Padded(self._stack(rows, chosen, longest), valid)
        # Padding repeats row 0 of the set; the mask hides it.
        index = np.zeros(mask.shape, np.int64)
        index[mask] = np.concatenate(
            [start + part for start, part in zip(starts, chosen, strict=True)]
        )
        flat = torch.from_numpy(index.reshape(-1)).to(self.device)
        return Padded(self.shared.kept.index_select(0, flat).view(*mask.shape, self.dim), valid)

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
        # np.array copies: torch warns about read-only arrays, and memory maps are read-only.
        found = torch.from_numpy(np.array(source if part is None else source[part], np.float32))
        return (found.to(self.device) - self.shared.centre) / self.shared.scale


def _check(bags: Sequence[NDArray[np.floating]]) -> None:
    """Refuse bags that can't make a set."""
    if not bags:
        raise BadTask("no bags; give one or more")
    for number, bag in enumerate(bags, start=1):
        if bag.ndim != 2 or not len(bag) or bag.shape[1] != bags[0].shape[-1]:
            raise BadTask(
                f"bag {number} of {len(bags)} has the shape {bag.shape}; "
                f"a bag is [instances, {bags[0].shape[-1]}], with at least one instance"
            )


def _choose(length: int, most: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """Return the places of a bag's instances, at most `most` of them at random, in order."""
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
