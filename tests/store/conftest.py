"""Stores filled by hand: a cohort, two small sets of features, one result."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.cohort.table import Cohort, check_cohort
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record

FP = "0123456789abcdef" * 4
MakeScan = Callable[..., ScanFeatures]


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return open_store(tmp_path / "store", create=True)


@pytest.fixture
def make_scan() -> MakeScan:
    """Make the features of one scan [n, 2, 8]; slice 1 lacks the view lung where `absent`."""

    def make(
        scan_id: str = "s1",
        *,
        encoder: str = "enc-a",
        fingerprint: str = FP,
        absent: bool = False,
        dtype: str = "float32",
        n: int = 3,
        patient_id: str = "p1",
    ) -> ScanFeatures:
        features = np.random.default_rng(len(scan_id) + n).normal(size=(n, 2, 8))
        present = np.ones((n, 2), bool)
        if absent:
            present[1, 0] = False
            features[1, 0] = np.nan
        return ScanFeatures(
            key=ScanKey(encoder, fingerprint, "c", scan_id),
            patient_id=patient_id,
            features=features.astype(dtype),
            present=present,
            z_mm=np.array([0.0, 5.0, np.nan, *range(n)][:n], np.float32),
            slice_index=np.arange(n, dtype=np.int32) * 2,
            source_signature="source",
            pixels_signature="pixels",
            about={
                "fingerprint": fingerprint,
                "views": [{"name": "lung"}, {"name": "bone"}],
                "spacing_mm": [5.0, 0.7, None],
                "facts": {"kernel": "B30f", "kvp": 120.0, "problems": ["odd"]},
            },
        )

    return make


@pytest.fixture
def add_set(store: StoreFolder, make_scan: MakeScan) -> Callable[..., EncoderRecord]:
    """Write an encoder's record and the features of some scans."""

    def add(
        encoder: str = "enc-a",
        fingerprint: str = FP,
        scans: tuple[str, ...] = ("s1", "s2"),
        dtype: str = "float32",
        absent: bool = False,
    ) -> EncoderRecord:
        record = EncoderRecord(
            encoder,
            fingerprint,
            8,
            ("lung", "bone"),
            "float32",
            dtype,
            "w" * 64,
            {
                "title": "T",
                "family": "timm",
                "pooling": "cls",
                "weights": {"licence": "MIT"},
                "facts": {"parameters_m": 1.5},
            },
        )
        write_record(record, store)
        for scan in scans:
            write_features(
                make_scan(
                    scan, encoder=encoder, fingerprint=fingerprint, dtype=dtype, absent=absent
                ),
                store,
            )
        return record

    return add


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Two scans, the label x of one and the slices that show it, a split."""
    table = pa.table(
        {
            "scan_id": ["s1", "s2"],
            "patient_id": ["p1", "p2"],
            "path": ["a", "b"],
            "day": ["3", None],
            "site": ["north", "south"],
            "split": ["train", "test"],
            "x": pa.array(["1", None], pa.string()),
            "key_slices_x": pa.array(["1 2", None], pa.string()),
        }
    )
    return check_cohort(table, "c", tmp_path / "c.csv")


@pytest.fixture
def full(store: StoreFolder, add_set: Callable[..., EncoderRecord], cohort: Cohort) -> StoreFolder:
    """A store with everything that SQL can see."""
    save_cohort(cohort, store)
    add_set(absent=True)
    run = {"task": "t", "encoder": "enc-a", "fingerprint": FP, "head": "abmil", "preset": "default"}
    place = store.results / "t"
    place.mkdir(parents=True)
    stem = "enc-a-01234567--abmil--default"
    scores = {"auroc": {"value": 0.75, "low": 0.5, "high": 1.0}}
    (place / f"{stem}.json").write_text(
        json.dumps({**run, "created": "now", "patients": 2, "scores": scores})
    )
    row = {**run, "repeat": 0, "fold": 1, "seed": 0, "draw": 0, "unit": "p1", "patient_id": "p1"}
    predicted = {**row, "label": "x", "truth": 1.0, "time": None, "score": 0.9, "cut": 0.5}
    weight = {**row, "scan_id": "s1", "slice_index": 2, "view": "bone", "weight": 0.25}
    for name, facts in (("predictions", predicted), ("attention", weight)):
        redrawn = {
            **facts,
            "draw": 1,
            "seed": 7,
        }  # a retrained head: neither boards nor SQL show it
        table = pa.Table.from_pylist([facts, redrawn])
        pyarrow.parquet.write_table(table, place / f"{stem}.{name}.parquet")
    return store
