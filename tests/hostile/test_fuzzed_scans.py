"""Headers that hypothesis spoils, read by the real parsers: a scan, or a sentence; never more.

A few in CI, always the same; many in `make nightly`, others each night: CLEARBENCH_FUZZ of each
format.
"""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.scans.inventory import find_scans
from hostile.scan_cases import HU, good_dicom, good_nifti, meta, npz_of, png
from hostile.test_scan_cases import what_is_said

NIGHTLY = int(os.environ.get("CLEARBENCH_FUZZ", "3000"))
PIXELS = HU.tobytes()
FORMATS = {
    "slice.dcm": (next(iter(good_dicom().values())), 1200),
    "scan.nii": (good_nifti(), 352),
    "scan.nii.gz": (good_nifti("scan.nii.gz"), 400),
    "scan.mha": (meta() + PIXELS, len(meta())),
    "scan.npz": (npz_of("(4, 20, 16), ", PIXELS), 200),
    "slice.png": (png((HU[0] // 8 % 256).astype("uint8")), 60),
    "slice.jpg": (png((HU[0] // 8 % 256).astype("uint8"), "JPEG"), 600),
}
ODD = (
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"-1",
    b"1e308",
    b"nan",
    b"inf",
    b"\\",
    b"\n",
)


@st.composite
def spoilt(draw: st.DrawFn, good: bytes, header: int) -> bytes:
    """Return a file with some places of its header overwritten, cut out, doubled or cut off."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, min(header, max(0, len(content) - 1))))
        match draw(st.sampled_from(("bytes", "odd", "out", "double", "off"))):
            case "bytes":
                put = draw(st.binary(min_size=1, max_size=8))
                content[start : start + len(put)] = put
            case "odd":
                put = draw(st.sampled_from(ODD))
                content[start : start + len(put)] = put
            case "out":
                del content[start : start + draw(st.integers(1, 16))]
            case "double":
                content[start:start] = content[start : start + draw(st.integers(1, 64))]
            case _:
                del content[max(start, draw(st.integers(0, len(content)))) :]
    return bytes(content)


def check(name: str, content: bytes) -> None:
    """A folder with this one file is read, or it is said what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        said = what_is_said(find_scans(Path(folder)), Path(folder))
    assert said
    assert all(len(text) < 1000 and text.isprintable() for text in said), said


@pytest.mark.filterwarnings("ignore")  # libraries warn of almost each
@pytest.mark.parametrize("name", FORMATS)
def test_a_spoilt_header_is_read_or_explained(name: str) -> None:
    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(spoilt(*FORMATS[name]))
    def run(content: bytes) -> None:
        check(name, content)

    run()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_thousands_of_spoilt_headers(name: str) -> None:
    @settings(max_examples=NIGHTLY, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(*FORMATS[name]))
    def run(content: bytes) -> None:
        check(name, content)

    run()
