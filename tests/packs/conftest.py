"""A store of patients whose names must not leave it, with results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench import pipeline, sharing
from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
from clearbench.cohort.table import read_cohort
from clearbench.packs.facts import PackFacts
from clearbench.scans.thumbnail import Sketch
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, open_store
from clearbench.store.records import EncoderRecord, write_record

PATIENTS = 30
RECORD = EncoderRecord("planted", "ab" * 32, 6, ("soft",), "float32", "float32", "00" * 32)
SECRETS = ("Miller", "SCAN77", "Springfield", "ACME", "kernelB30f", "the-signature", "very/secret")
CARD = """
title = "Planted"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
select = "last"
[split]
folds = 2
repeats = 1
"""


@dataclass(frozen=True)
class Packed:
    """A store, a task's card, and the pack of both."""

    store: Path
    card: Path
    file: Path
    facts: PackFacts
    patients: int = PATIENTS
    secrets: tuple[str, ...] = SECRETS

    def result(self, head: str) -> Path:
        [found] = (self.store / "results" / "planted-task").glob(f"*--{head}--default.json")
        return found


def fill(root: Path, *, public: bool) -> Path:
    """Write features of 30 patients; every third has two scans, of which the later counts."""
    store = open_store(root / "store", create=True)
    rng = np.random.default_rng(0)
    columns = "scan_id,patient_id,path,public,day,site,kernel,thickness_mm,ill,age,key_slices"
    lines = [columns]
    for number in range(PATIENTS):
        for day in range(2 if number % 3 == 0 else 1):
            scan, patient = f"SCAN77-{97 * number % 31}-{day}", f"Miller-{number * 7 % 30}"
            lines.append(
                f"{scan},{patient},very/secret/{scan}.nii,{int(public)},{day},Springfield,"
                f"kernelB30f,5,{number % 2},{20 + number},{'1 3' if number % 2 else ''}"
            )
            write_features(_features(scan, patient, number % 2, rng), store)
    (root / "own.csv").write_text("\n".join(lines) + "\n")
    save_cohort(read_cohort(root / "own.csv"), store)
    write_record(RECORD, store)
    open_pseudonyms(store.root)
    remember_keys(store.root, {"scan-1": "Miller"})
    return store.root


def _features(scan: str, patient: str, ill: int, rng: np.random.Generator) -> ScanFeatures:
    features = rng.normal(size=(5, 1, 6)).astype(np.float32)
    features[:, 0, 0] += 2.0 * ill
    about: dict[str, Any] = {
        "fingerprint": RECORD.fingerprint,
        "views": [{"name": "soft"}],
        "facts": {"manufacturer": "ACME", "kernel": "kernelB30f"},
    }
    rows = np.arange(5)
    return ScanFeatures(
        ScanKey(RECORD.name, RECORD.fingerprint, "own", scan), patient, features,
        np.ones((5, 1), bool), rows.astype(np.float32), rows.astype(np.int32),
        "the-signature", "the-signature", about, _sketch(rng),
    )  # fmt: skip


def _sketch(rng: np.random.Generator) -> Sketch:
    """Take pictures of noise: no two scans are alike."""
    pictures = rng.integers(0, 256, (8, 32, 32)).astype(np.uint8)
    return Sketch(pictures, np.full(64, 1 / 64, np.float32), 5)


def make(root: Path, *, public: bool) -> Packed:
    store, card, file = fill(root, public=public), root / "planted-task.toml", root / "pack.zip"
    card.write_text(CARD)
    [lost] = (store / "features" / "planted-abababab" / "own").glob("SCAN77-0-1.h5")
    lost.unlink()  # one patient lacks features
    options: dict[str, Any] = {"heads": ["abmil", "knn"], "precision": "float32", "floors": False}
    pipeline.evaluate([str(card)], store=store, **options)
    facts = sharing.pack(str(card), file, store=store)
    return Packed(store, card, file, facts)


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A private cohort's store and pack."""
    return make(tmp_path_factory.mktemp("private"), public=False)


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A published cohort's store and pack."""
    return make(tmp_path_factory.mktemp("public"), public=True)
