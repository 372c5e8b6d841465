"""One SELECT over a store: what is allowed, the views, and embeddings without a copy."""

import re
import threading
from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute

from clearbench.errors import BadQuery, suggestion
from clearbench.store.catalogue.fold import refresh
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
MISSING_TABLE = re.compile(r"Table with name (\w+) does not exist")
EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?(\s*\([^)]*\))?\s+", re.IGNORECASE)


def run_select(store: StoreFolder, sql: str) -> Any:
    """Return the DuckDB relation of one SELECT over the store's views.

    It has .arrow(), .df(), .pl(), .fetchall(). Raises BadQuery for anything but one SELECT (or
    EXPLAIN of one), and for SQL that DuckDB refuses.
    """
    connection, statement = _connected(store, sql)
    try:
        return connection.query(statement)
    except duckdb.Error as error:
        raise BadQuery(_short_message(error)) from error


def fetch_table(store: StoreFolder, sql: str, timeout_s: float | None = None) -> pa.Table:
    """Run one SELECT (see run_select) and return all of its rows as an Arrow table.

    Raises BadQuery also if it takes longer than `timeout_s`.
    """
    connection, statement = _connected(store, sql)
    timer = threading.Timer(timeout_s, connection.interrupt) if timeout_s else None
    try:
        if timer:
            timer.start()
        return connection.sql(statement).to_arrow_table()
    except duckdb.InterruptException as error:
        raise BadQuery(f"stopped after {timeout_s:g} s; allow more time") from error
    except duckdb.Error as error:
        raise BadQuery(_short_message(error)) from error
    finally:
        if timer:
            timer.cancel()


def _connected(store: StoreFolder, sql: str) -> tuple[Any, str]:
    """Return a locked connection with the store's views, and the only statement it may run."""
    connection = duckdb.connect(":memory:")
    try:
        statement = _one_select(connection, sql)
        # a quote in the path would end the SQL text
        catalogue = str(refresh(store)).replace("'", "''")
        connection.execute(f"ATTACH '{catalogue}' AS catalogue (READ_ONLY)")
        _make_views(connection, store, statement)
        # only after ATTACH, which needs file access; the user's statement must not have it
        connection.execute("SET enable_external_access = false")
        # else SQL could read Python variables as tables
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise BadQuery(_short_message(error)) from error
    return connection, statement


def _one_select(connection: Any, sql: str) -> str:
    """Return the statement if it is exactly one SELECT, or EXPLAIN of one; raises BadQuery."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise BadQuery(f"exactly one SELECT is accepted, not {len(statements)} statements")
    kind, inner = statements[0].type, statements[0].query
    # EXPLAIN ANALYZE runs its statement, so that must be a SELECT too
    if kind == duckdb.StatementType.EXPLAIN:
        parts = connection.extract_statements(EXPLAIN.sub("", inner))
        kind = parts[0].type if len(parts) == 1 else kind
    if kind != duckdb.StatementType.SELECT:
        raise BadQuery(
            f"exactly one SELECT is accepted, not {kind.name}; "
            "features, labels and results are written by their own commands"
        )
    return str(inner)


def _make_views(connection: Any, store: StoreFolder, statement: str) -> None:
    """Make the views; embeddings are loaded only if the statement may need them."""
    for name in PLAIN_VIEWS:
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM catalogue.{name}")
    connection.execute(SCANS_VIEW)
    sets = connection.execute(
        "SELECT DISTINCT encoder, fingerprint FROM catalogue.files ORDER BY ALL"
    ).fetchall()
    names = _view_names(sets)
    words = set(re.findall(r"\w+", statement.lower()))
    everything = "slices" in words and _mentions_embeddings(statement)
    parts: list[str] = []
    for encoder, fingerprint in sets:
        wanted = names[encoder, fingerprint]
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
        connection.execute(SLICES_VIEW if sets else EMPTY_SLICES_VIEW)


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


def _short_message(error: Exception) -> str:
    """Return DuckDB's message without the lines that point at a position."""
    missing = MISSING_TABLE.search(str(error))
    if missing:
        views = ("scans", "slices", *PLAIN_VIEWS)
        near = suggestion(missing[1], views)
        return f'no view is called "{missing[1]}"{near} ({", ".join(views)}, features_<encoder>)'
    lines = [line for line in str(error).splitlines() if line.strip()]
    hints = [line for line in lines[1:] if line.startswith(("Candidate", "Did you mean", "HINT"))]
    return "; ".join([lines[0], *hints]) if lines else "DuckDB refuses this statement"
