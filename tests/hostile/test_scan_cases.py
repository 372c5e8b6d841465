"""Each malformed scan ends in its own sentence, and costs its neighbours nothing."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from clearbench.errors import UnreadableScan
from clearbench.scans.found import FoundScan, Inventory
from clearbench.scans.hu import HuRules
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from hostile.cases import Case
from hostile.limits import limited, try_each
from hostile.scan_cases import HU, good_nifti, more_damage, scan_cases

GOOD = good_nifti()
CASES: dict[str, list[Case]] = defaultdict(list)
for each in scan_cases():
    CASES[each.name.partition("/")[0]].append(each)


def test_there_are_hundreds_of_them() -> None:
    assert sum(map(len, CASES.values())) > 400
    assert len({case.folder for cases in CASES.values() for case in cases}) > 400


@pytest.mark.filterwarnings("ignore")  # libraries warn of almost each
@pytest.mark.parametrize("kind", CASES)
def test_a_malformed_scan_costs_only_itself(kind: str, tmp_path: Path) -> None:
    try_each(CASES[kind], tmp_path, check_with_a_good_one)


def check_with_a_good_one(case: Case, folder: Path) -> None:
    """Something is said of the case, and the good scan next to it is read."""
    other = folder.with_name("a good one")
    other.mkdir(exist_ok=True)
    (other / "scan.nii").write_bytes(GOOD)
    with limited():
        inventory = find_scans(folder.parent)
        said = what_is_said(inventory, folder)
        good = next(scan for scan in inventory.scans if scan.path.parent == other)
        assert np.array_equal(read(good), HU)
    assert said or case.name == "name/a folder"
    assert all(len(text) < 1000 and text.isprintable() for text in said), said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["dicom", "nifti", "nifti.gz", "mha", "png"])
def test_no_damage_of_a_scan_is_another_error(kind: str, tmp_path: Path) -> None:
    def check(_: Case, folder: Path) -> None:
        with limited():
            said = what_is_said(find_scans(folder), folder)
        assert said

    try_each(more_damage(kind, range(2000)), tmp_path, check)


def what_is_said(inventory: Inventory, folder: Path) -> list[str]:
    """Return what is said of each scan and file below a folder; of a readable scan "read"."""
    said = [item.reason for item in inventory.left_out if item.path.is_relative_to(folder)]
    for scan in inventory.scans:
        if scan.path.is_relative_to(folder):
            said.append(scan.error or read_or_why_not(scan))
    return said


def read_or_why_not(scan: FoundScan) -> str:
    try:
        pixels = read(scan)
    except UnreadableScan as error:
        return str(error)
    assert np.isfinite(pixels).all()
    return "read"


def read(scan: FoundScan) -> np.ndarray:
    series = scan.identity.series_uid if scan.identity else ""
    return read_scan(ScanSource(scan.path, series, HuRules(window=scan.window))).pixels
