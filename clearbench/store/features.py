"""One scan's features ↔ one HDF5 file that never changes; no other module uses HDF5."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clearbench.bounded import read_bytes
from clearbench.errors import BadStore
from clearbench.files import write_whole
from clearbench.scans.damage import why
from clearbench.scans.thumbnail import BINS, LEVELS, SIZE_PX, Sketch
from clearbench.store.agreement import (
    Disagreement,
    check_about,
    check_place,
    check_record,
    damaged,
    view_names,
)
from clearbench.store.folder import ScanKey, StoreFolder
from clearbench.store.heaps import texts_are_sound
from clearbench.store.records import EncoderRecord
from clearbench.store.seal import SIZE, may_have_seal, seal_holds, sealed

FILE_SCHEMA = 2
MOST_MB = 1024  # of a feature file; 3,000 slices under 3 views of 4,096 numbers are 150 MB
DTYPES = ("float32", "float16")
ORIENTATION = "SPL"
ALIGNMENT = 64  # bytes; Arrow and DuckDB read the features from the mapped file without a copy


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


@dataclass(frozen=True)
class SliceRows:
    """The slices of a file: slice_index [n], z_mm [n], present [n, views]."""

    slice_index: NDArray[np.int32]
    z_mm: NDArray[np.float32]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureFile:
    """A feature file that was checked whole; its features are mapped by `map_features`.

    sealed: whether its checksum is of everything in it, or, in a file of an older version, of the
    features only
    """

    facts: FileFacts
    rows: SliceRows
    sketch: Sketch | None
    sealed: bool


def write_features(scan: ScanFeatures, store: StoreFolder) -> Path:
    """Write one scan's file, complete or not at all.

    Raises StorageFull if the disk refuses.
    """
    path = scan.key.path(store)
    image = file_image(scan)
    write_whole(path, lambda draft: draft.write_bytes(image))
    return path


def file_image(scan: ScanFeatures) -> bytes:
    """Return the file's bytes, sealed.

    HDF5 writes into memory, since it may fail halfway on a full disk; the bytes are one write.
    """
    memory = io.BytesIO()
    # from 1 byte on: the features of a small scan are aligned too
    with h5py.File(
        memory, "w", userblock_size=SIZE, alignment_threshold=1, alignment_interval=ALIGNMENT
    ) as file:
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
    return sealed(memory.getvalue())


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
        # for older versions, which know no seal
        "sha256": hashlib.sha256(np.ascontiguousarray(scan.features).data).hexdigest(),
        "about": json.dumps(dict(scan.about), sort_keys=True),
    }


def renew_source(path: Path, source_signature: str, facts: Mapping[str, Any]) -> None:
    """Note that a source was read again with equal pixels: its new signature, facts and notes.

    The features stay as they are; the file is replaced whole. Raises BadStore for a damaged file,
    which must not get a new seal, and StorageFull.
    """
    content = _content(path)
    _checked(content, path)
    memory = io.BytesIO(content)
    with h5py.File(memory, "r+") as file:
        about = json.loads(str(file.attrs["about"]))
        about["facts"] = dict(facts)
        file.attrs["source_signature"] = source_signature
        file.attrs["about"] = json.dumps(about, sort_keys=True)
    image = memory.getvalue()
    whole = sealed(image) if may_have_seal(image) else image
    write_whole(path, lambda draft: draft.write_bytes(whole))


def read_file(path: Path, record: EncoderRecord | None = None) -> FeatureFile:
    """Read a feature file whole, and check it: its checksum, its structure, and its place.

    With `record`, its features must be those of that encoder. Nothing that the file says is used
    before all of its bytes are known to be those that were written. Raises BadStore for a damaged
    file, one of another scan, or one of another schema version.
    """
    return _checked(_content(path), path, record)


def read_facts(path: Path) -> FileFacts:
    """Return a file's attributes and shape, checked as `read_file` does."""
    return read_file(path).facts


def _content(path: Path) -> bytes:
    """Return a file's bytes; raises BadStore, also for what is no file."""
    try:
        return read_bytes(path, MOST_MB)
    except PermissionError as error:
        raise BadStore(f"{path}: can't be read ({error.strerror}); its owner allows it") from error
    except OSError as error:
        raise damaged(path, str(error.strerror or why(error))) from error


def _checked(content: bytes, path: Path, record: EncoderRecord | None = None) -> FeatureFile:
    """Return what a file's bytes hold; raises BadStore whatever is wrong with them."""
    is_sealed = may_have_seal(content)
    if is_sealed and not seal_holds(content):
        raise damaged(path, "its bytes are not those that were written")
    if not is_sealed and not texts_are_sound(content):
        raise damaged(path, "its texts are damaged")
    with _opened(content, path) as file:
        found = _read(file, path, is_sealed)
        key = ScanKey(*(_text(file, each.name) for each in fields(ScanKey)))
        check_place(key, path)
        if record is not None:
            facts = found.facts
            kind = facts.dtype, view_names(facts.about), facts.shape[2]
            check_record((key.encoder, key.fingerprint, *kind), record)
        _check_values(found, content)
        return found


@contextmanager
def _opened(content: bytes, path: Path) -> Iterator[Any]:
    """Open a file's bytes; whatever HDF5 raises, also while it reads, becomes BadStore."""
    try:
        # from memory: no lock, no second reading, and the bytes are those that were checked
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            schema = file.attrs.get("schema", 0)
            if not isinstance(schema, np.integer):
                raise Disagreement("no number of a schema")
            if schema != FILE_SCHEMA:
                raise BadStore(
                    f"{path}: schema {schema}, but this clearbench reads {FILE_SCHEMA}; embed again"
                )
            yield file
    except BadStore:
        raise
    except Disagreement as error:
        raise damaged(path, str(error)) from error
    except Exception as error:
        raise damaged(path, f"{type(error).__name__}: {why(error)}") from error


def _read(file: Any, path: Path, is_sealed: bool) -> FeatureFile:
    """Read an open file; raises Disagreement for what clearbench doesn't write."""
    features = _dataset(file, "features", DTYPES, (None, None, None))
    count, views, dim = map(int, features.shape)
    array = partial(_array, file)
    facts = FileFacts(
        path=path,
        # HDF5 gives no offset for a dataset without elements
        offset=int(features.id.get_offset() or 0),
        dtype=str(features.dtype),
        shape=(count, views, dim),
        patient_id=_text(file, "patient_id"),
        source_signature=_text(file, "source_signature"),
        pixels_signature=_text(file, "pixels_signature"),
        sha256=_text(file, "sha256"),
        about=check_about(json.loads(_text(file, "about")), views),
    )
    rows = SliceRows(
        slice_index=array("slice_index", "int32", (count,)),
        z_mm=array("z_mm", "float32", (count,)),
        present=array("present", "bool", (count, views)),
    )
    return FeatureFile(facts, rows, _sketch(file), is_sealed)


def _text(file: Any, name: str) -> str:
    """Return an attribute that is a text."""
    value = file.attrs.get(name)
    if not isinstance(value, str):
        raise Disagreement(f"no text {name}")
    return value


def _array(file: Any, name: str, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return a small dataset of a type and a shape; None: any length."""
    found: NDArray[Any] = _dataset(file, name, (dtype,), shape)[()]
    return found


def _dataset(
    file: Any, name: str, dtypes: tuple[str, ...], shape: tuple[int | None, ...]
) -> h5py.Dataset:
    """Return a dataset of one of some types and of a shape, whose values are all in this file."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise Disagreement(f"no dataset {name} in the file itself")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or str(found.dtype) not in dtypes:
        raise Disagreement(f"{name} is no dataset of {' or '.join(dtypes)}")
    if len(found.shape or ()) != len(shape) or any(
        wanted not in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
    ):
        raise Disagreement(f"{name} is of shape {found.shape}")
    layout = found.id.get_create_plist().get_layout()
    # no chunks: nothing is unpacked, and nothing is elsewhere
    if layout != h5py.h5d.CONTIGUOUS or found.external:
        raise Disagreement(f"{name} is not one block in this file")
    if found.id.get_storage_size() != found.nbytes:
        raise Disagreement(f"{name} has not all of its values")
    return found


def _sketch(file: Any) -> Sketch | None:
    """Read thumbnails and histogram; None if the file has none of both."""
    if "thumbnail" not in file and "histogram" not in file:
        return None
    thumbnail = _dataset(file, "thumbnail", ("uint8",), (LEVELS, SIZE_PX, SIZE_PX))
    source = thumbnail.attrs["source"]
    if not isinstance(source, str):
        raise Disagreement("no text source")
    return Sketch(
        thumbnail=thumbnail[()],
        histogram=_array(file, "histogram", "float32", (BINS,)),
        slices=int(thumbnail.attrs["slices"]),
        source=source,
    )


def _check_values(found: FeatureFile, content: bytes) -> None:
    """Raise Disagreement if the features aren't those that were written, or aren't numbers."""
    facts = found.facts
    count = int(np.prod(facts.shape, dtype=object))
    size = count * np.dtype(facts.dtype).itemsize
    if facts.offset + size > len(content):
        raise Disagreement("features go beyond the end of the file")
    block = memoryview(content)[facts.offset : facts.offset + size]
    if not found.sealed and hashlib.sha256(block).hexdigest() != facts.sha256:
        raise Disagreement("its features are not those that were written")
    values = np.frombuffer(block, facts.dtype).reshape(facts.shape)
    # a view that a slice lacks is NaN
    if not np.isfinite(values).all() and not np.isfinite(values[found.rows.present]).all():
        raise Disagreement("features are not finite numbers")


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
