"""Encoder cards: every fact that decides an encoder's features, checked."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import Card
from clearbench.encoders.nets.sizes import check_sizes, features_dim, pooling_of, why_no_size
from clearbench.errors import BadRequest, ClearbenchError

COMMIT = re.compile(r"[0-9a-f]{40}")
SEED = re.compile(r"[0-9]{1,18}")
MOST_DIM = 1_000_000
MOST_PX = 4096  # of a side of an image
AXES = {"R": 2, "L": 2, "A": 1, "P": 1, "S": 0, "I": 0}  # letter → axis of a scan [z, y, x]

Hu = tuple[float, float]
Triple = tuple[float, float, float]
Count = Annotated[int, Field(ge=0)]


class WeightFacts(Card):
    """Licence, file and hash of the weights, and the keys that the encoder doesn't use.

    `unused` lists prefixes of keys that are not part of the encoder (a text tower, a decoder).
    With `remote_code` the network is code of its repository; it runs only if the user trusts it.
    `ema` says of a training that kept both whether these are its averaged weights (an EMA, a
    teacher) or the raw ones, and `part` where they were in its checkpoint.
    """

    licence: str
    licence_url: str = ""
    gated: bool = False
    file: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    unused: tuple[str, ...] = ()
    remote_code: bool = False
    ema: bool | None = None
    part: str = ""


class InputFacts(Card):
    """What a slice network sees: views in HU, size in px, channels, mean and std.

    `channels = "hu"` feeds HU within `clip_hu`; mean and std are then in HU too. With `z_score`
    each resized slice is standardised by its own mean and standard deviation. `unseen_px` states
    that the network leaves out rows and columns: the first and last rows, first and last columns.
    """

    size_px: int = Field(gt=0, le=MOST_PX)
    views: Literal["free"] | dict[str, Hu]
    default_views: tuple[str, ...] = ()
    channels: Literal["repeat", "stack", "hu"] = "repeat"
    clip_hu: Hu | None = None
    z_score: bool = False
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = Field(min_length=1)
    std: tuple[float, ...] = Field(min_length=1)
    unseen_px: tuple[Count, Count, Count, Count] = (0, 0, 0, 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise ValueError("mean and std need one value per channel, std above 0")
        if self.clip_hu is not None and (self.channels != "hu" or not _rising(self.clip_hu)):
            raise ValueError('clip_hu = [lower, upper] belongs to channels = "hu"')
        if self.z_score and (self.channels != "hu" or set(self.mean) != {0.0}):
            raise ValueError('z_score belongs to channels = "hu" with mean 0 and std 1')
        if isinstance(self.views, dict):
            if self.default_views:
                raise ValueError("default_views belong to cards with free views")
            if not all(map(_rising, self.views.values())):
                raise ValueError("each of the views needs its lower HU bound first")
        elif not self.default_views and self.channels != "hu":
            raise ValueError("free views need default_views")
        return self


class Slicing(Card):
    """Which axial slices are embedded: all, or one every `spacing_mm`.

    `context` neighbours on each side become channels next to the slice, feet to head. At the ends
    of the scan, the last slice is repeated. Neighbours are counted among the embedded slices.
    """

    spacing_mm: float | None = Field(default=None, gt=0)
    context: int = Field(default=0, ge=0, le=16)


class VolumeFacts(Card):
    """What a volume network sees: the grid, its axes, its size, and HU scaled to a range.

    spacing_mm  (z, y, x) of the grid; absent: the spacing of the scan
    axes        directions of the network's three axes, in order, e.g. "SPL" (MONAI's letters)
    size_zyx    cut or padded with air around the centre; absent: the size of the scan
    clip_hu     HU are clipped to this range, then scaled to `scale_to`
    foreground  whether the scan is first cut to the box of voxels above the lower bound
    unseen_zyx  planes that the network leaves out: the first and last along z, then y, then x
    """

    spacing_mm: Triple | None = None
    axes: str = "SPL"
    size_zyx: tuple[int, int, int] | None = None
    clip_hu: Hu
    scale_to: Hu = (0.0, 1.0)
    foreground: bool = False
    unseen_zyx: tuple[Count, Count, Count, Count, Count, Count] = (0, 0, 0, 0, 0, 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sorted(AXES.get(letter, -1) for letter in self.axes) != [0, 1, 2]:
            raise ValueError(f'axes "{self.axes}": one letter each of R/L, A/P and S/I')
        if not (_rising(self.clip_hu) and _rising(self.scale_to)):
            raise ValueError("clip_hu and scale_to have their lower bound first")
        numbers = (*(self.spacing_mm or ()), *(self.size_zyx or ()))
        if not all(number > 0 for number in numbers):
            raise ValueError("spacing_mm and size_zyx are above 0")
        return self


def _rising(bounds: Hu) -> bool:
    """Return whether the lower bound comes first."""
    return bounds[0] < bounds[1]


class Facts(Card):
    """Facts for a reader of the leaderboard.

    `code` is the address of the network's code, if no family of clearbench has it.
    """

    parameters_m: float | None = None
    paper: str = ""
    code: str = ""
    pretraining: tuple[str, ...] = ()


class Training(Card):
    """How `clearbench pretrain` made the weights; `patients_file` lists its patients, hashed."""

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
    """Every fact that decides an encoder's features, except the weights themselves."""

    title: str
    family: str
    source: str
    net: str = ""
    revision: str | None = None
    scope: Literal["slice", "volume"] = "slice"
    dim: int = Field(gt=0, le=MOST_DIM)
    pooling: Literal["cls", "mean", "cls+mean", "projection", "native"]
    precision: Literal["float32", "bfloat16"] = "bfloat16"  # the lowest that auto may choose
    weights: WeightFacts
    input: InputFacts | None = None
    volume: VolumeFacts | None = None
    slicing: Slicing = Slicing()
    sizes: dict[str, Any] = Field(default_factory=dict)  # of the network, as its family reads them
    facts: Facts = Facts()
    training: Training | None = None

    @model_validator(mode="after")
    def _seeded(self) -> Self:
        """Random weights need a seed."""
        scheme, _, seed = self.source.partition(":")
        if scheme == "random" and not SEED.fullmatch(seed):
            raise ValueError(
                f'source "{self.source}": write random:<seed>, a whole number of up to 18 digits'
            )
        return self

    @model_validator(mode="after")
    def _fixed_code(self) -> Self:
        """Code of a repository is fixed to one commit, and needs the family transformers."""
        if not self.weights.remote_code:
            return self
        if self.family != "transformers":
            raise ValueError('remote_code belongs to family = "transformers"')
        if self.source.startswith("hf-") and not COMMIT.fullmatch(self.revision or ""):
            raise ValueError("remote_code needs a revision of 40 hex digits: code can change")
        return self

    @model_validator(mode="after")
    def _scoped(self) -> Self:
        """A slice encoder has [input], a volume encoder has [volume]."""
        tables = {"slice": self.input, "volume": self.volume}
        if tables.pop(self.scope) is None or any(tables.values()):
            table = "[input]" if self.scope == "slice" else "[volume]"
            raise ValueError(f'an encoder of scope "{self.scope}" has {table}, and only that')
        if self.input is not None and self.slicing.context:
            wide = 2 * self.slicing.context + 1
            if self.input.channels == "stack" or len(self.input.mean) != wide:
                raise ValueError(f"context = {self.slicing.context} makes {wide} channels")
        return self

    @property
    def seen(self) -> InputFacts:
        """What a slice encoder sees; raises BadRequest for a volume encoder."""
        if self.input is None:
            raise BadRequest(f"{self.title}: embeds whole volumes, not slices")
        return self.input

    @property
    def size_text(self) -> str:
        """The size of the network's input, as text."""
        if self.input is not None:
            return f"{self.input.size_px} px"
        size = self.volume.size_zyx if self.volume is not None else None
        return " × ".join(map(str, size)) if size else "whole scan"

    @property
    def views_text(self) -> str:
        """The encoder's views, as text."""
        if self.input is None:
            return "volume"
        if self.input.channels == "hu":
            return "HU"
        return "free" if self.input.views == "free" else ", ".join(self.input.views)

    def with_random_weights(self, seed: int = 0) -> Self:
        """Return the card of the same network with seeded random weights."""
        facts = self.weights.model_copy(update={"sha256": None, "gated": False, "file": ""})
        return self.model_copy(update={"source": f"random:{seed}", "weights": facts})

    @property
    def seed(self) -> int:
        """The seed of random weights."""
        return int(self.source.partition(":")[2])

    @model_validator(mode="after")
    def _sized(self) -> Self:
        """A LeCL card has the sizes of its network, and they agree with the rest."""
        if self.family != "lecl":
            return self
        try:
            sizes = check_sizes(self.net, self.sizes, "sizes")
        except ClearbenchError as error:
            raise ValueError(str(error)) from error
        if features_dim(sizes) != self.dim:
            raise ValueError(f"dim is {self.dim}, but the sizes give {features_dim(sizes)}")
        reason = why_no_size(sizes, self.seen.size_px, self.seen.size_px)
        if reason:
            raise ValueError(f"size_px is {self.seen.size_px}; {reason}")
        if pooling_of(sizes) != self.pooling:
            raise ValueError(f'pooling of this network is "{pooling_of(sizes)}"')
        return self
