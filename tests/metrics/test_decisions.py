import numpy as np

from clearbench.metrics import quadratic_kappa


def test_kappa_counts_errors_by_the_square_of_their_classes() -> None:
    """One error of one stage, then one of two."""
    truth = np.array([0.0, 1.0, 2.0])
    once = quadratic_kappa(truth, np.array([0.0, 1.0, 1.0]), np.ones((1, 3)))[0]
    far = quadratic_kappa(truth, np.array([0.0, 1.0, 0.0]), np.ones((1, 3)))[0]
    # mean squared errors of 1/3 and 4/3, where chance level is 1 and 4/3
    np.testing.assert_allclose([once, far], [2 / 3, 0.0], atol=1e-12)


def test_kappa_is_one_in_agreement_and_nothing_for_one_class_throughout() -> None:
    truth = np.array([0.0, 1.0, 2.0, 2.0])
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 1.0]])
    found = quadratic_kappa(truth, truth, weights)
    assert found[0] == 1.0
    assert np.isnan(found[1])
    one_guess = quadratic_kappa(truth, np.full(4, 1.0), weights)
    np.testing.assert_allclose(one_guess, [0.0, 0.0], atol=1e-12)
