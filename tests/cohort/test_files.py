"""Tables are read as people save them, and anything else is refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.cohort.files import BLANK, UNSURE, is_table, read_table, write_table
from clearbench.errors import BadCohort, BadRequest

ROWS = [{"scan_id": "049", "note": "a b", "size": "1"}]


def read(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> list[dict[str, str | None]]:
    """Read a file of this content."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_table(path).to_pylist())


@pytest.mark.parametrize(
    "content",
    [
        "scan_id,note,size\n049,a b,1\n",
        "\ufeffscan_id;note;size\r\n049;a b;1\r\n",
        "scan_id\tnote\tsize\n049\ta b\t1",
        'scan_id|note|size\n"049"|"a b"|1\n\n\n',
        " scan_id , note,size \n049,  a b ,1\n",
        "scan_id,note,size,\n049,a b,1,\n",
        "scan_id,note,size\n049,a b,1\n".encode("utf-16"),
    ],
)
def test_any_dialect_of_csv_is_the_same_table(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path, content) == ROWS


def test_quotes_protect_delimiters_and_lines(tmp_path: Path) -> None:
    content = 'scan_id,note\na,"x, y"\nb,"one\ntwo"\nc,"say ""hi"""\nd,patient\'s\n'
    notes = [row["note"] for row in read(tmp_path, content)]
    assert notes == ["x, y", "one\ntwo", 'say "hi"', "patient's"]


def test_a_quoted_cell_far_down_is_read(tmp_path: Path) -> None:
    content = "scan_id,note\n" + "a,1\n" * 30_000 + 'b,"u, v"\n'
    assert read(tmp_path, content)[-1] == {"scan_id": "b", "note": "u, v"}


def test_blank_is_unknown_and_never_zero(tmp_path: Path) -> None:
    rows = read(tmp_path, "scan_id,y\na,\nb, \nc,NA\nd,nan\ne,0\nf,?\n")
    assert [row["y"] for row in rows] == [None, None, None, None, "0", None]


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, "scan_id,y\na,1\n", "labels [1].csv") == [{"scan_id": "a", "y": "1"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("scan_id,y\na,1\nb\n", "line 3: 1 cells under 2 column names"),
        ("scan_id,y\na,1,7\n", "line 2: 3 cells under 2 column names"),
        ("My export\nscan_id,y\na,1\n", "line 2: 2 cells under 1 column names"),
        ("scan_id,y,y\na,1,2\n", "more than one column is called y"),
        ("scan_id,y,\na,1,2\n", "a column has cells but no name"),
        ("scan_id,y\n", "the table has no rows"),
        ("", "the table has no rows"),
        ("scan_id,y\na,Zürich\n".encode("latin-1"), "not in UTF-8; save it as CSV UTF-8"),
    ],
)
def test_anything_but_one_table_is_refused(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    with pytest.raises(BadCohort, match=words):
        read(tmp_path, content)


def test_parquet_gives_the_same_text_as_csv(tmp_path: Path) -> None:
    table = pa.table(
        {"scan_id": ["049", "b"], "y": [1.0, None], "ok": [True, False], "t": [1.5, float("nan")]}
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").to_pylist() == [
        {"scan_id": "049", "y": "1", "ok": "1", "t": "1.5"},
        {"scan_id": "b", "y": None, "ok": "0", "t": None},
    ]


@pytest.mark.parametrize(
    ("kind", "value"), [(pa.float64(), 2.0**53), (pa.float32(), 2.0**24), (pa.float64(), 1.1e17)]
)
def test_ids_that_floats_can_not_hold_are_refused(
    tmp_path: Path, kind: pa.DataType, value: float
) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(
        pa.table({"Patient ID": pa.array([value, None, 1.0], kind), "y": [1.0, 2.5, None]}), path
    )
    with pytest.raises(BadCohort, match=rf"column Patient ID .* {int(value)}; .* as text"):
        read_table(path)


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=9))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_smaller_ids_of_floats_stay_themselves(tmp_path: Path, ids: list[int]) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({"patient_id": pa.array(ids, pa.float64())}), path)
    assert read_table(path).column("patient_id").to_pylist() == [str(each) for each in ids]


def test_a_large_volume_is_no_id(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({"mm3": pa.array([2.0**25], pa.float32())}), path)
    assert read_table(path).to_pylist() == [{"mm3": str(2**25)}]


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest"])
@pytest.mark.parametrize("name", ["t.xlsx", "t.csv"])
def test_an_excel_file_says_so(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(BadCohort, match="an Excel file; save it as CSV UTF-8"):
        read(tmp_path, content, name)


def test_an_index_without_a_name_may_be_read(tmp_path: Path) -> None:
    assert read(tmp_path, ",scan_id\n0,a\n1,b\n")[1] == {"Unnamed: 0": "1", "scan_id": "b"}
    with pytest.raises(BadCohort, match="a column has cells but no name"):
        read(tmp_path, ",scan_id\n0,a\n0,b\n")


def test_broken_or_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"t\.parquet: not a readable Parquet file"):
        read(tmp_path, b"garbage", "t.parquet")
    with pytest.raises(BadCohort, match="no such file"):
        read_table(tmp_path / "nowhere.csv")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@given(
    cells=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=9)
        .map(str.strip)
        .filter(lambda text: text.lower() not in BLANK | UNSURE)
        | st.none(),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_again(
    tmp_path: Path, ending: str, cells: list[str | None]
) -> None:
    ids = [f"{number:03}" for number in range(len(cells))]
    table = pa.table({"scan_id": ids, "note": pa.array(cells, pa.string())})
    path = write_table(table, tmp_path / f"t{ending}")
    assert read_table(path).to_pylist() == table.to_pylist()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_only_tables_are_written(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"as \.csv or \.parquet"):
        write_table(pa.table({"a": ["1"]}), tmp_path / "t.xlsx")
    assert is_table(Path("a.CSV"))
    assert not is_table(Path("a.nii.gz"))
