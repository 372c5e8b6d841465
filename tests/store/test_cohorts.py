from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from clearbench.cohort.files import read_table
from clearbench.cohort.pseudonyms import open_pseudonyms, with_secret_mark
from clearbench.cohort.table import Cohort, check_cohort
from clearbench.errors import BadArgument, BadCohort, BadStore, UnknownName
from clearbench.store.cohorts import (
    cohort_names,
    load_cohort,
    merge_cohort,
    save_cohort,
    whole_cohorts,
    with_table,
)
from clearbench.store.folder import StoreFolder


def table(**columns: list[str | None]) -> Cohort:
    plain = {"path": ["a"] * len(columns["scan_id"])} | columns
    arrays = {name: pa.array(values, pa.string()) for name, values in plain.items()}
    return check_cohort(pa.table(arrays), "c", Path("/data/c.csv"))


def test_a_saved_cohort_is_loaded(store: StoreFolder, cohort: Cohort) -> None:
    assert cohort_names(store) == []
    save_cohort(cohort, store)
    assert cohort_names(store) == ["c"]
    assert load_cohort(store, "c").table.equals(cohort.table)


def test_an_unknown_cohort_offers_the_nearest(store: StoreFolder, cohort: Cohort) -> None:
    save_cohort(cohort, store)
    with pytest.raises(UnknownName, match="clearbench cohort add"):
        load_cohort(store, "d")


def test_a_damaged_cohort_is_named(store: StoreFolder, cohort: Cohort) -> None:
    save_cohort(cohort, store).write_text("nothing")
    with pytest.raises(BadStore, match=r"c\.parquet: damaged"):
        load_cohort(store, "c")


def test_a_damaged_cohort_hides_no_other(store: StoreFolder, cohort: Cohort) -> None:
    save_cohort(cohort, store)
    path = save_cohort(replace(cohort, name="d"), store)
    path.write_text("nothing")
    cohorts, [fault] = whole_cohorts(store)
    assert [each.name for each in cohorts] == ["c"]
    assert fault.startswith(f"{path}: damaged (")
    assert fault.endswith("; remove this file, and add the cohort again")


def test_a_stored_cohort_with_a_scan_twice_is_damaged(store: StoreFolder) -> None:
    whole = table(scan_id=["s1", "s2"], patient_id=["p1", "p2"])
    save_cohort(replace(whole, table=pa.concat_tables([whole.table] * 2)), store)
    with pytest.raises(BadStore, match=r"c\.parquet: damaged \(it has a scan twice\)"):
        load_cohort(store, "c")


def test_merging_keeps_what_only_the_store_has(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "0"]), store)
    news = table(scan_id=["s2", "s3"], patient_id=["p2", "p3"], y=["5", "6"])
    merged = merge_cohort(news, store)
    assert merged.column("scan_id") == ["s1", "s2", "s3"]
    assert merged.column("x") == ["1", "0", None]
    assert merged.column("y") == [None, "5", "6"]


def test_the_new_table_wins_blank_or_not(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "1"]), store)
    news = table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["0", None])
    assert merge_cohort(news, store).column("x") == ["0", None]


def test_a_column_that_is_blank_throughout_changes_nothing(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1"], patient_id=["p1"], x=["1"]), store)
    news = table(scan_id=["s1"], patient_id=["p1"], x=[None])
    assert merge_cohort(news, store).column("x") == ["1"]


def test_a_new_cohort_is_merged_with_nothing(store: StoreFolder, cohort: Cohort) -> None:
    assert merge_cohort(cohort, store) is cohort


def labels(**columns: list[str]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def test_labels_without_a_name_find_the_cohort_that_has_their_patients(store: StoreFolder) -> None:
    names = [f"patient-00000000000{number}" for number in (1, 2)]
    save_cohort(table(scan_id=["s1", "s2"], patient_id=names), store)
    save_cohort(replace(table(scan_id=["t1"], patient_id=["q1"]), name="d"), store)
    found = with_table(labels(patient_id=names[1:], x=["1"]), "", Path("later.csv"), store)
    assert (found.name, found.column("x")) == ("c", [None, "1"])
    stated = labels(patient_id=["q1"], x=["1"], cohort=["d"])
    assert with_table(stated, "", Path("later.csv"), store).name == "d"


def test_labels_that_may_be_of_two_cohorts_ask_for_a_name(store: StoreFolder) -> None:
    both = table(scan_id=["s1"], patient_id=["p1"])
    save_cohort(both, store)
    save_cohort(replace(both, name="d"), store)
    news = labels(patient_id=["p1"], x=["1"])
    with pytest.raises(
        BadCohort, match=r"later\.csv: several cohorts have its patient_id \(c, d\); .*--name"
    ):
        with_table(news, "", Path("later.csv"), store)
    assert with_table(news, "", Path("d.csv"), store).name == "d"
    assert with_table(news, "c", Path("later.csv"), store).name == "c"


@pytest.mark.parametrize("key", ["patient_id", "scan_id"])
def test_ids_that_other_people_may_have_need_the_cohort_s_name(
    store: StoreFolder, key: str
) -> None:
    """Patient 007 of another hospital has other labels."""
    save_cohort(table(scan_id=["007", "8"], patient_id=["007", "8"]), store)
    news = labels(**{key: ["007"], "x": ["1"]})
    with pytest.raises(BadCohort, match=r"007 may be other people too\..* later\.csv --name c"):
        with_table(news, "", Path("later.csv"), store)
    assert with_table(news, "c", Path("later.csv"), store).column("x") == ["1", None]


@pytest.mark.parametrize("paths", ["path", "Path", "image_path", "File Name", "Image"])
def test_a_table_with_its_own_paths_is_never_taken_for_labels(
    store: StoreFolder, tmp_path: Path, paths: str
) -> None:
    save_cohort(replace(table(scan_id=["a"], patient_id=["007"], y=["1"]), name="one"), store)
    news = labels(patient_id=["007"], y=["0"], **{paths: ["x.nii"]})
    with pytest.raises(BadCohort, match=r"no column scan_id.* these are labels .* --name one"):
        with_table(news, "", tmp_path / "two.csv", store)
    whole = news.append_column("Scan ID", pa.array(["b"]))
    found = with_table(whole, "", tmp_path / "two.csv", store)
    assert (found.name, found.column("path")) == ("two", [str(tmp_path / "x.nii")])
    updated = with_table(news, "one", tmp_path / "two.csv", store)
    assert (updated.column("y"), updated.column("path")) == (["0"], ["/data/a"])
    assert f"column {paths} is left out: paths stay" in updated.problems


def test_labels_of_nobody_are_refused(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1"], patient_id=["p1"]), store)
    with pytest.raises(
        BadCohort, match=r"no cohort of the store has any patient_id of this table \(c\)"
    ):
        with_table(labels(patient_id=["p9"], x=["1"]), "", Path("later.csv"), store)
    with pytest.raises(UnknownName, match='"other"'):
        with_table(labels(patient_id=["p1"], x=["1"]), "other", Path("later.csv"), store)


@pytest.mark.parametrize("with_paths", [True, False])
def test_a_table_under_another_stores_secret_is_refused(
    store: StoreFolder, tmp_path: Path, with_paths: bool
) -> None:
    save_cohort(table(scan_id=["s1"], patient_id=["p1"]), store)
    rows = labels(scan_id=["s1"], patient_id=["p1"], x=["1"], path=["a"])
    rows = rows if with_paths else rows.drop_columns(["path"])
    theirs = with_secret_mark(rows, open_pseudonyms(tmp_path / "other"))
    with pytest.raises(BadCohort, match="pseudonyms of another store"):
        with_table(theirs, "c", Path("c.csv"), store)
    own = with_secret_mark(rows, open_pseudonyms(store.root))
    assert with_table(own, "c", Path("c.csv"), store).column("x") == ["1"]


def test_a_table_says_what_it_changes(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "0"]), store)
    news = table(scan_id=["s2", "s3"], patient_id=["p9", "p3"], x=[None, "1"], y=["5", "6"])
    problems = merge_cohort(news, store).problems
    assert problems[:5] == (
        "1 scan is new: s3",
        "1 scan is of another patient now: s2 (p2 → p9)",
        "new column: y",
        "column x: 1 cell changes: s2 (0 → blank)",
        "1 scan of the stored cohort c is not in this table any more and is kept: s1; "
        "--replace-rows (replace_rows=True) makes the table the truth",
    )


def test_the_same_table_again_says_nothing(store: StoreFolder) -> None:
    same = table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "0"])
    save_cohort(same, store)
    assert merge_cohort(same, store).problems == same.problems


def test_rows_that_the_table_lacks_leave_if_asked(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "0"]), store)
    merged = merge_cohort(table(scan_id=["s2"], patient_id=["p2"]), store, replace_rows=True)
    assert merged.column("scan_id") == ["s2"]
    assert merged.column("x") == ["0"], "columns that the table lacks stay"
    assert "1 scan left the cohort c: s1" in merged.problems[0]
    assert "store forget" in merged.problems[0]


def test_another_cohort_under_a_stored_name_is_noted(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"]), store)
    problems = merge_cohort(table(scan_id=["t1"], patient_id=["q1"]), store).problems
    assert problems[0].startswith("no scan of this table is in the stored cohort c (2 scans)")
    assert "--name" in problems[0]
    shared = merge_cohort(table(scan_id=["s1", "t1"], patient_id=["p1", "q1"]), store).problems
    assert not any("another cohort" in problem for problem in shared)


def test_a_path_that_leads_nowhere_never_replaces_one_that_does(
    store: StoreFolder, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("")
    both = {"scan_id": ["s1", "s2"], "patient_id": ["p1", "p2"]}
    save_cohort(table(**both, path=[str(tmp_path / "a"), str(tmp_path / "b")]), store)
    news = table(**both, path=[str(tmp_path / "moved" / "a"), str(tmp_path / "c")])
    merged = merge_cohort(news, store)
    assert merged.column("path") == [str(tmp_path / "a"), str(tmp_path / "c")]
    assert merged.problems == (
        "1 scan is at another path: s2",
        "1 scan: the path in this table doesn't exist, so the stored one, which does, is kept: s1",
    )
    (tmp_path / "a").unlink()
    assert merge_cohort(news, store).column("path")[0] == str(tmp_path / "moved" / "a")


def test_new_labels_say_what_they_change(store: StoreFolder) -> None:
    save_cohort(table(scan_id=["s1", "s2"], patient_id=["p1", "p2"], x=["1", "0"]), store)
    found = with_table(labels(patient_id=["p2"], x=["1"], y=["3"]), "c", Path("l.csv"), store)
    assert found.problems[:2] == ("new column: y", "column x: 1 cell changes: s2 (0 → 1)")
    with pytest.raises(BadArgument, match="no scans of its own"):
        with_table(labels(patient_id=["p2"]), "c", Path("l.csv"), store, replace_rows=True)


def test_how_a_table_was_read_is_said_also_where_its_cohort_is_stored(
    store: StoreFolder, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("scan_id;patient_id;path;v\na;1;.;1,5\n")
    for _ in range(2):
        cohort = with_table(read_table(path), "", path, store)
        save_cohort(cohort, store)
        assert "column v: decimal commas are read as points" in cohort.problems
