"""The labels that a user gives a head: class numbers, or words of his own, and back again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.errors import BadTask, name_some

ClassNames = NDArray[Any] | list[NDArray[Any]]

WORDS_FOR = ("binary", "multiclass")


def class_names(y: NDArray[Any], target: str, classes: int) -> ClassNames:
    """Return the classes [k] in the order of a head's probabilities, as scikit-learn's `classes_`.

    Words are in alphabetical order, so the last one is the positive class of a binary target. A
    multilabel target has one array per label. Raises BadTask for words whose number isn't that of
    the classes, and for a target whose classes have an order or no name.
    """
    if is_words(y):
        unknown = sum(not isinstance(value, str) for value in y.flat)
        if unknown:
            raise BadTask(f"y has words and {unknown} values that are none; leave these bags out")
        names = np.unique(y.astype(str))
        if target not in WORDS_FOR:
            raise BadTask(f"target={target} takes numbers, and y has words ({_some(names)})")
        if len(names) != classes:
            reason = f"y has {len(names)} ({_some(names)}), and the head has classes={classes}"
            raise BadTask(f"the words of y must be as many as the classes: {reason}")
        return names
    if target == "multilabel":
        return [np.arange(2)] * (1 if y.ndim == 1 else y.shape[1])
    return np.arange(2 if target == "binary" else classes)


def class_numbers(y: NDArray[Any], names: ClassNames) -> Floats:
    """Return labels as numbers; words become their places in `names`.

    Raises BadTask for a word that `names` doesn't have.
    """
    if not is_words(y):
        try:
            return np.asarray(y, np.float64)
        except (TypeError, ValueError) as error:
            raise BadTask(f"y has values that are no numbers ({error}); NaN is unknown") from error
    words, known = y.astype(str), np.asarray(names).astype(str)
    strange = np.setdiff1d(words, known)
    if len(strange):
        raise BadTask(f"y has {_some(strange)}; the head was fitted to {_some(known)}")
    return np.searchsorted(known, words).astype(np.float64)


def is_words(y: NDArray[Any]) -> bool:
    """Tell whether labels are words; "0" and "1" are words too, and come back as they are."""
    if y.dtype == object:
        return any(isinstance(value, str) for value in y.flat)
    return y.dtype.kind in "UST"


def _some(names: Sequence[str] | NDArray[np.str_]) -> str:
    """Write some of the names."""
    return name_some([str(name) for name in names])
