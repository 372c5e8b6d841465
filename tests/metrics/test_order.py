import numpy as np
import pytest

from clearbench.metrics import sensitivity_at


@pytest.mark.parametrize(("alarms", "expected"), [(0, 0.75), (1, 0.75), (2, 0.5)])
def test_one_false_alarm_in_twenty_is_still_95_percent(alarms: int, expected: float) -> None:
    """Of 4 positives 2 are above all others, the third just under the false alarms."""
    truth = np.r_[np.ones(4), np.zeros(20)]
    score = np.r_[0.9, 0.9, 0.6, 0.1, np.full(20, 0.3)]
    score[4 : 4 + alarms] = 0.7
    assert sensitivity_at(truth, score, np.ones((1, 24)))[0] == expected


def test_a_threshold_takes_all_of_its_ties_or_none() -> None:
    truth = np.r_[np.ones(4), np.zeros(20)]
    score = np.r_[0.9, 0.5, 0.5, 0.5, np.full(2, 0.5), np.full(18, 0.1)]
    assert sensitivity_at(truth, score, np.ones((1, 24)))[0] == 0.25


def test_it_may_be_nothing() -> None:
    truth, score = np.r_[np.ones(2), np.zeros(4)], np.r_[0.1, 0.2, np.full(4, 0.9)]
    assert sensitivity_at(truth, score, np.ones((1, 6)))[0] == 0.0
