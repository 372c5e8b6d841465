"""A cohort is checked before scans are read; faults name their rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from clearbench.cohort.table import Cohort, check_cohort, read_cohort
from clearbench.errors import BadCohort, UnknownName


def cohort(tmp_path: Path, text: str, name: str = "") -> Cohort:
    """Read a cohort of this text."""
    path = tmp_path / "heads.csv"
    path.write_text(text)
    return read_cohort(path, name)


def test_a_cohort_has_its_scans_labels_and_name(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "b").mkdir()
    read = cohort(
        tmp_path,
        "scan_id,patient_id,path,site,kernel,bleed\n049,007,a.nii,x,B30f,1\nb,8,./b,y,,\n",
    )
    assert read.name == "heads"
    assert read.labels == ("bleed",)
    assert read.problems == ()
    first, second = read.rows()
    assert (first.scan_id, first.patient_id, first.series_id) == ("049", "007", "")
    assert first.path == tmp_path / "a.nii"
    assert second.path == tmp_path / "b"
    assert read.label("bleed") == ["1", None]
    assert not read.public


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    read = cohort(tmp_path, "scan_id,patient_id,path\na,1,link\n")
    assert read.rows()[0].path == tmp_path / "link"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,1,x\na,2,y\n", "scan_id has more than one row: a"),
        ("a,1,x\nA,2,y\n", "scan_id has more than one row: a"),
        (",1,x\nb,2,y\nc,3,\n", "scan_id is blank in line 2; path is blank in line 4"),
        ("a b,1,x\n", r"scan_id may have letters, .*not a b"),
        ("../a,1,x\n", r"scan_id may have letters, .*not \.\./a"),
        (f"{'a' * 101},1,x\n", "at most 100"),
        ("a,Müller,x\n", "patient_id may have letters, .*not Müller"),
        (
            "a,unknown,x\nb,unknown,y\nc,3,z\n",
            "patient_id has unknown in 2 rows, which is nobody's",
        ),
        ("a,anon,x\nb,ANON,y\nc,anon,z\n", "patient_id has anon in 2 rows"),
        ("a,1.2E+11,x\n", r"patient_id has 1\.2E\+11, whose last digits a spreadsheet took away"),
    ],
)
def test_ids_are_checked(tmp_path: Path, rows: str, words: str) -> None:
    with pytest.raises(BadCohort, match=words):
        cohort(tmp_path, "scan_id,patient_id,path\n" + rows)


def test_a_patient_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    text = "scan_id,patient_id,path,split\na,1,x,train\nb,1,y,test\nc,2,z,test\nd,2,w,\n"
    with pytest.raises(BadCohort, match=r"a patient in two splits: 1 \(test, train\)$"):
        cohort(tmp_path, text)


def test_rows_of_one_file_that_contradict_each_other_are_noted(tmp_path: Path) -> None:
    """The highest label would win in silence, or two people share a scan."""
    for name in ("x.nii", "y.nii"):
        (tmp_path / name).touch()
    head = "scan_id,patient_id,path,series_id,ill\n"
    same = "a,1,x.nii,,1\nb,1,./x.nii,,\nc,2,y.nii,s1,0\nd,2,y.nii,s2,1\n"
    assert cohort(tmp_path, head + same).problems == ()
    differ = "a,1,x.nii,,1\nb,1,x.nii,,0\nc,2,y.nii,s,1\nd,3,y.nii,s,1\n"
    assert cohort(tmp_path, head + differ).problems == (
        "one file is the scan of several patients: y.nii",
        "rows of one file have different labels, and the highest counts: x.nii",
    )


def test_missing_files_are_named_and_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    read = cohort(tmp_path, "scan_id,patient_id,path\na,1,x\nb,2,nowhere\n")
    assert read.problems == (f"1 of 2 paths do not exist: {tmp_path / 'nowhere'}",)
    assert len(read.rows()) == 2


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("scan_ids,patient_id,path", "no column scan_id; did you mean scan_ids"),
        ("scan_id,patient_id,where", "no column path.* this table has scan_id, patient_id, where"),
        ("scan_id,patient_id,path,Split", "unknown column Split; did you mean split"),
        ("scan_id,patient_id,path,Study ID", "unknown column Study ID; did you mean study_id"),
    ],
)
def test_misspelt_columns_are_met_with_the_nearest_known(
    tmp_path: Path, header: str, words: str
) -> None:
    with pytest.raises(BadCohort, match=words):
        cohort(tmp_path, f"{header}\na,1,x,2\n" if header.count(",") > 2 else f"{header}\na,1,x\n")


@pytest.mark.parametrize("header", ["Scan ID,Patient ID,Path", "scanid,pid,image_path"])
def test_usual_names_of_ids_and_paths_are_taken(tmp_path: Path, header: str) -> None:
    read = cohort(tmp_path, f"{header},y\na,1,x,0\nb,2,x,1\n")
    assert read.column("scan_id") == ["a", "b"]
    assert read.column("path") == [str(tmp_path / "x")] * 2
    assert read.labels == ("y",)
    assert f"column {header.split(',')[2]} is taken as path" in read.problems


def test_two_columns_of_paths_are_asked(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match="columns file, image may each be path; call one of them"):
        cohort(tmp_path, "scan_id,patient_id,image,file\na,1,x,y\n")


def test_a_label_that_looks_like_a_known_column_is_named(tmp_path: Path) -> None:
    read = cohort(tmp_path, "scan_id,patient_id,path,splitt\na,1,.,train\n")
    assert read.problems == ("column splitt is taken as a label; did you mean split?",)


def test_the_name_comes_from_the_column_else_the_file(tmp_path: Path) -> None:
    head = "scan_id,patient_id,path,cohort\n"
    assert cohort(tmp_path, f"{head}a,1,.,mine\nb,2,.,\n").name == "mine"
    assert cohort(tmp_path, f"{head}a,1,.,\n").name == "heads"
    assert cohort(tmp_path, f"{head}a,1,.,mine\n", "other").name == "other"
    with pytest.raises(BadCohort, match=r"several cohorts in one table \(mine, yours\)"):
        cohort(tmp_path, f"{head}a,1,.,mine\nb,2,.,yours\n")
    with pytest.raises(BadCohort, match=r"'my heads' can't be the cohort's name"):
        cohort(tmp_path, f"{head}a,1,.,my heads\n")


def test_a_published_cohort_is_public(tmp_path: Path) -> None:
    assert cohort(tmp_path, "scan_id,patient_id,path,public\na,1,.,1\n").public


def test_an_unknown_label_is_met_with_the_nearest(tmp_path: Path) -> None:
    read = cohort(tmp_path, "scan_id,patient_id,path,bleeding\na,1,.,1\n")
    with pytest.raises(UnknownName, match='no column of cohort heads is called "bleding"; did you'):
        read.label("bleding")
    assert read.column("bleding") == []


def test_parquet_and_many_faults(tmp_path: Path) -> None:
    table = pa.table({"scan_id": [f"x {i}" for i in range(9)], "patient_id": ["1"] * 9})
    table = table.append_column("path", pa.array(["."] * 9))
    with pytest.raises(BadCohort, match="not x 0, x 1, x 2, x 3, x 4 and 4 more"):
        check_cohort(table, "it", tmp_path / "t.parquet")


def test_an_infinite_label_is_refused_with_its_scan(tmp_path: Path) -> None:
    head = "scan_id,patient_id,path,days\n"
    for text in ("1e400", "-1e999", "inf"):
        with pytest.raises(BadCohort, match=rf"days has an infinite number: {text} \(scan b\) "):
            cohort(tmp_path, f"{head}a,1,.,5\nb,2,.,{text}\nc,3,.,\n")
    words = cohort(tmp_path, f"{head}a,1,.,sup\nb,2,.,inf\nc,3,.,4e5678\n")
    assert words.labels == ("days",), "where others are words, these are too"


def test_a_column_that_may_name_people_is_a_problem(tmp_path: Path) -> None:
    rows = "\n".join(f"s{n},p{n},.,Person {'abcdefghijkl'[n]},{n % 3},{n}" for n in range(12))
    table = tmp_path / "mine.csv"
    table.write_text(f"scan_id,patient_id,path,surname,grade,age\n{rows}\n")
    problems = " ".join(read_cohort(table).problems)
    assert "column surname is left out" in problems
    assert "grade" not in problems
    assert "age" not in problems


def test_slices_that_a_reader_marked_are_not_labels(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    rows = "".join(f"s{i},p{i},a,1,{i} {i + 1},{i} 7\n" for i in range(12))
    head = "scan_id,patient_id,path,bleed,key_slices,key_slices_x\n"
    read = cohort(tmp_path, head + rows)
    assert read.labels == ("bleed",)
    assert read.problems == ()  # neither names of people, nor a misspelt known column


def test_a_table_as_excel_writes_it_is_read_and_what_changed_is_said(tmp_path: Path) -> None:
    """A line sep=;, semicolons, Windows line ends, decimal commas, a row twice."""
    lines = ["sep=;", "scan_id;patient_id;path;age;key_slices;thickness_mm"]
    lines += ["a;0012;x;40,5;1 2;0,6", "b;12;y;41;3;1", "a;0012;x;40,5;1 2;0,6"]
    (tmp_path / "t.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode("utf-8"))
    cohort = read_cohort(tmp_path / "t.csv")
    assert cohort.column("scan_id") == ["a", "b"]
    assert cohort.column("age") == ["40.5", "41"]
    assert cohort.column("thickness_mm") == ["0.6", "1"]
    assert cohort.problems[:3] == (
        "column age: decimal commas are read as points",
        "column thickness_mm: decimal commas are read as points",
        "1 row repeats another one, and counts once",
    )
    assert any("0012 = 12" in problem for problem in cohort.problems)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [("hu_offset", "much", "hu_offset is a number"), ("accept_hu", "yes", "accept_hu is 1 or 0")],
)
def test_what_is_said_of_values_is_checked(
    tmp_path: Path, column: str, cell: str, words: str
) -> None:
    table = pa.table({"scan_id": ["a"], "patient_id": ["p"], "path": ["x"], column: [cell]})
    with pytest.raises(BadCohort, match=words):
        check_cohort(table, "c", tmp_path / "c.csv")


def test_a_row_says_how_its_values_become_hu(tmp_path: Path) -> None:
    columns = {"scan_id": ["a", "b"], "patient_id": ["p", "q"], "path": ["x", "y"]}
    table = pa.table({**columns, "hu_offset": ["-1024", None], "accept_hu": [None, "1"]})
    first, second = check_cohort(table, "c", tmp_path / "c.csv").rows()
    assert (first.hu_offset, first.accept_hu) == (-1024.0, False)
    assert (second.hu_offset, second.accept_hu) == (None, True)


def test_a_word_for_no_study_joins_no_scans(tmp_path: Path) -> None:
    text = "scan_id,patient_id,path,study_id\na,1,x,unknown\nb,2,y,{}\n"
    with pytest.raises(BadCohort, match=r"study_id has unknown in 2 rows.*leave the cells blank"):
        cohort(tmp_path, text.format("unknown"))
    assert cohort(tmp_path, text.format("")).column("study_id") == ["unknown", None]


def test_two_series_of_one_study_are_of_one_patient_whatever_the_name(tmp_path: Path) -> None:
    text = "scan_id,patient_id,path,study_id\na,phantom,x,1.2\nb,phantom,y,{}\n"
    assert cohort(tmp_path, text.format("1.2")).column("patient_id") == ["phantom", "phantom"]
    with pytest.raises(BadCohort, match="patient_id has phantom in 2 rows"):
        cohort(tmp_path, text.format("1.3"))


@pytest.mark.parametrize("name", ["Hospital", "centre", "Institution Name", "Klinik"])
def test_a_column_that_may_be_the_site_is_noted(tmp_path: Path, name: str) -> None:
    """The floor of technical tags and --group know a site by the name site only."""
    (tmp_path / "x.nii").touch()
    text = f"scan_id,patient_id,path,{name}\na,1,x.nii,Bonn\n"
    note = f"column {name} is taken as a label; if it is the site of each scan, call it site"
    assert note in cohort(tmp_path, text).problems
    with_site = f"scan_id,patient_id,path,{name},site\na,1,x.nii,Bonn,2\n"
    assert note not in cohort(tmp_path, with_site).problems
