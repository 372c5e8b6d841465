import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from clearbench.npy import check_npy, read_npy, read_npy_row

NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="="),
    arrays.unsigned_integer_dtypes(endianness="="),
    arrays.floating_dtypes(endianness="="),
)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@given(array=arrays.arrays(NUMBERS, SHAPES))
def test_what_numpy_saves_is_read(
    array: NDArray[np.generic], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.npy"
    np.save(path, array)
    np.testing.assert_array_equal(read_npy(path), array)
    header = check_npy(path)
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    for row in range(len(array) if array.ndim else 0):
        np.testing.assert_array_equal(read_npy_row(path, row), array[row])


def test_an_array_in_fortrans_order_is_read(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    with pytest.raises(ValueError, match="no row 1 of its own"):
        read_npy_row(tmp_path / "a.npy", 1)


@pytest.mark.parametrize("row", [-1, 2, 10**20])
def test_a_row_that_is_not_there_is_refused(tmp_path: Path, row: int) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    with pytest.raises(ValueError, match="no row"):
        read_npy_row(tmp_path / "a.npy", row)


@pytest.mark.parametrize("part", [0, 5, 40, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, part: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6))
    path.write_bytes(path.read_bytes()[:part])
    for read in (read_npy, check_npy):
        with pytest.raises(ValueError, match=r"no header of a .npy file|its header says \[6\]"):
            read(path)


def test_objects_and_texts_are_refused(tmp_path: Path) -> None:
    for array in (np.array([{}]), np.array(["a"])):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match="not numbers"):
            read_npy(tmp_path / "a.npy")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(OSError, match="a pipe, socket or device"):
        read_npy(tmp_path / "a.npy")
