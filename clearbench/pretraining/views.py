"""Two views of one slice: crop, window and augmentation.

A view depends only on the slice and its own random generator, so it doesn't change with the number
of processes or the order of reading.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from clearbench.errors import UnknownName

LEAST_AREA = 0.08  # of a crop, as a fraction of the slice (MoCo v3, and CLEAR's released code)
RATIO = (3 / 4, 4 / 3)
REFERENCE_PX = 224  # blur is given in px at this size
SOLARISE_ABOVE = 0.5

Plane = NDArray[np.float32]
Crop = tuple[int, int, int, int]  # top, left, height, width in px


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of views; pairs are for the first and the second view.

    Slices are grey, so the saturation, hue and greyscale of the published recipe change nothing.
    """

    flip: float
    jitter: float
    brightness: float
    contrast: float
    blur: tuple[float, float]
    solarise: tuple[float, float]
    shift_hu: float
    stretch: float
    square: bool
    blur_px: tuple[float, float] = (0.1, 2.0)


AUGMENTATIONS = MappingProxyType(
    {
        "clear": Augmentation(
            flip=0.5,
            jitter=0.8,
            brightness=0.4,
            contrast=0.4,
            blur=(1.0, 0.1),
            solarise=(0.0, 0.2),
            shift_hu=0.0,
            stretch=0.0,
            square=False,
        ),
        "ct": Augmentation(
            flip=0.0,
            jitter=0.8,
            brightness=0.0,
            contrast=0.0,
            blur=(0.5, 0.1),
            solarise=(0.0, 0.0),
            shift_hu=0.1,
            stretch=0.2,
            square=True,
        ),
    }
)


def find_augmentation(name: str) -> Augmentation:
    """Return an augmentation by name; raises UnknownName."""
    if name not in AUGMENTATIONS:
        raise UnknownName.among("augmentation", name, AUGMENTATIONS, " (clear or ct)")
    return AUGMENTATIONS[name]


@dataclass(frozen=True)
class ViewMaker:
    """Make the two views of a slice: [2, size, size] float32, 0 to 1."""

    size_px: int
    windows_hu: tuple[tuple[float, float], ...]
    augmentation: Augmentation

    def views(
        self, hu: NDArray[np.int16], boxes: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Make both views of one slice [y, x], at random by `rng`.

        With boxes [k, 4] (x1, y1, x2, y2), the first view is a crop around one of them and the
        second is the whole slice; without boxes, both are random crops. Both have the same window.
        """
        window = self.windows_hu[int(rng.integers(len(self.windows_hu)))]
        crops = self._crops(hu.shape[0], hu.shape[1], boxes, rng)
        planes = [self._view(hu, crop, window, which, rng) for which, crop in enumerate(crops)]
        return np.stack(planes)

    def _crops(
        self, height: int, width: int, boxes: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[Crop, Crop]:
        """Return the crops of both views."""
        if len(boxes):
            box = boxes[int(rng.integers(len(boxes)))]
            around = lesion_crop(box, height, width, rng, square=self.augmentation.square)
            return around, (0, 0, height, width)
        return random_crop(height, width, rng), random_crop(height, width, rng)

    def _view(
        self,
        hu: NDArray[np.int16],
        crop: Crop,
        window: tuple[float, float],
        which: int,
        rng: np.random.Generator,
    ) -> Plane:
        """Crop, window, resize and augment one view."""
        augment = self.augmentation
        low, high = jittered_window(window, augment, rng)
        top, left, height, width = crop
        cut = hu[top : top + height, left : left + width].astype(np.float32)
        plane = resized(np.clip((cut - low) / (high - low), 0.0, 1.0), self.size_px)
        if augment.brightness and rng.random() < augment.jitter:
            plane = _jittered(plane, augment, rng)
        if rng.random() < augment.blur[which]:
            sigma = rng.uniform(*augment.blur_px) * self.size_px / REFERENCE_PX
            plane = gaussian_filter(plane, sigma, truncate=3.0)
        if rng.random() < augment.solarise[which]:
            plane = np.where(plane >= SOLARISE_ABOVE, 1.0 - plane, plane)
        if rng.random() < augment.flip:
            plane = plane[:, ::-1]
        return np.ascontiguousarray(plane, np.float32)


def lesion_crop(
    box: NDArray[np.float32],
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    square: bool = False,
) -> Crop:
    """Return a random crop, centred on a box and clipped to the image.

    Height and width are uniform between √0.08 of the image and the whole image, independent unless
    `square`. The crop is never smaller than the box, and always contains its centre.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    fractions = rng.uniform(math.sqrt(LEAST_AREA), 1.0, 2)
    tall, wide = fractions[0] * height, fractions[0 if square else 1] * width
    if square:
        tall = wide = max(tall, y2 - y1, x2 - x1)
    rows = _span((y1 + y2) / 2, max(tall, y2 - y1), height)
    columns = _span((x1 + x2) / 2, max(wide, x2 - x1), width)
    return rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0]


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    """Return start and end of a crop along one axis, inside the image; at least 2 px."""
    middle = min(max(centre, 1.0), limit - 1.0)
    start, stop = math.floor(middle - length / 2), math.ceil(middle + length / 2)
    return max(0, min(start, limit - 2)), min(limit, max(stop, 2))


def random_crop(height: int, width: int, rng: np.random.Generator) -> Crop:
    """Return a random crop of 8 to 100 % of the area, with an aspect ratio of 3:4 to 4:3.

    As torchvision's RandomResizedCrop: after ten attempts that don't fit, the whole slice.
    """
    for _ in range(10):
        area = rng.uniform(LEAST_AREA, 1.0) * height * width
        # uniform in the logarithm, so that 3:4 is as likely as 4:3
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(rng.integers(height - tall + 1))
            left = int(rng.integers(width - wide + 1))
            return top, left, tall, wide
    return 0, 0, height, width


def jittered_window(
    window: tuple[float, float], augmentation: Augmentation, rng: np.random.Generator
) -> tuple[float, float]:
    """Shift and stretch a window by fractions of its width, as scanners and readers do."""
    low, high = window
    if not augmentation.shift_hu or rng.random() >= augmentation.jitter:
        return window
    width = high - low
    centre = (low + high) / 2 + rng.uniform(-1, 1) * augmentation.shift_hu * width
    half = width / 2 * (1 + rng.uniform(-1, 1) * augmentation.stretch)
    return centre - half, centre + half


def _jittered(plane: Plane, augmentation: Augmentation, rng: np.random.Generator) -> Plane:
    """Change brightness and contrast, in random order."""
    bright = rng.uniform(1 - augmentation.brightness, 1 + augmentation.brightness)
    contrast = rng.uniform(1 - augmentation.contrast, 1 + augmentation.contrast)
    if rng.random() < 0.5:
        plane = np.clip(plane * bright, 0.0, 1.0)
        return _contrasted(plane, contrast)
    jittered: Plane = np.clip(_contrasted(plane, contrast) * bright, 0.0, 1.0)
    return jittered


def _contrasted(plane: Plane, factor: float) -> Plane:
    """Change the contrast of grey values around their mean."""
    mean = plane.mean()
    contrasted: Plane = np.clip((plane - mean) * factor + mean, 0.0, 1.0)
    return contrasted


def resized(plane: Plane, size: int) -> Plane:
    """Resize to a square with antialiasing; values stay in 0 to 1, though bicubic overshoots."""
    image = torch.from_numpy(np.ascontiguousarray(plane, np.float32))[None, None]
    resized = functional.interpolate(image, size=(size, size), mode="bicubic", antialias=True)
    result: Plane = resized.clamp_(0.0, 1.0)[0, 0].numpy()
    return result
