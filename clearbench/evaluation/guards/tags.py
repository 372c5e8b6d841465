"""Technical tags, age and sex as features: what they predict of a label without any pixel."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.cohort.table import Cohort
from clearbench.errors import UnknownName
from clearbench.technical import FLOOR_NUMBERS, FLOOR_WORDS

CATEGORIES = (*FLOOR_WORDS, "site")
AGE = ("age", "ageyears", "agey", "patientage", "ageatscan", "ageatdiagnosis")
SEX = ("sex", "gender", "patientsex")
ALARM_AUROC = 0.6
FEWEST_OF_LEVEL = 2  # training units; a level of one unit would identify its patient
YEARS = MappingProxyType({"": 1.0, "y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25})
SEXES = MappingProxyType(
    {"m": "male", "man": "male", "f": "female", "w": "female", "woman": "female"}
)

Texts = NDArray[np.str_]
Value = TypeVar("Value")


@dataclass(frozen=True)
class TagTable:
    """Tags of units, before they are encoded.

    numbers [units, number_names] NaN where unknown · categories [units, category_names] text, ""
    where unknown. A unit with several scans has their mean, and their sorted values joined by " + "
    """

    number_names: tuple[str, ...]
    numbers: Floats
    category_names: tuple[str, ...]
    categories: Texts

    @property
    def names(self) -> tuple[str, ...]:
        """Return every column's name."""
        return (*self.number_names, *self.category_names)

    def number(self, name: str) -> Floats:
        """Return a column of numbers [units], all NaN if the table lacks it."""
        if name not in self.number_names:
            return np.full(len(self.numbers), np.nan)
        column: Floats = self.numbers[:, self.number_names.index(name)]
        return column

    def category(self, name: str) -> Texts:
        """Return a column of words [units], all "" if the table lacks it."""
        if name not in self.category_names:
            return np.full(len(self.categories), "")
        column: Texts = self.categories[:, self.category_names.index(name)]
        return column


@dataclass(frozen=True)
class TagEncoding:
    """Tags as numbers, fitted to training rows: the median of each number, the levels of each tag.

    A column that is the same in all training rows is left out.
    """

    medians: tuple[tuple[str, float], ...]
    gaps: tuple[str, ...]
    levels: tuple[tuple[str, str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the name of each column of the design matrix."""
        return (
            *(name for name, _ in self.medians),
            *(f"{name} unknown" for name in self.gaps),
            *(f"{name} = {level or 'unknown'}" for name, level in self.levels),
        )

    def design(self, table: TagTable) -> Floats:
        """Return the design matrix [units, columns] of any table, even of another cohort.

        A level that training rows lack is 0 in every column; a column that this table lacks is
        unknown.
        """
        columns = [_filled(table.number(name), median) for name, median in self.medians]
        columns += [np.isnan(table.number(name)).astype(np.float64) for name in self.gaps]
        columns += [(table.category(n) == level).astype(np.float64) for n, level in self.levels]
        return np.stack(columns, axis=1) if columns else np.zeros((len(table.numbers), 0))


def _filled(column: Floats, median: float) -> Floats:
    """Replace unknown values by the median."""
    return np.where(np.isnan(column), median, column)


def fit_tags(table: TagTable, train: Sequence[int]) -> TagEncoding:
    """Fit medians and levels to the training rows alone.

    A level of a single training row is left out, because it would identify a patient.
    """
    rows = list(train)
    numbers = dict(zip(table.number_names, table.numbers[rows].T, strict=True))
    categories = dict(zip(table.category_names, table.categories[rows].T, strict=True))
    known = {name: column[~np.isnan(column)] for name, column in numbers.items()}
    return TagEncoding(
        medians=tuple(
            (name, float(np.median(found)))
            for name, found in known.items()
            if len(found) and np.ptp(found) > 0
        ),
        gaps=tuple(name for name, found in known.items() if 0 < len(found) < len(rows)),
        levels=tuple(
            (name, level) for name, column in categories.items() for level in _levels(column)
        ),
    )


def _levels(column: Texts) -> list[str]:
    """Return the levels of several rows, in alphabetical order; none if all rows are equal."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) < 2:
        return []
    return [str(value) for value, n in zip(values, counts, strict=True) if n >= FEWEST_OF_LEVEL]


def tag_features(
    cohort: Cohort, units: Sequence[Sequence[str]], slice_counts: Mapping[str, int]
) -> TagTable:
    """Gather the technical tags of units, each given by its scans' ids.

    They are the cohort's columns of thickness, kV, kernel, contrast, manufacturer, model, scanner
    and site, the number of slices of the whole scan (`slice_counts`, by scan id), and the number of
    scans of a unit. Raises UnknownName for a scan that is not in the cohort.
    """
    numbers = {name: _per_scan(cohort, name, _number) for name in FLOOR_NUMBERS}
    numbers["slices"] = {scan: float(count) for scan, count in slice_counts.items()}
    categories = {name: _per_scan(cohort, name, _word) for name in CATEGORIES}
    table = _table(units, numbers, categories, cohort)
    scans = np.array([[float(len(scans))] for scans in units]).reshape(len(units), 1)
    return TagTable(
        (*table.number_names, "scans"),
        np.concatenate([table.numbers, scans], axis=1),
        table.category_names,
        table.categories,
    )


def person_features(cohort: Cohort, units: Sequence[Sequence[str]]) -> TagTable:
    """Gather age in years and sex of units, where the cohort has columns of the usual names.

    Ages may be in DICOM's form (063Y, 018M); sexes are M, F, male or female. A table without
    columns means that the cohort has neither. Raises UnknownName for a scan that is not in the
    cohort.
    """
    # Reversed, so that of columns with the same plain name the first one wins.
    columns = reversed(cohort.table.column_names)
    names = {re.sub(r"[\W_]", "", name).lower(): name for name in columns}
    age = next((names[key] for key in AGE if key in names), "")
    sex = next((names[key] for key in SEX if key in names), "")
    numbers = {"age": _per_scan(cohort, age, _years)}
    return _table(units, numbers, {"sex": _per_scan(cohort, sex, _sex)}, cohort)


def _per_scan(cohort: Cohort, name: str, read: Callable[[str], Value]) -> dict[str, Value]:
    """Return one column's known values by scan; empty without such a column."""
    # Not strict, because a column that the cohort lacks is an empty list.
    cells = zip(cohort.column("scan_id"), cohort.column(name), strict=False) if name else ()
    return {str(scan): read(text) for scan, text in cells if text is not None}


def _number(text: str) -> float:
    """Read a number; NaN if it isn't one."""
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    # float() also reads "inf" and "nan".
    return value if np.isfinite(value) else float("nan")


def _word(text: str) -> str:
    """Remove case and outer spaces of a tag."""
    return text.strip().lower()


def _years(text: str) -> float:
    """Read an age in years; DICOM's letters may follow the number."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([ymwd]?)\s*", text.lower())
    return float(match[1]) * YEARS[match[2]] if match else float("nan")


def _sex(text: str) -> str:
    """Read a sex; other words and numbers are not changed."""
    word = _word(text)
    return SEXES.get(word, word)


def _table(
    units: Sequence[Sequence[str]],
    numbers: Mapping[str, Mapping[str, float]],
    categories: Mapping[str, Mapping[str, str]],
    cohort: Cohort,
) -> TagTable:
    """Join the values of each unit's scans; columns without any known value are left out."""
    known_scans = {str(scan) for scan in cohort.column("scan_id")}
    unknown = {scan for scans in units for scan in scans} - known_scans
    if unknown:
        raise UnknownName.among(f"scan of cohort {cohort.name}", min(unknown), known_scans)
    number_names = tuple(name for name, known in numbers.items() if known)
    names = tuple(name for name, known in categories.items() if known)
    means = [[_mean(numbers[name], scans) for name in number_names] for scans in units]
    words = [[_joined(categories[name], scans) for name in names] for scans in units]
    return TagTable(
        number_names,
        # reshape, because an empty list would lose a dimension.
        np.array(means, np.float64).reshape(len(units), len(number_names)),
        names,
        np.array(words, np.str_).reshape(len(units), len(names)),
    )


def _mean(known: Mapping[str, float], scans: Sequence[str]) -> float:
    """Return the mean over a unit's scans with a known value; NaN without any."""
    values = [known[scan] for scan in scans if not np.isnan(known.get(scan, np.nan))]
    return float(np.mean(values)) if values else float("nan")


def _joined(known: Mapping[str, str], scans: Sequence[str]) -> str:
    """Return the different words of a unit's scans."""
    return " + ".join(sorted({known[scan] for scan in scans if known.get(scan)}))


def tags_alarm(auroc_low: float | None) -> str:
    """Return the alarm that technical tags alone predict a label; "" if that isn't sure.

    `auroc_low` is the lower bound of the interval of their AUROC, None or NaN without one.
    """
    if not _is_high(auroc_low):
        return ""
    return (
        f"technical tags alone predict this label (AUROC at least {auroc_low:.2f}): an encoder may "
        "score by recognising the scanner; compare it with the floor, or balance the sites"
    )


def person_alarm(auroc_low: float | None) -> str:
    """Return the alarm that age and sex alone predict a label; "" if that isn't sure."""
    if not _is_high(auroc_low):
        return ""
    return (
        f"age and sex alone predict this label (AUROC at least {auroc_low:.2f}): an encoder may "
        "score by estimating them from the scan; compare it with the floor"
    )


def _is_high(auroc_low: float | None) -> bool:
    """Tell whether a lower bound is above ALARM_AUROC; NaN isn't."""
    return auroc_low is not None and auroc_low > ALARM_AUROC
