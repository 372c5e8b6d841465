from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.board.compare import FOLDS
from clearbench.board.standings import make_standings
from clearbench.results.predictions import HeadKey, read_predictions
from clearbench.results.record import Result

Make = Callable[..., Result]


def name(encoder: str) -> str:
    return f"{encoder}@ffffffff"


def test_encoders_that_differ_are_in_different_tiers(make_result: Make) -> None:
    strong, twin = make_result("strong", 3.0), make_result("twin", 3.0, seed=1)
    weak, floor = make_result("weak", 1.0, seed=2), make_result("floor", 0.0, seed=3, floor=True)
    found = make_standings([weak, floor, twin, strong])
    assert found.method == FOLDS
    assert (found.signal, found.floors) == (True, ("floor",))
    tiers = {place.encoder: place.tier for place in found.places}
    assert tiers == {name("strong"): 1, name("twin"): 1, name("weak"): 2}
    ranks = {place.encoder: (place.rank_low, place.rank_high) for place in found.places}
    assert ranks[name("weak")] == (3, 3)
    assert ranks[name("strong")] == ranks[name("twin")] == (1, 2)
    assert found.detectable is not None
    assert 0 < found.detectable < 0.3


def test_where_no_encoder_beats_the_floor_none_is_ranked(make_result: Make) -> None:
    found = make_standings([make_result("a", 0.05), make_result("f", 0.0, seed=1, floor=True)])
    assert found.signal is False
    assert found.places == ()


def test_without_a_floor_there_is_no_signal_and_none_is_ranked(make_result: Make) -> None:
    found = make_standings([make_result("a", 2.0)])
    assert (found.signal, found.floors, found.pairs, found.detectable) == (None, (), (), None)
    assert (found.places, found.encoders) == ((), 1)
    assert make_standings([make_result("f", 1.0, floor=True)]).encoders == 0


def test_only_the_declared_head_is_ranked(make_result: Make) -> None:
    other = replace(make_result("best", 4.0), head="mean-logreg")
    floor = make_result("floor", 0.0, seed=3, floor=True)
    found = make_standings([make_result("a", 2.0), other, floor])
    assert [place.encoder for place in found.places] == [name("a")]


def test_an_encoder_must_beat_every_floor(make_result: Make) -> None:
    """It beats one clearly, and the other is as good: that is no signal."""
    easy = make_result("easy", 0.0, seed=3, floor=True)
    hard = make_result("hard", 2.0, seed=4, floor=True)
    encoder = make_result("a", 2.0)
    assert make_standings([encoder, easy]).signal is True
    found = make_standings([encoder, easy, hard])
    assert (found.signal, found.places) == (False, ())
    [pair] = found.against_floors
    assert (pair.one, pair.other) == (name("a"), name("hard"))


def test_a_random_network_counts_under_the_declared_head_alone(make_result: Make) -> None:
    """The best of its many heads would be no fair bar."""
    own = make_result("random", 0.0, seed=3, floor=True)
    lucky = make_result("lucky", 2.0, seed=4, floor=True, gates=False, head="knn")
    found = make_standings([make_result("a", 2.0), own, lucky])
    assert found.signal is True
    assert found.floors == ("random",)


def test_a_result_with_other_truths_is_not_compared(make_result: Make) -> None:
    new = make_result("new", 2.0, created="2026-02-01T00:00:00Z")
    old = make_result("old", 2.0)
    path = Path(old.path).with_name("old.predictions.parquet")
    table = pyarrow.parquet.read_table(path)
    place = table.column_names.index("truth")
    turned = pa.array([1 - value for value in table["truth"].to_pylist()])
    pyarrow.parquet.write_table(table.set_column(place, "truth", turned), path)
    found = make_standings([old, new])
    assert found.pairs == ()
    assert "old, abmil: not compared; unit p" in found.notes[-1]
    assert "has another label there than in the result of new" in found.notes[-1]


def test_pairs_are_compared_on_the_units_of_both(make_result: Make) -> None:
    whole, part = make_result("whole", 2.0), make_result("part", 2.0, lost=10)
    found = make_standings([whole, part])
    assert found.pairs[0].difference.value == 0, "the same scores of the same units"
    assert found.notes == (
        "part lacks 10 of 100 units; each pair is compared on the units of both",
    )


@pytest.mark.parametrize("target", ["multiclass", "ordinal", "survival"])
def test_truth_comes_back_as_metrics_take_it(
    tmp_path: Path, make_result: Make, target: str
) -> None:
    outputs = {
        "multiclass": ("I", "II", "III"),
        "ordinal": (">=II", ">=III"),
        "survival": ("risk",),
    }
    truth = {
        "multiclass": [[0, 0, 1], [1, 0, 0]], "ordinal": [[1, 1], [1, 0]], "survival": [[1], [0]]
    }[target]  # fmt: skip
    rows = [
        {"repeat": 0, "fold": 0, "seed": 0, "draw": 0, "unit": unit,
         "patient_id": f"p{unit}", "label": label,
         "truth": float(truth[place][k]), "time": 3.5 + place,
         "score": 10.0 * place + k}
        for k, label in enumerate(outputs[target])
        for place, unit in enumerate(("b", "a"))
    ]  # fmt: skip
    result = replace(make_result("x", 1.0), target=target, outputs=outputs[target])
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "x.predictions.parquet")
    predictions = read_predictions(result)[HeadKey(0, 0, 0)]
    assert predictions.units == ("a", "b")
    assert predictions.patients == ("pa", "pb")
    expected = {
        "multiclass": [[0], [2]], "ordinal": [[1], [2]], "survival": [[4.5, 0], [3.5, 1]]
    }[target]  # fmt: skip
    np.testing.assert_array_equal(predictions.truth, expected)
    np.testing.assert_array_equal(predictions.scores[:, 0], [10, 0])


def test_a_result_without_predictions_is_named_and_not_compared(
    make_result: Make, tmp_path: Path
) -> None:
    one, other = make_result("a", 1.0), make_result("b", 2.0)
    (tmp_path / "a.predictions.parquet").unlink()
    found = make_standings([one, other, make_result("floor", 0.0, seed=3, floor=True)])
    assert [place.encoder for place in found.places] == [name("b")]
    assert found.notes == ("a, abmil: not compared; there are no predictions next to the result",)


@pytest.mark.parametrize("damage", ["other columns", "cut short"])
def test_damaged_predictions_stop_no_other(make_result: Make, tmp_path: Path, damage: str) -> None:
    one, other = make_result("a", 1.0), make_result("b", 2.0)
    path = tmp_path / "a.predictions.parquet"
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        pyarrow.parquet.write_table(pa.table({"x": [1]}), path)
    found = make_standings([one, other, make_result("floor", 0.0, seed=3, floor=True)])
    assert [place.encoder for place in found.places] == [name("b")]
    [note] = found.notes
    assert note.startswith(f"a, abmil: not compared; {path}: not predictions of this clearbench")


def test_missing_predictions_are_named(make_result: Make, tmp_path: Path) -> None:
    one = make_result("a", 1.0)
    (tmp_path / "a.predictions.parquet").unlink()
    found = make_standings([one, make_result("floor", 0.0, floor=True)])
    assert (found.encoders, found.signal) == (0, None)
    assert found.notes == ("a, abmil: not compared; there are no predictions next to the result",)
