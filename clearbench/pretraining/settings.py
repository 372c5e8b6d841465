"""Settings of a pretraining, and its events."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from clearbench.errors import BadArgument

BATCH_OF_LR = 256


@dataclass(frozen=True)
class PretrainSettings:
    """Every setting that changes the weights; the defaults are those of the paper's code.

    `lr` is for a batch of 256 slices, and scales with the batch. `batch_size` is the number of
    slices in all processes together.
    """

    epochs: int = 100
    batch_size: int = 256
    lr: float = 1e-4
    weight_decay: float = 1e-6
    warmup_epochs: float = 10
    clip: float = 1.0
    temperature: float = 1.0
    lesion_weight: float = 1.0
    lambda_placement: Literal["inside", "outside"] = "inside"
    negatives: Literal["all", "other-patients"] = "all"
    augment: Literal["clear", "ct"] = "clear"
    momentum: float = 0.99
    momentum_schedule: Literal["constant", "cosine"] = "cosine"
    hidden: int = 4096
    projection: int = 256
    others_per_lesion: float | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    seed: int = 0

    def check(self, slices: int | None = None, world: int = 1) -> None:
        """Refuse invalid values for this number of slices (if known) and processes.

        Raises BadArgument.
        """
        for name in ("epochs", "batch_size", "lr", "temperature", "hidden", "projection"):
            self._require(name, 0 < getattr(self, name) < math.inf, "must be above 0, and finite")
        for name in ("weight_decay", "lesion_weight", "warmup_epochs", "clip", "seed"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "must be at least 0")
        if self.others_per_lesion is not None:
            self._require("others_per_lesion", self.others_per_lesion >= 0, "must be at least 0")
        for name, most in MOST.items():
            value = getattr(self, name)
            self._require(name, value is None or value <= most, f"must be at most {most:,}")
        for name, known in CHOICES.items():
            self._require(name, getattr(self, name) in known, f"must be one of {', '.join(known)}")
        self._require("momentum", 0 <= self.momentum < 1, "must be at least 0 and below 1")
        size = "batch_size"
        self._require(size, self.batch_size % world == 0, f"must be a multiple of {world}")
        self._require(
            size, self.batch_size // world >= 2, "must be at least two slices per process"
        )
        if slices is not None:
            rule = f"must be at most {slices}, the number of training slices"
            self._require(size, self.batch_size <= slices, rule)

    def _require(self, name: str, holds: bool, rule: str) -> None:
        """Raise BadArgument unless a value keeps its rule; NaN fails every rule."""
        if not holds:
            raise BadArgument(name, getattr(self, name), rule)

    def differs(self, other: dict[str, Any]) -> list[str]:
        """Name the settings of an earlier run that differ."""
        current = asdict(self)
        return [
            f"{field.name} = {other.get(field.name)}"
            for field in fields(self)
            if other.get(field.name) != current[field.name]
        ]


# More than any training has; beyond it, numbers overflow or networks fill the memory.
MOST = {
    **dict.fromkeys(("epochs", "batch_size", "lr", "weight_decay", "warmup_epochs"), 1_000_000),
    **dict.fromkeys(("clip", "temperature", "lesion_weight", "others_per_lesion"), 1_000_000),
    **dict.fromkeys(("hidden", "projection"), 65_536),
    "seed": 2**63 - 1,
}
CHOICES = {
    "lambda_placement": ("inside", "outside"),
    "negatives": ("all", "other-patients"),
    "augment": ("clear", "ct"),
    "momentum_schedule": ("constant", "cosine"),
    "precision": ("float32", "bfloat16", "float16"),
}


def lr_at(settings: PretrainSettings, epoch: float) -> float:
    """Return the learning rate: linear warm-up, then half a cosine to 0."""
    peak = settings.lr * settings.batch_size / BATCH_OF_LR
    warm = min(settings.warmup_epochs, settings.epochs)
    if epoch < warm:
        return peak * epoch / warm
    # without epochs after the warm-up this would divide by 0
    left = (epoch - warm) / max(settings.epochs - warm, 1e-9)
    return peak * 0.5 * (1 + math.cos(math.pi * min(left, 1.0)))


def momentum_at(settings: PretrainSettings, epoch: float) -> float:
    """Return the momentum coefficient: constant, or half a cosine up to 1."""
    if settings.momentum_schedule == "constant":
        return settings.momentum
    return 1 - 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs)) * (1 - settings.momentum)


@dataclass(frozen=True)
class EpochFacts:
    """One finished epoch: loss, learning rate, speed, and the probe's scores.

    `knn` is the balanced accuracy of a k-NN probe over other patients' slices, `chance` its chance
    level; both are None if there are too few classes. `spread` is about 1 for features in all
    directions, and near 0 if they have collapsed to one.
    """

    epoch: int
    loss: float
    lr: float
    momentum: float
    slices_per_s: float
    seconds: float
    knn: float | None
    chance: float | None
    spread: float


@dataclass(frozen=True)
class PretrainStarted:
    """Training starts."""

    name: str
    net: str
    parameters_m: float
    slices: int
    lesion_slices: int
    patients: int
    device: str
    precision: str
    processes: int
    steps_per_epoch: int
    epochs: int
    resumed_after: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDone:
    """One step of an epoch."""

    epoch: int
    step: int
    steps: int
    loss: float
    lr: float
    slices_per_s: float


@dataclass(frozen=True)
class Collapsed:
    """An alarm: features have lost almost all of their variance."""

    epoch: int
    spread: float


PretrainEvent = PretrainStarted | StepDone | EpochFacts | Collapsed
OnPretrain = Callable[[PretrainEvent], None]
