"""One scan's features ↔ one HDF5 file that never changes; no other module uses HDF5."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clearbench.errors import BadStore
from clearbench.files import write_whole
from clearbench.scans.thumbnail import Sketch
from clearbench.store.folder import StoreFolder

FILE_SCHEMA = 2
ORIENTATION = "SPL"
ALIGNMENT = 64  # bytes; Arrow and DuckDB read the features from the mapped file without a copy


@dataclass(frozen=True)
class ScanKey:
    """The key of a feature file: encoder, cohort and scan."""

    encoder: str
    fingerprint: str
    cohort: str
    scan_id: str

    def path(self, store: StoreFolder) -> Path:
        """Return the path of the file."""
        return store.encoder(self.encoder, self.fingerprint) / self.cohort / f"{self.scan_id}.h5"


@dataclass(frozen=True)
class ScanFeatures:
    """The features of one scan, and how they were made.

    features [n, views, dim] · present [n, views] · z_mm [n] (NaN if unknown) · slice_index [n]
    `about` holds JSON values: card, views, precision, spacing_mm, facts, versions, …
    `sketch` is pixel data, which never leaves the store: None in features from another store.
    """

    key: ScanKey
    patient_id: str
    features: NDArray[Any]
    present: NDArray[np.bool_]
    z_mm: NDArray[np.float32]
    slice_index: NDArray[np.int32]
    source_signature: str
    pixels_signature: str
    about: Mapping[str, Any] = field(default_factory=dict)
    sketch: Sketch | None = None


@dataclass(frozen=True)
class FileFacts:
    """The facts in a feature file; the features begin at byte `offset`."""

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, int, int]
    patient_id: str
    source_signature: str
    pixels_signature: str
    sha256: str
    about: Mapping[str, Any]


def write_features(scan: ScanFeatures, store: StoreFolder) -> Path:
    """Write one scan's file, complete or not at all.

    Raises StorageFull if the disk refuses.
    """
    path = scan.key.path(store)
    image = file_image(scan)
    write_whole(path, lambda draft: draft.write_bytes(image))
    return path


def file_image(scan: ScanFeatures) -> bytes:
    """Return the file's bytes.

    HDF5 writes into memory, since it may fail halfway on a full disk; the bytes are one write.
    """
    memory = io.BytesIO()
    # from 1 byte on: the features of a small scan are aligned too
    with h5py.File(memory, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
        # not chunked and not compressed: only one whole block can be memory-mapped
        file["features"] = np.ascontiguousarray(scan.features)
        file["present"] = scan.present
        file["z_mm"] = scan.z_mm.astype(np.float32)
        file["slice_index"] = scan.slice_index.astype(np.int32)
        file.attrs.update(_attributes(scan))
        if scan.sketch is not None:
            file["thumbnail"] = scan.sketch.thumbnail
            file["histogram"] = scan.sketch.histogram
            file["thumbnail"].attrs.update(slices=scan.sketch.slices, source=scan.sketch.source)
    return memory.getvalue()


def _attributes(scan: ScanFeatures) -> dict[str, Any]:
    """Return the file's attributes; `about` as JSON."""
    return {
        "schema": FILE_SCHEMA,
        "encoder": scan.key.encoder,
        "fingerprint": scan.key.fingerprint,
        "cohort": scan.key.cohort,
        "scan_id": scan.key.scan_id,
        "patient_id": scan.patient_id,
        "orientation": ORIENTATION,
        "source_signature": scan.source_signature,
        "pixels_signature": scan.pixels_signature,
        "sha256": hashlib.sha256(np.ascontiguousarray(scan.features).data).hexdigest(),
        "about": json.dumps(dict(scan.about), sort_keys=True),
    }


def renew_source(path: Path, source_signature: str, facts: Mapping[str, Any]) -> None:
    """Note that a source was read again with equal pixels: its new signature, facts and notes.

    The features stay as they are; the file is replaced whole. Raises StorageFull.
    """
    memory = io.BytesIO(path.read_bytes())
    with h5py.File(memory, "r+") as file:
        about = json.loads(str(file.attrs["about"]))
        about["facts"] = dict(facts)
        file.attrs["source_signature"] = source_signature
        file.attrs["about"] = json.dumps(about, sort_keys=True)
    write_whole(path, lambda draft: draft.write_bytes(memory.getvalue()))


def read_facts(path: Path) -> FileFacts:
    """Read a file's attributes and shape, not its features.

    Raises BadStore for a damaged file or another schema version.
    """
    with _opened(path) as file:
        dataset = file["features"]
        return FileFacts(
            path=path,
            # HDF5 gives no offset for a dataset without elements
            offset=int(dataset.id.get_offset() or 0),
            dtype=str(dataset.dtype),
            shape=tuple(dataset.shape),
            patient_id=str(file.attrs["patient_id"]),
            source_signature=str(file.attrs["source_signature"]),
            pixels_signature=str(file.attrs["pixels_signature"]),
            sha256=str(file.attrs["sha256"]),
            about=json.loads(str(file.attrs["about"])),
        )


@dataclass(frozen=True)
class SliceRows:
    """The slices of a file: slice_index [n], z_mm [n], present [n, views]."""

    slice_index: NDArray[np.int32]
    z_mm: NDArray[np.float32]
    present: NDArray[np.bool_]


def read_slice_rows(path: Path) -> SliceRows:
    """Read the numbers, positions and present views of a file's slices; raises BadStore."""
    with _opened(path) as file:
        return SliceRows(
            file["slice_index"][()], file["z_mm"][()], file["present"][()].astype(bool)
        )


def read_sketch(path: Path) -> Sketch | None:
    """Read a scan's thumbnails and histogram; None if the file has none.

    They are pixel data: only for guards, never for an export or a query.
    """
    with _opened(path) as file:
        if "thumbnail" not in file:
            return None
        thumbnail = file["thumbnail"]
        return Sketch(
            thumbnail=thumbnail[()],
            histogram=file["histogram"][()],
            slices=int(thumbnail.attrs["slices"]),
            source=str(thumbnail.attrs["source"]),
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a feature file; HDF5's errors, also those while reading, become BadStore."""
    try:
        # no locks: a feature file never changes, and some network file systems refuse them
        with h5py.File(path, "r", locking=False) as file:
            schema = int(file.attrs.get("schema", 0))
            if schema != FILE_SCHEMA:
                raise BadStore(
                    f"{path}: schema {schema}, but this clearbench reads {FILE_SCHEMA}; embed again"
                )
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, BadStore):  # it is a RuntimeError too
            raise
        raise BadStore(f"{path}: not a readable feature file; remove it and embed again") from error


def map_features(facts: FileFacts) -> NDArray[Any]:
    """Return features [n, views, dim], memory-mapped and read-only."""
    array: NDArray[Any] = np.frombuffer(feature_buffer(facts), dtype=facts.dtype).reshape(
        facts.shape
    )
    return array


def feature_buffer(facts: FileFacts, *, mapped: bool = True) -> pa.Buffer:
    """Return the features' bytes: a memory map without an open file, or a copy in memory."""
    size = int(np.prod(facts.shape)) * np.dtype(facts.dtype).itemsize
    source = pa.memory_map(str(facts.path)) if mapped else pa.OSFile(str(facts.path))
    # Arrow's buffer keeps the map after the file is closed; np.memmap would keep the file open
    with source:
        source.seek(facts.offset)
        return source.read_buffer(size)


def is_intact(facts: FileFacts) -> bool:
    """Return True if a file's features still have the sha256 that was written with them."""
    return hashlib.sha256(feature_buffer(facts)).hexdigest() == facts.sha256
