from pathlib import Path

import numpy as np
import pydicom

from clearbench.scans.dicom.codecs import SYNTAXES, list_codecs
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

HEADER = DicomHeader("p", seeded_uid("s"), seeded_uid("e"), "a", 5.0, "B30f", False, "ACME",
                     "One", 120.0, "test")  # fmt: skip


def test_every_compressed_syntax_is_asked_once() -> None:
    codecs = list_codecs()
    assert [one.name for one in codecs] == list(SYNTAXES)
    assert len({one.syntax for one in codecs}) == len(SYNTAXES)
    assert all(one.decoders or one.others for one in codecs), "what isn't read names what would"


def test_every_listed_codec_decodes(tmp_path: Path) -> None:
    """Written by pydicom's own encoder, read by each decoder that was named."""
    [codec] = [one for one in list_codecs() if one.name == "RLE"]
    hu = np.random.default_rng(0).integers(-1000, 1000, (1, 32, 32)).astype(np.int16)
    write_dicom_series(tmp_path, hu, (5.0, 1.0, 1.0), header=HEADER)
    [path] = tmp_path.iterdir()
    plain = pydicom.dcmread(path)
    pixels = plain.pixel_array.copy()
    plain.compress(codec.syntax)
    assert codec.decoders
    for decoder in codec.decoders:
        plain.pixel_array_options(decoding_plugin=decoder)
        np.testing.assert_array_equal(plain.pixel_array, pixels)
