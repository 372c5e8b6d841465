"""`clearbench query` and `clearbench similar`: SQL over a store."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Output, Store, store_path


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
        float | None, typer.Option("--timeout", help="Stop after this many seconds.")
    ] = None,
) -> None:
    """Answer one SELECT over features, labels and results."""
    from clearbench.display.answers import show_answer
    from clearbench.display.embedding import show_damaged
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.feature_store import FeatureStore

    opened = FeatureStore(store_path(store))
    table = opened.table(sql, timeout_s=timeout)
    show_answer(table, format_of(fmt, output), output)
    show_damaged(damaged_files(opened.folder))


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
