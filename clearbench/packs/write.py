"""A store and a task → one .zip: features, labels, folds, encoder records, card, results.

Nothing else is packed: no image, path, signature, thumbnail, histogram, technical column or key.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pyarrow.parquet

from clearbench.cohort.renaming import renamed_table
from clearbench.evaluation.bags.load import whole_units
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.marks import mark_columns
from clearbench.evaluation.task.split_file import make_split_file, split_text
from clearbench.evaluation.task.splits import Fold
from clearbench.files import write_output
from clearbench.packs.facts import FACTS_FILE, NOTICE_FILE, PackedFeatures, PackFacts, notice_of
from clearbench.packs.plan import (
    CohortsToPack,
    CohortToPack,
    PackRequest,
    Part,
    find_cohorts,
    json_bytes,
    patient_names,
)
from clearbench.packs.results import PackedResults, find_packed_results
from clearbench.rights import STORE_FILE
from clearbench.store.features import (
    ScanFeatures,
    file_image,
    map_features,
    read_file,
)
from clearbench.store.folder import SCHEMA, ScanKey
from clearbench.store.records import ENCODER_FILE, EncoderRecord

KEPT_ABOUT = ("fingerprint", "card", "views", "precision", "weights_sha256", "versions")
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same content makes the same file


@dataclass(frozen=True)
class _ChosenFeatures:
    """One encoder's features of the task's units; scans are (cohort, scan id)."""

    record: EncoderRecord
    scans: tuple[tuple[str, str], ...]
    facts: PackedFeatures


def write_pack(request: PackRequest, target: Path) -> PackFacts:
    """Write a pack, whole or not at all, and return its pack.json.

    Ids of private cohorts are replaced by numbers. Results are packed if they are of this card and
    these features. Raises BadTask if an encoder has no features of the task's units, StorageFull if
    the disk refuses.
    """
    cohorts = find_cohorts(request)
    chosen = tuple(_chosen(request, record) for record in request.records)
    found = find_packed_results(request, cohorts)
    plain = _facts(request, cohorts, chosen, found)
    files: dict[str, str] = {}

    def write(draft: Path) -> None:
        with zipfile.ZipFile(draft, "w") as archive:
            for part in chain(_parts(request, cohorts, chosen, plain.notice), found.parts):
                _add(archive, part)
                files[part.name] = hashlib.sha256(part.content).hexdigest()
            # Last, because it has the digests of all other files.
            whole = plain.model_copy(update={"files": files})
            _add(archive, Part(FACTS_FILE, whole.model_dump_json(indent=1).encode()))

    write_output(target, write)
    return plain.model_copy(update={"files": files})


def _add(archive: zipfile.ZipFile, part: Part) -> None:
    """Add one file; features are stored, because they don't compress."""
    info = zipfile.ZipInfo(part.name, ZIP_TIME)
    # The high 16 bits are Unix permissions; without them zipfile writes 0600.
    info.external_attr = 0o644 << 16
    plain = part.name.endswith((".h5", ".parquet"))
    archive.writestr(info, part.content, zipfile.ZIP_STORED if plain else zipfile.ZIP_DEFLATED)


def _facts(
    request: PackRequest,
    cohorts: CohortsToPack,
    chosen: Sequence[_ChosenFeatures],
    found: PackedResults,
) -> PackFacts:
    """Return pack.json, without the digests of its files."""
    task = request.prepared[0].task
    packed = tuple(each.facts() for each in cohorts.values())
    return PackFacts(
        task=task.name,
        task_sha256=task.sha256,
        made_by=f"clearbench {version('clearbench')}",
        notice=notice_of(packed),
        cohorts=packed,
        features=tuple(each.facts for each in chosen),
        results=tuple(part.name for part in found.parts if part.name.endswith(".json")),
        left_out=found.left_out,
        files={},
    )


def _parts(
    request: PackRequest, cohorts: CohortsToPack, chosen: Sequence[_ChosenFeatures], notice: str
) -> Iterator[Part]:
    """Yield notice, card, split file, and a store of cohorts and features."""
    task, patients = request.prepared[0].task, patient_names(request, cohorts)
    folds = {p.test_cohort: [_renamed(f, patients) for f in p.folds] for p in request.prepared}
    split = split_text(make_split_file(task, folds))
    yield Part(NOTICE_FILE, f"{notice}\n".encode())
    yield Part(f"tasks/{task.name}.toml", request.card_file.read_bytes())
    yield Part(f"tasks/{task.name}.split.json", split.encode())
    yield Part(f"store/{STORE_FILE}", json_bytes({"schema": SCHEMA}))
    for packed in cohorts.values():
        yield Part(f"store/cohorts/{packed.cohort.name}.parquet", _table(request.card, packed))
    for one in chosen:
        yield from _features(request, one, cohorts)


def _table(card: TaskCard, packed: CohortToPack) -> bytes:
    """Return a cohort's rows and the columns that the task needs, as Parquet."""
    split = card.split
    wanted = [*card.labels, split.column, split.group]
    wanted += ["study_id"] if card.unit == "study" else []
    wanted += ["day"] if card.select != "all" else []
    wanted += mark_columns(packed.cohort, card)
    columns = [name for name in wanted if name]
    table = renamed_table(packed.cohort, packed.names, columns, packed.scans, split.group)
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


def _renamed(fold: Fold, names: dict[str, str]) -> Fold:
    """Return a fold with the patients' new names."""
    sides = (tuple(names[p] for p in side) for side in (fold.train, fold.tune, fold.test))
    return Fold(fold.repeat, fold.number, *sides)


def _chosen(request: PackRequest, record: EncoderRecord) -> _ChosenFeatures:
    """Find the scans of the task's units of which an encoder has features."""
    kept = [whole_units(prepared.units, record, request.store) for prepared in request.prepared]
    scans = {
        (cohort, scan)
        for units in kept
        for cohort, unit_scans in zip(units.cohorts, units.scans, strict=True)
        for scan in unit_scans
    }
    facts = PackedFeatures(
        encoder=record.name,
        fingerprint=record.fingerprint,
        scans=len(scans),
        split_sha256=tuple(prepared.split_sha256 for prepared in request.prepared),
    )
    return _ChosenFeatures(record, tuple(sorted(scans)), facts)


def _features(
    request: PackRequest, chosen: _ChosenFeatures, cohorts: CohortsToPack
) -> Iterator[Part]:
    """Yield one encoder's record and its features."""
    record = chosen.record
    folder = f"store/features/{record.name}-{record.fingerprint[:8]}"
    yield Part(f"{folder}/{ENCODER_FILE}", json_bytes(asdict(record)))
    for cohort, scan in chosen.scans:
        image = _image(ScanKey(record.name, record.fingerprint, cohort, scan), request, cohorts)
        yield Part(f"{folder}/{cohort}/{cohorts[cohort].names.scans[scan]}.h5", image)


def _image(key: ScanKey, request: PackRequest, cohorts: CohortsToPack) -> bytes:
    """Return a scan's feature file with its new names, without signatures and other facts."""
    path, packed = key.path(request.store), cohorts[key.cohort]
    names = packed.names
    found = read_file(path)
    facts, rows = found.facts, found.rows
    return file_image(
        ScanFeatures(
            key=replace(key, scan_id=names.scans[key.scan_id]),
            patient_id=names.patients[packed.patient_of[key.scan_id]],
            features=map_features(facts),
            present=rows.present,
            z_mm=rows.z_mm,
            slice_index=rows.slice_index,
            source_signature="",
            pixels_signature="",
            about={name: facts.about[name] for name in KEPT_ABOUT if name in facts.about},
        )
    )
