"""What tests of several packages need: shared data, written scans, results with predictions."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pydicom
import pytest
from numpy.typing import NDArray

from clearbench.results.record import Result
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"

WriteCT = Callable[..., list[Path]]


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What a command sets for its own children isn't there in the next test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CT data; tests that need it are skipped where it is not."""
    return _there(SHARED / "data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Weights, inputs and outputs of the published networks."""
    return _there(SHARED / "golden")


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} at ../shared/{folder.name}")
    return folder.resolve()


@pytest.fixture
def hu() -> NDArray[np.int16]:
    """A volume [4, 6, 5] in which every voxel differs."""
    return np.linspace(-1000, 1500, 4 * 6 * 5).astype(np.int16).reshape(4, 6, 5)


@pytest.fixture
def write_ct() -> WriteCT:
    """Write a CT series; `edit` may change each slice's header, `header` its DicomHeader."""

    def write(
        folder: Path,
        hu: NDArray[np.int16],
        spacing_mm: tuple[float, float, float] = (5.0, 0.8, 0.7),
        edit: Callable[[pydicom.FileDataset, int], object] | None = None,
        **header: Any,
    ) -> list[Path]:
        before = set(folder.glob("*"))
        write_dicom_series(folder, hu, spacing_mm, header=_header(**header))
        written = sorted(set(folder.glob("*")) - before, key=_height)
        for index, path in enumerate(written if edit else []):
            dataset = pydicom.dcmread(path)
            edit(dataset, index)
            dataset.save_as(path)
        return written

    return write


def _height(path: Path) -> float:
    return float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])


def _header(series: str = "series", study: str = "study", **facts: Any) -> DicomHeader:
    plain = DicomHeader(
        patient_id="p1",
        study_uid=seeded_uid(study),
        series_uid=seeded_uid(series),
        accession_number="a1",
        thickness_mm=5.0,
        kernel="B30f",
        contrast=False,
        manufacturer="ACME",
        model="One",
        kvp=120.0,
        series_description="test",
    )
    return replace(plain, **facts)


FACTS = {
    "task": "t", "task_title": "T", "task_version": 1, "task_sha256": "0",
    "content_sha256": "k", "labels_check": "l", "scans_check": "s", "units_check": "u",
    "pixels_check": "x", "cohort": "c",
    "target": "binary", "metric": "auroc", "outputs": ("ill",), "encoder_title": "A",
    "fingerprint": "f" * 64, "dim": 8, "views": ("lung",),
    "stored_views": (), "precision": "float32", "head": "abmil",
    "declared_head": "abmil", "head_precision": "float32", "test_cohort": "", "preset": "default",
    "seeds": 1, "draws": 0, "folds": 5, "repeats": 5, "crossed": True, "split_sha256": "s",
    "patients": 100, "units": 100, "test_patients": 100, "excluded": (), "not_scored": (),
    "floor": False, "gates": False,
    "licence": "MIT", "parameters_m": 1.0, "slices_per_s": 10.0, "seconds": 1.0, "versions": {},
    "cores": 2, "created": "2026-01-01T00:00:00Z", "guards": [], "curve": [],
}  # fmt: skip


@pytest.fixture
def with_value() -> Callable[..., Result]:
    """Make a result with one score and no predictions next to it."""

    def make(encoder: str, value: float | None, **more: Any) -> Result:
        scores = {"auroc": {"value": value, "low": value, "high": value}}
        facts = FACTS | {"gates": more.get("floor", False)} | more
        return Result(**{**facts, "scores": scores, "fold_scores": [], "encoder": encoder})

    return make


@pytest.fixture
def make_result(tmp_path: Path) -> Callable[..., Result]:
    """Make a result whose head scores 100 patients with a strength: 0 is chance."""

    def make(encoder: str, strength: float, seed: int = 0, *, lost: int = 0, **more: Any) -> Result:
        facts = FACTS | {"gates": more.get("floor", False)} | more | {"encoder": encoder}
        place = tmp_path if facts["task"] == "t" else tmp_path / facts["task"]
        place.mkdir(exist_ok=True)
        rng = np.random.default_rng(seed)
        truth = np.arange(100) % 2
        rows: list[dict[str, Any]] = []
        folds = []
        for repeat in range(facts["repeats"]):
            order = np.random.default_rng(repeat).permutation(100)
            for fold, test in enumerate(np.array_split(order, facts["folds"])):
                folds.append(
                    {"repeat": repeat, "fold": fold, "seed": 0, "train": 64, "tune": 16, "test": 20}
                )
                noise = rng.normal(size=len(test))
                rows += [
                    {
                        "repeat": repeat, "fold": fold, "seed": 0, "draw": 0, "unit": f"p{i:02}",
                        "patient_id": f"p{i:02}", "label": "ill", "truth": float(truth[i]),
                        "time": None, "score": float(strength * truth[i] + noise[k]),
                    }
                    for k, i in enumerate(test)
                    if i >= lost
                ]  # fmt: skip
        value = 0.5 + min(strength, 5) / 10
        scores = {"auroc": {"value": value, "low": value - 0.1, "high": value + 0.1}}
        result = Result(
            **facts, scores=scores, fold_scores=folds, path=str(place / f"{encoder}.json")
        )
        schema = pa.schema(
            [("repeat", pa.int64()), ("fold", pa.int64()), ("seed", pa.int64()),
             ("draw", pa.int64()), ("unit", pa.string()), ("patient_id", pa.string()),
             ("label", pa.string()), ("truth", pa.float64()), ("time", pa.float64()),
             ("score", pa.float64())]
        )  # fmt: skip
        pyarrow.parquet.write_table(
            pa.Table.from_pylist(rows, schema=schema), place / f"{encoder}.predictions.parquet"
        )
        return result

    return make
