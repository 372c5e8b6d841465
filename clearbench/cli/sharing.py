"""`clearbench apply` and `clearbench pack`: use heads, features and results elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import (
    CohortName,
    Features,
    KeepIds,
    Output,
    Results,
    Store,
    TaskFolders,
    TaskName,
    store_path,
    words,
    writable,
)
from clearbench.cli.queries import format_of
from clearbench.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(apply)
    app.command()(pack)


def apply(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="A folder that evaluate --save-heads wrote.",
            show_default=False,
        ),
    ],
    scans: Annotated[
        str,
        typer.Argument(
            metavar="SCANS",
            help="A cohort of the store, or the table or folder that was embedded into it.",
            show_default=False,
        ),
    ],
    store: Store = None,
    name: CohortName = "",
    keep_ids: KeepIds = False,
    output: Output = None,
) -> None:
    """Score scans of the store with saved heads; no labels are needed.

    With -o, the attention on every slice is written next to the scores.
    """
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench import sharing
    from clearbench.display.answers import show_answer
    from clearbench.display.sharing import show_applied
    from clearbench.results.applied import applied_attention, applied_table

    found = sharing.apply(bundle, scans, store=store_path(store), name=name, keep_ids=keep_ids)
    show_answer(applied_table(found), format_of("table", output), output)
    attention = applied_attention(found)
    if output is not None and attention is not None:
        place = output.with_name(f"{output.stem}.attention{output.suffix}")
        show_answer(attention, format_of("table", place), place)
    show_applied(found)
    raise typer.Exit(ExitCode.FAILED if found.without_features else ExitCode.DONE)


def pack(
    task: TaskName,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="The .zip to write.", show_default=False, callback=writable
        ),
    ],
    model: Features = None,
    store: Store = None,
    results: Results = None,
    tasks: TaskFolders = None,
) -> None:
    """Write a task's features, labels, folds and results to one file, without pixels."""
    from clearbench import sharing
    from clearbench.display.embedding import show_damaged
    from clearbench.display.sharing import show_pack
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.folder import open_store

    facts = sharing.pack(
        task,
        output,
        words(model),
        store=store_path(store),
        results=results,
        task_folders=tasks or (),
    )
    show_pack(facts, output)
    show_damaged(damaged_files(open_store(store_path(store))))
