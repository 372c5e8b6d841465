"""Small JSON records next to the features: their encoder, and the speed of each run."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from clearbench.bounded import read_text
from clearbench.errors import (
    BadRequest,
    BadStore,
    BadTask,
    UnknownName,
    WeightsUnavailable,
    suggestion,
)
from clearbench.files import write_text
from clearbench.store.folder import StoreFolder

ENCODER_FILE = "encoder.json"
FLOOR = "floor"  # the source of a floor that is no network
FLOORS = ("random", FLOOR)


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder of a folder of features; `card` is its card as JSON.

    `stored_views` are all views of the features where `views` are only some of them, else ().
    """

    name: str
    fingerprint: str
    dim: int
    views: tuple[str, ...]
    precision: str
    store_dtype: str
    weights_sha256: str
    card: Mapping[str, Any] = field(default_factory=dict)
    stored_views: tuple[str, ...] = ()

    def with_views(self, views: Sequence[str]) -> "EncoderRecord":
        """Return the record with only some of its views, in its own order."""
        stored = self.stored_views or self.views
        kept = tuple(name for name in stored if name in views)
        return replace(self, views=kept, stored_views=() if kept == stored else stored)

    @property
    def floor(self) -> bool:
        """Return True if nothing was learned from images: the card's source begins with FLOORS."""
        return str(self.card.get("source", "")).startswith(FLOORS)

    @property
    def embeds(self) -> bool:
        """Return True for a network, also a random one; False for a floor such as tags."""
        return not str(self.card.get("source", "")).startswith(FLOOR)

    @property
    def reference(self) -> str:
        """Return `name@fp8`, the unique name of these features."""
        return f"{self.name}@{self.fingerprint[:8]}"


@dataclass(frozen=True)
class RunRecord:
    """One run of `embed`: size, time and hardware."""

    slices: int
    scans: int
    seconds: float
    device: str
    cores: int
    batch_size: int

    @property
    def slices_per_s(self) -> float:
        """Return slices per second, including reading and writing; 0 for a run of no time."""
        return self.slices / self.seconds if self.seconds > 0 else 0.0


def write_record(record: EncoderRecord, store: StoreFolder) -> Path:
    """Write an encoder's record next to its features, unless it is there already."""
    path = store.encoder(record.name, record.fingerprint) / ENCODER_FILE
    if not path.is_file():
        text = json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
        write_text(path, text)
    return path


def list_records(store: StoreFolder) -> list[EncoderRecord]:
    """Return the record of every encoder with features, by name, then fingerprint."""
    records = []
    for path in sorted(store.features.glob(f"*/{ENCODER_FILE}")):
        facts = _read_json(path)
        try:
            lists = {"views": tuple(facts["views"]), "stored_views": ()}
            records.append(EncoderRecord(**{**facts, **lists}))
        except (TypeError, KeyError) as error:
            raise _damaged(path, error) from error
    return records


def _read_json(path: Path) -> Any:
    """Read a small record; raises BadStore if it is damaged."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BadStore:
    """Return the error for a damaged record."""
    return BadStore(f"{path}: damaged ({error}); remove it and embed again")


def find_record(store: StoreFolder, reference: str, cohort: str = "") -> EncoderRecord:
    """Return the record of `name`, or of `name@fp8` if the store has several of that name.

    With `cohort`, only features of that cohort count. Raises UnknownName if there are none,
    BadRequest if the name has several.
    """
    name, _, digits = reference.partition("@")
    every = list_records(store)
    known = [record for record in every if not cohort or has_cohort(store, record, cohort)]
    found = [
        record for record in known if record.name == name and record.fingerprint.startswith(digits)
    ]
    if not found:
        where = f" of cohort {cohort}" if cohort else ""
        names = {record.name for record in known}
        # A misspelt name is no encoder to embed with.
        make = f"; make them with `clearbench embed {cohort or 'SCANS'} --model {name}`"
        more = "" if suggestion(reference, names) and reference not in names else make
        raise UnknownName.among(f"set of features{where}", reference, names, more)
    if len(found) > 1:
        choices = "; ".join(f"{r.reference} ({', '.join(r.views)}, {r.precision})" for r in found)
        raise BadRequest(f"{name} has several sets of features; name one: {choices}")
    return found[0]


def find_records(store: StoreFolder, references: Sequence[str], cohort: str) -> list[EncoderRecord]:
    """Return the records of `references` for a cohort; without references, all that have features.

    Raises BadTask if there are none, and UnknownName and BadRequest as `find_record` does.
    """
    if references:
        return [find_record(store, reference, cohort) for reference in references]
    records = [record for record in list_records(store) if has_cohort(store, record, cohort)]
    if not records:
        raise BadTask(
            f"no encoder has features of cohort {cohort}; "
            f"make them with `clearbench embed {cohort} --model NAME`"
        )
    return records


def record_of_cohort(record: EncoderRecord, cohort: str, store: StoreFolder) -> EncoderRecord:
    """Return an encoder's record with features of a cohort: `record`, or one with other views.

    The other one has the same card, weights, precision and type. If there is none, `record` is
    returned.
    """
    if has_cohort(store, record, cohort):
        return record
    same = ("name", "dim", "precision", "store_dtype", "weights_sha256", "card")
    return next(
        (
            other
            for other in list_records(store)
            if all(getattr(other, name) == getattr(record, name) for name in same)
            and set(other.views) & set(record.views)
            and has_cohort(store, other, cohort)
        ),
        record,
    )


def has_cohort(store: StoreFolder, record: EncoderRecord, cohort: str) -> bool:
    """Return True if an encoder's folder has features of a cohort."""
    folder = store.encoder(record.name, record.fingerprint) / cohort
    return folder.is_dir() and any(folder.glob("*.h5"))


def seen_path(record: EncoderRecord, store: StoreFolder) -> Path:
    """Return the path of the hashed patients that an encoder was trained on; it may not exist."""
    return store.encoder(record.name, record.fingerprint) / "seen-patients.txt"


def keep_seen(listed: Path, record: EncoderRecord, store: StoreFolder) -> None:
    """Copy an encoder's list of hashed patients next to its features."""
    text = read_text(listed)
    write_text(seen_path(record, store), text)


def write_run(run: RunRecord, record: EncoderRecord, store: StoreFolder) -> None:
    """Write the record of one run."""
    # processes that share the work may end in the same second
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.json"
    path = store.encoder(record.name, record.fingerprint) / "runs" / name
    write_text(path, json.dumps(asdict(run)) + "\n")


def measured_rate(record: EncoderRecord, store: StoreFolder) -> float | None:
    """Return the median slices per second of all runs; None if there are no runs."""
    folder = store.encoder(record.name, record.fingerprint) / "runs"
    runs = []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(RunRecord(**_read_json(path)))
        except TypeError as error:
            raise _damaged(path, error) from error
    rates = [run.slices_per_s for run in runs if run.slices]
    return round(median(rates), 1) if rates else None


def pin_weights(store: StoreFolder, encoder: str, sha256: str) -> None:
    """Store the hash of weights at their first use, if their card has none.

    Raises WeightsUnavailable if this store used other weights for that encoder before.
    """
    path = store.root / "pins.json"
    pins = _read_json(path) if path.is_file() else {}
    if pins.setdefault(encoder, sha256) != sha256:
        raise WeightsUnavailable(
            f"{encoder}: the weights changed since this store first used them "
            f"({pins[encoder][:12]}… then, {sha256[:12]}… now); use the old file with weights=…, "
            f"or remove the entry from {path} to accept the new one"
        )
    text = json.dumps(pins, indent=1, sort_keys=True) + "\n"
    write_text(path, text)
