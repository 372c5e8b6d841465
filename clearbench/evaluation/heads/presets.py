"""How heads are trained: the default, and the settings of the CLEAR paper.

The preset `default` was chosen on simulated bags and the synthetic tasks, before real data was
looked at: benchmarks/reports/head_recipe.md.

The preset `clear` follows the paper (arXiv 2411.16803) and the configuration released with it:
AdamW 1e-4, batch 128, at most 32 epochs, stop after 8 without progress, 512 embeddings per bag in
training. The released loop replaces that optimiser by Adam without weight decay, and loads batches
of 64: the preset does not follow it there, and copies none of its faults.
"""

from dataclasses import dataclass
from types import MappingProxyType

from clearbench.errors import BadArgument, UnknownName, check_between

HEADS_VERSION = 3  # raised when heads are trained or calibrated in another way
MOST_HEADS = 1000  # of a fold, or retrained; seeds of a fold's heads are that many numbers apart
RETRAINED_HEADS = 10  # on bootstrapped training patients, for a fixed split


@dataclass(frozen=True)
class Preset:
    """Training settings, the same for every encoder and every head that trains a network.

    networks: how many networks from different seeds are averaged to one head
    steps, passes: updates of a network: `steps`, or as many as `passes` over the bags need if they
        are more; 0 steps: up to `epochs` instead, and the best epoch on the tuning part is kept
    patience: epochs without progress before training stops
    most_instances: a larger bag is subsampled to so many in each batch; 0 keeps all
    """

    name: str
    batch_size: int
    learning_rate: float
    weight_decay: float
    networks: int
    steps: int
    passes: float
    epochs: int
    patience: int
    standardise: bool
    most_instances: int = 0

    @property
    def stops_early(self) -> bool:
        """Tell whether the tuning part says when training stops."""
        return not self.steps

    def steps_for(self, bags: int) -> int:
        """Return how many updates a network gets that is trained on so many bags."""
        return max(self.steps, round(self.passes * bags / self.batch_size))


PRESETS = MappingProxyType(
    {
        "default": Preset(
            name="default",
            batch_size=16,
            learning_rate=1e-3,
            weight_decay=1e-2,
            networks=2,
            # In steps, because epochs of a small cohort make too few updates.
            steps=90,
            passes=2,
            epochs=0,
            patience=0,
            standardise=True,
        ),
        "clear": Preset(
            name="clear",
            batch_size=128,
            learning_rate=1e-4,
            weight_decay=1e-2,
            networks=1,
            steps=0,
            passes=0,
            epochs=32,
            patience=8,
            standardise=False,
            most_instances=512,
        ),
    }
)


def check_retrained(heads: int) -> None:
    """Refuse a number of retrained heads that can show no spread; raises BadArgument."""
    if heads == 1:
        raise BadArgument("draws", heads, "must be 0, or at least 2 to show a spread")
    check_between("draws", heads, 0, MOST_HEADS)


def check_seeds(seeds: int | None) -> None:
    """Refuse a number of heads per fold that can't be trained; raises BadArgument."""
    if seeds is not None:
        check_between("seeds", seeds, 1, MOST_HEADS)


def find_preset(name: str | Preset) -> Preset:
    """Return a preset by its name, or the one that is given; raises UnknownName."""
    if isinstance(name, Preset):
        return name
    if name not in PRESETS:
        raise UnknownName.among("preset", name, PRESETS, f" ({', '.join(PRESETS)})")
    return PRESETS[name]
