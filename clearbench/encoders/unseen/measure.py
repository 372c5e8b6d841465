"""Which rows and columns at the borders of its input change nothing in a network's features."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

CANT = (Exception, SystemExit)  # foreign code may raise anything
FAR = 10  # times the range of an image: where a border hardly counts, such values still show

Borders = tuple[tuple[int, int], ...]
Change = Callable[[Tensor, int, bool, int], Iterator[Tensor]]


@dataclass(frozen=True)
class Unseen:
    """How many rows at the first and the last end of each axis change no feature; sizes in px."""

    borders: Borders
    sizes: tuple[int, ...]

    @property
    def nothing(self) -> bool:
        """Whether every border is seen."""
        return not any(first or last for first, last in self.borders)

    @property
    def everything(self) -> bool:
        """Whether no pixel is seen: a dead network."""
        pairs = zip(self.borders, self.sizes, strict=True)
        return any(max(first, last) >= size for (first, last), size in pairs)


def measure_values(network: nn.Module, images: Tensor) -> Unseen | None:
    """Draw other values for each border of images [b, c, …], and see whether any feature changes.

    Changed means another bit, in any of several draws. A border that changes nothing is tried again
    in double precision, where the smallest weight shows. Returns None if equal images have
    different features, so that nothing can be said.
    """
    with torch.inference_mode():
        trial = _Trial(network, images, _drawn)
        if not trial.repeats:
            return None
        exact: _Trial | None = None
        borders = trial.borders()
        if any(map(any, borders)):
            exact = _doubled(network, images)
        if exact is not None:
            # what single precision sees is seen
            borders = exact.borders(borders)
    return Unseen(borders, tuple(images.shape[2:]))


def measure_structure(network: nn.Module, images: Tensor) -> Unseen | None:
    """Find the borders of images that can't change a feature, whatever the weights are.

    They become NaN, which passes every sum, also with a weight of zero: new weights often have
    zeros. Returns None if equal images have different features.
    """
    with torch.inference_mode():
        trial = _Trial(network, images, _blank)
        if not trial.repeats:
            return None
        return Unseen(trial.borders(), tuple(images.shape[2:]))


def _doubled(network: nn.Module, images: Tensor) -> "_Trial | None":
    """Return the trial in double precision; None if the network can't run so."""
    try:
        return _Trial(copy.deepcopy(network).double(), images.double(), _drawn)
    except CANT:
        return None


class _Trial:
    """A network, images and their features, with which those of changed images are compared."""

    def __init__(self, network: nn.Module, images: Tensor, change: Change) -> None:
        self.run = partial(_features, network)
        self.images, self.change = images, change
        self.features = self.run(images)

    @property
    def repeats(self) -> bool:
        """Whether the same images have the same features twice."""
        return torch.equal(self.run(self.images), self.features)

    def borders(self, within: Borders | None = None) -> Borders:
        """Return how many of the first and last rows of each axis change nothing.

        `within` limits the search to borders that are unseen in another precision.
        """
        pairs = []
        for axis in range(2, self.images.ndim):
            size = self.images.shape[axis]
            most = within[axis - 2] if within is not None else (size, size)
            pairs.append((self._depth(axis, False, most[0]), self._depth(axis, True, most[1])))
        return tuple(pairs)

    def _depth(self, axis: int, last: bool, most: int) -> int:
        """Return the largest number of rows, at most `most`, that change nothing, by halving."""
        # the limit of another precision is most often right
        unseen, seen = 0, 1 if most == self.images.shape[axis] else most
        while 0 < seen <= most and not self._seen(axis, last, seen):
            unseen, seen = seen, min(2 * seen, most) if seen < most else most + 1
        while seen - unseen > 1:
            middle = (unseen + seen) // 2
            if self._seen(axis, last, middle):
                seen = middle
            else:
                unseen = middle
        return unseen

    def _seen(self, axis: int, last: bool, rows: int) -> bool:
        """Return whether other values in a border change a feature."""
        changed = self.change(self.images, axis, last, rows)
        return any(not torch.equal(self.run(images), self.features) for images in changed)


def _features(network: nn.Module, images: Tensor) -> Tensor:
    """Return a network's features."""
    return torch.as_tensor(network(images))


def _border(images: Tensor, axis: int, last: bool, rows: int) -> Tensor:
    """Return the first or last rows of an axis: a view that can be written to."""
    return images.narrow(axis, images.shape[axis] - rows if last else 0, rows)


def _blank(images: Tensor, axis: int, last: bool, rows: int) -> Iterator[Tensor]:
    """Yield images with a border of NaN."""
    changed = images.clone()
    _border(changed, axis, last, rows).fill_(torch.nan)
    yield changed


def _drawn(images: Tensor, axis: int, last: bool, rows: int) -> Iterator[Tensor]:
    """Yield images with other values in a border: two of noise, a bright one, a far one."""
    rng = torch.Generator().manual_seed(rows)
    low, high = images.min(), images.max()
    spread = (high - low).clamp_min(1.0)
    for draw in ("noise", "noise", "bright", "far"):
        changed = images.clone()
        border = _border(changed, axis, last, rows)
        noise = torch.rand(border.shape, generator=rng).to(images)
        if draw == "noise":
            border.copy_(low + spread * noise)
        elif draw == "bright":
            border.copy_((high + spread).expand_as(border))
        else:
            border.copy_(low + FAR * spread * (noise - 0.5))
        yield changed
