"""A loaded encoder for the checks: run twice on made slices."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.encoders.conformance.environment import forget_peak, peak_mb
from clearbench.encoders.encoder import Encoder
from clearbench.encoders.registry import Registered
from clearbench.errors import ClearbenchError

SIDE_PX = 96
BLOCK_PX = 8
SPACING_MM = (1.0, 1.0, 1.0)
LEAST_DEPTH = 16  # slices of an example volume
Features = NDArray[np.float32]
# what networks raise for inputs that they can't process
FAULTS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class Pass:
    """One run on the slices: features [n, views, dim], seconds, and peak memory."""

    features: Features
    seconds: float
    peak_mb: float | None


@dataclass(frozen=True)
class CheckedEncoder:
    """An encoder, its slices, and its runs on them.

    slices   [n, y, x] int16 HU
    load     loads the same encoder again, in the given precision
    first    the first run on the slices, `second` the next; None if it failed, and `failure` has
             the reason
    """

    found: Registered
    encoder: Encoder
    slices: NDArray[np.int16]
    load: Callable[[str], Encoder]
    random_weights: bool = False
    own_weights: bool = False
    first: Pass | None = None
    second: Pass | None = None
    failure: str = ""

    @property
    def features(self) -> Features:
        """The features of the first run; raises ValueError if it failed."""
        if self.first is None:
            raise ValueError(f"{self.encoder.name} has no features of slices: {self.failure}")
        return self.first.features

    def embed(self, slices: NDArray[np.int16]) -> Features:
        """Embed slices [n, y, x]; see embed_scan."""
        return embed_scan(self.encoder, slices)

    @property
    def rounding(self) -> float:
        """The largest relative distance by rounding, on this device and precision."""
        if self.encoder.precision != "float32":
            return 2e-2
        return 1e-4 if self.encoder.device.type == "cpu" else 5e-3  # a GPU convolves in TF32


def example_slices(count: int, side: int = SIDE_PX) -> NDArray[np.int16]:
    """Make different slices [n, side, side] in HU, with structure at several scales."""
    rng = np.random.default_rng(0)
    # -(-a//b) rounds up, so that blocks cover the whole side
    blocks = rng.integers(-1200, 600, (count, -(-side // BLOCK_PX), -(-side // BLOCK_PX)))
    coarse = np.kron(blocks, np.ones((BLOCK_PX, BLOCK_PX)))[:, :side, :side]
    return (coarse + rng.normal(0, 30, coarse.shape)).astype(np.int16)


def embed_scan(encoder: Encoder, slices: NDArray[Any]) -> Features:
    """Embed slices [n, y, x] in HU; a volume encoder takes them as one scan of 1 mm."""
    return encoder.answer(slices, SPACING_MM if encoder.card.scope == "volume" else None)


def run_over(encoder: Encoder, slices: NDArray[Any]) -> Pass:
    """Embed slices, and measure time and memory."""
    forget_peak(encoder.device)
    start = time.perf_counter()
    features = embed_scan(encoder, slices)
    if encoder.device.type == "cuda":
        torch.cuda.synchronize(encoder.device)
    return Pass(features, time.perf_counter() - start, peak_mb(encoder.device))


def failure_sentence(error: Exception) -> str:
    """Return an error of a network in one sentence."""
    if isinstance(error, ClearbenchError):
        return str(error)
    lines = str(error).strip().splitlines() or ["no message"]
    return f"the network fails with {type(error).__name__}: {lines[0]}"
