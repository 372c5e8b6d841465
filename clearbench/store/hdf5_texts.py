"""Every text in any HDF5 file: names, attributes, and data sets of text or of whole numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clearbench.errors import BadStore

MOST_NUMBERS = 100_000  # of a data set of whole numbers whose texts are taken
PART = 2**16  # values at once


def hdf5_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield place and text; raises BadStore if the file is damaged."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield from _of(file, set())
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise BadStore(f"{path}: a damaged HDF5 file ({error})") from error


def _of(group: Any, seen: set[Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a group and of all below it; links may lead back, or out of the file."""
    yield from _attributes(group)
    for name in group:
        yield "name", str(name)
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield "link", f"{link.filename} {link.path}"
            continue  # a stranger's file must not make us open another
        if isinstance(link, h5py.SoftLink):
            yield "link", str(link.path)
            continue
        inner = group[name]
        if inner.id in seen:
            continue
        seen.add(inner.id)
        if isinstance(inner, h5py.Group):
            yield from _of(inner, seen)
        elif isinstance(inner, h5py.Dataset):
            yield from _attributes(inner)
            yield from _values(inner)


def _attributes(place: Any) -> Iterator[tuple[str, str]]:
    """Yield the attributes of a group or data set."""
    for name, value in place.attrs.items():
        yield "name", str(name)
        yield str(name), _text(value)


def _values(dataset: Any) -> Iterator[tuple[str, str]]:
    """Yield the values of a data set, unless they are floats or pixels."""
    kind = dataset.dtype.kind
    name = str(dataset.name).rpartition("/")[2]
    if kind in "iu" and (dataset.dtype.itemsize == 1 or dataset.size > MOST_NUMBERS):
        # bytes may be letters, also if they are compressed
        if dataset.dtype.itemsize == 1 and dataset.chunks and dataset.ndim == 1:
            yield name, np.asarray(dataset[()]).tobytes().decode("latin-1")
        return
    if kind == "f" or dataset.shape is None:
        return
    if not dataset.shape:
        yield name, _text(dataset[()])
        return
    for start in range(0, dataset.shape[0], PART):
        for value in np.unique(_flat(dataset[start : start + PART])):
            yield name, _text(value)


def _flat(values: Any) -> Any:
    """Return values as one list that can be sorted: objects as texts."""
    array = np.asarray(values).reshape(-1)
    if array.dtype.kind in "OV":
        return np.array([_text(value) for value in array], dtype=np.str_)
    return array


def _text(value: object) -> str:
    """Return a value as text; bytes by their letters."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, np.ndarray):
        return " ".join(_text(item) for item in value.reshape(-1)[:1000])
    return str(value)
