import gc
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearbench.errors import BadQuery, BadRequest, BadStore, UnknownName
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
