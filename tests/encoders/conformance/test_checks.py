"""Planted faults are found, by the checks that should find them and by no others."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.encoders.conformance.findings import CheckResult, Conformance

CheckNetwork = Callable[..., Conformance]
Wrap = Callable[[Tensor], Tensor]


def planted(honest: type[nn.Module], spoil: Wrap) -> type[nn.Module]:
    """Return a network whose features are the honest ones, spoilt."""

    class Planted(honest):  # type: ignore[misc,valid-type]
        def forward(self, images: Tensor) -> Tensor:
            return spoil(super().forward(images))

    return Planted


def finding(found: Conformance, check: str) -> CheckResult:
    return next(one for one in found.findings if one.check == check)


def ended(found: Conformance, status: str) -> set[str]:
    return {one.check for one in found.findings if one.status == status}


def test_an_honest_network_passes_every_check(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = check_network(honest)
    assert found.passed
    assert ended(found, "skip") == {"reference", "weights"}
    assert ended(found, "warn") == set()
    assert finding(found, "features").measured == 6
    assert 0.001 < finding(found, "window shift").measured < 1
    assert finding(found, "speed").measured > 0
    assert finding(found, "memory").measured is None or finding(found, "memory").measured > 1


def placed(features: Tensor) -> Tensor:
    return features + torch.arange(len(features))[:, None]


def rounded(features: Tensor) -> Tensor:
    return (features + 100) - 100


SPOILT: dict[str, tuple[Wrap, set[str]]] = {
    "NaN": (lambda x: x * torch.nan, {"finite"}),
    "infinite": (lambda x: x / 0, {"finite"}),
    "blind": (torch.ones_like, {"apart", "window shift"}),
    "neighbours": (lambda x: x + x.mean(0), {"alone"}),
    "batch statistics": (lambda x: functional.batch_norm(x, None, None, training=True), {"alone"}),
    "place in the batch": (placed, {"alone", "order"}),
    "noise": (
        lambda x: x + torch.rand_like(x),
        {"repeat", "fresh load", "alone", "order"},
    ),
    "dropout": (
        lambda x: functional.dropout(x, 0.5, training=True),
        {"repeat", "fresh load", "alone", "order"},
    ),
    "half precision": (rounded, {"bfloat16"}),
    "NaN in half precision": (
        lambda x: x if x.dtype == torch.float32 else x * torch.nan,
        {"bfloat16"},
    ),
    "infinite in half precision": (
        lambda x: x if x.dtype == torch.float32 else x / 0,
        {"bfloat16"},
    ),
}


@pytest.mark.parametrize(("spoil", "expected"), SPOILT.values(), ids=SPOILT)
def test_spoilt_features_are_found(
    check_network: CheckNetwork, honest: type[nn.Module], spoil: Wrap, expected: set[str]
) -> None:
    found = check_network(planted(honest, spoil))
    assert not found.passed
    assert expected <= ended(found, "fail") <= expected | {"bfloat16"}


class Stubborn(nn.Module):
    """A layer that always stays in training mode."""

    def __init__(self, honest: type[nn.Module], layer: nn.Module) -> None:
        super().__init__()
        self.trunk, self.layer = honest(), layer

    def train(self, mode: bool = True) -> "Stubborn":
        super().train(mode)
        self.layer.train()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.layer(self.trunk(images)))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: nn.Dropout(0.5), {"frozen", "repeat", "fresh load", "alone", "order"}),
        (lambda: nn.BatchNorm1d(6), {"frozen", "alone"}),
    ],
    ids=["dropout", "batch norm"],
)
def test_a_layer_left_in_training_mode_is_named(
    check_network: CheckNetwork,
    honest: type[nn.Module],
    layer: Callable[[], nn.Module],
    expected: set[str],
) -> None:
    found = check_network(lambda: Stubborn(honest, layer()))
    assert ended(found, "fail") - {"bfloat16"} == expected
    assert "layer is in training mode" in finding(found, "frozen").sentence


def test_a_state_that_moves_is_found(check_network: CheckNetwork, honest: type[nn.Module]) -> None:
    class Counting(honest):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(images)

    found = check_network(Counting)
    assert ended(found, "fail") == {"frozen"}
    assert finding(found, "frozen").sentence == "calls changes with every batch"


def test_a_wrong_dim_is_one_failed_finding(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = check_network(honest, {"dim": 7})
    assert ended(found, "fail") == {"features"}
    assert "the card has dim = 7" in finding(found, "features").sentence
    assert finding(found, "alone") == CheckResult("alone", "skip", "there are no features")
    assert finding(found, "parameters").status == "pass"


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, KeyError, AttributeError])
def test_a_network_that_stops_is_one_failed_finding(
    check_network: CheckNetwork, honest: type[nn.Module], error: type[Exception]
) -> None:
    def stop(_: Tensor) -> Tensor:
        raise error("no such kernel\nand a long trace")

    found = check_network(planted(honest, stop))
    assert ended(found, "fail") == {"features"}
    sentence = finding(found, "features").sentence
    assert f": the network fails with {error.__name__}: " in sentence
    assert "no such kernel" in sentence


def test_a_network_that_stops_at_a_single_image_fails_that_check_alone(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    def few(features: Tensor) -> Tensor:
        if len(features) < 3:
            raise RuntimeError("needs a crowd")
        return features

    found = check_network(planted(honest, few), only=("features", "alone", "order", "apart"))
    assert ended(found, "fail") == {"alone"}
    assert finding(found, "alone").sentence.endswith("fails with RuntimeError: needs a crowd")


def test_weights_made_without_a_seed_are_found(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    def unseeded() -> nn.Module:
        network = honest()
        network.mix.data += torch.rand_like(network.mix)
        return network

    found = check_network(unseeded, only=("features", "repeat", "fresh load", "alone"))
    assert ended(found, "fail") == {"fresh load"}
    assert "made without a seed" in finding(found, "fresh load").sentence


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_card_may_keep_auto_to_float32(
    check_network: CheckNetwork, honest: type[nn.Module], precision: str
) -> None:
    network, card = planted(honest, rounded), {"precision": precision}
    found = finding(check_network(network, card, only=("bfloat16",)), "bfloat16")
    assert found.measured < 0.999
    assert found.status == ("pass" if precision == "float32" else "fail")
    assert 'precision = "float32"' in found.sentence


def test_random_weights_that_round_badly_are_a_warning(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    """Trained weights may round better or worse; only theirs count."""
    found = check_network(
        planted(honest, rounded), {"source": "none"}, random_weights=True, only=("bfloat16",)
    )
    assert finding(found, "bfloat16").status == "warn"
    assert found.passed


@pytest.mark.parametrize("random", [True, False])
def test_random_weights_that_hardly_see_a_shift_are_a_warning(
    check_network: CheckNetwork, honest: type[nn.Module], random: bool
) -> None:
    def far(features: Tensor) -> Tensor:
        return (features.double() * 4e-6 + 1).float()

    card = {"source": "none"} if random else {}
    network = planted(honest, far)
    found = check_network(network, card, random_weights=random, only=("window shift",))
    assert finding(found, "window shift").status == ("warn" if random else "fail")


def test_slices_that_are_hardly_told_apart_are_a_warning(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = check_network(planted(honest, lambda x: 1000 + 1e-2 * x), only=("apart",))
    assert finding(found, "apart").status == "warn"


def test_checks_run_in_half_precision_too(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = check_network(honest, precision="bfloat16")
    assert found.passed
    assert finding(found, "alone").limit == "≤ 0.02"
    assert finding(found, "bfloat16").measured < 1


@pytest.mark.parametrize(
    "input",
    [
        {"channels": "hu", "default_views": [], "mean": [0.0] * 3, "std": [1000.0] * 3},
        {
            "channels": "stack",
            "views": {"lung": [-1350, 150], "brain": [0, 80], "bone": [-500, 1300]},
            "default_views": [],
        },
        {"views": {"lung": [-1350, 150]}, "default_views": [], "size_px": 96},
    ],
    ids=["raw HU", "stacked windows", "one fixed window"],
)
def test_every_kind_of_input_is_checked(
    check_network: CheckNetwork, honest: type[nn.Module], input: dict[str, Any]
) -> None:
    class Gray(honest):  # type: ignore[misc,valid-type]
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.expand(-1, 3, -1, -1))

    found = check_network(Gray, {"input": input})
    assert found.passed
    assert {"padding", "input size", "window shift"} <= ended(found, "pass")
