"""The store as Python sees it: features of one scan, and SQL over everything."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from clearbench.errors import BadRequest, BadStore, UnknownName
from clearbench.store.catalogue.query import fetch_table, run_select
from clearbench.store.features import FileFacts, is_intact, map_features, read_facts, read_rows
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.records import EncoderRecord, find_record, list_encoders


class FeatureStore:
    """A store opened for reading.

    Raises BadStore if the folder is no store, or one of another schema version.
    """

    def __init__(self, root: Path | str = "clearbench-store") -> None:
        self.folder: StoreFolder = open_store(root)

    def __repr__(self) -> str:
        names = ", ".join(record.reference for record in list_encoders(self.folder))
        return f"FeatureStore({str(self.folder.root)!r}: {names or 'empty'})"

    def encoders(self) -> list[EncoderRecord]:
        """Return every set of features."""
        return list_encoders(self.folder)

    def features(self, encoder: str, scan_id: str, *, cohort: str = "") -> NDArray[Any]:
        """Return a scan's features [n, views, dim], memory-mapped and read-only.

        `encoder` is a name, or name@fp8 where the store holds several sets. Raises UnknownName for
        an encoder or a scan without features, BadRequest if more than one fits.
        """
        return map_features(self.facts(encoder, scan_id, cohort=cohort))

    def facts(self, encoder: str, scan_id: str, *, cohort: str = "") -> FileFacts:
        """Return what a scan's feature file says of itself; see features."""
        record = find_record(self.folder, encoder, cohort)
        folder = self.folder.encoder(record.name, record.fingerprint)
        places = [folder / cohort] if cohort else sorted(folder.glob("*"))
        found = [path for place in places if (path := place / f"{scan_id}.h5").is_file()]
        if not found:
            known = (path.stem for path in folder.glob("*/*.h5"))
            raise UnknownName.among(f"scan with features of {record.reference}", scan_id, known)
        if len(found) > 1:
            names = ", ".join(path.parent.name for path in found)
            raise BadRequest(f"{scan_id} is in several cohorts ({names}); name one: cohort=…")
        return read_facts(found[0])

    def sql(self, statement: str) -> Any:
        """Return the DuckDB relation of one SELECT: .arrow(), .df(), .pl(), .fetchall().

        Raises BadQuery for anything else.
        """
        return run_select(self.folder, statement)

    def table(self, statement: str, *, timeout_s: float | None = None) -> pa.Table:
        """Return the rows of one SELECT as an Arrow table.

        Raises BadQuery for anything else, and after `timeout_s`.
        """
        return fetch_table(self.folder, statement, timeout_s)

    def similar(self, scan_id: str, slice_index: int, encoder: str, k: int = 10) -> pa.Table:
        """Return the `k` slices of other scans nearest to one slice, by cosine, view by view.

        Raises UnknownName or BadRequest as features does, and for a slice the scan doesn't have.
        """
        facts = self.facts(encoder, scan_id)
        if slice_index not in read_rows(facts.path).slice_index:
            raise BadRequest(f"{scan_id} has no slice {slice_index}")
        record = find_record(self.folder, encoder)
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
        """Read every feature file and compare it with the sha256 under which it was written."""
        damaged, intact = [], 0
        for path in sorted(self.folder.features.glob("*/*/*.h5")):
            try:
                good = is_intact(read_facts(path))
            except BadStore:
                good = False
            intact += good
            damaged += [] if good else [str(path)]
        return Verified(intact, tuple(damaged))


@dataclass(frozen=True)
class Verified:
    """How many feature files are as they were written, and which are not."""

    intact: int
    damaged: tuple[str, ...]
