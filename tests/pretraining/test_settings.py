"""Schedules of a pretraining, and values that are refused by name."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from clearbench.errors import BadRequest
from clearbench.pretraining.settings import PretrainSettings, lr_at, momentum_at

PAPER = PretrainSettings()
SMALL = PretrainSettings(batch_size=8)


def test_the_defaults_are_those_of_the_released_code() -> None:
    assert (PAPER.epochs, PAPER.batch_size, PAPER.warmup_epochs) == (100, 256, 10)
    assert (PAPER.lr, PAPER.weight_decay) == (1e-4, 1e-6)
    assert (PAPER.temperature, PAPER.momentum) == (1.0, 0.99)
    assert (PAPER.hidden, PAPER.projection) == (4096, 256)


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 0), (2.5, 0.25e-4), (10, 1e-4), (55, 0.5e-4), (100, 0)]
)
def test_the_learning_rate_warms_up_and_falls_along_a_cosine(epoch: float, lr: float) -> None:
    assert lr_at(PAPER, epoch) == pytest.approx(lr, abs=1e-12)


def test_the_learning_rate_rises_once_and_falls_once() -> None:
    rates = [lr_at(PAPER, step / 10) for step in range(1001)]
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert lr_at(PAPER, 10 - 1e-6) == pytest.approx(lr_at(PAPER, 10), rel=1e-5)


@pytest.mark.parametrize("batch_size", [8, 256, 1024])
def test_the_learning_rate_scales_with_the_batch(batch_size: int) -> None:
    settings = replace(PAPER, batch_size=batch_size)
    assert lr_at(settings, 30) == pytest.approx(lr_at(PAPER, 30) * batch_size / 256)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    settings = replace(PAPER, warmup_epochs=0)
    assert lr_at(settings, 0) == 1e-4
    assert lr_at(settings, 100) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("warmup", [3, 10])
def test_a_warm_up_as_long_as_the_training_only_rises(warmup: float) -> None:
    settings = replace(PAPER, epochs=3, warmup_epochs=warmup)
    rates = [lr_at(settings, epoch) for epoch in (0, 1, 2, 3)]
    assert rates == pytest.approx([0, 1e-4 / 3, 2e-4 / 3, 1e-4])


def test_momentum_follows_half_a_cosine_up_to_1() -> None:
    found = [momentum_at(PAPER, epoch) for epoch in (0, 25, 50, 100)]
    assert found == pytest.approx([0.99, 0.99146447, 0.995, 1.0])
    constant = replace(PAPER, momentum_schedule="constant")
    assert {momentum_at(constant, epoch) for epoch in (0, 50, 99.9)} == {0.99}


def test_sound_values_are_served() -> None:
    PAPER.check(slices=256, world=4)
    SMALL.check(slices=1000, world=1)
    zeros = {"weight_decay": 0.0, "lesion_weight": 0.0, "warmup_epochs": 0, "clip": 0.0}
    replace(SMALL, momentum=0.0, **zeros).check(slices=8, world=4)  # type: ignore[arg-type]
    PAPER.check()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"epochs": 0}, r"epochs=0: must be above 0"),
        ({"batch_size": -8}, r"batch_size=-8: must be above 0"),
        ({"lr": 0.0}, r"lr=0.0: must be above 0"),
        ({"lr": float("nan")}, r"lr=nan: must be above 0"),
        ({"temperature": 0.0}, r"temperature=0.0: must be above 0"),
        ({"hidden": 0}, r"hidden=0: must be above 0"),
        ({"projection": -1}, r"projection=-1: must be above 0"),
        ({"weight_decay": -1e-6}, r"weight_decay=-1e-06: must be at least 0"),
        ({"lesion_weight": -1.0}, r"lesion_weight=-1.0: must be at least 0"),
        ({"lesion_weight": float("nan")}, r"lesion_weight=nan: must be at least 0"),
        ({"warmup_epochs": -1}, r"warmup_epochs=-1: must be at least 0"),
        ({"clip": -0.5}, r"clip=-0.5: must be at least 0"),
        ({"momentum": 1.0}, r"momentum=1.0: must be at least 0 and below 1"),
        ({"momentum": -0.1}, r"momentum=-0.1: must be at least 0"),
        ({"negatives": "other"}, r"negatives='other': must be one of all, other-patients"),
        ({"lambda_placement": "x"}, r"lambda_placement='x': must be one of inside, outside"),
        ({"augment": "x"}, r"augment='x': must be one of clear, ct"),
        (
            {"momentum_schedule": "linear"},
            r"momentum_schedule='linear': must be one of constant, cos",
        ),
        ({"precision": "fp16"}, r"precision='fp16': must be one of float32, bfloat16, float16"),
    ],
)
def test_other_values_are_refused_by_their_name(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        replace(SMALL, **facts).check(slices=100, world=1)


@pytest.mark.parametrize(
    ("batch_size", "slices", "world", "said"),
    [
        (8, 100, 3, r"batch_size=8: must be a multiple of 3"),
        (4, 100, 4, r"batch_size=4: must be at least two slices per process"),
        (1, 100, 1, r"batch_size=1: must be at least two slices per process"),
        (256, 100, 1, r"batch_size=256: must be at most 100, the number of training slices"),
    ],
)
def test_a_batch_must_suit_slices_and_processes(
    batch_size: int, slices: int, world: int, said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        PretrainSettings(batch_size=batch_size).check(slices, world)


def test_an_earlier_run_is_compared_by_setting() -> None:
    assert SMALL.differs(asdict(SMALL)) == []
    earlier = asdict(replace(SMALL, lr=0.5, lesion_weight=2.0, others_per_lesion=3.0))
    assert SMALL.differs(earlier) == [
        "lr = 0.5",
        "lesion_weight = 2.0",
        "others_per_lesion = 3.0",
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"others_per_lesion": -1.0}, r"others_per_lesion=-1.0: must be at least 0"),
        ({"others_per_lesion": float("nan")}, r"others_per_lesion=nan: must be at least 0"),
        ({"seed": -1}, r"seed=-1: must be at least 0"),
        ({"lr": float("inf")}, r"lr=inf: must be above 0, and finite"),
    ],
)
def test_thinning_needs_valid_numbers(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        replace(SMALL, **facts).check(slices=100, world=1)
