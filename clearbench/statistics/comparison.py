"""The result of a comparison of two encoders. No import of scipy, so that tables load fast."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Difference:
    """How much one encoder scores above another: value, interval at LEVEL, two-sided p.

    se is the standard error, with `df` degrees of freedom. Where it is 0 (two perfect scores, or
    differences that are all the same) the interval is a point; p is 1 without a difference, 0 with
    one.
    """

    value: float
    low: float
    high: float
    p: float
    se: float
    df: float = inf


@dataclass(frozen=True)
class Pair:
    """One comparison of a family: `one` minus `other`, with p adjusted for the whole family."""

    one: str
    other: str
    difference: Difference
    adjusted_p: float
    separable: bool

    @property
    def winner(self) -> str | None:
        """Return the encoder that is significantly better, None where neither is."""
        if not self.separable:
            return None
        return self.one if self.difference.value > 0 else self.other
