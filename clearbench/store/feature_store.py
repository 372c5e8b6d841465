"""The store as Python sees it: features of one scan, and SQL over everything."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from clearbench.errors import BadRequest, UnknownName
from clearbench.store.catalogue.query import fetch_table, run_select
from clearbench.store.features import FileFacts, map_features, read_facts
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
        found = sorted(folder.glob(f"{cohort or '*'}/{scan_id}.h5"))
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
        """Return the rows of one SELECT as an Arrow table; raises BadQuery, also after `timeout_s`."""
        return fetch_table(self.folder, statement, timeout_s)
