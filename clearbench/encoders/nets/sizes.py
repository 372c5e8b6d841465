"""The sizes of LeCL networks: the keys of a card's [sizes]."""

from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from clearbench.cards import Card, check_card
from clearbench.errors import BadCard, UnknownName

Positive = Annotated[int, Field(gt=0, le=1_000_000)]
Even = Annotated[
    int, Field(gt=0, le=1_000_000, multiple_of=2)
]  # the stem starts with half the channels

PATCH_PX = 16
MOST_WEIGHTS = 2_000_000_000  # of a network: a card is no order to fill the memory
MOST_STAGES = 12


class VitSizes(Card):
    """ViT: a stem of four convolutions or 16 px patches, `depth` blocks, a class token."""

    embed_dim: int = Field(gt=0, le=1_000_000, multiple_of=8)
    depth: Positive
    num_heads: Positive
    conv_stem: bool = True


class VssmSizes(Card):
    """VSSM: blocks per stage, channels per stage, states per channel of the selective scan."""

    depths: tuple[Positive, ...] = Field(min_length=1, max_length=MOST_STAGES)
    dims: tuple[Even, ...] = Field(min_length=1, max_length=MOST_STAGES)
    ssm_d_state: int = Field(default=16, gt=0, le=1024)


class GatedCnnSizes(Card):
    """Gated CNN: blocks per stage, channels per stage."""

    depths: tuple[Positive, ...] = Field(min_length=1, max_length=MOST_STAGES)
    dims: tuple[Even, ...] = Field(min_length=1, max_length=MOST_STAGES)


Sizes = VitSizes | VssmSizes | GatedCnnSizes

NETS: MappingProxyType[str, type[Sizes]] = MappingProxyType(
    {"vit": VitSizes, "vssm": VssmSizes, "gated-cnn": GatedCnnSizes}
)


def pooling_of(sizes: Sizes) -> str:
    """Return the pooling of a network, as a card names it."""
    return "cls" if isinstance(sizes, VitSizes) else "mean"


def why_no_size(sizes: Sizes, height: int, width: int) -> str:
    """Return why a network can't take images of this size in px; "" if it can."""
    if isinstance(sizes, VitSizes):
        odd = next((side for side in (height, width) if side % PATCH_PX), 0)
        below = max(odd // PATCH_PX, 1) * PATCH_PX
        above = (odd // PATCH_PX + 1) * PATCH_PX
        nearest = " or ".join(map(str, dict.fromkeys((below, above))))
        reason = f"a ViT of {PATCH_PX} px patches needs a multiple of {PATCH_PX} px"
        return f"{reason}; use {nearest}" if odd else ""
    least = 4 * 2 ** (len(sizes.dims) - 1)
    return "" if min(height, width) >= least else f"these stages need images of at least {least} px"


def check_sizes(net: str, facts: dict[str, Any], where: str) -> Sizes:
    """Check a network's sizes from a card or a golden file.

    Raises UnknownName for another network, BadCard for wrong keys or values.
    """
    if net not in NETS:
        raise UnknownName.among("LeCL network", net, NETS, f" (known: {', '.join(NETS)})")
    sizes: Sizes = check_card(facts, NETS[net], where)
    if isinstance(sizes, VitSizes):
        if sizes.embed_dim % sizes.num_heads:
            raise BadCard(f"{where}: embed_dim {sizes.embed_dim} is not a multiple of num_heads")
    elif len(sizes.depths) != len(sizes.dims):
        raise BadCard(f"{where}: depths and dims need one number per stage")
    if _weights(sizes) > MOST_WEIGHTS:
        raise BadCard(f"{where}: these sizes make a network of more than {MOST_WEIGHTS:,} weights")
    return sizes


def _weights(sizes: Sizes) -> int:
    """Return about how many weights a network has: those of its blocks."""
    if isinstance(sizes, VitSizes):
        return 12 * sizes.embed_dim**2 * sizes.depth
    return sum(8 * dim**2 * depth for dim, depth in zip(sizes.dims, sizes.depths, strict=True))


def features_dim(sizes: Sizes) -> int:
    """Return the dim of a network's features."""
    return sizes.embed_dim if isinstance(sizes, VitSizes) else sizes.dims[-1]
