from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import clearbench.evaluation.training as module
from clearbench.evaluation.bags import Bag
from clearbench.evaluation.metrics import auroc
from clearbench.evaluation.presets import PRESETS, Preset
from clearbench.evaluation.training import Rows, Targets, fit_attention, head_loss

Make = Callable[..., Any]
CPU = torch.device("cpu")
TRUTH = [float(i % 2) for i in range(40)]
ROWS = Rows(tuple(range(20)), tuple(range(20, 28)), tuple(range(28, 40)))
QUICK = replace(
    PRESETS["default"], steps=12, batch_size=8, learning_rates=(3e-3,), weight_decays=(1e-2,)
)
STOPPING = replace(QUICK, early_stop_from=0, epochs=5, patience=2)


def targets(values: Any, *, multiclass: bool = False, outputs: int = 1) -> Targets:
    return Targets(np.array(values, float).reshape(len(values), -1), multiclass, outputs)


def fit(bags: Any, preset: Preset = QUICK, values: Any = TRUTH, seed: int = 0) -> Any:
    return fit_attention(bags, targets(values), ROWS, preset, seed, CPU)


def test_it_learns_which_bags_hold_something(make_bags: Make) -> None:
    scored = fit(make_bags(TRUTH, shift=6.0), replace(QUICK, steps=80))
    truth = np.array(TRUTH)[list(ROWS.test)]
    assert auroc(truth, scored.scores[:, 0], np.ones((1, 12)))[0] > 0.9


def test_it_answers_for_the_test_units(make_bags: Make) -> None:
    bags = make_bags(TRUTH)
    scored = fit(bags)
    assert scored.scores.shape == (12, 1)
    assert ((scored.scores > 0) & (scored.scores < 1)).all()
    assert scored.settings == {"learning_rate": 3e-3, "weight_decay": 1e-2}
    for row, weights in zip(ROWS.test, scored.attention, strict=True):
        assert len(weights) == len(bags[row].features)
        assert weights.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("preset", [QUICK, STOPPING, replace(QUICK, most_instances=3)])
def test_the_seed_decides_and_nothing_else(make_bags: Make, preset: Preset) -> None:
    bags = make_bags(TRUTH)
    state = torch.random.get_rng_state()
    first = fit(bags, preset).scores
    torch.manual_seed(99)
    second = fit(bags, preset).scores
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, fit(bags, preset, seed=1).scores)
    torch.random.set_rng_state(state)
    fit(bags, preset)
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's chance is untouched"


@pytest.mark.parametrize("preset", [QUICK, STOPPING])
def test_test_units_are_not_looked_at(make_bags: Make, preset: Preset) -> None:
    """Wild test bags and flipped test labels change neither training nor standardisation."""
    bags = make_bags(TRUTH)
    wild = [*bags[:34], *make_bags([1e3] * 6, shift=1e3, seed=5)]
    flipped = [*TRUTH[:28], *(1 - v for v in TRUTH[28:])]
    first, second = fit(bags, preset), fit(wild, preset, flipped)
    np.testing.assert_allclose(first.scores[:6], second.scores[:6], rtol=1e-5)
    assert not np.allclose(first.scores[6:], second.scores[6:])


def test_features_are_standardised_on_training_slices(make_bags: Make) -> None:
    bags = make_bags(TRUTH)
    data = module._standardised(bags, targets(TRUTH), ROWS.train, QUICK, CPU)
    slices = torch.cat([data.instances(row) for row in ROWS.train])
    torch.testing.assert_close(slices.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(slices.std(dim=0, correction=0), torch.ones(8), atol=1e-4, rtol=0)
    outside = torch.cat([data.instances(row) for row in ROWS.test])
    assert outside.mean(dim=0).abs().max() > 1e-3


def test_scale_and_place_of_features_do_not_matter(make_bags: Make) -> None:
    bags = make_bags(TRUTH)
    moved = [replace(bag, features=bag.features * 50 + 7) for bag in bags]
    np.testing.assert_allclose(fit(bags).scores, fit(moved).scores, atol=2e-3)
    plain = replace(QUICK, standardise=False)
    assert not np.allclose(fit(bags, plain).scores, fit(moved, plain).scores, atol=2e-3)


@pytest.mark.parametrize("preset", [QUICK, STOPPING, replace(QUICK, most_instances=3)])
def test_bags_too_big_to_be_kept_give_the_same(
    make_bags: Make, monkeypatch: pytest.MonkeyPatch, preset: Preset
) -> None:
    bags = make_bags(TRUTH)
    for bag in bags:
        bag.features.flags.writeable = False
    kept = fit(bags, preset)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    np.testing.assert_array_equal(fit(bags, preset).scores, kept.scores)


def test_a_new_head_is_made_for_every_trial_and_fold(
    make_bags: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each head begins as the seed says, none where another ended."""
    begun: list[torch.Tensor] = []
    real = module.AttentionMIL

    def spy(*sizes: int) -> Any:
        head = real(*sizes)
        begun.append(head.encoder[0].weight.detach().clone())
        return head

    monkeypatch.setattr(module, "AttentionMIL", spy)
    grid = replace(QUICK, learning_rates=(1e-3, 1e-2), weight_decays=(0.0, 0.1), steps=2)
    fit(make_bags(TRUTH), grid)
    fit(make_bags(TRUTH), grid, seed=1)
    assert len(begun) == 10
    assert all(torch.equal(begun[0], weight) for weight in begun[:5])
    assert all(torch.equal(begun[5], weight) for weight in begun[5:])
    assert not torch.equal(begun[0], begun[5])


def test_the_best_settings_are_taken(make_bags: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 1.0, 2.0, 4.0])

    def scripted(_head: Any, _data: Any, rows: Any, _weights: Any) -> float:
        assert rows == ROWS.tune
        return next(losses)

    monkeypatch.setattr(module, "_loss_on", scripted)
    grid = replace(QUICK, learning_rates=(1e-3, 1e-2), weight_decays=(0.0, 0.1), steps=1)
    scored = fit(make_bags(TRUTH), grid)
    assert scored.settings == {"learning_rate": 1e-3, "weight_decay": 0.1}


def test_early_stopping_restores_a_copy_of_the_best_epoch(
    make_bags: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are made up; the weights at each epoch's end are written down."""
    losses = iter([5.0, 2.0, 3.0, 4.0, 0.0])
    weights: list[torch.Tensor] = []

    def scripted(head: Any, *_: Any) -> float:
        weights.append(head.encoder[0].weight.detach().clone())
        return next(losses)

    monkeypatch.setattr(module, "_loss_on", scripted)
    data = module._standardised(make_bags(TRUTH), targets(TRUTH), ROWS.train, STOPPING, CPU)
    settings = module._Settings(1e-2, 0.0)
    head = module._train(data, ROWS.train, ROWS.tune, STOPPING, settings, 0)
    assert len(weights) == 4, "two epochs without progress end it"
    assert torch.equal(head.encoder[0].weight, weights[1])
    assert not torch.equal(weights[1], weights[3])
    assert not head.training


def test_small_folds_do_not_stop_early(make_bags: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("watched")

    monkeypatch.setattr(module, "_train_watched", refuse)
    bags = make_bags(TRUTH)
    fit(bags, replace(QUICK, early_stop_from=29))
    with pytest.raises(AssertionError, match="watched"):
        fit(bags, replace(QUICK, early_stop_from=28))


def test_without_early_stopping_tuning_units_train_at_last(
    make_bags: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[int, ...]] = []
    real = module._train

    def spy(data: Any, train: Any, *rest: Any) -> Any:
        trained.append(tuple(train))
        return real(data, train, *rest)

    monkeypatch.setattr(module, "_train", spy)
    fit(make_bags(TRUTH))
    assert trained == [ROWS.train, (*ROWS.train, *ROWS.tune)]


def test_the_papers_preset_trains_and_scores_whole_bags(
    make_bags: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training sees at most 4 instances a bag (512 in the paper's), scoring all of them."""
    sizes: list[tuple[int, bool]] = []
    real = module.AttentionMIL.forward

    def spy(head: Any, bags: Any, mask: Any = None) -> Any:
        sizes.append((int(mask.sum(dim=1).max()), head.training))
        return real(head, bags, mask)

    monkeypatch.setattr(module.AttentionMIL, "forward", spy)
    bags = make_bags(TRUTH)
    scored = fit(bags, replace(PRESETS["clear"], epochs=3, most_instances=4))
    assert {size for size, training in sizes if training} == {4}
    assert max(size for size, training in sizes if not training) > 4
    test_bags = [bags[row] for row in ROWS.test]
    assert [len(w) for w in scored.attention] == [len(bag.features) for bag in test_bags]


def test_every_unit_is_seen_before_any_is_seen_twice(make_bags: Make) -> None:
    data = module._standardised(make_bags(TRUTH), targets(TRUTH), ROWS.train, QUICK, CPU)
    lesson = module._Lesson(
        None, None, data, tuple(range(20)), torch.ones(1), QUICK, np.random.default_rng(0)  # type: ignore[arg-type]
    )  # fmt: skip
    batches = list(lesson._batches(5))
    assert [len(batch) for batch in batches] == [8] * 5
    flat = [unit for batch in batches for unit in batch]
    assert sorted(flat[:20]) == sorted(flat[20:40]) == list(range(20))


def test_positives_weigh_more_where_they_are_rare() -> None:
    values = np.array([[1, 1], *[[0, 1]] * 2, [0, 0]], float)
    weights = module._class_weights(Targets(values, False, 2), range(4), CPU)
    assert weights.tolist() == pytest.approx([3.0, 1 / 3])
    truth = torch.tensor([[1.0]])
    logits = torch.tensor([[0.3]])
    rare = head_loss(logits, truth, False, torch.tensor([3.0]))
    plain = functional.binary_cross_entropy_with_logits(logits, truth)
    assert float(rare) == pytest.approx(3 * float(plain))


def test_weights_come_from_training_units_that_know() -> None:
    values = np.array([[1], [0], [0], [np.nan], [0]], float)
    weights = module._class_weights(Targets(values, False, 1), [0, 1, 2, 3], CPU)
    assert weights.tolist() == [2.0]
    none = module._class_weights(Targets(values, False, 1), [1, 3], CPU)
    assert none.tolist() == [1.0]


def test_rare_classes_weigh_more() -> None:
    values = np.array([[0], [0], [0], [1]], float)
    weights = module._class_weights(Targets(values, True, 3), range(4), CPU)
    assert weights[:2].tolist() == pytest.approx([4 / 9, 4 / 3])


def test_unknown_labels_count_for_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    truth = torch.tensor([[1.0, float("nan")], [float("nan"), 0.0]])
    loss = head_loss(logits, truth, False, torch.ones(2))
    known = functional.binary_cross_entropy_with_logits(
        torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0])
    )
    assert float(loss.detach()) == pytest.approx(float(known))
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]
    nothing = head_loss(torch.zeros(1, 1), torch.full((1, 1), float("nan")), False, torch.ones(1))
    assert float(nothing) == 0.0


def test_classes_and_many_labels_are_scored(make_bags: Make) -> None:
    classes = [float(i % 3) for i in range(40)]
    bags = make_bags(classes)
    scored = fit_attention(bags, targets(classes, multiclass=True, outputs=3), ROWS, QUICK, 0, CPU)
    np.testing.assert_allclose(scored.scores.sum(axis=1), 1, rtol=1e-5)
    values = np.stack([TRUTH, np.full(40, np.nan)], axis=1)
    scored = fit_attention(bags, targets(values, outputs=2), ROWS, QUICK, 0, CPU)
    assert scored.scores.shape == (12, 2)
    assert np.isfinite(scored.scores).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_nearly_the_same(make_bags: Make) -> None:
    bags: list[Bag] = make_bags(TRUTH)
    here = fit(bags)
    there = fit_attention(bags, targets(TRUTH), ROWS, QUICK, 0, torch.device("cuda"))
    assert there.scores.shape == here.scores.shape
    assert np.isfinite(there.scores).all()
