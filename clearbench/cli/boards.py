"""`clearbench evaluate`, `clearbench leaderboard` and `clearbench demo`."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Features, Output, Results, Store, TaskFolders, store_path, words
from clearbench.evaluation.heads.presets import RETRAINED_HEADS

FORMATS = ("table", "md", "csv", "json")

Task = Annotated[
    list[str] | None,
    typer.Option(
        "--task", "-t", help="A task's name or card; may be repeated.", show_default=False
    ),
]
AllModels = Annotated[
    bool, typer.Option("--all-models", help="Every set of features that the cohort has.")
]
Head = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        help="abmil, gated-abmil, transformer, max-pool, mean-logreg, knn, or all of these; or "
        "best (not among all): trains each and takes, fold by fold, the one that does best on the "
        "tuning part. May be repeated. [default: the task's declared head and mean-logreg]",
        show_default=False,
    ),
]
Preset = Annotated[
    str, typer.Option("--preset", help="default, or clear for the paper's settings.")
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        help="Heads per fold; one of mean-logreg and knn, which all seeds make alike. [default: 1; "
        "for a fixed split, or groups left out in turn, 3]",
        show_default=False,
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        "--draws",
        help="For a fixed split: heads trained on patients drawn anew, whose spread tells how much "
        "a comparison owes to who trained; 0 compares these heads alone.",
    ),
]
Fractions = Annotated[
    str,
    typer.Option(
        "--fractions",
        help="Scores with fewer training patients too: 16,32,64,all (ten draws or more each).",
        show_default=False,
    ),
]
NoFloors = Annotated[
    bool,
    typer.Option(
        "--no-floors", help="Leave out what needs no encoder: tags, histogram, shuffled labels."
    ),
]
SaveHeads = Annotated[
    Path | None,
    typer.Option(
        "--save-heads",
        help="A folder for the trained heads, one bundle per result; see apply.",
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
        help="Which result of the pack: a file, or its name in the pack.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="Where heads are trained.")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="In what heads are trained: auto (bfloat16 where the processor has it), float32.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(demo)
    app.command()(evaluate)
    app.command()(leaderboard)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the demo's files go.")] = Path(
        "clearbench-demo"
    ),
) -> None:
    """Show the whole path on a synthetic cohort: scans, features, heads, leaderboard, SQL."""
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
    no_floors: NoFloors = False,
    tasks: TaskFolders = None,
) -> None:
    """Train heads on stored features with honest splits, and score them with intervals."""
    from clearbench import pipeline
    from clearbench.board.tables import make_leaderboard
    from clearbench.display.boards import EvaluationProgress, show_leaderboard, show_seeds
    from clearbench.errors import BadRequest

    if all_models and model:
        raise BadRequest("--all-models and --model exclude each other")
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
            task_folders=tasks or (),
            save_heads=save_heads,
            on_step=lambda step: progress(
                f"{step.task} · {step.encoder} · {step.head}", step.done, step.total
            ),
        )
    show_leaderboard(make_leaderboard(found))
    show_seeds(found, seeds)
    if fractions:
        from clearbench.display.curves import show_curves

        show_curves(found, results or store_path(store) / "results")


def _repeat(pack: Path | None, result: Path | None, device: str) -> int:
    """Repeat a result from a pack; returns 0 if the scores are the same, else 1."""
    from clearbench import sharing
    from clearbench.display.boards import EvaluationProgress
    from clearbench.display.sharing import show_reproduction
    from clearbench.errors import BadRequest

    if pack is None or result is None:
        raise BadRequest("--pack FILE.zip and --reproduce RESULT.json belong together")
    with EvaluationProgress() as progress:
        found = sharing.reproduce(
            pack,
            result,
            device=device,
            on_fold=lambda done, total: progress(f"{pack.stem} · {result.stem}", done, total),
        )
    show_reproduction(found)
    return 0 if found.repeated else 1


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of results. [default: the store's]", show_default=False),
    ] = None,
    store: Store = None,
    task: Annotated[
        str, typer.Option("--task", "-t", help="Only this task.", show_default=False)
    ] = "",
    fmt: Annotated[
        str,
        typer.Option(
            "--format",
            help="table, md, csv, or json, which has each comparison of two encoders too: "
            "difference, interval, p, and p adjusted for all.",
        ),
    ] = "table",
    output: Output = None,
    own: Annotated[bool, typer.Option("--own", help="Leave the published results out.")] = False,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="Show another metric of the results (auroc/liver, f1, seconds, …), without "
            "tiers and ranks. [default: each task's own]",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Show results as tables: the store's beside the published ones, and all tasks together."""
    from clearbench.board.rendering import board_csv, board_json, board_markdown
    from clearbench.board.tables import leaderboard as make
    from clearbench.display.boards import show_leaderboard
    from clearbench.display.console import out, save_text, show_list
    from clearbench.errors import BadRequest

    if fmt not in FORMATS:
        raise BadRequest(f"--format {fmt}: {', '.join(FORMATS)}")
    source = folders or [store_path(store) / "results"]
    found = make(source, task, published=not own, metric=metric)
    if fmt == "table" and output is None:
        show_leaderboard(found)
    else:
        text = {"md": board_markdown, "csv": board_csv, "json": board_json}.get(
            fmt, board_markdown
        )(found)
        save_text(text, output) if output else out.out(text, end="")
    show_list(found.unreadable, "left out, since they can't be read")
    raise typer.Exit(1 if found.unreadable else 0)
