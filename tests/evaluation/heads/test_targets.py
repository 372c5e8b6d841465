import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from clearbench.errors import BadTask
from clearbench.evaluation.heads.targets import (
    class_weights,
    cox_loss,
    head_loss,
    make_targets,
)


def test_an_ordinal_label_becomes_its_cuts() -> None:
    targets = make_targets("ordinal", np.array([0, 2, np.nan, 1.0]), 3)
    assert (targets.output_type, targets.outputs) == ("labels", 2)
    np.testing.assert_array_equal(targets.values, [[0, 0], [1, 1], [np.nan, np.nan], [1, 0]])


@pytest.mark.parametrize(
    ("target", "values", "classes"),
    [
        ("binary", [0, 2.0], 2),
        ("multiclass", [0, 3.0], 3),
        ("ordinal", [0.5, 1], 3),
        ("survival", [[-1.0, 0]], 0),
        ("survival", [1.0, 0], 0),
        ("survival", [[float("nan"), 0]], 0),
        ("survival", [[float("inf"), 1]], 0),
        ("multiclass", [0, float("nan")], 3),
        ("binary", [[1.0, 0]], 2),
        ("ordinal", [[1.0, 0]], 2),
    ],
)
def test_values_of_another_target_are_refused(target: str, values: object, classes: int) -> None:
    with pytest.raises(BadTask, match=f"a {target} target|target={target} "):
        make_targets(target, np.array(values), classes)


@pytest.mark.parametrize(
    "values", [[[5.0, 1], [3, 2]], [[5.0, -1], [3, 1]], [[5.0, float("nan")]], [[1.0, 5], [0, 3]]]
)
def test_an_event_is_0_or_1(values: list[list[float]]) -> None:
    """R's 1 and 2, -1 and 1, unknown events, and swapped columns would turn a risk round."""
    with pytest.raises(BadTask, match=r"events of a survival target are 0 \(censored\) or 1, not"):
        make_targets("survival", np.array(values))


def test_an_unknown_target_is_named_with_the_nearest() -> None:
    with pytest.raises(BadTask, match=r"no target is called 'binry'; did you mean binary\?"):
        make_targets("binry", np.array([0.0, 1.0]))


def test_positives_weigh_more_where_they_are_rare() -> None:
    values = np.array([[1, 1], *[[0, 1]] * 2, [0, 0]], float)
    assert class_weights(make_targets("multilabel", values)).tolist() == pytest.approx([3, 1 / 3])
    known = make_targets("binary", np.array([1, 0, 0, np.nan]))
    assert class_weights(known).tolist() == [2.0]
    none = make_targets("binary", np.array([0, np.nan]))
    assert class_weights(none).tolist() == [1.0]


def test_rare_classes_weigh_more() -> None:
    weights = class_weights(make_targets("multiclass", np.array([0, 0, 0, 1.0]), 3))
    assert weights[:2].tolist() == pytest.approx([4 / 9, 4 / 3])


def test_unknown_labels_count_for_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    truth = torch.tensor([[1.0, float("nan")], [float("nan"), 0.0]])
    loss = head_loss(logits, truth, "labels", torch.ones(2))
    known = functional.binary_cross_entropy_with_logits(
        torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0])
    )
    assert float(loss.detach()) == pytest.approx(float(known))
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]
    nothing = head_loss(
        torch.zeros(1, 1), torch.full((1, 1), float("nan")), "labels", torch.ones(1)
    )
    assert float(nothing) == 0.0


@given(
    times=st.lists(st.integers(0, 6), min_size=1, max_size=9),
    seed=st.integers(0, 999),
)
def test_the_partial_likelihood_is_that_of_the_formula(times: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    risk, event = rng.normal(size=len(times)), rng.integers(0, 2, len(times))
    expected = sum(
        np.log(sum(np.exp(risk[j]) for j in range(len(times)) if times[j] >= times[i])) - risk[i]
        for i in range(len(times))
        if event[i]
    ) / max(event.sum(), 1)
    found = cox_loss(*(torch.tensor(part).double() for part in (risk, times, event)))
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_what_a_unit_truly_has() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 1.0]])
    assert make_targets("multilabel", values).positive.tolist() == [[False, True], [False, True]]
    column = np.array([[2.0], [0.0], [np.nan]])
    cuts = make_targets("ordinal", column, 3).positive
    assert cuts.tolist() == [[True, True], [False, False], [False, False]]
    classes = make_targets("multiclass", column[:2], 3).positive
    assert classes.tolist() == [[False, False, True], [True, False, False]]
    assert not make_targets("survival", np.array([[3.0, 1.0]])).positive.any()
