"""Was the encoder pretrained on the test patients?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from clearbench.bounded import read_text
from clearbench.cohort.pseudonyms import patient_hash
from clearbench.datasets.public.contains import find_data_set, plain, relation
from clearbench.errors import BadStore

Verdict = Literal["yes", "possible", "unknown", "none"]
WORST_FIRST: tuple[Verdict, ...] = ("yes", "possible", "unknown", "none")
VAGUE = MappingProxyType(
    {
        "figures": "is made of figures in publications, which may show these scans",
        "web": "was crawled from the web, where figures of these scans may be",
        "mixture": "mixes many public data sets, perhaps this one",
    }
)


@dataclass(frozen=True)
class Contamination:
    """Whether an encoder was pretrained on the test patients, and the reason.

    `overlap` of the `patients` tested have a hash that the encoder's card lists; None if it lists
    none.
    """

    verdict: Verdict
    reason: str
    patients: int
    overlap: int | None = None


@dataclass(frozen=True)
class _Finding:
    """The verdict on one data set of the pretraining, for one cohort."""

    verdict: Verdict
    reason: str


def read_seen(path: Path) -> frozenset[str]:
    """Read the hashes of the patients of `clearbench pretrain`, from the file that the card names.

    Raises BadStore for a file that is missing or can't be read.
    """
    try:
        return frozenset(read_text(path).split())
    except (OSError, UnicodeDecodeError) as error:
        raise BadStore(
            f"{path}: the list of patients seen in pretraining can't be read; put it back next to "
            "the encoder's card"
        ) from error


def contamination(
    pretraining: Sequence[str],
    cohort: str,
    seen: Collection[str],
    patients: Collection[str],
    *,
    others: Collection[str] = (),
    random_weights: bool = False,
) -> Contamination:
    """Decide whether an encoder was pretrained on the test patients.

    pretraining: the data sets that the encoder's card names; cohort: the task's
    seen: the hashes that the card lists, if any; patients: ids of the test patients
    others: ids of the cohort's other patients. If some of them are in `seen`, the ids of both lists
    are comparable, so a test patient who isn't in `seen` was not seen.
    """
    if random_weights:
        return Contamination("none", "random weights, no pretraining", len(patients))
    overlap = len({patient_hash(name) for name in patients} & set(seen)) if seen else None
    if overlap:
        reason = f"{overlap} of {len(patients)} test patients were seen in pretraining"
        return Contamination("yes", reason, len(patients), overlap)
    familiar = {patient_hash(name) for name in others} & set(seen)
    findings = [_verdict_on(name, cohort, len(seen), bool(familiar)) for name in pretraining]
    findings = findings or [_Finding("unknown", "the card names no data set of its pretraining")]
    worst = min(findings, key=lambda item: WORST_FIRST.index(item.verdict)).verdict
    reasons = dict.fromkeys(item.reason for item in findings if item.verdict == worst)
    return Contamination(worst, "; ".join(reasons), len(patients), overlap)


def _verdict_on(name: str, cohort: str, listed: int, familiar: bool) -> _Finding:
    """Return the verdict on one data set of the pretraining."""
    if plain(name) == plain(cohort) and listed:
        return _same_set(name, listed, familiar)
    if plain(name) == plain(cohort):
        return _Finding("yes", f"pretrained on {name} itself")
    known, tested = find_data_set(name), find_data_set(cohort)
    if known is None:
        return _Finding("unknown", f"nothing is known of {name}")
    if known.kind in ("plain", "drawn"):
        return _Finding("none", f"{name} has no medical images of patients")
    if tested is None:
        return _Finding("unknown", f"nothing is known of {cohort}, and {name} is medical")
    found = relation(known, tested)
    if found.overlap == "none":
        return _Finding("none", f"{name} is not known to share patients with {cohort}")
    vague = VAGUE.get(known.kind) or VAGUE.get(tested.kind)
    because = (vague if found.overlap == "possible" else None) or _shared(cohort, found.overlap)
    return _Finding(found.overlap, f"{name} {because} ({', '.join(found.sources)})")


def _same_set(name: str, listed: int, familiar: bool) -> _Finding:
    """Return the verdict on the task's own data set, where the card lists patients, none tested."""
    if familiar:
        return _Finding("none", f"pretrained on other patients of {name}, none of them tested")
    return _Finding(
        "possible",
        f"pretrained on {name} itself; none of the {listed} patients its card lists is known "
        "here, so their ids may be others",
    )


def _shared(cohort: str, overlap: str) -> str:
    """Return the words for shared patients: sure, or possible."""
    return f"{'shares' if overlap == 'yes' else 'may share'} patients with {cohort}"
