"""How heads are trained: the default, and the settings of the CLEAR paper.

The preset `clear` follows the paper (arXiv 2411.16803) and the configuration released with it:
AdamW 1e-4, batch 128, at most 32 epochs, stop after 8 without progress, 512 embeddings per bag in
training. The released loop replaces that optimiser by Adam without weight decay, and loads batches
of 64: the preset does not follow it there, and copies none of its faults.
"""

from dataclasses import dataclass
from types import MappingProxyType

from clearbench.errors import BadArgument, UnknownName

RETRAINED_HEADS = 10  # on bootstrapped training patients, for a fixed split


@dataclass(frozen=True)
class Preset:
    """Training settings, the same for every encoder.

    steps: number of updates; with `early_stop_from` or more training and tuning bags, training runs
        for up to `epochs` instead and the best epoch on the tuning part is kept
    patience: epochs without progress before training stops
    learning_rates, weight_decays: every pair is tried within the training part
    most_instances: a larger bag is subsampled to so many in each batch; 0 keeps all
    """

    name: str
    batch_size: int
    steps: int
    epochs: int
    patience: int
    early_stop_from: int
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    standardise: bool
    most_instances: int = 0


PRESETS = MappingProxyType(
    {
        "default": Preset(
            name="default",
            batch_size=16,
            # In steps, because epochs of a small cohort make too few updates.
            steps=100,
            epochs=32,
            patience=8,
            early_stop_from=200,
            learning_rates=(3e-4, 1e-3),
            weight_decays=(1e-2, 1e-1),
            standardise=True,
        ),
        "clear": Preset(
            name="clear",
            batch_size=128,
            steps=0,
            epochs=32,
            patience=8,
            early_stop_from=0,
            learning_rates=(1e-4,),
            weight_decays=(1e-2,),
            standardise=False,
            most_instances=512,
        ),
    }
)


def check_retrained(heads: int) -> None:
    """Refuse a number of retrained heads that can show no spread; raises BadArgument."""
    if heads < 0 or heads == 1:
        raise BadArgument("draws", heads, "must be 0, or at least 2 to show a spread")


def find_preset(name: str | Preset) -> Preset:
    """Return a preset by its name, or the one that is given; raises UnknownName."""
    if isinstance(name, Preset):
        return name
    if name not in PRESETS:
        raise UnknownName.among("preset", name, PRESETS, f" ({', '.join(PRESETS)})")
    return PRESETS[name]
