"""One series per study, by a preference that can rank and nothing else."""

from pathlib import Path

import pyarrow as pa
import pytest

from clearbench.datasets.pick import pick_series
from clearbench.errors import BadQuery, BadRequest

SERIES = {
    "study_id": "s",
    "orientation": "axial",
    "thickness_mm": 5.0,
    "soft_kernel": True,
    "dynamic": False,
    "n_slices": 60,
    "error": "",
}


def table(**rows: dict[str, object]) -> pa.Table:
    """A series table; each keyword is a scan_id and what is special about it."""
    return pa.Table.from_pylist([SERIES | {"scan_id": name} | row for name, row in rows.items()])


def test_the_default_takes_axial_then_thin_then_soft() -> None:
    picked = pick_series(
        table(
            coronal={"orientation": "coronal", "thickness_mm": 1.0},
            thick={},
            sharp={"thickness_mm": 1.5, "soft_kernel": False},
            soft={"thickness_mm": 1.5},
            too_thin={"thickness_mm": 0.6},
            unknown={"thickness_mm": None},
        )
    )
    assert picked.scan_ids == ("soft",)
    assert picked.ties == ()


def test_under_a_millimetre_is_better_than_nothing() -> None:
    picked = pick_series(table(thin={"thickness_mm": 0.6}, unknown={"thickness_mm": None}))
    assert picked.scan_ids == ("thin",)


def test_ties_are_listed_and_most_slices_win() -> None:
    picked = pick_series(table(b={}, a={}, longer={"n_slices": 61}, thick={"thickness_mm": 8.0}))
    assert picked.scan_ids == ("longer",)
    assert picked.ties == (("longer", "a", "b"),)


def test_a_time_point_of_a_perfusion_is_the_last_choice() -> None:
    picked = pick_series(table(ctp={"dynamic": True, "n_slices": 320}, plain={"n_slices": 32}))
    assert picked.scan_ids == ("plain",)
    assert picked.decided == {"s": "dynamic ASC"}


def test_the_key_that_decided_is_named() -> None:
    rows = {
        "thin": {"thickness_mm": 1.0},
        "thick": {},
        "long": {"study_id": "t", "n_slices": 61},
        "short": {"study_id": "t"},
        "one": {"study_id": "u"},
        "same": {"study_id": "u"},
        "alone": {"study_id": "v"},
    }
    assert pick_series(table(**rows)).decided == {
        "s": "thickness_mm ASC NULLS LAST",
        "t": "n_slices",
        "u": "",
    }
    keys = "ORDER BY coalesce(thickness_mm, 9), n_slices DESC"
    assert pick_series(table(**rows), keys).decided["s"] == "coalesce(thickness_mm, 9)"


def test_one_for_each_study_and_those_without_are_named() -> None:
    picked = pick_series(
        table(a={"study_id": "2"}, b={"study_id": "1"}, c={"study_id": "3", "error": "cut off"})
    )
    assert picked.scan_ids == ("b", "a")
    assert picked.without == ("3",)


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        ("WHERE thickness_mm > 4 ORDER BY n_slices DESC", ("thick",)),
        ("where not soft_kernel", ("sharp",)),
        ("ORDER BY n_slices", ("sharp",)),
        ("WHERE thickness_mm > 99", ()),
    ],
)
def test_a_preference_of_one_s_own(pick: str, expected: tuple[str, ...]) -> None:
    rows = table(
        thick={"n_slices": 30}, sharp={"soft_kernel": False, "n_slices": 20, "thickness_mm": 1.0}
    )
    assert pick_series(rows, pick).scan_ids == expected


@pytest.mark.parametrize(
    "pick",
    [
        "WHERE true; DROP TABLE series",
        "ORDER BY 1; COPY series TO '{out}'",
        "WHERE (SELECT count(*) FROM read_csv('{secret}')) > 0",
        "WHERE (SELECT count(*) FROM '{secret}') > 0",
        "WHERE (SELECT count(*) FROM read_text('{secret}')) > 0",
        "WHERE true) UNION (SELECT 1",
        "ORDER BY n_slices) AS place, 'evil' AS scan_id, rank() OVER (ORDER BY n_slices",
        "ORDER BY 1; ATTACH '{out}'",
        "WHERE true /*",
        "WHERE rows_of_python > 0",
        "WHERE (SELECT count(*) FROM rows_of_python) > 0",
        "ORDER BY n_slices LIMIT 1",
    ],
)
def test_a_preference_can_t_do_anything_else(tmp_path: Path, pick: str) -> None:
    secret, out = tmp_path / "secret.csv", tmp_path / "out"
    secret.write_text("a\n1\n")
    rows_of_python = table(a={})
    with pytest.raises(BadQuery, match=r"^pick: .*Columns: study_id") as caught:
        pick_series(rows_of_python, pick.format(secret=secret, out=out))
    assert "scan_id" in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("pick", ["", "  ", "SELECT 1", "n_slices DESC"])
def test_another_form_of_preference_is_refused(pick: str) -> None:
    with pytest.raises(BadRequest, match="WHERE … ORDER BY …"):
        pick_series(table(a={}), pick)
