"""The content of pack.json, and the names of a pack's files."""

from typing import Literal

from clearbench.cards import Card

FACTS_FILE, NOTICE_FILE = "pack.json", "NOTICE.txt"
PUBLIC = (
    "This pack holds features, labels and folds of published cohorts ({names}). The terms of these "
    "cohorts apply."
)
PRIVATE = (
    "This pack holds pseudonymised patient data: features and labels of patients of {names}, with "
    "new numbers as ids. That is not anonymous data: give it only to people who may have patient "
    "data."
)


class PackedCohort(Card):
    """A cohort in a pack; `renamed` if its ids were replaced by numbers."""

    name: str
    public: bool
    renamed: bool
    patients: int
    scans: int


class PackedFeatures(Card):
    """A set of features in a pack; `split_sha256` are the digests of the store's folds."""

    encoder: str
    fingerprint: str
    scans: int
    split_sha256: tuple[str, ...]


class PackFacts(Card):
    """The content of a pack; `files` has the sha256 of each file."""

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
    """Return the notice to the receiver of a pack."""
    private = [cohort.name for cohort in cohorts if not cohort.public]
    text = PRIVATE if private else PUBLIC
    return text.format(names=", ".join(private or [cohort.name for cohort in cohorts]))
