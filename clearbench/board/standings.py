"""The standings of one task: which encoders differ significantly, and which beat the floors.

Every encoder is compared by one head, declared by the task before scores are seen, so that nobody
picks the best of many heads. p is adjusted by Holm over all pairs (`compare` has the tests). There
is a signal if an encoder beats every floor: a floor that is a network counts under the declared
head too, and others as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.board.compare import compare, method_sentence
from clearbench.board.compared import ComparedResult, read_compared
from clearbench.errors import BadTask
from clearbench.results.record import Result
from clearbench.statistics.comparison import Pair
from clearbench.statistics.detectable_difference import detectable_difference
from clearbench.statistics.multiple_testing import compare_all, compare_with_floors
from clearbench.statistics.tiers import Standing, rank_encoders


@dataclass(frozen=True)
class Standings:
    """The comparison of all encoders on one task.

    signal: whether any encoder beats every floor; None without a comparison with a floor
    encoders: how many were compared; places: empty without a signal
    detectable: the smallest difference that the task would show; None without a pair to compare
    floors: all that an encoder must beat; against_floors: each encoder against the floor that it
        beats least surely, with the p of beating all of them
    """

    method: str
    places: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    floors: tuple[str, ...]
    signal: bool | None
    detectable: float | None
    encoders: int
    against_floors: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def comparisons(self) -> tuple["Comparison", ...]:
        """Return every comparison as a row of a table."""
        families = {"encoders": self.pairs, "floor": self.against_floors}
        return tuple(_comparison(name, pair) for name, pairs in families.items() for pair in pairs)


@dataclass(frozen=True)
class Comparison:
    """One comparison: how much `one` scores above `other`, with its interval at 95 %.

    adjusted_p is Holm's over its family: all pairs of encoders, or all encoders, each against the
    floor that it beats least surely. separable: whether the two differ significantly by it.
    """

    family: str
    one: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    adjusted_p: float
    separable: bool


def _comparison(family: str, pair: Pair) -> Comparison:
    """Return one comparison as a row."""
    found = pair.difference
    return Comparison(
        family=family,
        one=pair.one,
        other=pair.other,
        difference=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        adjusted_p=pair.adjusted_p,
        separable=pair.separable,
    )


def make_standings(results: Sequence[Result]) -> Standings:
    """Compare the declared head's results of one task, split and preset.

    A result without readable predictions next to it is not compared, but named in the notes.
    """
    declared = [r for r in results if r.gates or (not r.floor and r.head == r.declared_head)]
    chosen = [r for r in declared if r.score()["value"] is not None]
    everyone, lost = read_compared(chosen)
    encoders = [each for each in everyone if not each.result.floor]
    floors = [each for each in everyone if each.result.floor]
    names = [each.name for each in encoders]
    try:
        pairs = compare_all(names, lambda i, j: compare(encoders[i], encoders[j]))
        against = compare_with_floors(
            names, [each.name for each in floors], lambda i, j: compare(encoders[i], floors[j])
        )
    except BadTask as error:  # two of them have too few folds or patients in common
        pairs, against, lost = (), (), (*lost, f"not compared: {error}")
    signal = any(pair.winner == pair.one for pair in against) if against else None
    values = {each.name: _value(each) for each in encoders}
    return Standings(
        method=method_sentence(encoders) if encoders else "",
        places=rank_encoders(values, pairs) if signal else (),
        pairs=pairs,
        floors=tuple(each.result.encoder for each in floors),
        signal=signal,
        detectable=_detectable(pairs),
        encoders=len(encoders),
        against_floors=against,
        notes=(*_left_out(encoders), *lost),
    )


def _value(compared: ComparedResult) -> float:
    """Return the score that ranks."""
    return float(compared.result.score()["value"] or 0.0)


def _detectable(pairs: Sequence[Pair]) -> float | None:
    """Return the smallest difference that the task would show, if there is any spread."""
    try:
        return detectable_difference([pair.difference for pair in pairs])
    except BadTask:
        return None


def _left_out(encoders: Sequence[ComparedResult]) -> tuple[str, ...]:
    """Return a note for each encoder that lacks units."""
    everyone = frozenset[str]().union(*(each.units for each in encoders))
    return tuple(
        f"{each.result.encoder} lacks {len(everyone - each.units)} of {len(everyone)} units; "
        "each pair is compared on the units of both"
        for each in encoders
        if everyone - each.units
    )
