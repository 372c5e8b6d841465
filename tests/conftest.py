"""What tests of several wings need: the shared data, and scans written for the occasion."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"

WriteCT = Callable[..., list[Path]]


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
