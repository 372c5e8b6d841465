"""A store with all that a patient may leave in it, and an independent look for ids."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.cohort.pseudonyms import patient_hash, remember_keys
from clearbench.cohort.table import check_cohort
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, seen_path, write_record

FP = "0123456789abcdef" * 4
ENCODERS = ("enc-a", "enc-b")
ONE, TEN, TWO = "pat-1", "pat-10", "pat-2"  # the first is the beginning of the second
PATIENTS = (ONE, TEN, TWO)
CLEAR = {ONE: "MRN4711", TEN: "MRN47110", TWO: "MRN0815"}


def scan_of(patient: str) -> str:
    return patient.replace("pat", "scan")


def record(encoder: str) -> EncoderRecord:
    return EncoderRecord(encoder, FP, 4, ("lung",), "float32", "float32", "w" * 64, {})


def add_cohort(store: StoreFolder, name: str, patients: tuple[str, ...] = PATIENTS) -> None:
    """Save a cohort, and features of its scans."""
    scans = [scan_of(patient) for patient in patients]
    table = pa.table(
        {
            "scan_id": scans,
            "patient_id": patients,
            "path": [f"/data/{name}/{scan}.nii.gz" for scan in scans],
            "study_id": [patient.replace("pat", "study") for patient in patients],
            "ill": [str(number % 2) for number in range(len(patients))],
        }
    )
    save_cohort(check_cohort(table, name, Path("/data/c.csv")), store)
    for encoder in ENCODERS:
        write_record(record(encoder), store)
        for patient, scan in zip(patients, scans, strict=True):
            write_features(features(ScanKey(encoder, FP, name, scan), patient), store)


def features(key: ScanKey, patient: str) -> ScanFeatures:
    return ScanFeatures(
        key,
        patient,
        np.random.default_rng(0).normal(size=(2, 1, 4)).astype(np.float32),
        np.ones((2, 1), bool),
        np.zeros(2, np.float32),
        np.arange(2, dtype=np.int32),
        "source",
        "pixels",
        {"fingerprint": FP, "views": [{"name": "lung"}]},
    )


def add_result(
    folder: Path,
    encoder: str = "enc-a",
    cohort: str = "own",
    patients: tuple[str, ...] = PATIENTS,
    **more: Any,
) -> Path:
    """Write a result with predictions, attention, and a table of pairs of scans."""
    place = folder / "t"
    place.mkdir(parents=True, exist_ok=True)
    head = more.pop("head", "abmil")
    stem = f"{encoder}-{FP[:8]}--{head}--default"
    key = {"task": "t", "encoder": encoder, "fingerprint": FP, "head": head, "preset": "default"}
    prefix = f"{cohort}/" if more.get("test_cohort") else ""
    rows = [
        {**key, "repeat": 0, "fold": 0, "seed": 0, "draw": draw, "unit": prefix + patient}
        | {"patient_id": prefix + patient}
        for patient in patients
        for draw in (0, 1)
    ]
    predicted = [{**row, "label": "ill", "truth": 1.0, "time": None, "score": 0.5} for row in rows]
    attended = [
        {**row, "scan_id": scan_of(row["patient_id"].removeprefix(prefix))}
        | {"slice_index": 0, "view": "lung", "weight": 1.0}
        for row in rows
    ]
    for name, table in (("predictions", predicted), ("attention", attended)):
        pyarrow.parquet.write_table(
            pa.Table.from_pylist(table), place / f"{stem}.{name}.parquet", compression="zstd"
        )
    (place / f"{stem}.copies.csv").write_text(
        f"first_scan,second_scan\n{scan_of(ONE)},{scan_of(TEN)}\n{scan_of(TEN)},{scan_of(TWO)}\n"
    )
    facts = {
        **key,
        "cohort": cohort,
        "crossed": True,
        "excluded": [f"2 without features: {ONE}, {TEN}"],
        "guards": [{"guard": "copies", "alarm": True, "says": f"{scan_of(ONE)} = {scan_of(TEN)}"}],
        "scores": {"auroc": {"value": 0.75, "low": 0.5, "high": 1.0}},
        "patients": len(patients),
        "created": "now",
        **more,
    }
    path = place / f"{stem}.json"
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return path


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three patients and all that there is of them; copy it before a change."""
    store = open_store(tmp_path_factory.mktemp("filled") / "store", create=True)
    add_cohort(store, "own")
    for encoder in ENCODERS:
        add_result(store.results, encoder)
    keys = {patient: CLEAR[patient] for patient in PATIENTS}
    keys |= {scan_of(patient): f"{CLEAR[patient]}/ct" for patient in PATIENTS}
    keys |= {f"scan-f{patient[-1]}": f"{CLEAR[patient]}/other" for patient in PATIENTS}
    remember_keys(store.root, keys)
    hashes = sorted(map(patient_hash, PATIENTS))
    seen_path(record("enc-b"), store).write_text("".join(f"{line}\n" for line in hashes))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    draft = f".{scan_of(ONE)}.h5.{socket.gethostname()}-{process.pid}-0.tmp"
    (store.features / "enc-a-01234567" / "own" / draft).write_bytes(b"half of pat-1")
    refresh(store)
    return store.root


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> StoreFolder:
    return open_store(shutil.copytree(filled, tmp_path / "store"))


def texts_of(path: Path) -> list[str]:
    """Everything that can be read in a file, each piece by itself."""
    pieces = [path.name, path.read_bytes().decode("latin-1")]
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
        pieces += [str(cell) for column in table.columns for cell in column.to_pylist()]
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            pieces += [str(value) for value in file.attrs.values()]
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            for (table_name,) in connection.execute("SHOW TABLES").fetchall():
                rows = connection.execute(f"SELECT * FROM {table_name}").fetchall()
                pieces += [str(cell) for row in rows for cell in row]
    elif path.suffix == ".gz":
        pieces.append(gzip.decompress(path.read_bytes()).decode("latin-1"))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pieces += [archive.read(name).decode("latin-1") for name in archive.namelist()]
    return pieces


def files_with(root: Path, name: str, longer: tuple[str, ...] = ()) -> list[str]:
    """The files below a folder that have a name anywhere, not counting it inside longer ones."""
    found = []
    for path in sorted(root.rglob("*")):
        pieces = texts_of(path) if path.is_file() else [path.name]
        for other in longer:
            pieces = [piece.replace(other, "") for piece in pieces]
        if any(name in piece for piece in pieces):
            found.append(os.fspath(path.relative_to(root)))
    return found
