from typing import Any

import pytest

from clearbench.encoders.nets.sizes import (
    NETS,
    GatedCnnSizes,
    VitSizes,
    VssmSizes,
    check_sizes,
    features_dim,
    pooling_of,
    why_no_size,
)
from clearbench.errors import BadCard, UnknownName

VIT = {"embed_dim": 48, "depth": 2, "num_heads": 3}
STAGES = {"depths": [1, 2], "dims": [8, 12]}


@pytest.mark.parametrize(
    ("net", "facts", "sizes"),
    [
        ("vit", VIT, VitSizes(embed_dim=48, depth=2, num_heads=3, conv_stem=True)),
        ("vssm", STAGES, VssmSizes(depths=(1, 2), dims=(8, 12), ssm_d_state=16)),
        ("gated-cnn", STAGES, GatedCnnSizes(depths=(1, 2), dims=(8, 12))),
    ],
)
def test_facts_become_the_sizes_of_their_network(
    net: str, facts: dict[str, Any], sizes: object
) -> None:
    found = check_sizes(net, facts, "card")
    assert found == sizes
    assert type(found) is NETS[net]
    assert check_sizes(net, found.model_dump(), "card") == sizes


@pytest.mark.parametrize(
    ("net", "facts", "dim", "pooling"),
    [("vit", VIT, 48, "cls"), ("vssm", STAGES, 12, "mean"), ("gated-cnn", STAGES, 12, "mean")],
)
def test_sizes_tell_dim_and_pooling(
    net: str, facts: dict[str, Any], dim: int, pooling: str
) -> None:
    sizes = check_sizes(net, facts, "card")
    assert (features_dim(sizes), pooling_of(sizes)) == (dim, pooling)


@pytest.mark.parametrize(
    ("net", "facts", "fault"),
    [
        ("vit", {"embed_dim": 48, "depth": 2}, "num_heads is missing"),
        ("vit", VIT | {"embed_dims": 1}, r"unknown key embed_dims; did you mean embed_dim\?"),
        ("vit", VIT | {"embed_dim": 50}, "embed_dim: .*multiple of 8"),
        ("vit", VIT | {"num_heads": 5}, "embed_dim 48 is not a multiple of num_heads"),
        ("vit", VIT | {"num_heads": 0}, "num_heads: .*greater than 0"),
        ("vit", VIT | {"depth": 0}, "depth: .*greater than 0"),
        ("vit", VIT | {"depth": "many"}, "depth: .*integer"),
        ("vit", VIT | STAGES, "unknown key depths; did you mean depth"),
        ("vssm", VIT, "depths is missing; dims is missing"),
        ("vssm", STAGES | {"depths": [1, 2, 3]}, "depths and dims need one number per stage"),
        ("vssm", {"depths": [], "dims": []}, "depths: .*at least 1"),
        ("vssm", STAGES | {"ssm_d_state": 0}, "ssm_d_state: .*greater than 0"),
        ("vssm", STAGES | {"dims": [8.5, 12]}, r"dims\.0: .*integer"),
        ("gated-cnn", STAGES | {"depths": [1]}, "depths and dims need one number per stage"),
        ("gated-cnn", STAGES | {"ssm_d_state": 4}, "unknown key ssm_d_state"),
        ("gated-cnn", STAGES | {"dims": 8}, "dims: "),
    ],
)
def test_wrong_sizes_are_refused_by_key(net: str, facts: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadCard, match=rf"^here: .*{fault}"):
        check_sizes(net, facts, "here")


def test_an_unknown_network_offers_the_nearest() -> None:
    words = r'no LeCL network is called "gated_cnn"; did you mean gated-cnn\? \(known: vit, vssm, g'
    with pytest.raises(UnknownName, match=words):
        check_sizes("gated_cnn", STAGES, "here")


def test_sizes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        VitSizes(embed_dim=48, depth=2, num_heads=3).depth = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "facts",
    [
        {"depths": [1, -1], "dims": [8, 8]},
        {"depths": [0, 1], "dims": [8, 8]},
        {"depths": [1, 1], "dims": [0, 8]},
        {"depths": [1], "dims": [1]},
    ],
)
def test_impossible_stages_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(BadCard):
        check_sizes("gated-cnn", facts, "card")


def test_what_a_network_can_not_see_is_said() -> None:
    vit = check_sizes("vit", {"embed_dim": 48, "depth": 1, "num_heads": 3}, "card")
    assert "multiple of 16 px; use 96 or 112" in why_no_size(vit, 100, 96)
    assert why_no_size(vit, 10, 10).endswith("use 16")
    assert not why_no_size(vit, 96, 112)
    cnn = check_sizes("gated-cnn", {"depths": [1, 1], "dims": [8, 8]}, "card")
    assert "at least 8 px" in why_no_size(cnn, 4, 64)
