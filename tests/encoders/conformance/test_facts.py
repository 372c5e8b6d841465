from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import clearbench.encoders.encoder as encoder_module
from clearbench.encoders.card import InputFacts
from clearbench.encoders.conformance.findings import CheckResult, Conformance
from clearbench.encoders.inputs.preprocess import prepare

CheckNetwork = Callable[..., Conformance]


def only(found: Conformance) -> CheckResult:
    [finding] = found.findings
    return finding


def test_a_slice_that_is_stretched_is_found(
    check_network: CheckNetwork, honest: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stretched(pixels: Tensor, *more: Any) -> Tensor:
        side = max(pixels.shape[-2:])
        square = functional.interpolate(pixels[None].float(), size=(side, side))[0]
        return prepare(square, *more)

    monkeypatch.setattr(encoder_module, "prepare", stretched)
    found = check_network(honest, only=("padding", "input size"))
    assert {one.check: one.status for one in found.findings} == {
        "padding": "fail",
        "input size": "pass",
    }


@pytest.mark.parametrize("spoil", ["resampled", "another mean", "turned"])
def test_a_slice_that_is_not_seen_pixel_for_pixel_is_found(
    check_network: CheckNetwork,
    honest: type[nn.Module],
    monkeypatch: pytest.MonkeyPatch,
    spoil: str,
) -> None:
    def other(
        pixels: Tensor, windows: Any, views: Any, facts: InputFacts, around: None = None
    ) -> Tensor:
        if spoil == "another mean":
            facts = facts.model_copy(update={"mean": (0.5, 0.5, 0.4)})
        if spoil == "turned":
            pixels = pixels.transpose(-1, -2)
        seen = prepare(pixels, windows, views, facts, around)
        return (seen + seen.roll(1, -1)) / 2 if spoil == "resampled" else seen

    monkeypatch.setattr(encoder_module, "prepare", other)
    finding = only(check_network(honest, only=("input size",)))
    assert finding.status == "fail"
    assert finding.measured > 0.01


@pytest.mark.parametrize(
    ("said", "status"),
    [(2.0, "pass"), (2.015, "pass"), (2.09, "warn"), (2.2, "fail"), (20.0, "fail"), (None, "warn")],
)
def test_parameters_are_counted(
    check_network: CheckNetwork, honest: type[nn.Module], said: float | None, status: str
) -> None:
    class Wide(honest):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Parameter(torch.zeros(2_000_000 - self.mix.numel()))

    facts = {"facts": {"parameters_m": said}}
    finding = only(check_network(Wide, facts, only=("parameters",)))
    assert finding.status == status
    assert finding.measured == 2.0


def test_where_memory_cannot_be_told_the_check_is_skipped(
    check_network: CheckNetwork,
    honest: type[nn.Module],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("clearbench.encoders.conformance.environment.PROCESS", tmp_path / "none")
    finding = only(check_network(honest, only=("memory",)))
    assert finding == CheckResult("memory", "skip", "the peak of memory is unknown on this system")
