"""Known names of scanners and kernels are kept; any other text becomes a token."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.series import name_scans, series_table
from clearbench.scans.inventory import find_scans
from clearbench.scans.scanner_texts import as_read, is_known, with_keys
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.volume import ScanFacts, facts_as_json

WriteCT = Callable[..., list[Path]]
NAMES = Pseudonyms(b"k" * 32)
KERNELS = [
    "B30f", "B40s", "B70f", "Br40d\\3", "Br40d", "Hr60h", "I31f\\3", "I31f", "Bl57d", "Qr40d",
    "H31s", "U90u", "J40f", "D30f", "Bv38", "Ub44", "Tr20f", "STANDARD", "SOFT", "BONE",
    "BONEPLUS", "LUNG",
    "DETAIL", "EDGE", "CHST", "STD+", "HD LUNG", "A", "B", "C", "L", "YA", "YB", "UB", "FC01",
    "FC08-H", "FC51", "FL05", "Body Sharp", "B_SOFT_B", "B_VSHARP_C", "LUNG_SHARP", "32", "soft",
]  # fmt: skip
MAKERS = [
    "SIEMENS", "Siemens Healthineers", "Siemens Healthcare GmbH", "GE MEDICAL SYSTEMS",
    "GE Healthcare", "Philips", "Philips Medical Systems", "TOSHIBA", "TOSHIBA_MEC",
    "Canon Medical Systems", "Hitachi Medical Corporation", "FUJIFILM Healthcare Corporation",
    "Neusoft Medical Systems Co., Ltd.", "NMS", "UIH", "United Imaging Healthcare", "NeuroLogica",
    "SAMSUNG ELECTRONICS", "SHIMADZU",
]  # fmt: skip
MODELS = [
    "SOMATOM Definition AS+", "SOMATOM Definition Flash", "SOMATOM Force", "Sensation 64",
    "Sensation 10", "Emotion 16", "Biograph 40", "SOMATOM go.Top",
    "NAEOTOM Alpha", "SOMATOM Perspective", "SOMATOM Edge Plus", "SOMATOM X.cite", "Volume Zoom",
    "LightSpeed VCT", "LightSpeed16", "LightSpeed Pro 32", "Discovery CT750 HD", "Discovery STE",
    "Revolution CT", "Revolution EVO", "Optima CT660", "BrightSpeed", "HiSpeed CT/i",
    "HiSpeed Dual", "LightSpeed Ultra", "Brilliance 64", "Brilliance Big Bore",
    "iCT 256", "iCT SP", "Ingenuity CT",
    "IQon - Spectral CT", "Spectral CT 7500", "Incisive CT", "Mx8000 IDT 16", "GEMINI TF TOF 64",
    "Aquilion", "Aquilion ONE", "Aquilion Prime SP", "Alexion", "Asteion", "Activion16", "SCENARIA",
    "Supria", "ECLOS", "NeuViz 64In", "NeuViz 128", "uCT 760", "uCT 530", "BodyTom", "CereTom",
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("kernel", text) for text in KERNELS),
        *(("manufacturer", text) for text in MAKERS),
        *(("model", text) for text in MODELS),
    ],
)
def test_what_scanners_write_is_kept(column: str, text: str) -> None:
    assert is_known(column, text)
    assert as_read(column, text) == text


@pytest.mark.parametrize("column", ["kernel", "manufacturer", "model"])
@pytest.mark.parametrize(
    "text",
    [
        "MUELLER^HANS", "Mueller, Hans", "Hans", "B30f Mueller", "SIEMENS Mueller",
        "Sensation Hans",
        "Li Wu", "19600101", "1960-01-01", "born 1960", "MRN 0012345", "PAT0012345", "Müller", "李",
        "1.2.826.0.1.3680043", "SOMATOM 0012345", "a@b.de", "B30f;Hans", "Kernel fuer Frau Schmidt",
    ],
)  # fmt: skip
def test_any_other_text_is_not_kept(column: str, text: str) -> None:
    read = as_read(column, text)
    assert read.startswith("other-")
    assert not any(part.lower() in read for part in text.split())


def test_equal_texts_have_equal_tokens_under_one_secret_only() -> None:
    facts = [ScanFacts(kernel=as_read("kernel", text)) for text in ("Hans", "Hans", "Erika")]
    one, same, differs = (with_keys(each, NAMES.other).kernel for each in facts)
    assert one == same != differs
    assert one != with_keys(facts[0], Pseudonyms(b"x" * 32).other).kernel
    assert one.startswith("other-")
    # what is read from the header alone could be guessed, so it is not a part of it
    assert facts[0].kernel.removeprefix("other-") not in one
    assert with_keys(facts[0], None).kernel == "other"
    assert with_keys(ScanFacts(kernel="B30f"), None) == ScanFacts(kernel="B30f")


def test_a_name_in_a_kernel_reaches_no_table_and_no_note(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    names = {"kernel": "MUELLER", "manufacturer": "Klinik Mueller", "model": "CT von Mueller"}
    write_ct(tmp_path / "one", hu, patient_id="p1", series="one", **names)
    write_ct(tmp_path / "two", hu, patient_id="p2", series="two", **(names | {"kernel": "Erika"}))
    found = name_scans(find_scans(tmp_path), NAMES)
    rows = series_table(found).to_pylist()
    assert "MUELLER" not in str(rows).upper()
    one, two = (row["kernel"] for row in rows)
    assert one != two
    assert rows[0]["model"] == rows[1]["model"]
    read = read_scan(ScanSource(tmp_path / "one"), other=NAMES.other).facts
    assert (read.kernel, read.model) == (one, rows[0]["model"])
    assert read_scan(ScanSource(tmp_path / "one")).facts.manufacturer == "other"


def test_kernels_that_differ_within_a_series_are_not_named_if_they_are_unknown(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    def name(dataset: Dataset, index: int) -> None:
        dataset.ConvolutionKernel = "MUELLER" if index else "B30f"

    write_ct(tmp_path, hu, edit=name)
    facts = read_scan(ScanSource(tmp_path), other=NAMES.other).facts
    stored = facts_as_json(facts)
    assert "ConvolutionKernel differs between slices (B30f, other)" in stored["problems"]


def test_parts_of_a_series_are_not_called_by_an_unknown_kernel(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    for number, kernel in enumerate(("MUELLER", "SCHMIDT", "B30f")):
        folder = tmp_path / str(number)
        write_ct(folder, hu, kernel=kernel, series="one")
    found = find_scans(tmp_path).scans
    parts = [scan.identity.part for scan in found if scan.identity]
    assert sorted(parts) == ["kernel-B30f", "kernel-other-1", "kernel-other-2"]
    texts = str([note.text for scan in found for note in scan.facts.notes])
    assert "MUELLER" not in texts
    assert "SCHMIDT" not in texts


@pytest.mark.parametrize(
    ("tag", "value"),
    [("RescaleType", "MUELLER HANS"), ("Modality", "MUELLER")],
)
def test_a_reason_that_is_noted_with_the_series_repeats_no_free_text(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT, tag: str, value: str
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 0:
            setattr(dataset, tag, value)

    write_ct(tmp_path, hu, edit=edit)
    scan = read_scan(ScanSource(tmp_path))
    assert any("left out of its series" in problem for problem in scan.facts.problems)
    assert "MUELLER" not in str(facts_as_json(scan.facts))


def test_a_number_that_is_a_name_is_shown_and_not_stored(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    for path in write_ct(tmp_path, hu):
        content = path.read_bytes()
        path.write_bytes(
            content.replace(b"KVP", b"KVP").replace(b"DS\x06\x00120.0 ", b"DS\x06\x00MEIER ")
        )
    facts = read_scan(ScanSource(tmp_path)).facts
    assert any("MEIER" in problem for problem in facts.problems)
    assert "MEIER" not in str(facts_as_json(facts))
    table = series_table(name_scans(find_scans(tmp_path), NAMES))
    assert "MEIER" not in str(table.to_pydict())
