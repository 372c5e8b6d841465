"""`clearbench embed` and `clearbench store …`."""

from typing import Annotated

import typer

from clearbench.cli.options import (
    CohortName,
    Device,
    GroupReadable,
    Json,
    KeepIds,
    Precision,
    Registry,
    ReplaceRows,
    Store,
    Trusted,
    Weights,
    Window,
    checked_window,
    store_path,
    words,
)
from clearbench.cli.sections import Group
from clearbench.exit_codes import ExitCode

store_app = typer.Typer(
    help="List, verify and index the features of a store.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
)

Scans = Annotated[
    str,
    typer.Argument(
        metavar="SCANS",
        help="A cohort table, a cohort of the store, a folder, or one file.",
        show_default=False,
    ),
]
Model = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="NAME", help="An encoder's name; may be repeated."),
]
Views = Annotated[
    list[str] | None,
    typer.Option(
        "--views",
        metavar="WINDOWS",
        help="Windows to embed under, such as brain,bone or soft=-100:200 (HU). [default: the "
        "card's; for images that are windowed already, their own]",
        show_default=False,
    ),
]
StoreDtype = Annotated[
    str, typer.Option("--store-dtype", help="float32, or float16 to save space.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Images per forward pass.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes that read scans; 0: read in this one.")
]
Engine = Annotated[str, typer.Option("--engine", help="What runs the work: local.")]
Shard = Annotated[str, typer.Option("--shard", help="Only part i of n, such as 2/8.")]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Interpolate oblique and tilted series onto axial slices."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Embed again what is done, and replace its features.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="List every failed scan with its path.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(embed)
    app.add_typer(store_app, name="store")


def embed(
    scans: Scans,
    model: Model = None,
    views: Views = None,
    store: Store = None,
    name: CohortName = "",
    device: Device = "auto",
    precision: Precision = "auto",
    store_dtype: StoreDtype = "float32",
    batch_size: BatchSize = None,
    workers: Workers = None,
    engine: Engine = "local",
    shard: Shard = "",
    weights: Weights = None,
    registry: Registry = None,
    trust_remote_code: Trusted = None,
    resample: Resample = False,
    replace: Replace = False,
    replace_rows: ReplaceRows = False,
    keep_ids: KeepIds = False,
    window: Window = "",
    group_readable: GroupReadable = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
) -> None:
    """Embed every scan that has no features in the store yet."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench import pipeline
    from clearbench.display.embedding import EmbedProgress, show_report
    from clearbench.errors import UnknownName

    if engine != "local":
        raise UnknownName.among("engine", engine, ["local"])
    with EmbedProgress() as progress:
        report = pipeline.embed(
            scans,
            words(model),
            store=store_path(store),
            views=words(views),
            device=device,
            precision=precision,
            store_dtype=store_dtype,
            batch_size=batch_size,
            workers=workers,
            shard=shard,
            weights=weights,
            name=name,
            keep_ids=keep_ids,
            window=checked_window(window),
            resample=resample,
            replace=replace,
            replace_rows=replace_rows,
            group_readable=group_readable,
            dry_run=dry_run,
            registry=registry or (),
            trust_remote_code=words(trust_remote_code),
            on_event=progress,
        )
    show_report(report, dry_run=dry_run, verbose=verbose)
    raise typer.Exit(ExitCode.FAILED if report.failed else ExitCode.DONE)


@store_app.command()
def info(store: Store = None, as_json: Json = False) -> None:
    """List the features in a store."""
    from clearbench.display.console import dump, show_rows
    from clearbench.display.embedding import show_damaged
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.feature_store import FeatureStore

    opened = FeatureStore(store_path(store))
    table = opened.table(
        "SELECT encoder || '@' || fingerprint[:8] AS features, cohort, count(DISTINCT scan_id) AS "
        "scans, "
        "count(DISTINCT scan_id || slice_index) AS slices, list(DISTINCT view ORDER BY view) AS "
        "views "
        "FROM slices GROUP BY ALL ORDER BY ALL"
    )
    dump(table.to_pylist()) if as_json else show_rows(table.to_pylist())
    show_damaged(damaged_files(opened.folder))


@store_app.command()
def verify(store: Store = None) -> None:
    """Read every file of a store, and compare it with its checksum, its place and the catalogue."""
    from clearbench.display.embedding import show_verified
    from clearbench.store.feature_store import FeatureStore

    checked = FeatureStore(store_path(store)).verify()
    show_verified(checked)
    raise typer.Exit(ExitCode.DONE if checked.sound else ExitCode.FAILED)


@store_app.command()
def rights(
    store: Store = None,
    group_readable: GroupReadable = False,
    owner_only: Annotated[
        bool, typer.Option("--owner-only", help="Let only the owner read the store.")
    ] = False,
) -> None:
    """Show or set who may read a store; exit code 1 if others may read more than they should."""
    from clearbench.display.console import say, show_list
    from clearbench.errors import BadRequest
    from clearbench.rights import is_group_readable
    from clearbench.store.folder import find_foreign, find_readable, open_store, share

    if group_readable and owner_only:
        raise BadRequest("--group-readable and --owner-only exclude each other; leave one out")
    # a group's store may be made before the first scan; a new store is its owner's without this
    folder = open_store(store_path(store), create=group_readable)
    if group_readable or owner_only:
        share(folder, group=group_readable)
    group = is_group_readable(folder.root)
    who = "its owner and group, its keys by its owner alone" if group else "its owner alone"
    say(f"{folder.root} is meant to be read by {who}")
    wider = find_readable(folder)
    option = "--group-readable" if group else "--owner-only"
    title = f"{len(wider)} files and folders can be read by others; {option} puts that right"
    show_list([str(path) for path in wider], title)
    foreign = find_foreign(folder)
    title = (
        f"{len(foreign)} files and folders belong to another user, who can read them; chown them"
    )
    show_list([str(path) for path in foreign], title)
    raise typer.Exit(ExitCode.FAILED if wider or foreign else ExitCode.DONE)


@store_app.command()
def reindex(store: Store = None) -> None:
    """Rebuild catalogue.duckdb from features/, cohorts/ and results/."""
    from clearbench.display.console import say
    from clearbench.display.embedding import show_damaged
    from clearbench.store.catalogue.fold import damaged_files, refresh
    from clearbench.store.folder import open_store

    folder = open_store(store_path(store))
    say(f"rebuilt: {refresh(folder, rebuild=True)}")
    show_damaged(damaged_files(folder))


@store_app.command()
def migrate(
    store: Store = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the steps that would run.")
    ] = False,
) -> None:
    """Bring an older store to the schema of this version; features are kept."""
    from clearbench.display.console import say
    from clearbench.store.migrate import migrate as run

    done = run(store_path(store), dry_run=dry_run)
    if not done.steps:
        say(f"nothing to do: the store has schema {done.after} already")
        return
    for step in done.steps:
        say(f"{'would run' if dry_run else 'done'}: step {step}")
