from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import clearbench.evaluation.protocol.learning_curve as module
from clearbench.errors import BadRequest
from clearbench.evaluation.protocol.encoder_data import EncoderData, make_encoder_data
from clearbench.evaluation.protocol.learning_curve import (
    SUBSETS,
    _Subset,
    check_training_sizes,
    learning_curve,
    read_training_sizes,
)
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
RECORD = EncoderRecord("e", "f" * 64, 8, ("lung",), "float32", "float32", "w")
N = 90


@pytest.fixture
def data(make_cohort: Make, make_task: Make, make_bags: Make) -> EncoderData:
    """Ninety patients, a third of them positive, in three folds."""
    truth = [float(i % 3 == 0) for i in range(N)]
    task = make_task(split={"folds": 3, "repeats": 1}, head="mean-logreg")
    prepared = prepare_task(task, make_cohort(x=[str(int(v)) for v in truth]))
    order = [int(name[1:]) for name in prepared.units.ids]
    bags = make_bags(truth, shift=4.0)
    return make_encoder_data(prepared, RECORD, prepared.units, tuple(bags[i] for i in order))


def test_more_patients_tell_more(data: EncoderData) -> None:
    steps: list[tuple[int, int]] = []
    few, more, whole = learning_curve(
        data, HeadConfig("mean-logreg"), (8, 32, 0), lambda *step: steps.append(step)
    )
    assert [few.patients, more.patients, whole.patients] == [8, 32, 60]
    assert [few.whole, whole.whole] == [False, True]
    assert few.draws == more.draws == whole.draws >= SUBSETS
    assert few.score.value < whole.score.value
    assert few.spread > 0
    assert whole.score.low <= whole.score.value <= whole.score.high
    assert steps[-1] == (3 * 12, 3 * 12)


def test_small_sets_lie_in_larger_ones_hold_both_classes_and_nobody_tested(
    data: EncoderData,
) -> None:
    fold = data.prepared.folds[0]
    tested = set(fold.test)
    for number in range(10):
        sets = [
            set(module._training_rows(_Subset(fold, number, size), data, number).tolist())
            for size in (8, 16, 32, 0)
        ]
        assert [len(rows) for rows in sets] == [8, 16, 32, 60]
        assert all(small < large for small, large in pairwise(sets))
        assert not tested & {data.units.patients[row] for row in sets[-1]}
        positives = data.units.targets[sorted(sets[0]), 0].sum()
        assert 1 <= positives <= 5
    subsets = [module._training_rows(_Subset(fold, n, 8), data, n).tolist() for n in (0, 1)]
    assert subsets[0] != subsets[1]


def test_a_size_that_no_fold_has_is_refused_with_how_many_there_are(data: EncoderData) -> None:
    folds = data.prepared.folds
    check_training_sizes((8, 59, 0), folds, "t")
    for size in (60, 9999):
        words = f"fractions={size}: t has 60 training patients in its largest fold; ask for fewer"
        with pytest.raises(BadRequest, match=words):
            check_training_sizes((8, size, 0), folds, "t")


def test_a_size_that_features_are_too_few_for_is_left_out(data: EncoderData) -> None:
    points = learning_curve(data, HeadConfig("mean-logreg"), (8, 60, 500))
    assert [point.patients for point in points] == [8]


def test_sizes_are_numbers_of_patients() -> None:
    assert read_training_sizes("all,32, 16,16") == (16, 32, 0)
    for text in ("", "0.5", "4", "-16", "half", "16;32"):
        with pytest.raises(BadRequest, match="fractions="):
            read_training_sizes(text)


def test_a_curve_is_the_same_each_time(data: EncoderData) -> None:
    first = learning_curve(data, HeadConfig("mean-logreg"), (16,))
    again = learning_curve(data, HeadConfig("mean-logreg"), (16,))
    assert np.isclose(first[0].score.value, again[0].score.value)
