from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from clearbench.board.curves import curve_tables, plot_curves
from clearbench.results.record import Result


def point(patients: int, value: float | None) -> dict[str, object]:
    ends = (
        {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
    )
    return {
        "patients": patients,
        "whole": False,
        "draws": 10,
        "value": value,
        "spread": 0.02,
        **ends,
    }


def test_curves_of_a_task_are_in_one_table_and_one_picture(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    one = replace(make_result("one", 1.0), curve=[point(16, 0.6), point(64, 0.8)])
    other = replace(make_result("other", 1.0), curve=[point(16, 0.5), point(32, None)])
    [table] = curve_tables([one, other, make_result("without", 1.0)])
    assert table.sizes == (16, 32, 64)
    assert table.rows == (
        ("one", ("0.600 ± 0.020", "–", "0.800 ± 0.020")),
        ("other", ("0.500 ± 0.020", "–", "–")),
    )
    path = plot_curves([one, other], tmp_path / "t" / "curve.png")
    with Image.open(path) as picture:
        assert picture.size[0] > 600
    assert curve_tables([make_result("without", 1.0)]) == []
