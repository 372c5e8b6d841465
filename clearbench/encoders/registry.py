"""Encoder cards: the facts of an encoder, and the registry that lists them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import Card, CardFile, check_card, find_card, list_cards, read_card
from clearbench.encoders.nets.sizes import check_sizes, features_dim, pooling_of, why_no_size
from clearbench.errors import ClearbenchError, UnknownName

if TYPE_CHECKING:
    import torch

FOLDER = "registry"

Build = Callable[["EncoderCard", "Path | None"], "torch.nn.Module"]


class WeightFacts(Card):
    """Where weights may be used, and the hash they must have."""

    licence: str
    licence_url: str = ""
    gated: bool = False
    file: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class InputFacts(Card):
    """What the network sees: views in HU, size in px, channels, mean and std."""

    size_px: int = Field(gt=0, le=4096)
    views: Literal["free"] | dict[str, tuple[float, float]]
    default_views: tuple[str, ...] = ()
    channels: Literal["repeat", "stack", "hu"] = "repeat"
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = Field(min_length=1)
    std: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise ValueError("mean and std need one value per channel, std above 0")
        if isinstance(self.views, dict):
            if self.default_views:
                raise ValueError("default_views belong to cards with free views")
            if not all(low < high for low, high in self.views.values()):
                raise ValueError("each of the views needs its lower HU bound first")
        elif not self.default_views and self.channels != "hu":
            raise ValueError("free views need default_views")
        return self


class Slicing(Card):
    """Which axial slices are embedded: all, or one every `spacing_mm`."""

    spacing_mm: float | None = Field(default=None, gt=0)


class Facts(Card):
    """What a reader of the leaderboard wants to know."""

    parameters_m: float | None = None
    paper: str = ""
    pretraining: tuple[str, ...] = ()


class Training(Card):
    """How `clearbench pretrain` made the weights; `patients_file` lists hashes of whom it saw."""

    method: str
    data: str
    patients: int
    patients_file: str
    slices: int
    lesion_slices: int
    epochs: int
    seconds: float
    settings: dict[str, Any]


class EncoderCard(Card):
    """Everything that makes an encoder's features what they are, but the weights themselves."""

    title: str
    family: str
    source: str
    net: str = ""
    revision: str | None = None
    scope: Literal["slice"] = "slice"
    dim: int = Field(gt=0)
    pooling: Literal["cls", "mean", "cls+mean", "projection", "native"]
    precision: Literal["float32", "bfloat16"] = "bfloat16"  # the coarsest that auto may choose
    weights: WeightFacts
    input: InputFacts
    slicing: Slicing = Slicing()
    sizes: dict[str, Any] = Field(default_factory=dict)
    facts: Facts = Facts()
    training: Training | None = None

    @model_validator(mode="after")
    def _seeded(self) -> Self:
        """Random weights need a seed."""
        scheme, _, seed = self.source.partition(":")
        if scheme == "random" and not seed.isdecimal():
            raise ValueError(f'source "{self.source}": write random:<seed>, a whole number')
        return self

    @property
    def seed(self) -> int:
        """The seed of random weights."""
        return int(self.source.partition(":")[2])

    @model_validator(mode="after")
    def _sized(self) -> Self:
        """A LeCL card says the sizes of its network, and they agree with the rest."""
        if self.family != "lecl":
            if self.sizes:
                raise ValueError("sizes belong to cards of the family lecl")
            return self
        try:
            sizes = check_sizes(self.net, self.sizes, "sizes")
        except ClearbenchError as error:
            raise ValueError(str(error)) from error
        if features_dim(sizes) != self.dim:
            raise ValueError(f"dim is {self.dim}, and the sizes give {features_dim(sizes)}")
        reason = why_no_size(sizes, self.input.size_px, self.input.size_px)
        if reason:
            raise ValueError(f"size_px is {self.input.size_px}; {reason}")
        if pooling_of(sizes) != self.pooling:
            raise ValueError(f'pooling of this network is "{pooling_of(sizes)}"')
        return self


class Registered(Card):
    """An encoder by its name: its card, and its builder if it was registered at run time."""

    name: str
    card: EncoderCard
    build: Any = None
    folder: Path | None = None  # where its card lies; a file of weights may lie beside it


_registered: dict[str, Registered] = {}


def register_encoder(card: EncoderCard | dict[str, Any], build: Build, *, name: str = "") -> str:
    """Add an encoder to this process; returns the name under which it is now known.

    `build(card, weights)` returns a torch module: [b, c, size, size] → [b, dim]; `weights` is the
    file that the user names (--weights), else None, and finding them is the builder's.
    Raises BadCard if the card breaks its rules.
    """
    checked = (
        card if isinstance(card, EncoderCard) else check_card(card, EncoderCard, "register_encoder")
    )
    key = name or "".join(c if c.isalnum() else "-" for c in checked.title.lower()).strip("-")
    _registered[key] = Registered(name=key, card=checked, build=build)
    return key


def encoder_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return every encoder's name: cards and those registered at run time."""
    return sorted({*list_cards(FOLDER, extra), *_registered})


def encoder_files(extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return the card files by name."""
    return list_cards(FOLDER, extra)


def find_encoder(name: str, extra: Iterable[Path] = ()) -> Registered:
    """Find an encoder by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules.
    """
    if name in _registered:
        return _registered[name]
    try:
        file = find_card("encoder", FOLDER, name, extra)
    except UnknownName:
        if not _registered:
            raise
        raise UnknownName.among("encoder", name, encoder_names(extra)) from None
    return Registered(
        name=file.name, card=read_card(file.path, EncoderCard), folder=file.path.parent
    )
