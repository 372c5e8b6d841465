import numpy as np
import pytest
from scipy.special import expit

from clearbench.metrics.calibration_line import calibration_line


def test_it_finds_the_line_of_the_simulation() -> None:
    """Stated probabilities whose logit is twice as bold and one too high."""
    rng = np.random.default_rng(0)
    logit = rng.normal(size=50_000)
    truth = (rng.random(50_000) < expit(logit)) * 1.0
    line = calibration_line(truth, expit(2 * logit + 1))
    assert line.slope == pytest.approx(0.5, abs=0.02)
    assert line.intercept == pytest.approx(-0.5, abs=0.03)


def test_the_likelihood_is_flat_at_the_line() -> None:
    """The two score equations of logistic regression, for a sample small enough to be noisy."""
    rng = np.random.default_rng(1)
    score = rng.random(40)
    truth = (rng.random(40) < 0.4) * 1.0
    line = calibration_line(truth, score)
    logit = np.log(score / (1 - score))
    rest = truth - expit(line.intercept + line.slope * logit)
    assert rest.sum() == pytest.approx(0, abs=1e-6)
    assert (rest * logit).sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "score"),
    [
        ([1.0, 1.0, 1.0], [0.2, 0.5, 0.9]),
        ([0.0, 1.0, 1.0], [0.4, 0.4, 0.4]),
        ([0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.7, 1.0]),
        ([0.0, 0.0, 1.0, 1.0], [0.9, 0.5, 0.5, 0.0]),
    ],
    ids=["one class", "one score", "separated", "separated the wrong way, touching"],
)
def test_where_there_is_no_line_it_says_so(truth: list[float], score: list[float]) -> None:
    line = calibration_line(np.array(truth), np.array(score))
    assert np.isnan([line.intercept, line.slope]).all()
