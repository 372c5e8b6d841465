"""The store in Python: features of one scan, and SQL over everything."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from clearbench.errors import BadRequest, BadStore, UnknownName
from clearbench.store.catalogue.limits import TIMEOUT_S, Limits
from clearbench.store.catalogue.query import fetch_table, run_select
from clearbench.store.features import (
    FileFacts,
    is_intact,
    map_features,
    read_facts,
    read_slice_rows,
)
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.records import EncoderRecord, find_record, list_records


class FeatureStore:
    """A store, opened for reading.

    Raises BadStore if the folder isn't a store, or has another schema version.
    """

    def __init__(self, root: Path | str = "clearbench-store") -> None:
        self.folder: StoreFolder = open_store(root)

    def __repr__(self) -> str:
        names = ", ".join(record.reference for record in list_records(self.folder))
        return f"FeatureStore({str(self.folder.root)!r}: {names or 'empty'})"

    def encoders(self) -> list[EncoderRecord]:
        """Return the record of every set of features: its encoder, views and precision."""
        return list_records(self.folder)

    def features(self, encoder: str, scan_id: str, *, cohort: str = "") -> NDArray[Any]:
        """Return a scan's features [n, views, dim], memory-mapped and read-only.

        `encoder` is a name, or name@fp8 if the store has several sets. Raises UnknownName for an
        encoder or a scan without features, BadRequest if several sets or cohorts have them.
        """
        return map_features(self.facts(encoder, scan_id, cohort=cohort))

    def facts(self, encoder: str, scan_id: str, *, cohort: str = "") -> FileFacts:
        """Return the facts in a scan's feature file; arguments and errors as for features."""
        record = find_record(self.folder, encoder, cohort)
        folder = self.folder.encoder(record.name, record.fingerprint)
        cohorts = [folder / cohort] if cohort else sorted(folder.glob("*"))
        found = [path for inner in cohorts if (path := inner / f"{scan_id}.h5").is_file()]
        if not found:
            known = (path.stem for path in folder.glob("*/*.h5"))
            raise UnknownName.among(f"scan with features of {record.reference}", scan_id, known)
        if len(found) > 1:
            names = ", ".join(path.parent.name for path in found)
            raise BadRequest(f"{scan_id} is in several cohorts ({names}); name one with cohort=…")
        return read_facts(found[0])

    def sql(
        self,
        statement: str,
        *,
        timeout_s: float = TIMEOUT_S,
        memory_gb: float | None = None,
        temp_gb: float | None = None,
    ) -> Any:
        """Return the DuckDB relation of one SELECT: .arrow(), .df(), .pl(), .fetchall().

        Limits as for table; a relation that exceeds them raises DuckDB's own error when it is read.
        Raises BadQuery for anything but one SELECT over the views.
        """
        return run_select(self.folder, statement, Limits(timeout_s, memory_gb, temp_gb))

    def table(
        self,
        statement: str,
        *,
        timeout_s: float = TIMEOUT_S,
        memory_gb: float | None = None,
        temp_gb: float | None = None,
    ) -> pa.Table:
        """Return the rows of one SELECT as an Arrow table.

        It may take `timeout_s` seconds, `memory_gb` (default: 40 % of the machine's memory), as
        much again for the answer, and `temp_gb` of temporary files (default: half of the free
        disk).
        Raises BadQuery if it exceeds them, and for anything but one SELECT over the views;
        BadArgument for what is no limit. A single call of a function that takes minutes can't be
        stopped: after BadQuery it goes on in a thread until it ends.
        """
        return fetch_table(self.folder, statement, Limits(timeout_s, memory_gb, temp_gb))

    def similar(self, scan_id: str, slice_index: int, encoder: str, k: int = 10) -> pa.Table:
        """Return the `k` slices of other scans that are nearest to one slice.

        The measure is the cosine similarity; only the same view of two slices is compared.

        Raises UnknownName or BadRequest as features does, BadRequest also for a missing slice.
        """
        facts = self.facts(encoder, scan_id)
        if slice_index not in read_slice_rows(facts.path).slice_index:
            raise BadRequest(f"{scan_id} has no slice {slice_index}")
        record = find_record(self.folder, encoder)
        # scan_id is safe in this SQL: it is the name of a feature file, so it has no quotes
        view = f"features_{re.sub(r'[^a-z0-9]', '_', record.name.lower())}_{record.fingerprint[:8]}"
        return self.table(
            f"WITH query AS (SELECT view, embedding FROM {view} "
            f"WHERE scan_id = '{scan_id}' AND slice_index = {int(slice_index)}) "
            "SELECT f.cohort, f.scan_id, f.slice_index, f.view, "
            "array_cosine_similarity(f.embedding, q.embedding) AS cosine "
            f"FROM {view} f JOIN query q USING (view) WHERE f.scan_id <> '{scan_id}' "
            f"ORDER BY cosine DESC LIMIT {int(k)}"
        )

    def verify(self) -> "Verified":
        """Read every feature file and compare its features with the sha256 written with them."""
        damaged, intact = [], 0
        for path in sorted(self.folder.features.glob("*/*/*.h5")):
            try:
                unchanged = is_intact(read_facts(path))
            except BadStore:
                unchanged = False
            intact += unchanged
            damaged += [] if unchanged else [str(path)]
        return Verified(intact, tuple(damaged))


@dataclass(frozen=True)
class Verified:
    """The number of unchanged feature files, and the paths of damaged ones."""

    intact: int
    damaged: tuple[str, ...]
