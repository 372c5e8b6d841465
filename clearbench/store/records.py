"""Small JSON records next to the features: their encoder, and the speed of each run."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from types import MappingProxyType
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
from clearbench.store.json_files import (
    damaged_json,
    is_count,
    is_number,
    is_optional_number,
    is_optional_text,
    is_text,
    is_texts,
    read_json,
    wrong_key,
)

ENCODER_FILE = "encoder.json"
PINS = "pins.json"
FLOOR = "floor"  # the source of a floor that is no network
FLOORS = ("random", FLOOR)
DTYPES = ("float32", "float16")  # of features
EMBED_AGAIN = "embed with this encoder again, which writes it again"


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
    """Write an encoder's record next to its features, unless it is there already, undamaged."""
    path = store.encoder(record.name, record.fingerprint) / ENCODER_FILE
    try:
        read_record(path)
    except BadStore:
        text = json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
        write_text(path, text)
    return path


def list_records(store: StoreFolder) -> list[EncoderRecord]:
    """Return the record of every encoder with features, by name, then fingerprint.

    A damaged record, which `damaged_records` names, costs only its own features.
    """
    return [found for _, found in _records(store) if isinstance(found, EncoderRecord)]


def damaged_records(store: StoreFolder) -> dict[Path, BadStore]:
    """Return the fault of every damaged record, by its path."""
    return {path: found for path, found in _records(store) if isinstance(found, BadStore)}


def every_record(store: StoreFolder) -> list[EncoderRecord]:
    """Return the record of every encoder with features; raises BadStore if one is damaged."""
    for fault in damaged_records(store).values():
        raise fault
    return list_records(store)


def _records(store: StoreFolder) -> Iterator[tuple[Path, EncoderRecord | BadStore]]:
    """Yield the path of every record, and the record or its fault."""
    for path in sorted(store.features.glob(f"*/{ENCODER_FILE}")):
        try:
            yield path, read_record(path)
        except BadStore as fault:
            yield path, fault


RECORD_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("name", "fingerprint", "precision", "weights_sha256"), is_text),
        "dim": lambda value: is_count(value) and value > 0,
        "views": lambda value: is_texts(value) and value and len(set(value)) == len(value),
        "store_dtype": lambda value: value in DTYPES,
        "card": lambda value: isinstance(value, dict),
    }
)
CARD_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("title", "family", "pooling", "source", "scope"), is_optional_text),
        "weights": lambda value: _has(value, "licence", is_optional_text),
        "facts": lambda value: _has(value, "parameters_m", is_optional_number),
        "input": lambda value: value is None or isinstance(value, dict),
    }
)


def _has(table: object, key: str, test: Callable[[object], bool]) -> bool:
    """Tell whether a table of a card is one, and its key is as the catalogue needs it."""
    return table is None or (isinstance(table, dict) and test(table.get(key)))


def read_record(path: Path) -> EncoderRecord:
    """Read an encoder's record; raises BadStore if it is damaged, or of another folder."""
    facts = read_json(path, EMBED_AGAIN)
    card = facts.get("card") or {}
    wrong = wrong_key(facts, RECORD_KEYS) or wrong_key(card, CARD_KEYS)
    if wrong:
        raise damaged_json(path, f"{wrong} is missing or of another type", EMBED_AGAIN)
    lists = {"views": tuple(facts["views"]), "stored_views": ()}
    try:
        record = EncoderRecord(**{**facts, **lists})
    except TypeError as error:
        raise damaged_json(path, str(error), EMBED_AGAIN) from error
    if path.parent.name != f"{record.name}-{record.fingerprint[:8]}":
        raise damaged_json(path, f"it is the record of {record.reference}", EMBED_AGAIN)
    return record


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
        for path, fault in damaged_records(store).items():
            folder, _, fp8 = path.parent.name.rpartition("-")
            if folder == name and fp8.startswith(digits[:8]):
                raise fault
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

    Raises BadTask if there are none, BadStore if their record is damaged, and UnknownName and
    BadRequest as `find_record` does.
    """
    if references:
        return [find_record(store, reference, cohort) for reference in references]
    records = [record for record in list_records(store) if has_cohort(store, record, cohort)]
    if not records:
        for path, fault in damaged_records(store).items():
            if (path.parent / cohort).is_dir():
                raise fault
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
    """Return the median slices per second of all runs; None if there are no runs.

    A damaged record of a run counts as none.
    """
    folder = store.encoder(record.name, record.fingerprint) / "runs"
    rates = []
    for path in sorted(folder.glob("*.json")):
        try:
            run = read_run(path)
        except BadStore:
            continue
        rates += [run.slices_per_s] if run.slices else []
    return round(median(rates), 1) if rates else None


RUN_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("slices", "scans", "cores", "batch_size"), is_count),
        "seconds": lambda value: is_number(value) and value >= 0,
        "device": is_text,
    }
)


def read_run(path: Path) -> RunRecord:
    """Read the record of a run; raises BadStore if it is damaged."""
    way_out = "remove it: only the speed of one run is lost"
    facts = read_json(path, way_out)
    wrong = wrong_key(facts, RUN_KEYS)
    if wrong or set(facts) != set(RUN_KEYS):
        raise damaged_json(path, f"{wrong or 'its keys'}: not those of a run", way_out)
    return RunRecord(**facts)


def pin_weights(store: StoreFolder, encoder: str, sha256: str) -> None:
    """Store the hash of weights at their first use, if their card has none.

    Raises WeightsUnavailable if this store used other weights for that encoder before.
    """
    path = store.root / PINS
    pins = read_pins(store)
    if pins.setdefault(encoder, sha256) != sha256:
        raise WeightsUnavailable(
            f"{encoder}: the weights changed since this store first used them "
            f"({pins[encoder][:12]}… then, {sha256[:12]}… now); use the old file with weights=…, "
            f"or remove the entry from {path} to accept the new one"
        )
    text = json.dumps(pins, indent=1, sort_keys=True) + "\n"
    write_text(path, text)


def read_pins(store: StoreFolder) -> dict[str, str]:
    """Return the hashes of weights by encoder; raises BadStore if they are damaged."""
    path = store.root / PINS
    way_out = "remove it: the weights that are used next are pinned again"
    pins = read_json(path, way_out) if os.path.lexists(path) else {}
    for name, pin in pins.items():
        if not is_text(pin):
            raise damaged_json(path, f"the pin of {name} is no text", way_out)
    return pins
