"""One SELECT over a store: its limits, the views, and embeddings without a copy."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute

from clearbench.errors import BadQuery, ClearbenchError
from clearbench.store.catalogue.cells import LONG_NUMBER, for_arrow
from clearbench.store.catalogue.fold import refresh
from clearbench.store.catalogue.judge import judge, one_select, short
from clearbench.store.catalogue.limits import (
    Limits,
    SetLimits,
    run_watched,
    set_limits,
)
from clearbench.store.catalogue.schema import (
    EMPTY_SLICES_VIEW,
    FILES_OF,
    PLAIN_VIEWS,
    ROWS_OF,
    SCANS_VIEW,
    SLICES_VIEW,
)
from clearbench.store.features import FileFacts, feature_buffer
from clearbench.store.folder import StoreFolder

MOST_MAPS = 50_000  # Linux allows 65,530 memory maps per process; further files are copied
BATCH_ROWS = 8192
CTRL_C = "Query interrupted"  # what DuckDB says if the signal reaches it first
# Extensions would be code from the user's home, and files could be read as tables.
CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
}


@dataclass(frozen=True)
class _Ready:
    """A locked connection with the store's views, and the only statement it may run."""

    connection: Any
    statement: str
    limits: SetLimits


def run_select(store: StoreFolder, sql: str, limits: Limits | None = None) -> Any:
    """Return the DuckDB relation of one SELECT over the store's views.

    It has .arrow(), .df(), .pl(), .fetchall(), which raise DuckDB's own errors, also if the query
    exceeds the limits. Raises BadQuery for anything but one SELECT (or EXPLAIN of one), for SQL
    that reaches anything but the views, and for SQL that DuckDB refuses.
    """
    ready = _ready(store, sql, limits or Limits())
    with _refusals(ready.limits):
        return ready.connection.query(ready.statement)


def fetch_table(store: StoreFolder, sql: str, limits: Limits | None = None) -> pa.Table:
    """Run one SELECT (see run_select) and return all of its rows as an Arrow table.

    Names of columns are made unique (a, a_1), and types that Arrow lacks are text. Raises BadQuery
    also if the query exceeds the limits.
    """
    ready = _ready(store, sql, limits or Limits())

    def work() -> pa.Table:
        relation = for_arrow(ready.connection.sql(ready.statement))
        return _all_rows(relation.to_arrow_reader(BATCH_ROWS), ready.limits)

    with _refusals(ready.limits):
        return run_watched(ready.connection, ready.limits, work)


def _all_rows(reader: pa.RecordBatchReader, limits: SetLimits) -> pa.Table:
    """Return all rows of an answer; raises BadQuery if they need more memory than is allowed."""
    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > limits.memory_bytes:
            raise BadQuery(f"the answer {limits.memory_said}")
    return pa.Table.from_batches(batches, reader.schema)


def _ready(store: StoreFolder, sql: str, limits: Limits) -> _Ready:
    """Judge a statement, and return a locked connection that can run it; raises BadQuery."""
    connection = duckdb.connect(":memory:", config=CONFIG)
    with _refusals():
        statement = one_select(connection, sql)
    # a quote in the path would end the SQL text
    catalogue = str(refresh(store)).replace("'", "''")
    with _refusals():  # also where the catalogue is damaged
        connection.execute(f"ATTACH '{catalogue}' AS catalogue (READ_ONLY)")
        names = _view_names(_feature_sets(connection))
        featured = [name for several in names.values() for name in several]
        judge(connection, statement, ("scans", "slices", *PLAIN_VIEWS, *featured))
        _make_views(connection, store, statement, names)
    set_ = set_limits(connection, limits)
    # only after ATTACH, which needs file access; the user's statement must not have it
    connection.execute("SET enable_external_access = false")
    # else SQL could read Python variables as tables
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")
    return _Ready(connection, statement, set_)


@contextmanager
def _refusals(limits: SetLimits | None = None) -> Iterator[None]:
    """Turn whatever DuckDB and Arrow raise inside of a `with` into BadQuery."""
    try:
        yield
    except ClearbenchError:
        raise
    # Arrow passes DuckDB's errors on as OSError; bad_alloc is a MemoryError
    except (
        duckdb.Error,
        pa.ArrowException,
        OSError,
        MemoryError,
        RuntimeError,
        ValueError,
    ) as error:
        if str(error) == CTRL_C:
            raise KeyboardInterrupt from error
        raise BadQuery(short(_sentence(error, limits))) from error


def _sentence(error: Exception, limits: SetLimits | None) -> str:
    """Return why a query failed, and the way out."""
    text = str(error)
    if LONG_NUMBER in text:
        return "a whole number has more than 38 digits; write it ::VARCHAR or ::DOUBLE"
    if limits is not None:
        if text.startswith("INTERRUPT"):
            return limits.wished.timeout_said
        if "max_temp_directory_size" in text:
            return limits.temp_said
        if isinstance(error, MemoryError) or text.startswith("Out of Memory"):
            return limits.memory_said
    return _short_message(text)


def _feature_sets(connection: Any) -> list[tuple[str, str]]:
    """Return the encoder and the fingerprint of each set of features."""
    return list(
        connection.execute(
            "SELECT DISTINCT encoder, fingerprint FROM catalogue.files ORDER BY ALL"
        ).fetchall()
    )


def _make_views(
    connection: Any,
    store: StoreFolder,
    statement: str,
    names: dict[tuple[str, str], list[str]],
) -> None:
    """Make the views; embeddings are loaded only if the statement may need them."""
    for name in PLAIN_VIEWS:
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM catalogue.{name}")
    connection.execute(SCANS_VIEW)
    words = set(re.findall(r"\w+", statement.lower()))
    everything = "slices" in words and _mentions_embeddings(statement)
    parts: list[str] = []
    for (encoder, fingerprint), wanted in names.items():
        if everything or words & set(wanted):
            table = _embedding_table(connection, store, encoder, fingerprint)
            bound = f"bound_{len(parts)}"
            connection.register(bound, table)
            parts.append(bound)
            for view in wanted:
                connection.execute(f'CREATE VIEW "{view}" AS SELECT * FROM {bound}')
    if everything and parts:
        # lists of any length, because the dims of encoders differ
        selects = (
            f"SELECT * REPLACE (embedding::FLOAT[] AS embedding) FROM {bound}" for bound in parts
        )
        connection.execute(f"CREATE VIEW slices AS {' UNION ALL '.join(selects)}")
    else:
        connection.execute(SLICES_VIEW if names else EMPTY_SLICES_VIEW)


def _mentions_embeddings(statement: str) -> bool:
    """Return True if a statement over `slices` may need the embedding column."""
    text = statement.lower()
    # DuckDB also accepts FROM without SELECT, which takes every column
    return "embedding" in text or "*" in text or "select" not in text


def _view_names(sets: list[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Return each set's view names: features_<encoder>_<fp8>, and without fp8 if that is unique."""
    plain = {encoder: "features_" + re.sub(r"\W", "_", encoder.lower()) for encoder, _ in sets}
    counts = Counter(plain[encoder] for encoder, _ in sets)
    names = {}
    for encoder, fingerprint in sets:
        name = plain[encoder]
        names[encoder, fingerprint] = [f"{name}_{fingerprint[:8]}"] + (
            [name] if counts[name] == 1 else []
        )
    return names


def _embedding_table(
    connection: Any, store: StoreFolder, encoder: str, fingerprint: str
) -> pa.Table:
    """Return one set of features as an Arrow table; `embedding` is in the mapped files."""
    rows = connection.sql(ROWS_OF, params=[encoder, fingerprint]).to_arrow_table()
    files = connection.execute(FILES_OF, [encoder, fingerprint]).fetchall()
    chunks = [
        _embeddings(store, file, mapped=number < MOST_MAPS) for number, file in enumerate(files)
    ]
    table = rows.append_column("embedding", pa.chunked_array(chunks))
    present = rows.column("present")
    # a filter copies all embeddings, so it runs only where it must
    if not pa.compute.all(present).as_py():
        table = table.filter(present)
    return table.drop_columns(["present"])


def _embeddings(store: StoreFolder, file: tuple[Any, ...], *, mapped: bool) -> pa.Array:
    """Return one file's features as fixed-size lists of float32; float16 is converted."""
    path, start, dtype, slices, views, dim = file
    facts = FileFacts(store.root / path, start, dtype, (slices, views, dim), "", "", "", "", {})
    buffer = feature_buffer(facts, mapped=mapped)
    if dtype == "float32":
        # None: no validity bitmap, because no value is null
        values = pa.Array.from_buffers(pa.float32(), slices * views * dim, [None, buffer])
    else:
        # half floats don't pass from Arrow into DuckDB
        values = pa.array(np.frombuffer(buffer, dtype=dtype).astype(np.float32))
    return pa.FixedSizeListArray.from_arrays(values, dim)


def _short_message(text: str) -> str:
    """Return DuckDB's message without the lines that point at a position."""
    lines = [line for line in text.splitlines() if line.strip()]
    hints = [line for line in lines[1:] if line.startswith(("Candidate", "Did you mean", "HINT"))]
    return "; ".join([lines[0], *hints]) if lines else "DuckDB refuses this statement"
