"""Pseudonyms (keyed hashes of identifiers), and the key table with the identifiers.

A pseudonym is an HMAC-SHA256 (RFC 2104) of the identifier under the store's secret. It can't be
guessed, or compared across stores. Only the owner can read the secret and the key table. A table
with pseudonyms has a mark of their secret, so that another store notices that they aren't its own.
"""

import csv
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from clearbench.bounded import read_bytes
from clearbench.cohort.columns import SECRET_MARK
from clearbench.errors import BadCohort, BadStore
from clearbench.files import locked, write_first, write_output
from clearbench.rights import OWNER_ONLY, make_folders

SECRET_FILE = "secret.key"
SECRET_BYTES = 32
KEY_TABLE = "keys.csv"
MOST_MB = 2048


@dataclass(frozen=True)
class Pseudonyms:
    """Makes pseudonyms under one store's secret; may be passed to other processes."""

    secret: bytes = field(repr=False)  # keeps it out of logs and error messages

    @property
    def mark(self) -> str:
        """Return a name of the secret itself, that doesn't lead back to it."""
        return self.name("secret", "")

    def name(self, kind: str, identifier: str) -> str:
        """Return `<kind>-<12 hex>`, the same for the same kind, identifier and secret."""
        # \0 is in neither, so two different pairs never give one text
        text = f"{kind}\0{identifier}".encode()
        return f"{kind}-{hmac.new(self.secret, text, hashlib.sha256).hexdigest()[:12]}"

    def series(self, series_uid: str) -> str:
        """Return the pseudonym of a SeriesInstanceUID, as in cohort tables."""
        return self.name("series", series_uid)

    def other(self, text: str) -> str:
        """Return the token of a header's text that isn't kept: equal for equal texts."""
        return self.name("other", text)


def patient_hash(patient_id: str) -> str:
    """Return 16 hex digits, always the same for a patient, that don't show the id.

    The hash has no secret: anyone can test a guessed id against it, so pseudonymise ids first.
    """
    return hashlib.sha256(f"clearbench patient {patient_id}".encode()).hexdigest()[:16]


def open_pseudonyms(store: Path) -> Pseudonyms:
    """Read the store's secret, or make one that only its owner can read.

    Raises BadStore if the secret is cut off: its pseudonyms would be different, and easy to guess.
    """
    path = store / SECRET_FILE
    if not os.path.lexists(path):
        # of processes that start together, all must use the first one's secret
        write_first(path, secrets.token_bytes(SECRET_BYTES), private=True)
    return _read_secret(path)


def _read_secret(path: Path) -> Pseudonyms:
    """Read a secret; raises BadStore if it is cut off."""
    try:
        secret = read_bytes(path)
    except OSError as error:
        raise BadStore(
            f"{path}: the secret can't be read ({error.strerror}); its owner allows it"
        ) from error
    if len(secret) < SECRET_BYTES:
        raise BadStore(f"{path}: the secret is damaged; restore its backup, or begin a new store")
    return Pseudonyms(secret)


def with_secret_mark(table: pa.Table, names: Pseudonyms) -> pa.Table:
    """Return a table of pseudonyms with the mark of their secret in every row."""
    if SECRET_MARK in table.column_names:
        table = table.drop_columns([SECRET_MARK])
    return table.append_column(SECRET_MARK, pa.array([names.mark] * table.num_rows, pa.string()))


def refuse_other_secret(table: pa.Table, source: Path, store: Path) -> None:
    """Raise BadCohort if a table's pseudonyms were made under another secret than the store's.

    Rows without a mark have ids of their own, which any store takes.
    """
    if SECRET_MARK not in table.column_names:
        return
    secret = store / SECRET_FILE
    own = _read_secret(secret).mark if secret.exists() else None
    others = [mark for mark in table.column(SECRET_MARK).to_pylist() if mark not in (None, own)]
    if others:
        copy = "" if own else f", or copy the {SECRET_FILE} of that store to {store} first"
        raise BadCohort(
            f"{source}: {len(others)} of {table.num_rows} rows have pseudonyms of another store; "
            f"{store} can't match them with scans or labels. Use that store, or build the cohort "
            f"again with this one (`clearbench cohort build … --store {store}`){copy}"
        )


def remember_keys(store: Path, keys: Mapping[str, str]) -> Path:
    """Add pseudonym → identifier pairs to the store's key table: all of them or none."""
    make_folders(store, OWNER_ONLY)
    with locked(store):
        known = read_keys(store)
        new = keys.items() - known.items()
        # a store that can't be written into can still name its scans
        return _write_keys(store, known | dict(new)) if new else store / KEY_TABLE


def remove_keys(store: Path, pseudonyms: Collection[str]) -> Path:
    """Remove pseudonyms and their identifiers from the store's key table: all of them or none."""
    with locked(store):
        known = read_keys(store)
        return _write_keys(store, {k: v for k, v in known.items() if k not in pseudonyms})


def _write_keys(store: Path, keys: Mapping[str, str]) -> Path:
    """Write the key table."""
    path = store / KEY_TABLE

    def write(draft: Path) -> None:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["pseudonym", "identifier"])
            writer.writerows(sorted(keys.items()))

    # a link stays: the key table may be kept in a safer place than the store
    write_output(path, write, private=True, stream=False)
    return path


def read_keys(store: Path) -> dict[str, str]:
    """Return the key table as pseudonym → identifier; empty if there is none yet."""
    path = store / KEY_TABLE
    if not os.path.lexists(path):
        return {}
    try:
        text = read_bytes(path, MOST_MB).decode("utf-8")
        if text and not text.endswith("\n"):
            raise ValueError("its last line is cut off, so an identifier may be too")
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return {row["pseudonym"]: _cell(row) for row in rows}
    except PermissionError as error:
        raise BadStore(
            f"{path}: the key table can't be read ({error.strerror}); its owner can"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise BadStore(
            f"{path}: damaged ({type(error).__name__}); restore its backup, or move it away: then "
            "the ids that were made so far can't be led back any more"
        ) from error


def _cell(row: Mapping[str, str | None]) -> str:
    """Return the identifier in a row of two cells; raises ValueError for another row."""
    identifier = row["identifier"]
    if len(row) != 2 or identifier is None:
        raise ValueError("a row is not a pseudonym and its identifier")
    return identifier
