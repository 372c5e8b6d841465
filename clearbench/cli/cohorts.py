"""`clearbench scans` and `clearbench cohort …`: the scans that would be read, and their labels."""

from pathlib import Path
from typing import Annotated, Any

import typer

from clearbench.cli.options import (
    GroupReadable,
    Json,
    KeepIds,
    Output,
    ReplaceRows,
    Store,
    Window,
    checked_window,
    store_path,
    writable,
)
from clearbench.cli.sections import Group
from clearbench.datasets.public.registry import PUBLIC_DATA_SETS

cohort_app = typer.Typer(
    help="Build, add, list and show tables of scans, patients and labels.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
)


PadIds = Annotated[
    int,
    typer.Option(
        "--pad-ids",
        min=0,
        help="Fill up ids of labels with zeros to so many digits: spreadsheets turn 0012 into 12.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(scans)
    app.add_typer(cohort_app, name="cohort")


def scans(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A folder of scans, or one file.", show_default=False),
    ],
    window: Window = "",
    read: Annotated[
        bool,
        typer.Option("--read", help="Read every scan whole, to check its values too; slower."),
    ] = False,
    output: Output = None,
    store: Store = None,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """List the scans that would be read: shape, spacing, thickness, kernel, problems."""
    from clearbench.cohort.files import write_table
    from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
    from clearbench.cores import default_workers
    from clearbench.datasets.series import (
        key_table,
        name_scans,
        series_records,
        series_table,
    )
    from clearbench.display.console import dump, warn
    from clearbench.display.scans import show_inventory
    from clearbench.rights import is_group_readable
    from clearbench.scans.image_scans import in_window
    from clearbench.scans.inventory import find_scans, with_values_checked

    inventory = in_window(find_scans(path, workers=default_workers()), checked_window(window))
    if read:
        inventory = with_values_checked(inventory, workers=default_workers())
    root = store_path(store)
    names = open_pseudonyms(root)
    named = name_scans(inventory, names, keep_ids=keep_ids)
    table = series_table(named, keep_ids=keep_ids)
    if not keep_ids:
        remember_keys(root, key_table(named))
    if output is not None:
        # it has paths
        write_table(table, output, private=True, group=is_group_readable(root))
        warn(f"written: {output} ({table.num_rows} series)")
    if as_json:
        records = series_records(named, keep_ids=keep_ids)
        files = [{"path": str(item.path), "reason": item.reason} for item in inventory.left_out]
        found = {"scans": records, "left_out": dict(inventory.reasons())}
        dump(found | {"left_out_files": files})
    elif output is None:
        show_inventory(inventory, named)


@cohort_app.command()
def build(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help=f"folder for your own scans, or a public data set: {', '.join(PUBLIC_DATA_SETS)}.",
            show_default=False,
        ),
    ],
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="The folder of the scans.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The cohort table to write, .csv or .parquet.",
            show_default=False,
            callback=writable,
        ),
    ],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="A table of labels (folder only).")
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            help="The column that joins labels and scans: PatientID, AccessionNumber, "
            "StudyInstanceUID, SeriesInstanceUID or path.",
        ),
    ] = "PatientID",
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            help="The series to take of each study: WHERE and ORDER BY of SQL over the table of "
            "series.",
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            help="A folder of the community's split files: deeplesion_typed_*.csv (deeplesion) or "
            "luna16_malignancy_*.csv (luna16).",
        ),
    ] = None,
    repair_split: Annotated[
        bool,
        typer.Option(
            "--repair-split",
            help="Where split files have a patient on two sides, move all rows of the patient to "
            "the side with most of them. Without it, such files are refused.",
        ),
    ] = False,
    pad_ids: PadIds = 0,
    window: Window = "",
    store: Store = None,
    keep_ids: KeepIds = False,
) -> None:
    """Make a cohort table: your own folder and labels, or a public data set's folder."""
    from clearbench.errors import BadRequest

    if dataset != "folder":
        _build_published(dataset, root, output, splits, repair_split, store_path(store), keep_ids)
    elif splits is not None or repair_split:
        raise BadRequest(
            "--splits and --repair-split are for public data sets; leave them out for a folder"
        )
    elif labels is None:
        raise BadRequest(
            "a cohort of your own folder needs its labels: --labels CSV --on PatientID"
        )
    else:
        options = {"keep_ids": keep_ids, "pad_ids": pad_ids, "window": checked_window(window)}
        _build_folder(root, labels, on, pick, output, store_path(store), options)


def _build_published(
    dataset: str,
    root: Path,
    output: Path,
    splits: Path | None,
    repair_split: bool,
    store: Path,
    keep_ids: bool,
) -> None:
    """Write a public data set's cohort; of UIDs that it hides, the store keeps the key table."""
    from clearbench.cohort.files import write_table
    from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
    from clearbench.cohort.table import check_cohort
    from clearbench.datasets.public.published import build_published
    from clearbench.display.console import show_list
    from clearbench.display.scans import show_cohort
    from clearbench.rights import is_group_readable

    entry = PUBLIC_DATA_SETS.get(dataset)
    found = build_published(
        dataset,
        root,
        output,
        splits=splits,
        repair_split=repair_split,
        names=open_pseudonyms(store) if entry and entry.hides_uids and not keep_ids else None,
        keep_ids=keep_ids,
    )
    cohort = check_cohort(found.table, "", output)
    if found.keys:
        remember_keys(store, found.keys)
    write_table(found.table, output, private=True, group=is_group_readable(store))
    show_cohort(cohort)
    show_list(found.notes, "note")
    show_list(found.missing, f"{len(found.missing)} missing or left out")


def _build_folder(
    root: Path,
    labels: Path,
    on: str,
    pick: str | None,
    output: Path,
    store: Path,
    options: dict[str, Any],
) -> None:
    """Write a cohort of the user's own scans, and keep the key table in the store."""
    from clearbench.cohort.files import write_table
    from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
    from clearbench.cohort.table import check_cohort
    from clearbench.cores import default_workers
    from clearbench.datasets.own.folder import build_folder
    from clearbench.datasets.pick import DEFAULT_PICK
    from clearbench.datasets.series import key_table
    from clearbench.display.scans import show_built, show_cohort, show_left_out_files
    from clearbench.rights import is_group_readable
    from clearbench.scans.inventory import find_scans

    inventory = find_scans(root, workers=default_workers())
    chosen = pick or DEFAULT_PICK
    built = build_folder(
        inventory,
        labels,
        on,
        output,
        names=open_pseudonyms(store),
        pick=chosen,
        **options,
    )
    # checked before anything is written: a refused table leaves no file
    cohort = check_cohort(built.table, "", output)
    if not options["keep_ids"]:
        remember_keys(store, key_table(list(built.scans)))
    write_table(built.table, output, private=True, group=is_group_readable(store))
    show_built(built, output, chosen)
    show_left_out_files(inventory)
    show_cohort(cohort)


@cohort_app.command()
def add(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A cohort table; or a table of labels, without a column path, for a cohort of "
            "the store.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            "--name",
            help="The cohort's name. [default: the column cohort, else the file's name, else the "
            "cohort that has the pseudonyms of the labels]",
            show_default=False,
        ),
    ] = "",
    pad_ids: PadIds = 0,
    replace_rows: ReplaceRows = False,
    group_readable: GroupReadable = False,
    store: Store = None,
) -> None:
    """Add a cohort to the store, or new or changed labels, without embedding again."""
    from clearbench.cohort.files import read_table
    from clearbench.display.scans import show_cohort
    from clearbench.files import locked
    from clearbench.store.cohorts import save_cohort, with_table
    from clearbench.store.folder import open_store, share

    folder = open_store(store_path(store), create=True)
    table = read_table(file, keep_words=True)
    with locked(folder.root):  # of two runs at once, neither may lose the other's rows
        cohort = with_table(table, name, file, folder, pad_ids=pad_ids, replace_rows=replace_rows)
        if group_readable:
            share(folder, group=True)
        save_cohort(cohort, folder)
    show_cohort(cohort)


@cohort_app.command(name="list")
def list_cohorts(store: Store = None, as_json: Json = False) -> None:
    """List the cohorts of a store."""
    from clearbench.display.console import dump, show_rows
    from clearbench.display.embedding import show_damaged
    from clearbench.store.cohorts import whole_cohorts
    from clearbench.store.folder import open_store

    cohorts, faults = whole_cohorts(open_store(store_path(store)))
    rows = [
        {
            "cohort": c.name,
            "scans": c.table.num_rows,
            "patients": len(set(c.column("patient_id"))),
            "labels": ", ".join(c.labels),
        }
        for c in cohorts
    ]
    dump(rows) if as_json else show_rows(rows)
    show_damaged(faults)


@cohort_app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A cohort of the store.", show_default=False)
    ],
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show a cohort's labels and their values."""
    from clearbench.display.console import dump
    from clearbench.display.scans import show_cohort
    from clearbench.store.cohorts import load_cohort
    from clearbench.store.folder import open_store

    cohort = load_cohort(open_store(store_path(store)), name)
    dump(cohort.table.to_pylist()) if as_json else show_cohort(cohort)
