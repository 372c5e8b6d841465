import io

import h5py
import pytest

from clearbench.store.heaps import BEGIN, texts_are_sound

TEXTS = {"short": "a", "none": "", "long": "b" * 5000, "other": "c" * 4080}


def image() -> bytearray:
    """An HDF5 file with some texts."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs.update(TEXTS)
    return bytearray(memory.getvalue())


def test_texts_that_were_written_are_sound() -> None:
    assert bytes(image()).count(BEGIN) > 1
    assert texts_are_sound(bytes(image()))
    assert texts_are_sound(b"no HDF5 at all")


@pytest.mark.parametrize("change", ["size of the heap", "an object", "the rest", "a length"])
def test_texts_that_hdf5_reads_for_ever_are_found(change: str) -> None:
    content = image()
    start = content.find(BEGIN)
    if change == "size of the heap":
        content[start + 8 : start + 16] = b"\xff" * 8
    elif change == "an object":
        content[start + 16 + 8] = 0xFF
    elif change == "the rest":
        content[start + 16 : start + 32] = bytes(16)
    else:
        place = content.find(start.to_bytes(8, "little"))
        content[place - 4 : place] = b"\xff" * 4
    assert not texts_are_sound(bytes(content))
