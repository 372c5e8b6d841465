"""Result records on disk, one JSON file each, and where the published ones are."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from clearbench.bounded import read_json
from clearbench.cards import NAME
from clearbench.errors import BadRequest, name_some, suggestion
from clearbench.files import everything_below
from clearbench.metrics.registry import EVERY_CLASS, ranking_metrics

SCHEMA = 4
WITHOUT_LABELS_CHECK = 3  # the schema of results that don't say which labels they were made with

CHECKS = ("content_sha256", "labels_check", "scans_check", "units_check", "pixels_check")

TARGETS = (*EVERY_CLASS, "survival")
MOST = 10**9  # of anything that a result counts
LONGEST = 20_000  # letters of a text

Question = tuple[str, ...]
# The parts of a question in words, in its order.
QUESTION = ("task", "version", "card", "labels", "scans", "split", "training of heads")


def _with_keys(**kinds: type | tuple[type, ...]) -> AfterValidator:
    """Return a check that a table has these keys with values of these types."""

    def check(table: dict[str, Any]) -> dict[str, Any]:
        for name, kind in kinds.items():
            if name not in table:
                raise ValueError(f"{name} is missing")
            wrong_truth = isinstance(table[name], bool) and kind is not bool
            if wrong_truth or not isinstance(table[name], kind):
                raise ValueError(f"{name} is a {type(table[name]).__name__}")
        return table

    return AfterValidator(check)


def _trained(row: dict[str, Any]) -> dict[str, Any]:
    """Check that a fold has patients, and that what it counts is no less than 0."""
    for name in ("repeat", "fold", "seed", "train", "tune", "test"):
        if not 0 <= row[name] <= MOST:
            raise ValueError(f"{name} is {row[name]}")
    if not row["train"] + row["tune"]:
        raise ValueError("train and tune are 0")
    return row


def _named(name: str) -> str:
    """Check a name that is part of a path."""
    if name and not NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, dots, dashes and underscores")
    return name


NUMBER = (int, float, type(None))
Text = Annotated[str, Field(max_length=LONGEST)]
Name = Annotated[str, AfterValidator(_named)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Names = Annotated[tuple[Text, ...], Field(max_length=1000)]
Notes = tuple[Text, ...]
Score = Annotated[dict[str, float | None], _with_keys(value=NUMBER, low=NUMBER, high=NUMBER)]
FoldScore = Annotated[
    dict[str, Any],
    _with_keys(repeat=int, fold=int, seed=int, train=int, tune=int, test=int),
    AfterValidator(_trained),
]
Guard = Annotated[dict[str, Any], _with_keys(guard=str, alarm=bool, says=str)]
Point = Annotated[
    dict[str, Any],
    _with_keys(patients=int, whole=bool, draws=int, value=NUMBER, low=NUMBER, high=NUMBER),
]


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

    # of what is read from a file; a result that is made is not checked again
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, allow_inf_nan=False)

    task: Name
    task_title: Text
    task_version: Count
    task_sha256: Text
    content_sha256: Text
    labels_check: Text
    scans_check: Text
    units_check: Text
    pixels_check: Text
    cohort: Text
    target: Text
    metric: Text
    outputs: Names
    encoder: Name
    encoder_title: Text
    fingerprint: Text
    dim: Count
    views: Names
    stored_views: Names
    precision: Text
    head: Name
    declared_head: Name
    head_precision: Text
    test_cohort: Name
    preset: Name
    seeds: Count
    draws: Count
    folds: Count
    repeats: Count
    crossed: bool
    split_sha256: Text
    patients: Count
    units: Count
    test_patients: Count
    excluded: Notes
    not_scored: Notes
    scores: dict[str, Score]
    fold_scores: list[FoldScore]
    guards: list[Guard]
    curve: list[Point]
    floor: bool
    gates: bool
    licence: Text
    parameters_m: float | None
    slices_per_s: float | None
    seconds: float
    versions: dict[str, Text]
    cores: Count
    created: Text
    forgotten: Count = 0
    seed_spread: float | None = None
    heads_version: Count = 1
    schema: Count = SCHEMA
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


CHECKED = TypeAdapter(Result)


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
        for path in everything_below(folder):
            # A draft that is being written is a hidden file next to the final one.
            if path.suffix != ".json" or path.name.startswith("."):
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
        facts = read_json(path)
        if not isinstance(facts, dict):
            raise ValueError("not a table of keys and values")
        if facts.get("schema") == WITHOUT_LABELS_CHECK:
            more = {**dict.fromkeys(CHECKS, ""), "gates": facts["floor"]}
            more |= {"stored_views": [], "dim": 0}
            facts |= more | {"schema": SCHEMA}
        if (found := facts.get("schema", SCHEMA)) != SCHEMA:
            raise ValueError(f"its schema is {found!r:.50}, this version needs {SCHEMA}")
        return _checked(facts, path)
    except OSError as error:
        raise _no_result(path, str(error.strerror or error)) from error
    except ValidationError as error:
        raise _no_result(path, name_some(_faults(error), separator="; ")) from error
    except (ValueError, TypeError, KeyError) as error:
        raise _no_result(path, str(error)) from error


def _checked(facts: dict[str, Any], path: Path) -> Result:
    """Return facts as a result; raises ValueError, also if they don't fit each other."""
    known = [each.name for each in fields(Result)]
    other = [name for name in facts if name not in known]
    if other:
        raise ValueError(f"unknown key {other[0]}{suggestion(other[0], known)}")
    # as JSON again: there, lists are tuples and tables are records, and all else is strict
    result = CHECKED.validate_json(json.dumps({**facts, "path": str(path)}))
    if result.target not in TARGETS:
        raise ValueError(f"target is one of {', '.join(TARGETS)}, not {result.target}")
    if result.metric not in ranking_metrics(result.target):
        known = list(ranking_metrics(result.target))
        raise ValueError(f"metric is one of {', '.join(known)}, not {result.metric}")
    if not result.outputs or len(set(result.outputs)) < len(result.outputs):
        raise ValueError("outputs are one or more names, each once")
    return result


def _faults(error: ValidationError) -> list[str]:
    """Return what is wrong in a result: keys, and what they should be."""
    items = error.errors(include_url=False, include_input=False)
    places = [".".join(str(part) for part in item["loc"]) or "result" for item in items]
    texts = [str(item["msg"]).removeprefix("Value error, ") for item in items]
    return [f"{at}: {text[:1].lower()}{text[1:]}" for at, text in zip(places, texts, strict=True)]


def _no_result(path: Path, why: str) -> BadRequest:
    """Return the error for a file that isn't a result."""
    return BadRequest(
        f"{path}: not a result of this clearbench version ({why}); evaluate again, or remove it"
    )


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
