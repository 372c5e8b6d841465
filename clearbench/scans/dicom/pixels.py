"""The pixel data of a series → one volume in HU."""

from pathlib import Path

import numpy as np

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.decoding import Stored, decode
from clearbench.scans.dicom.records import Slice
from clearbench.scans.dicom.scaling import check_scales
from clearbench.scans.dicom.series import Series
from clearbench.scans.hu import AIR_HU, NO_RULES, HuRules, Pixels, check_values, clean_hu, spread
from clearbench.scans.volume import Volume

SAMPLED = 2000  # pixels of each slice that are looked at before they are clipped


def read_volume(series: Series, rules: HuRules = NO_RULES) -> Volume:
    """Decode every slice of a series and stack them in HU, feet to head.

    Raises UnreadableScan with the slice that is truncated or that no installed codec decodes, and
    for values that aren't HU, unless `rules` says otherwise.
    """
    slices, notes = check_scales(series.slices, rules)
    hu, sample = _stacked(slices)
    first = slices[0]
    return Volume(
        hu=hu,
        directions=series.directions,
        positions_mm=series.along_stack_mm,
        pixel_mm=first.pixel_mm,
        origin_mm=np.array(first.position_mm),
        normal_mm=series.normal_mm,
        facts=series.facts.with_notes(*notes, *check_values(sample, rules)),
    )


def _stacked(slices: tuple[Slice, ...]) -> tuple[Pixels, Pixels]:
    """Decode slices [n, y, x] in HU, and a sample of their values as they are, without padding.

    A multi-frame file is decoded only once.
    """
    files: dict[Path, Stored] = {}
    planes, samples = [], []
    for number, item in enumerate(slices):
        where = f"slice {number + 1} of {len(slices)} ({item.path.name})"
        stored = files.get(item.path) or decode(item.path, where)
        # only multi-frame files are needed again; keeping the others would fill the memory
        if item.frame is not None:
            files[item.path] = stored
        frame = stored.frame(item.frame)
        hu = _to_hu(frame, item, where)
        some = spread(hu.shape, SAMPLED)
        samples.append(hu[some][~frame.padding[some]])
        planes.append(clean_hu(np.where(frame.padding, AIR_HU, hu)))
    return np.stack(planes), np.concatenate(samples)


def _to_hu(stored: Stored, item: Slice, where: str) -> Pixels:
    """Apply slope and intercept: integers if both are whole numbers."""
    values, scale = stored.values, item.scale
    if values.shape != item.shape:
        raise UnreadableScan(f"{where} decodes to {values.shape}, but its header has {item.shape}")
    if float(scale.slope).is_integer() and float(scale.intercept).is_integer():
        # 16 bits may be too few for the product
        return values.astype(np.int32) * int(scale.slope) + int(scale.intercept)
    return values.astype(np.float32) * np.float32(scale.slope) + np.float32(scale.intercept)
