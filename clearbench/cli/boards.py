"""`clearbench evaluate`, `clearbench leaderboard` and `clearbench demo`."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Features, Output, Results, Store, TaskFolders, store_path, words
from clearbench.evaluation.head_registry import plain_heads
from clearbench.evaluation.heads.presets import RETRAINED_HEADS
from clearbench.exit_codes import ExitCode

FORMATS = ("table", "md", "csv", "json")

Task = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        "-t",
        metavar="TASK",
        help="A task's name or card; may be repeated.",
        show_default=False,
    ),
]
AllModels = Annotated[
    bool, typer.Option("--all-models", help="All features of the cohort, as without --model.")
]
Head = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        metavar="HEAD",
        help=f"{', '.join(plain_heads())}; all: each of these; "
        "best: train each, and in every fold take the one that scores best on the tuning part. "
        "May be repeated. [default: the task's declared head and mean-logreg]",
        show_default=False,
    ),
]
Preset = Annotated[
    str, typer.Option("--preset", help="default, or clear: the settings of the paper.")
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        help="Heads per fold; each averages two networks of other seeds. mean-logreg and knn "
        "have one, as every seed gives the same head. [default: 1; with --preset clear, which "
        "averages none, 3 for a fixed split, or where each group is left out once]",
        show_default=False,
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        "--draws",
        help="For a fixed split: how many heads are retrained on bootstrapped training patients, "
        "so that comparisons include training variance; 0: none.",
    ),
]
Fractions = Annotated[
    str,
    typer.Option(
        "--fractions",
        help="Also train on fewer patients, such as 16,32,64,all: ten or more subsets each.",
        show_default=False,
    ),
]
NoFloors = Annotated[
    bool,
    typer.Option(
        "--no-floors",
        help="Leave out the floors, which need no encoder: tags, histogram, shuffled labels.",
    ),
]
SaveHeads = Annotated[
    Path | None,
    typer.Option(
        "--save-heads",
        help="Write the trained heads to this folder, one bundle per result, for apply.",
        show_default=False,
    ),
]
Pack = Annotated[
    Path | None,
    typer.Option(
        "--pack", help="Repeat a result from this pack, without a store.", show_default=False
    ),
]
Reproduce = Annotated[
    Path | None,
    typer.Option(
        "--reproduce",
        metavar="RESULT",
        help="The result to repeat: a file, or its name in the pack.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="Where heads train: cpu, cuda or mps.")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Precision of training: auto (bfloat16 where the processor has it) or float32.",
    ),
]


StoredViews = Annotated[
    list[str] | None,
    typer.Option(
        "--views",
        metavar="NAMES",
        help="Only these of the stored views, such as brain of brain and bone.",
        show_default=False,
    ),
]
Stale = Annotated[
    bool,
    typer.Option(
        "--stale",
        help="Repeat the stored results whose card, labels or split changed since, and no others.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(demo)
    app.command()(evaluate)
    app.command()(leaderboard)


def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder for the demo's files.")] = Path(
        "clearbench-demo"
    ),
) -> None:
    """Show the whole path on a synthetic cohort: scans, features, heads, leaderboard, SQL."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench.demo import run_demo
    from clearbench.display.demo import show_demo

    show_demo(run_demo, out)


def evaluate(
    task: Task = None,
    model: Features = None,
    all_models: AllModels = False,
    head: Head = None,
    preset: Preset = "default",
    seeds: Seeds = None,
    draws: Draws = RETRAINED_HEADS,
    store: Store = None,
    results: Results = None,
    save_heads: SaveHeads = None,
    pack: Pack = None,
    reproduce: Reproduce = None,
    device: Device = "cpu",
    precision: Precision = "auto",
    fractions: Fractions = "",
    views: StoredViews = None,
    no_floors: NoFloors = False,
    stale: Stale = False,
    tasks: TaskFolders = None,
) -> None:
    """Train heads on stored features, and score them on test patients, with intervals."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench import pipeline
    from clearbench.board.tables import make_leaderboard
    from clearbench.display.boards import (
        EvaluationProgress,
        show_leaderboard,
        show_seeds,
        show_stale,
    )
    from clearbench.display.console import say
    from clearbench.display.embedding import show_damaged
    from clearbench.errors import BadRequest
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.folder import open_store

    if all_models and model:
        raise BadRequest("--all-models and --model exclude each other; leave one out")
    if pack is not None or reproduce is not None:
        raise typer.Exit(_repeat(pack, reproduce, device))
    with EvaluationProgress() as progress:
        found = pipeline.evaluate(
            words(task),
            words(model),
            heads=words(head) or (),
            preset=preset,
            seeds=seeds,
            draws=draws,
            store=store_path(store),
            results=results,
            device=device,
            precision=precision,
            floors=not no_floors,
            fractions=fractions,
            views=words(views),
            task_folders=tasks or (),
            save_heads=save_heads,
            stale=stale,
            on_step=lambda step: progress(
                f"{step.task} · {step.encoder} · {step.head}", step.done, step.total
            ),
        )
    if stale and not found:
        say("nothing to repeat: no stored result is stale")
        return
    show_leaderboard(make_leaderboard(found), all_heads=True)
    show_seeds(found, seeds)
    left = pipeline.stale_results(
        words(task), store=store_path(store), results=results, task_folders=tasks or ()
    )
    show_stale(left)
    show_damaged(damaged_files(open_store(store_path(store))))
    if fractions:
        from clearbench.display.curves import show_curves

        show_curves(found, results or store_path(store) / "results")


def _repeat(pack: Path | None, result: Path | None, device: str) -> int:
    """Repeat a result from a pack; return DONE if the scores are the same, else FAILED."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench import sharing
    from clearbench.display.boards import EvaluationProgress
    from clearbench.display.sharing import show_reproduction
    from clearbench.errors import BadRequest

    if pack is None or result is None:
        raise BadRequest("--pack FILE.zip and --reproduce RESULT.json belong together; type both")
    with EvaluationProgress() as progress:
        found = sharing.reproduce(
            pack,
            result,
            device=device,
            on_fold=lambda done, total: progress(f"{pack.stem} · {result.stem}", done, total),
        )
    show_reproduction(found)
    return ExitCode.DONE if found.repeated else ExitCode.FAILED


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR", help="Folders of results. [default: the store's]", show_default=False
        ),
    ] = None,
    store: Store = None,
    task: Annotated[
        str, typer.Option("--task", "-t", help="Only this task.", show_default=False)
    ] = "",
    fmt: Annotated[
        str,
        typer.Option(
            "--format",
            help="table, md, csv or json. json also has every comparison of two encoders: "
            "difference, interval, p, and p adjusted for all comparisons.",
        ),
    ] = "table",
    output: Output = None,
    own: Annotated[bool, typer.Option("--own", help="Leave out the published results.")] = False,
    all_heads: Annotated[
        bool,
        typer.Option(
            "--all-heads",
            help="In the table, also show heads other than the one that the task declares.",
        ),
    ] = False,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="Show another metric of the results, such as auroc/liver, f1 or seconds, without "
            "tiers and ranks. [default: each task's own]",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Show results as tables: the store's and the published ones, and all tasks together."""
    from clearbench.board.rendering import board_csv, board_json, board_markdown
    from clearbench.board.tables import leaderboard as make
    from clearbench.display.boards import show_leaderboard
    from clearbench.display.console import save_text, show_list, write_for_programs
    from clearbench.errors import BadArgument

    if fmt not in FORMATS:
        raise BadArgument("format", fmt, f"must be one of {', '.join(FORMATS)}")
    _refuse_missing(folders or [], store)
    source = folders or [store_path(store) / "results"]
    found = make(source, task, published=not own, metric=metric)
    if fmt == "table" and output is None:
        show_leaderboard(found, all_heads=all_heads)
    else:
        text = {"md": board_markdown, "csv": board_csv, "json": board_json}.get(
            fmt, board_markdown
        )(found)
        save_text(text, output) if output else write_for_programs(text)
    show_list(found.unreadable, "left out, as they can't be read")
    raise typer.Exit(ExitCode.FAILED if found.unreadable else ExitCode.DONE)


def _refuse_missing(folders: list[Path], store: Path | None) -> None:
    """Refuse folders that are typed and don't exist: a board without them would hide it."""
    from clearbench.errors import BadRequest

    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise BadRequest(f"{', '.join(missing)}: no such folder of results")
    if store is not None and not store.is_dir():
        raise BadRequest(f"{store}: no such store")
