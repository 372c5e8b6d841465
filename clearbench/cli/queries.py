"""`clearbench query` and `clearbench similar`: SQL over a store."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Output, Store, store_path
from clearbench.errors import BadQuery, plain_text
from clearbench.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(query)
    app.command()(similar)


def query(
    sql: Annotated[
        str,
        typer.Argument(
            metavar="SQL",
            help="One SELECT over encoders, scans, slices, features_<encoder>, labels, splits, "
            "results, predictions, attention.",
            show_default=False,
        ),
    ],
    store: Store = None,
    fmt: Annotated[str, typer.Option("--format", help="table, csv, json or parquet.")] = "table",
    output: Output = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Stop after this many seconds.")
    ] = 600.0,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            "--memory-gb",
            metavar="GB",
            help="The most memory of the query; the answer may take as much again. "
            "[default: 40 % of the machine's]",
            show_default=False,
        ),
    ] = None,
    temp_gb: Annotated[
        float | None,
        typer.Option(
            "--temp-gb",
            metavar="GB",
            help="The most disk for what doesn't fit into the memory, in $TMPDIR, else /tmp; it is "
            "removed afterwards. [default: half of what is free]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Answer one SELECT over features, labels and results."""
    from clearbench.display.answers import check_format, show_answer
    from clearbench.display.embedding import show_damaged
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.feature_store import FeatureStore

    check_format(format_of(fmt, output), output)
    opened = FeatureStore(store_path(store))
    with _leaving_what_runs():
        table = opened.table(sql, timeout_s=timeout, memory_gb=memory_gb, temp_gb=temp_gb)
    show_answer(table, format_of(fmt, output), output)
    show_damaged(damaged_files(opened.folder))


@contextmanager
def _leaving_what_runs() -> Iterator[None]:
    """End the process at once if a query was left running: Python crashes if that ends meanwhile.

    Nothing has been written yet.
    """
    from clearbench.store.catalogue.limits import is_left_running, remove_scratch

    try:
        yield
    except (BadQuery, KeyboardInterrupt) as error:
        if not is_left_running():
            raise
        stopped = isinstance(error, KeyboardInterrupt)
        sentence = "stopped" if stopped else plain_text(str(error))
        sys.stderr.write(f"clearbench: {sentence}\n")
        sys.stderr.flush()
        remove_scratch()
        os._exit(ExitCode.STOPPED if stopped else ExitCode.REFUSED)


def format_of(fmt: str, output: Path | None) -> str:
    """Return the format that was typed, else the one of the file's suffix."""
    suffix = output.suffix.lower().lstrip(".") if output else ""
    return suffix if fmt == "table" and suffix in ("csv", "json", "parquet") else fmt


def similar(
    scan_id: Annotated[
        str, typer.Argument(metavar="SCAN_ID", help="A scan of the store.", show_default=False)
    ],
    slice_index: Annotated[
        int, typer.Argument(metavar="SLICE", help="The slice's number.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="An encoder's name.", show_default=False)
    ],
    k: Annotated[int, typer.Option("-k", help="How many neighbours to list.")] = 10,
    store: Store = None,
) -> None:
    """Find the slices of other scans with the nearest features (cosine)."""
    from clearbench.display.console import show_rows
    from clearbench.store.feature_store import FeatureStore

    table = FeatureStore(store_path(store)).similar(scan_id, slice_index, model, k)
    show_rows(table.to_pylist())
