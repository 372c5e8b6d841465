import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from clearbench.errors import BadStore
from clearbench.scans.thumbnail import Sketch
from clearbench.store.features import (
    ALIGNMENT,
    ScanFeatures,
    feature_buffer,
    map_features,
    read_facts,
    read_file,
    renew_source,
    write_features,
)
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord
from clearbench.store.seal import HDF5, sealed

MakeScan = Callable[..., ScanFeatures]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_written_is_read(store: StoreFolder, make_scan: MakeScan, dtype: str) -> None:
    scan = make_scan(absent=True, dtype=dtype)
    path = write_features(scan, store)
    assert path == store.features / "enc-a-01234567" / "c" / "s1.h5"
    found = read_file(path)
    facts, rows = found.facts, found.rows
    np.testing.assert_array_equal(map_features(facts), scan.features)
    assert map_features(facts).dtype == dtype
    np.testing.assert_array_equal(rows.present, scan.present)
    np.testing.assert_array_equal(rows.z_mm, scan.z_mm)
    np.testing.assert_array_equal(rows.slice_index, scan.slice_index)
    assert facts.patient_id == "p1"
    assert (facts.source_signature, facts.pixels_signature) == ("source", "pixels")
    assert facts.about["spacing_mm"] == [5.0, 0.7, None]
    assert found.sealed


@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_features_lie_in_one_aligned_block(store: StoreFolder, make_scan: MakeScan, n: int) -> None:
    path = write_features(make_scan(n=n), store)
    with h5py.File(path) as file:
        dataset = file["features"]
        assert dataset.chunks is None
        offset = dataset.id.get_offset()
    assert offset % ALIGNMENT == 0
    assert offset == read_facts(path).offset


def test_strided_features_are_written_in_order(store: StoreFolder, make_scan: MakeScan) -> None:
    scan = make_scan()
    turned = np.asfortranarray(scan.features)
    path = write_features(replace(scan, features=turned), store)
    np.testing.assert_array_equal(map_features(read_facts(path)), scan.features)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_map_is_read_only_and_holds_no_descriptor(
    store: StoreFolder, make_scan: MakeScan
) -> None:
    facts = read_facts(write_features(make_scan(), store))
    before = open_descriptors()
    maps = [map_features(facts) for _ in range(20)]
    assert open_descriptors() == before
    with pytest.raises(ValueError, match="read-only"):
        maps[0][0] = 0.0


def test_a_map_outlives_its_file(store: StoreFolder, make_scan: MakeScan) -> None:
    scan = make_scan()
    path = write_features(scan, store)
    mapped = map_features(read_facts(path))
    path.unlink()
    np.testing.assert_array_equal(mapped, scan.features)


def test_a_copy_in_memory_is_the_same(store: StoreFolder, make_scan: MakeScan) -> None:
    facts = read_facts(write_features(make_scan(), store))
    assert feature_buffer(facts, mapped=False).equals(feature_buffer(facts))


def edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    """Change a file as only clearbench could: with a seal that is right."""
    with h5py.File(path, "r+") as file:
        change(file)
    path.write_bytes(sealed(path.read_bytes()))


def test_a_bit_flipped_anywhere_is_found(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(replace(make_scan(), sketch=sketch()), store)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        with pytest.raises(BadStore, match=r"s1\.h5: not a readable feature file"):
            read_file(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(BadStore, match="not those that were written"):
        read_file(path)


def without_seal(path: Path) -> None:
    """Make a file as older versions wrote it: with no room for a seal."""
    content = path.read_bytes()
    with h5py.File(path, "r") as old:
        names = {name: old[name][()] for name in old}
        facts = dict(old.attrs)
        more = dict(old["thumbnail"].attrs) if "thumbnail" in old else {}
    assert content[:8] != HDF5
    with h5py.File(path, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as new:
        for name, values in names.items():
            new[name] = values
        new.attrs.update(facts)
        if more:
            new["thumbnail"].attrs.update(more)


def test_a_file_of_an_older_version_is_read(store: StoreFolder, make_scan: MakeScan) -> None:
    scan = make_scan(absent=True)
    path = write_features(replace(scan, sketch=sketch()), store)
    without_seal(path)
    found = read_file(path)
    assert not found.sealed
    np.testing.assert_array_equal(map_features(found.facts), scan.features)
    renew_source(path, "new", {"kernel": "H70"})
    assert read_file(path).facts.source_signature == "new"
    with path.open("rb+") as file:
        file.seek(found.facts.offset)
        file.write(b"\x01")
    with pytest.raises(BadStore, match="its features are not those that were written"):
        read_file(path)


def test_a_damaged_file_gets_no_new_seal(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(make_scan(), store)
    bad = bytearray(path.read_bytes())
    bad[-1] ^= 1
    path.write_bytes(bad)
    with pytest.raises(BadStore):
        renew_source(path, "new", {})
    assert path.read_bytes() == bad


def test_a_file_is_read_only_as_features_of_its_encoder(
    store: StoreFolder, make_scan: MakeScan, add_set: Callable[..., EncoderRecord]
) -> None:
    record = add_set()
    path = write_features(make_scan(), store)
    assert read_file(path, record).facts.shape == (3, 2, 8)
    assert read_file(path, record.with_views(["bone"])).facts.shape == (3, 2, 8)
    for other in ({"dim": 7}, {"views": ("bone", "lung")}, {"store_dtype": "float16"}):
        with pytest.raises(BadStore, match="are not enc-a@01234567's"):
            read_file(path, replace(record, **other))


def test_changed_bytes_are_found(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(make_scan(), store)
    facts = read_facts(path)
    with path.open("rb+") as file:
        file.seek(facts.offset)
        file.write(b"\x01")
    with pytest.raises(BadStore, match="not those that were written"):
        read_file(path)


@pytest.mark.parametrize("keep", [0, 10, 300, -40])
def test_a_cut_file_is_named(store: StoreFolder, make_scan: MakeScan, keep: int) -> None:
    path = write_features(make_scan(), store)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadStore, match=r"s1\.h5: not a readable feature file"):
        read_facts(path)


@pytest.mark.parametrize("lost", ["features", "sha256"])
def test_a_file_that_lacks_something_is_named(
    store: StoreFolder, make_scan: MakeScan, lost: str
) -> None:
    path = write_features(make_scan(), store)

    def lose(file: h5py.File) -> None:
        del (file if lost in file else file.attrs)[lost]

    edit(path, lose)
    with pytest.raises(BadStore, match=r"s1\.h5: not a readable feature file"):
        read_facts(path)


def sketch() -> Sketch:
    grey = np.arange(8 * 32 * 32).reshape(8, 32, 32) % 251
    return Sketch(grey.astype(np.uint8), np.full(64, 1 / 64, np.float32), 40, "bone")


def test_a_sketch_is_kept_with_the_features(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(replace(make_scan(), sketch=sketch()), store)
    found = read_file(path).sketch
    assert found is not None
    np.testing.assert_array_equal(found.thumbnail, sketch().thumbnail)
    assert found.thumbnail.dtype == np.uint8
    np.testing.assert_array_equal(found.histogram, sketch().histogram)
    assert (found.slices, found.source) == (40, "bone")


def test_features_may_come_without_a_sketch(store: StoreFolder, make_scan: MakeScan) -> None:
    assert read_file(write_features(make_scan(), store)).sketch is None


def test_half_a_sketch_is_damage(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(replace(make_scan(), sketch=sketch()), store)
    edit(path, lambda file: file.pop("histogram"))
    with pytest.raises(BadStore, match=r"s1\.h5: not a readable feature file"):
        read_file(path)


def test_another_schema_is_refused(store: StoreFolder, make_scan: MakeScan) -> None:
    path = write_features(make_scan(), store)
    edit(path, lambda file: file.attrs.update(schema=7))
    with pytest.raises(BadStore, match="schema 7, but this clearbench reads 2"):
        read_file(path)


def test_a_writer_killed_at_any_moment_leaves_whole_files_only(store: StoreFolder) -> None:
    """Features are written over and over while the process is killed."""
    code = f"""
import numpy as np
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder
from pathlib import Path
store = StoreFolder(Path({str(store.root)!r}))
ABOUT = {{"views": [{{"name": "lung"}}, {{"name": "bone"}}]}}
print("ready", flush=True)
for number in range(10**6):
    write_features(ScanFeatures(ScanKey("e", "f" * 64, "c", f"s{{number % 7}}"), "p",
        np.full((50, 2, 256), number, np.float32), np.ones((50, 2), bool), np.zeros(50, np.float32),
        np.arange(50, dtype=np.int32), "a", "b", ABOUT), store)
    if number == 6:
        print("going", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline() == "going\n"
        process.kill()
        process.wait()
    files = sorted((store.features / "e-ffffffff" / "c").glob("*.h5"))
    assert len(files) == 7
    assert all(read_file(path).sealed for path in files)
