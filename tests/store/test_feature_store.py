import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet
import pytest

from clearbench.errors import BadArgument, BadQuery, BadRequest, BadStore, UnknownName
from clearbench.store.catalogue.fold import refresh
from clearbench.store.feature_store import FeatureStore
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord

MakeScan = Callable[..., ScanFeatures]


def test_features_are_found_by_name(full: StoreFolder, make_scan: MakeScan) -> None:
    store = FeatureStore(full.root)
    features = store.features("enc-a", "s1")
    np.testing.assert_array_equal(features, make_scan("s1", absent=True).features)
    assert not features.flags.writeable
    assert repr(store) == f"FeatureStore({str(full.root)!r}: enc-a@01234567)"
    assert [record.name for record in store.encoders()] == ["enc-a"]


@pytest.mark.parametrize("scan", ["s3", "*", "../c/s1x", "[s]1"])
def test_a_scan_without_features_is_named(full: StoreFolder, scan: str) -> None:
    with pytest.raises(UnknownName, match="no scan with features of enc-a@01234567 is called"):
        FeatureStore(full.root).features("enc-a", scan)


def test_a_scan_of_two_cohorts_needs_its_cohort(full: StoreFolder, make_scan: MakeScan) -> None:
    scan = make_scan("s1")
    key = type(scan.key)("enc-a", scan.key.fingerprint, "d", "s1")
    write_features(ScanFeatures(**{**vars(scan), "key": key}), full)
    store = FeatureStore(full.root)
    with pytest.raises(BadRequest, match=r"several cohorts \(c, d\)"):
        store.features("enc-a", "s1")
    np.testing.assert_array_equal(store.features("enc-a", "s1", cohort="d"), scan.features)


def test_similar_slices_are_those_of_other_scans_with_the_largest_cosine(
    full: StoreFolder, make_scan: MakeScan
) -> None:
    wanted = make_scan("s1", absent=True)
    rows = FeatureStore(full.root).similar("s1", int(wanted.slice_index[0]), "enc-a", 4).to_pylist()
    assert {row["scan_id"] for row in rows} == {"s2"}
    own = FeatureStore(full.root).features("enc-a", "s1")[0].astype(float)
    other = FeatureStore(full.root).features("enc-a", "s2").astype(float)
    norms = np.linalg.norm(other, axis=2) * np.linalg.norm(own, axis=1)
    cosines = ((other * own).sum(axis=2) / norms).ravel()
    cosines = np.sort(cosines[~np.isnan(cosines)])[::-1]  # one slice has no features
    np.testing.assert_allclose([row["cosine"] for row in rows], cosines[:4], atol=1e-3)
    assert {row["view"] for row in rows} <= {"bone", "lung"}


@pytest.mark.parametrize("k", [0, -1, 10**7, 2**63])
def test_an_absurd_number_of_similar_slices_is_refused(full: StoreFolder, k: int) -> None:
    with pytest.raises(BadArgument, match=r"k=.*must be from 1 to 1,000,000"):
        FeatureStore(full.root).similar("s1", 0, "enc-a", k)


def test_a_slice_that_is_not_there_has_no_similar_ones(full: StoreFolder) -> None:
    with pytest.raises(BadRequest, match="s1 has no slice 99"):
        FeatureStore(full.root).similar("s1", 99, "enc-a")


def test_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadStore):
        FeatureStore(tmp_path)


def test_a_relation_gives_arrow_frames_and_rows(full: StoreFolder) -> None:
    store = FeatureStore(full.root)
    statement = "SELECT scan_id, embedding FROM features_enc_a WHERE view = 'bone' ORDER BY ALL"
    relations = [store.sql(statement) for _ in range(3)]
    gc.collect()
    rows = relations[0].fetchall()
    assert [row[0] for row in rows] == ["s1"] * 3 + ["s2"] * 3
    assert list(relations[1].df()["scan_id"]) == [row[0] for row in rows]
    assert relations[2].arrow().read_all().num_rows == 6
    if importlib.util.find_spec("polars"):
        assert store.sql(statement).pl().height == 6


def test_a_table_is_arrow(full: StoreFolder, add_set: Callable[..., EncoderRecord]) -> None:
    store = FeatureStore(full.root)
    add_set("later", scans=("s2",))
    table = store.table("SELECT count(*) AS n FROM slices WHERE encoder = 'later'", timeout_s=60)
    assert table.to_pydict() == {"n": [6]}
    with pytest.raises(BadQuery, match="not DROP"):
        store.sql("DROP VIEW scans")


def flip(path: Path, place: int, *, in_silence: bool = False) -> None:
    """Flip a bit; in silence: as a disk does it, without a new time."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    if in_silence:
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


COUNT = "SELECT count(DISTINCT scan_id) AS n FROM slices"


def test_a_flipped_bit_costs_one_scan_and_verify_names_it(full: StoreFolder) -> None:
    [path] = full.features.glob("*/c/s2.h5")
    flip(path, path.read_bytes().rfind(b'"fingerprint"'))
    store = FeatureStore(full.root)
    assert store.table(COUNT).to_pydict() == {"n": [1]}
    checked = store.verify()
    assert (checked.intact, checked.older, checked.others) == (1, 0, ())
    [fault] = checked.damaged
    assert fault.startswith(f"{path}: not a readable feature file (")
    assert fault.endswith("; embed that scan again, which replaces it")
    with pytest.raises(BadStore, match=r"s2\.h5: not a readable feature file"):
        store.features("enc-a", "s2")


def test_what_a_disk_forgot_in_silence_leaves_the_catalogue_after_a_check(
    full: StoreFolder,
) -> None:
    store = FeatureStore(full.root)
    assert store.table(COUNT).to_pydict() == {"n": [2]}
    [path] = full.features.glob("*/c/s2.h5")
    flip(path, -1, in_silence=True)
    assert not store.verify().sound
    assert store.table(COUNT).to_pydict() == {"n": [1]}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE files SET patient_id = 'other' WHERE scan_id = 's1'",
        "UPDATE slice_rows SET z_mm = 7 WHERE row_number = 1",
        "DELETE FROM slice_rows WHERE row_number = 1",
        "DELETE FROM files WHERE scan_id = 's1'",
        "UPDATE labels SET value = '0'",
        "UPDATE results SET value = 1.0",
        "INSERT INTO predictions SELECT * FROM predictions",
    ],
)
def test_a_catalogue_that_says_something_else_is_named(full: StoreFolder, change: str) -> None:
    store = FeatureStore(full.root)
    assert store.verify().sound
    with duckdb.connect(str(full.catalogue)) as connection:
        connection.execute(change)
    [fault] = store.verify().others
    assert fault.startswith(f"{full.catalogue}: other than the files of the store; ")
    refresh(full, rebuild=True)
    assert store.verify().sound


@pytest.mark.parametrize("name", ["pins.json", "keys.csv", "secret.key", "forgetting.json"])
def test_a_damaged_record_beside_the_features_is_named(full: StoreFolder, name: str) -> None:
    (full.root / name).write_bytes(b"\xff")
    [fault] = FeatureStore(full.root).verify().others
    assert fault.startswith(f"{full.root / name}: ")


def test_features_of_a_scan_that_left_its_cohort_are_checked_too(full: StoreFolder) -> None:
    [cohort] = full.cohorts.glob("*.parquet")
    table = pyarrow.parquet.read_table(cohort)
    pyarrow.parquet.write_table(table.slice(0, 1), cohort)
    store = FeatureStore(full.root)
    assert store.verify().intact == 2
    [path] = full.features.glob("*/c/s2.h5")
    flip(path, 600)
    assert [text.partition(": ")[0] for text in store.verify().damaged] == [str(path)]
    assert store.table(COUNT).to_pydict() == {"n": [1]}
