"""The results that go into a pack: of the same card and features, with the new names."""

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet

from clearbench.cohort.renaming import WITHHELD
from clearbench.evaluation.protocol.floors import TITLES
from clearbench.packs.plan import (
    CohortsToPack,
    PackRequest,
    Part,
    json_bytes,
    patient_names,
    unit_names,
)
from clearbench.results.predictions import predictions_path, renamed_predictions
from clearbench.results.record import Result, read_results
from clearbench.results.stale import question_now

NAMELESS = ("sides", "tags", "person")  # guards whose findings never name a patient or a scan


@dataclass(frozen=True)
class PackedResults:
    """The results to pack, each with its predictions, and notes on those left out."""

    parts: tuple[Part, ...]
    left_out: tuple[str, ...]


def find_packed_results(request: PackRequest, cohorts: CohortsToPack) -> PackedResults:
    """Find the results of this card and these features, and give them the new names."""
    task, known = request.prepared[0].task, {record.fingerprint for record in request.records}
    now = {question_now(each) for each in request.prepared}
    private = any(not each.cohort.public for each in cohorts.values())
    parts: list[Part] = []
    left_out = []
    for result in read_results([request.results / task.name]):
        current = result.task_sha256 == task.sha256 and result.question in now
        matches = current and result.fingerprint in known
        predictions = _predictions(request, cohorts, result) if matches else None
        if predictions is None:
            why = _why_not(result, current=current, matches=matches)
            left_out.append(f"result {result.stem}: {why}")
            continue
        parts += [predictions, Part(_place(result).as_posix(), _record(result, private))]
    return PackedResults(tuple(parts), tuple(left_out))


def _why_not(result: Result, *, current: bool, matches: bool) -> str:
    """Return why a result isn't packed."""
    if matches:
        return "no predictions of these patients next to it"
    if not current:
        again = f"clearbench evaluate --task {result.task} --stale"
        return f"made before the card, labels, scans or split changed; run: {again}"
    if result.encoder in TITLES:
        return "a floor has no stored features"
    return "its features aren't in this pack"


def _place(result: Result) -> Path:
    """Return the path of a result in a pack."""
    return Path("results", result.task, f"{result.stem}.json")


def _predictions(request: PackRequest, cohorts: CohortsToPack, result: Result) -> Part | None:
    """Return a result's predictions with the new names; None if it has none of these patients."""
    names = unit_names(request, cohorts), patient_names(request, cohorts)
    table = renamed_predictions(result, *names)
    if table is None:
        return None
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    place = predictions_path(replace(result, path=_place(result).as_posix()))
    return Part(place.as_posix(), sink.getvalue())


def _record(result: Result, private: bool) -> bytes:
    """Return a result's record, without text that may name patients or scans of private cohorts."""
    facts = {name: value for name, value in asdict(result).items() if name != "path"}
    if private:
        # The part before the colon counts units, the part after it may name them.
        facts["excluded"] = [note.partition(": ")[0] for note in result.excluded]
        facts["guards"] = [_cut(finding) for finding in result.guards]
    return json_bytes(facts)


def _cut(finding: dict[str, Any]) -> dict[str, Any]:
    """Return a guard's finding; its text is withheld if it may name patients or scans."""
    return finding if finding["guard"] in NAMELESS else {**finding, "says": WITHHELD}
