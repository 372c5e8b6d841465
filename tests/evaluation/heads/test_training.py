from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logit
from scipy.stats import rankdata

import clearbench.evaluation.heads.mil as mil
import clearbench.evaluation.heads.training as module
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.mil import MILClassifier
from clearbench.evaluation.heads.nets.attention import AttentionMIL
from clearbench.evaluation.heads.presets import PRESETS, Preset
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.heads.training import LabelledBags, train_net
from clearbench.metrics import auroc

Make = Callable[..., Any]
TRUTH = np.arange(40) % 2 * 1.0
TRAIN, TUNE, TEST = range(20), range(20, 28), range(28, 40)
QUICK = replace(
    PRESETS["default"],
    steps=12,
    batch_size=8,
    learning_rate=3e-3,
    weight_decay=1e-2,
    networks=2,
    passes=0,
)
STOPPING = replace(QUICK, steps=0, epochs=5, patience=2)


@pytest.fixture
def raw(make_bags: Make) -> list[np.ndarray]:
    """Forty bags; those of odd number hold a few shifted instances."""
    return [bag.features for bag in make_bags(TRUTH.tolist())]


def labelled(bags: BagSet, rows: Any, values: Any = TRUTH) -> LabelledBags:
    targets = make_targets("binary", values)
    return LabelledBags(bags.take(list(rows)), targets.take(np.array(list(rows), int)))


def fit(
    raw: list[np.ndarray], preset: Preset = QUICK, values: Any = TRUTH, seed: int = 0, **of: Any
) -> MILClassifier:
    bags = BagSet.of(raw, **of)
    head = MILClassifier(preset=preset, seed=seed)
    return head.fit_labelled(labelled(bags, TRAIN, values), labelled(bags, TUNE, values))


def predict(raw: list[np.ndarray], *more: Any, seed: int = 0, **of: Any) -> np.ndarray:
    return fit(raw, *more, seed=seed, **of).scores(BagSet.of(raw, **of).take(list(TEST)))


def test_it_learns_which_bags_hold_something(make_bags: Make) -> None:
    strong = [bag.features for bag in make_bags(TRUTH.tolist(), shift=6.0)]
    scores = predict(strong, replace(QUICK, steps=80))
    assert auroc(TRUTH[28:], scores[:, 0], np.ones((1, 12)))[0] > 0.9


@pytest.mark.parametrize("preset", [QUICK, STOPPING, replace(QUICK, most_instances=3)])
def test_the_seed_decides_and_nothing_else(raw: list[np.ndarray], preset: Preset) -> None:
    state = torch.random.get_rng_state()
    first = predict(raw, preset)
    torch.manual_seed(99)
    np.testing.assert_array_equal(first, predict(raw, preset))
    assert not np.allclose(first, predict(raw, preset, seed=1))
    torch.random.set_rng_state(state)
    fit(raw, preset)
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator is untouched"


@pytest.mark.parametrize("preset", [QUICK, STOPPING])
def test_test_units_are_not_looked_at(raw: list[np.ndarray], preset: Preset) -> None:
    """Scores don't depend on other test bags (they move the common centre) or test labels."""
    rng = np.random.default_rng(5)
    wild = [
        *raw[:34],
        *(bag + rng.normal(size=bag.shape).astype(np.float32) for bag in raw[34:]),
    ]
    flipped = np.concatenate([TRUTH[:28], 1 - TRUTH[28:]])
    first, second = predict(raw, preset), predict(wild, preset, flipped)
    np.testing.assert_allclose(first[:6], second[:6], atol=2e-3)
    assert not np.allclose(first[6:], second[6:], atol=2e-3)


def test_features_are_standardised_on_training_slices(raw: list[np.ndarray]) -> None:
    """Scale and place of features do not matter, unless the preset leaves them."""
    moved = [bag * 50 + 7 for bag in raw]
    np.testing.assert_allclose(predict(raw), predict(moved), atol=2e-3)
    plain = replace(QUICK, standardise=False)
    assert not np.allclose(predict(raw, plain), predict(moved, plain), atol=2e-3)
    bags = BagSet.of(raw)
    found = train_net(AttentionMIL, labelled(bags, TRAIN), None, QUICK, 0)
    slices = np.concatenate([raw[row] for row in TRAIN])
    np.testing.assert_allclose(found.moments.mean, slices.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.moments.spread, slices.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("preset", [QUICK, STOPPING, replace(QUICK, most_instances=3)])
def test_bags_too_big_to_be_kept_give_the_same(raw: list[np.ndarray], preset: Preset) -> None:
    for bag in raw:
        bag.flags.writeable = False
    np.testing.assert_array_equal(predict(raw, preset, keep_bytes=0), predict(raw, preset))


def test_bfloat16_gives_nearly_the_same(raw: list[np.ndarray]) -> None:
    rounded = predict(raw, replace(QUICK, steps=60), dtype=torch.bfloat16)
    exact = predict(raw, replace(QUICK, steps=60))
    assert np.abs(rounded - exact).mean() < 0.05
    assert not np.array_equal(rounded, exact)


def test_every_network_of_a_head_starts_from_a_seed_of_its_own(
    raw: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them starts as the network does by which the head is calibrated."""
    begun: list[torch.Tensor] = []

    def spy(dim: int, outputs: int) -> AttentionMIL:
        net = AttentionMIL(dim, outputs)
        begun.append(net.encoder[0].weight.detach().clone())
        return net

    monkeypatch.setattr(mil, "find_net", lambda _name: spy)
    three = replace(QUICK, networks=3, steps=2)
    fit(raw, three)
    fit(raw, three, seed=1)
    # in any order, because networks may be trained at once
    counts = [Counter(each.numpy().tobytes() for each in part) for part in (begun[:4], begun[4:])]
    assert [sorted(count.values()) for count in counts] == [[1, 1, 2], [1, 1, 2]]
    assert not set(counts[0]) & set(counts[1])


def test_a_head_is_the_mean_of_its_networks(raw: list[np.ndarray]) -> None:
    bags = BagSet.of(raw)
    head = fit(raw, replace(QUICK, networks=3))
    found = head.predictions(bags)
    log_odds = [logit(scores) for scores in found.networks]
    assert len(log_odds) == 3
    assert not np.allclose(log_odds[0], log_odds[1])
    np.testing.assert_allclose(np.mean(log_odds, axis=0), logit(found.scores), atol=1e-6)
    assert all(part.sum() == pytest.approx(1) for part in found.attention)
    [alone] = fit(raw, replace(QUICK, networks=1)).predictions(bags).networks
    np.testing.assert_array_equal(rankdata(alone), rankdata(found.networks[0]))


def test_early_stopping_restores_a_copy_of_the_best_epoch(
    raw: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are made up; the weights at each epoch's end are written down."""
    losses = iter([5.0, 2.0, 3.0, 4.0, 0.0])
    weights: list[torch.Tensor] = []

    def scripted(trained: Any, *_: Any) -> float:
        weights.append(trained.net.encoder[0].weight.detach().clone())
        return next(losses)

    monkeypatch.setattr(module, "loss_on", scripted)
    bags = BagSet.of(raw)
    found = train_net(
        AttentionMIL,
        labelled(bags, TRAIN),
        labelled(bags, TUNE),
        replace(STOPPING, learning_rate=1e-2, weight_decay=0.0),
        0,
    )
    assert len(weights) == 4, "two epochs without progress end it"
    assert torch.equal(found.net.encoder[0].weight, weights[1])
    assert not torch.equal(weights[1], weights[3])
    assert not found.net.training


def test_networks_learn_from_tuning_bags_at_last_unless_they_stop_early(
    raw: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One network more, trained without the tuning bags, calibrates."""
    trained: list[tuple[list[int], bool]] = []
    real = train_net

    def spy(make: Any, given: LabelledBags, watch: Any, *rest: Any) -> Any:
        trained.append((given.bags.rows.tolist(), watch is not None))
        return real(make, given, watch, *rest)

    monkeypatch.setattr(mil, "train_net", spy)
    fit(raw, QUICK)
    # in any order, because networks may be trained at once
    assert sorted(trained) == sorted([(list(TRAIN), False), *[([*TRAIN, *TUNE], False)] * 2])
    trained.clear()
    fit(raw, STOPPING)
    assert trained == [(list(TRAIN), True)] * 2


def test_without_tuning_bags_networks_train_and_no_slope_is_fitted(raw: list[np.ndarray]) -> None:
    bags = BagSet.of(raw)
    for preset in (QUICK, STOPPING):
        head = MILClassifier(preset=preset)
        head.fit_labelled(labelled(bags, TRAIN), labelled(bags, []))
        assert head.calibration_.slope.tolist() == [1.0]
        assert np.isfinite(head.scores(bags)).all()


def test_the_papers_preset_trains_on_draws_and_scores_whole_bags(
    raw: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training sees at most 4 instances a bag (512 in the paper's), scoring all of them."""
    sizes: list[tuple[int, bool]] = []
    real = AttentionMIL.forward

    def spy(head: Any, bags: Any, mask: Any = None) -> Any:
        sizes.append((int(mask.sum(dim=1).max()), head.training))
        return real(head, bags, mask)

    monkeypatch.setattr(AttentionMIL, "forward", spy)
    head = fit(raw, replace(PRESETS["clear"], epochs=3, most_instances=4))
    assert {size for size, training in sizes if training} == {4}
    assert max(size for size, training in sizes if not training) > 4
    bags = BagSet.of(raw).take(list(TEST))
    assert [len(w) for w in head.attention(bags)] == bags.lengths.tolist()


def test_every_unit_is_seen_before_any_is_seen_twice(raw: list[np.ndarray]) -> None:
    loop = module._TrainingLoop(
        None, None, labelled(BagSet.of(raw), TRAIN), torch.ones(1), QUICK, np.random.default_rng(0)  # type: ignore[arg-type]
    )  # fmt: skip
    batches = list(loop._batches(5))
    assert [len(batch) for batch in batches] == [8] * 5
    flat = [unit for batch in batches for unit in batch]
    assert sorted(flat[:20]) == sorted(flat[20:40]) == list(range(20))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_nearly_the_same(raw: list[np.ndarray]) -> None:
    there = predict(raw, replace(QUICK, steps=60), device="cuda")
    here = predict(raw, replace(QUICK, steps=60))
    assert np.abs(there - here).mean() < 0.1
