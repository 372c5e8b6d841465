"""Result records on disk, one JSON file each, and where the published ones are."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearbench.bounded import read_text
from clearbench.errors import BadRequest

SCHEMA = 4
WITHOUT_LABELS_CHECK = 3  # the schema of results that don't say which labels they were made with

CHECKS = ("content_sha256", "labels_check", "scans_check", "units_check", "pixels_check")

Question = tuple[str, ...]
# The parts of a question in words, in its order.
QUESTION = ("task", "version", "card", "labels", "scans", "split", "training of heads")


@dataclass(frozen=True)
class Result:
    """The result of one encoder, head and preset on one task; scores are {value, low, high}.

    content_sha256: the digest of the card without its title; labels_check: of the labels;
        scans_check: of the scans of each unit; units_check: of the units with features;
        pixels_check: of the pixels of these units' scans
    stored_views: all views of the features, where only some of them were used; else ()
    floor: nothing was learned from images; gates: an encoder must beat it to be ranked
    forgotten: how many patients have left since (`clearbench store forget`): scores have them still
    seed_spread: standard deviation of the task's metric over networks of other seeds, each alone;
        None if every seed gives the same, or only one was trained
    heads_version: how heads are trained and calibrated; results of two versions can't be compared
    """

    task: str
    task_title: str
    task_version: int
    task_sha256: str
    content_sha256: str
    labels_check: str
    scans_check: str
    units_check: str
    pixels_check: str
    cohort: str
    target: str
    metric: str
    outputs: tuple[str, ...]
    encoder: str
    encoder_title: str
    fingerprint: str
    dim: int
    views: tuple[str, ...]
    stored_views: tuple[str, ...]
    precision: str
    head: str
    declared_head: str
    head_precision: str
    test_cohort: str
    preset: str
    seeds: int
    draws: int
    folds: int
    repeats: int
    crossed: bool
    split_sha256: str
    patients: int
    units: int
    test_patients: int
    excluded: tuple[str, ...]
    not_scored: tuple[str, ...]
    scores: dict[str, dict[str, float | None]]
    fold_scores: list[dict[str, Any]]
    guards: list[dict[str, Any]]
    curve: list[dict[str, Any]]
    floor: bool
    gates: bool
    licence: str
    parameters_m: float | None
    slices_per_s: float | None
    seconds: float
    versions: dict[str, str]
    cores: int
    created: str
    forgotten: int = 0
    seed_spread: float | None = None
    heads_version: int = 1
    schema: int = SCHEMA
    path: str = field(default="", compare=False)

    @property
    def question(self) -> Question:
        """Return what only results of one question share: see QUESTION."""
        return (
            self.task,
            str(self.task_version),
            self.content_sha256,
            self.labels_check,
            self.scans_check,
            self.split_sha256,
            str(self.heads_version),
        )

    @property
    def reference(self) -> str:
        """Return `name@fp8`, the unique name of the features; with views, if only some count."""
        name = f"{self.encoder}@{self.fingerprint[:8]}"
        return f"{name}[{','.join(self.views)}]" if self.stored_views else name

    @property
    def stem(self) -> str:
        """Return the file's name without its suffix."""
        plain = f"{self.encoder}-{self.fingerprint[:8]}--{self.head}--{self.preset}"
        plain += f"--views-{'+'.join(self.views)}" if self.stored_views else ""
        return f"{plain}--{self.test_cohort}" if self.test_cohort else plain

    def score(self, metric: str = "") -> dict[str, float | None]:
        """Return one score, the task's own metric by default; empty values if it wasn't taken."""
        return self.scores.get(metric or self.metric, {"value": None, "low": None, "high": None})


@dataclass(frozen=True)
class FoundResults:
    """The results below some folders; for every other JSON file, why it isn't a result."""

    results: tuple[Result, ...]
    unreadable: tuple[str, ...]


def find_results(folders: Iterable[Path]) -> FoundResults:
    """Read every result below some folders; of two equal ones, that of the first folder.

    Two of one name are equal if they answer one question about the same pixels. A file that can't
    be read doesn't stop the others.
    """
    found: dict[tuple[str, ...], Result] = {}
    unreadable: list[str] = []
    for folder in folders:
        for path in sorted(folder.rglob("*.json")) if folder.is_dir() else ():
            # A draft that is being written is a hidden file next to the final one.
            if path.name.startswith("."):
                continue
            try:
                result = read_result(path)
            except BadRequest as error:
                unreadable.append(str(error))
            else:
                key = (result.stem, *result.question, result.units_check, result.pixels_check)
                found.setdefault(key, result)
    return FoundResults(tuple(found.values()), tuple(unreadable))


def read_results(folders: Iterable[Path]) -> list[Result]:
    """Read every result below some folders; raises BadRequest for a file that isn't a result."""
    found = find_results(folders)
    if found.unreadable:
        raise BadRequest(found.unreadable[0])
    return list(found.results)


def read_result(path: Path) -> Result:
    """Read one result; raises BadRequest for a file that isn't a result."""
    try:
        facts = json.loads(read_text(path))
        if facts.get("schema") == WITHOUT_LABELS_CHECK:
            more = {**dict.fromkeys(CHECKS, ""), "gates": facts["floor"]}
            more |= {"stored_views": [], "dim": 0}
            facts |= more | {"schema": SCHEMA}
        if (found := facts.get("schema", SCHEMA)) != SCHEMA:
            raise ValueError(f"its schema is {found}, this version needs {SCHEMA}")
        lists = {
            name: tuple(facts[name])
            for name in ("outputs", "views", "stored_views", "excluded", "not_scored")
        }
        return Result(**{**facts, **lists, "path": str(path)})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(
            f"{path}: not a result of this clearbench version ({error}); evaluate again, or "
            "remove it"
        ) from error


def forgotten_note(results: Iterable[Result]) -> tuple[str, ...]:
    """Return the note that some scores were made with patients who have left; () if none was."""
    marked = [result for result in results if result.forgotten]
    if not marked:
        return ()
    most = max(result.forgotten for result in marked)
    who = "1 patient who was" if most == 1 else f"{most} patients who were"
    again = f"clearbench evaluate --task {marked[0].task}"
    return (f"these scores were made with {who} removed since; run {again} again",)


def published_results() -> Path:
    """Return the folder of the results that come with clearbench."""
    # A wheel has the folder inside the package, a checkout has it next to the package.
    package = Path(__file__).parent.parent
    inside = package / "leaderboard"
    return inside if inside.is_dir() else package.parent / "leaderboard" / "results"
