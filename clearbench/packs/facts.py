"""What a pack says of itself: pack.json, and how its parts are called."""

from typing import Literal

from clearbench.cards import Card

FACTS_FILE, NOTICE_FILE = "pack.json", "NOTICE.txt"
PUBLIC = (
    "This pack holds features, labels and folds of published cohorts ({names}). Their own terms "
    "go with them."
)
PRIVATE = (
    "This pack holds pseudonymised patient data: features and labels of patients of {names}, whose "
    "ids were numbered anew. That is not anonymous data: give it only to those who may have "
    "patient data."
)


class PackedCohort(Card):
    """A cohort in a pack; `renamed` where its ids were numbered anew."""

    name: str
    public: bool
    renamed: bool
    patients: int
    scans: int


class PackedFeatures(Card):
    """A set of features in a pack; `split_sha256` as results on the whole store name the folds."""

    encoder: str
    fingerprint: str
    scans: int
    split_sha256: tuple[str, ...]


class PackFacts(Card):
    """What lies in a pack; `files` gives the sha256 of each."""

    pack: Literal[1] = 1
    task: str
    task_sha256: str
    made_by: str
    notice: str
    cohorts: tuple[PackedCohort, ...]
    features: tuple[PackedFeatures, ...]
    results: tuple[str, ...]
    left_out: tuple[str, ...]
    files: dict[str, str]


def notice_of(cohorts: tuple[PackedCohort, ...]) -> str:
    """Return what who receives a pack must know."""
    private = [cohort.name for cohort in cohorts if not cohort.public]
    text = PRIVATE if private else PUBLIC
    return text.format(names=", ".join(private or [cohort.name for cohort in cohorts]))
