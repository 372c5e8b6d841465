"""Each patient's findings: lesions, lung disease and stage, chosen before any scan is drawn."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadRequest

Site = Literal["bone", "abdomen", "mediastinum", "liver", "lung", "kidney"]
Stage = Literal["I", "II", "III", "IV"]
Side = Literal["train", "test"]

SITES: tuple[Site, ...] = ("bone", "abdomen", "mediastinum", "liver", "lung", "kidney")
STAGES: tuple[Stage, ...] = ("I", "II", "III", "IV")
LARGE_MM = 22.0
MANY_LESIONS = 15
FEWEST_PATIENTS = 4

_TEST_SHARE = 0.4
_SPLIT_TRIES = 400
_UNEVENNESS = 1.2
_DIAMETER_MM = {"I": (10, 20), "II": (26, 40), "III": (22, 38), "IV": (20, 40)}
# at least the first number, less than the second
_LESIONS_PER_SITE = {"I": (2, 5), "II": (5, 8), "III": (6, 8), "IV": (5, 8)}
_DISTANT: tuple[Site, ...] = ("bone", "abdomen", "liver", "lung", "kidney")


@dataclass(frozen=True)
class DrawnLesion:
    """One lesion: ``place`` has three numbers in 0..1, its position within its site."""

    site: Site
    diameter_mm: float
    place: tuple[float, float, float]


@dataclass(frozen=True)
class Patient:
    """A patient's findings, the same in all scans; ``disease_extent`` 0 is a healthy lung."""

    patient_id: str
    lesions: tuple[DrawnLesion, ...]
    disease_extent: float
    side: Side = "train"

    @property
    def stage(self) -> Stage:
        """The stage that follows from the lesions."""
        return stage_of(self.lesions)

    def has(self, site: Site) -> bool:
        """Return True if a lesion is at ``site``."""
        return any(lesion.site == site for lesion in self.lesions)


def stage_of(lesions: tuple[DrawnLesion, ...]) -> Stage:
    """Return the stage: many lesions (IV), else mediastinal nodes (III), else by size (II, I)."""
    if len(lesions) >= MANY_LESIONS:
        return "IV"
    if any(lesion.site == "mediastinum" for lesion in lesions):
        return "III"
    if any(lesion.diameter_mm >= LARGE_MM for lesion in lesions):
        return "II"
    return "I"


def draw_patients(count: int, seed: int) -> tuple[Patient, ...]:
    """Choose findings for ``count`` patients, so that stages and sites are about equally common.

    Raises BadRequest for fewer patients than there are stages.
    """
    if count < FEWEST_PATIENTS:
        raise BadRequest(f"{count} patients are too few; at least {FEWEST_PATIENTS} are needed")
    # the number after the seed is another one for technique, body, …: a change of one
    # drawing doesn't move the others
    rng = np.random.default_rng([seed, 1])
    stages = [STAGES[i] for i in rng.permutation(np.arange(count) % len(STAGES))]
    ill = rng.permutation(np.arange(count) % 2)
    used = dict.fromkeys(_DISTANT, 0)
    patients = tuple(
        Patient(
            patient_id=f"syn-{index + 1:03d}",
            lesions=_draw_lesions(rng, _draw_sites(rng, stage, used), stage),
            disease_extent=float(ill[index] * rng.uniform(0.12, 0.5)),
        )
        for index, stage in enumerate(stages)
    )
    sides = _draw_sides(rng, label_table(patients), np.array([STAGES.index(s) for s in stages]))
    return tuple(replace(p, side=side) for p, side in zip(patients, sides, strict=True))


def label_table(patients: tuple[Patient, ...]) -> NDArray[np.bool_]:
    """Return one row per patient: six sites, lung disease, four stages. [patients, 11] bool."""
    return np.array(
        [
            [p.has(site) for site in SITES]
            + [p.disease_extent > 0]
            + [p.stage == stage for stage in STAGES]
            for p in patients
        ]
    )


def _draw_sites(rng: np.random.Generator, stage: Stage, used: dict[Site, int]) -> list[Site]:
    """Choose the sites of one patient: mostly the least used ones, with some randomness."""
    wanted = {"I": 1, "II": 2, "III": 1, "IV": 3}[stage]
    rank = {site: used[site] + rng.normal(0, _UNEVENNESS) for site in _DISTANT}
    chosen = sorted(_DISTANT, key=rank.__getitem__)[:wanted]
    for site in chosen:
        used[site] += 1
    if stage == "III" or (stage == "IV" and rng.random() < 0.5):
        chosen.append("mediastinum")
    return chosen


def _draw_lesions(
    rng: np.random.Generator, sites: list[Site], stage: Stage
) -> tuple[DrawnLesion, ...]:
    """Choose a few lesions at every site, in sizes that the stage allows."""
    smallest_mm, largest_mm = _DIAMETER_MM[stage]
    return tuple(
        DrawnLesion(site, float(rng.uniform(smallest_mm, largest_mm)), _draw_place(rng))
        for site in sites
        for _ in range(int(rng.integers(*_LESIONS_PER_SITE[stage])))
    )


def _draw_place(rng: np.random.Generator) -> tuple[float, float, float]:
    """Choose a lesion's random position within its site."""
    first, second, third = (float(number) for number in rng.random(3))
    return first, second, third


def _draw_sides(
    rng: np.random.Generator, labels: NDArray[np.bool_], strata: NDArray[np.int_]
) -> list[Side]:
    """Try many splits within strata; keep the one whose test side is nearest to its share.

    The share is that of every label's positives, by squared differences.
    ``labels`` [patients, labels] bool, ``strata`` [patients] int.
    """
    target = labels.sum(axis=0) * _TEST_SHARE
    tries = [_one_split(rng, strata) for _ in range(_SPLIT_TRIES)]
    unfair = [float(np.square(labels[test].sum(axis=0) - target).sum()) for test in tries]
    best = tries[int(np.argmin(unfair))]
    return ["test" if is_test else "train" for is_test in best]


def _one_split(rng: np.random.Generator, strata: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Return True for the test side: a share of every stratum, at least one. [patients] bool."""
    test = np.zeros(len(strata), dtype=bool)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        test[members[: max(1, round(_TEST_SHARE * len(members)))]] = True
    return test
