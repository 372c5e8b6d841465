"""Pixels that the network never sees are named, unless the card states them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearbench.encoders.conformance.findings import CheckResult, Conformance
from clearbench.encoders.conformance.suite import check_encoder

CheckNetwork = Callable[..., Conformance]
VOLUME = str(Path(__file__).parents[2] / "cards" / "tiny-volume.toml")


def cut(honest: type[nn.Module], rows: slice, columns: slice) -> type[nn.Module]:
    """Return a network that takes only some rows and columns of the image."""

    class Cut(honest):  # type: ignore[misc,valid-type]
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images[..., rows, columns])

    return Cut


def only(found: Conformance) -> CheckResult:
    [finding] = found.findings
    return finding


def borders(check_network: CheckNetwork, network: Any, **options: Any) -> CheckResult:
    return only(check_network(network, only=("borders",), **options))


@pytest.mark.parametrize(
    ("rows", "columns", "words", "stated"),
    [
        (slice(0, -8), slice(0, -8), "the last 8 rows and columns", [0, 8, 0, 8]),
        (slice(0, -1), slice(None), "the last row", [0, 1, 0, 0]),
        (slice(2, None), slice(0, -3), "the first 2 rows and the last 3 columns", [2, 0, 0, 3]),
        (slice(4, -4), slice(4, -4), "the first 4 rows and columns and the last 4", [4, 4, 4, 4]),
    ],
    ids=["patches", "one row", "two sides", "a crop"],
)
def test_pixels_that_are_never_seen_are_named(
    check_network: CheckNetwork,
    honest: type[nn.Module],
    rows: slice,
    columns: slice,
    words: str,
    stated: list[int],
) -> None:
    network = cut(honest, rows, columns)
    found = borders(check_network, network)
    assert found.status == "fail"
    assert found.sentence.startswith(words)
    assert "change nothing: the network never sees them" in found.sentence
    assert f"unseen_px = {stated}" in found.sentence
    assert found.measured == sum(stated)
    said = borders(check_network, network, card={"input": {"unseen_px": stated}})
    assert said.status == "pass"
    assert said.sentence.startswith(f"note: {words}")


def test_a_card_that_states_what_isnt_so_fails(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    found = borders(check_network, honest, card={"input": {"unseen_px": [0, 8, 0, 8]}})
    assert found.status == "fail"
    assert (
        "the card states that the last 8 rows and columns change nothing; they do" in found.sentence
    )
    part = cut(honest, slice(0, -4), slice(0, -8))
    found = borders(check_network, part, card={"input": {"unseen_px": [0, 8, 0, 8]}})
    assert found.status == "fail"


class Weak(nn.Module):
    """The mean of all pixels, in which the last rows weigh one part in a hundred million."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.ones(32)
        weights[-4:] = 1e-8
        self.weights = nn.Parameter(weights)
        self.mix = nn.Linear(3, 6)
        nn.init.ones_(self.mix.weight)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.mean(-1)
        return torch.as_tensor(self.mix((rows * self.weights).sum(-1)))


def test_a_border_that_hardly_counts_is_seen(check_network: CheckNetwork) -> None:
    assert borders(check_network, Weak).status == "pass"


def test_a_border_under_a_mask_is_never_seen_with_the_cards_weights(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    """With new weights, zeros may come from how layers begin, and training ends them."""

    class Masked(honest):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__()
            mask = torch.ones(32, 32)
            mask[-5:] = 0
            self.register_buffer("mask", mask)

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * self.mask)

    found = borders(check_network, Masked)
    assert found.status == "fail"
    assert "the last 5 rows change nothing" in found.sentence
    new = borders(check_network, Masked, card={"source": "none"}, random_weights=True)
    assert new.status == "pass"


def test_each_slices_own_z_score_hides_nothing(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    """The last rows change the mean of the slice, but the network doesn't see them."""

    class Gray(cut(honest, slice(0, -8), slice(None))):  # type: ignore[misc]
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.expand(-1, 3, -1, -1))

    seen = {"channels": "hu", "z_score": True, "default_views": [], "mean": [0.0], "std": [1.0]}
    found = borders(check_network, Gray, card={"input": seen})
    assert found.status == "fail"
    assert "the last 8 rows change nothing" in found.sentence


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (torch.ones_like, "a dead network"),
        (lambda x: x + torch.rand_like(x), "equal images have different features"),
    ],
    ids=["dead", "noise"],
)
def test_what_other_checks_find_is_left_to_them(
    check_network: CheckNetwork, honest: type[nn.Module], spoil: Callable[..., Tensor], words: str
) -> None:
    class Spoilt(honest):  # type: ignore[misc,valid-type]
        def forward(self, images: Tensor) -> Tensor:
            return spoil(super().forward(images))

    found = borders(check_network, Spoilt)
    assert found.status == "skip"
    assert words in found.sentence


def test_half_a_precision_is_checked_in_float32(
    check_network: CheckNetwork, honest: type[nn.Module]
) -> None:
    assert borders(check_network, honest, precision="bfloat16").status == "pass"


def test_a_volume_has_six_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    from clearbench.encoders.families import monai

    assert only(check_encoder(VOLUME, device="cpu", only=("borders",))).status == "pass"
    whole = monai.LastMap.forward
    monkeypatch.setattr(
        monai.LastMap, "forward", lambda self, x: whole(self, x[:, :, 2:, :, : x.shape[4] - 8])
    )
    found = only(check_encoder(VOLUME, device="cpu", only=("borders",)))
    assert found.status == "fail"
    assert "the first 2 planes along z and the last 8 planes along x change noth" in found.sentence
