"""A store's results as they may be packed: of the same card and features, under the new names."""

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet

from clearbench.cohort.renaming import WITHHELD
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

NAMELESS = ("sides", "tags", "person")  # guards that never name a patient or a scan


@dataclass(frozen=True)
class PackedResults:
    """The results to be packed, each with its predictions, and why others are not."""

    parts: tuple[Part, ...]
    left_out: tuple[str, ...]


def find_packed_results(request: PackRequest, sources: CohortsToPack) -> PackedResults:
    """Find the results of this card and these features, and put them under the new names."""
    task, known = request.prepared[0].task, {record.fingerprint for record in request.records}
    private = any(not source.cohort.public for source in sources.values())
    parts: list[Part] = []
    left_out = []
    for result in read_results([request.results / task.name]):
        ours = result.task_sha256 == task.sha256 and result.fingerprint in known
        predictions = _predictions(request, sources, result) if ours else None
        if predictions is None:
            why = _why_not(result, ours=ours)
            left_out.append(f"result {result.stem}: {why}")
            continue
        parts += [predictions, Part(_place(result).as_posix(), _told_result(result, private))]
    return PackedResults(tuple(parts), tuple(left_out))


def _why_not(result: Result, *, ours: bool) -> str:
    """Say why a result isn't packed."""
    if ours:
        return "no predictions of these patients beside it"
    return "a floor's features aren't kept" if result.floor else "other card or features"


def _place(result: Result) -> Path:
    """Return where a result lies in a pack."""
    return Path("results", result.task, f"{result.stem}.json")


def _predictions(request: PackRequest, sources: CohortsToPack, result: Result) -> Part | None:
    """Return a result's predictions under the new names; None if it has none of these patients."""
    names = unit_names(request, sources), patient_names(request, sources)
    said = renamed_predictions(result, *names)
    if said is None:
        return None
    sink = io.BytesIO()
    pyarrow.parquet.write_table(said, sink, compression="zstd")
    place = predictions_path(replace(result, path=_place(result).as_posix()))
    return Part(place.as_posix(), sink.getvalue())


def _told_result(result: Result, private: bool) -> bytes:
    """Return a result's record; what may name patients or scans of a private cohort is cut."""
    facts = {name: value for name, value in asdict(result).items() if name != "path"}
    if private:
        facts["excluded"] = [note.partition(": ")[0] for note in result.excluded]
        facts["guards"] = [_cut(finding) for finding in result.guards]
    return json_bytes(facts)


def _cut(finding: dict[str, Any]) -> dict[str, Any]:
    """Return what a guard says, unless it may name whom it found."""
    return finding if finding["guard"] in NAMELESS else {**finding, "says": WITHHELD}
