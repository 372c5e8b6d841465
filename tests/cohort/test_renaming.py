from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.renaming import WITHHELD, make_names, numbered, renamed_table
from clearbench.cohort.table import Cohort, check_cohort


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), max_size=40))
def test_numbers_follow_the_order_of_ids(ids: list[str]) -> None:
    names = numbered([*ids, None], "scan")
    assert sorted(names) == sorted(set(ids))
    assert [names[one] for one in sorted(names)] == sorted(names.values())
    assert len(set(names.values())) == len(names)


def test_more_than_9999_still_sort() -> None:
    names = numbered((f"{i:05}" for i in range(10_001)), "scan")
    assert sorted(names.values()) == [names[f"{i:05}"] for i in range(10_001)]


def cohort(public: str) -> Cohort:
    columns = {
        "scan_id": ["s3", "s1", "s2"],
        "patient_id": ["pb", "pa", "pb"],
        "path": ["x/3", "x/1", "x/2"],
        "public": [public] * 3,
        "study_id": ["t", None, "t"],
        "site": ["north", "south", None],
        "kernel": ["k"] * 3,
        "ill": ["1", "0", None],
    }
    return check_cohort(pa.table(columns), "c", Path("/data/c.csv"))


def test_only_wanted_columns_and_rows_stay_under_new_names() -> None:
    given_ = cohort("0")
    names = make_names(given_, "site")
    table = renamed_table(
        given_, names, ["ill", "site", "study_id"], frozenset({"s1", "s3"}), "site"
    )
    assert table.to_pylist() == [
        {
            "scan_id": "scan-0003", "patient_id": "patient-0002", "ill": "1", "site": "group-0001",
            "study_id": "study-0001", "path": WITHHELD, "cohort": "c", "public": "0",
        },
        {
            "scan_id": "scan-0001", "patient_id": "patient-0001", "ill": "0", "site": "group-0002",
            "study_id": None, "path": WITHHELD, "cohort": "c", "public": "0",
        },
    ]  # fmt: skip


def test_a_published_cohort_keeps_its_ids() -> None:
    table = renamed_table(cohort("1"), make_names(cohort("1")), ["ill"], frozenset({"s1"}))
    [row] = table.to_pylist()
    assert (row["scan_id"], row["patient_id"], row["path"]) == ("s1", "pa", WITHHELD)
