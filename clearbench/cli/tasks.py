"""`clearbench tasks …`: the questions that encoders are compared on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearbench.cli.options import (
    BROKEN,
    Json,
    Store,
    TaskFolders,
    TaskName,
    store_path,
    words,
    writable,
)
from clearbench.cli.sections import Group
from clearbench.exit_codes import ExitCode

if TYPE_CHECKING:
    from clearbench.evaluation.task.understand import Wishes

tasks_app = typer.Typer(
    help="List, show, write, check and freeze tasks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(tasks_app, name="tasks")


@tasks_app.command(name="list")
def list_tasks(tasks: TaskFolders = None, as_json: Json = False) -> None:
    """List every task, one per line."""
    from clearbench.cards import read_all
    from clearbench.display.console import dump, show_list, show_rows
    from clearbench.evaluation.task.card import find_task, task_names

    cards = read_all(task_names(tasks or ()), lambda name: find_task(name, tasks or ()))
    rows = [
        {
            "task": t.name,
            "title": t.card.title,
            "cohort": t.card.cohort,
            "target": t.card.target,
            "metric": t.card.primary,
            "version": t.card.version,
        }
        for t in cards.found
    ]
    dump(rows) if as_json else show_rows(rows)
    show_list(cards.broken, BROKEN)
    raise typer.Exit(ExitCode.FAILED if cards.broken else ExitCode.DONE)


@tasks_app.command()
def show(
    name: TaskName,
    tasks: TaskFolders = None,
    as_json: Json = False,
) -> None:
    """Show a task's card."""
    from clearbench.display.console import dump, show_rows
    from clearbench.evaluation.task.card import find_task

    task = find_task(name, tasks or ())
    card = task.card.model_dump(mode="json")
    rows = [
        {"fact": key, "value": str(value)} for key, value in card.items() if value not in ("", [])
    ]
    dump({"name": task.name, "sha256": task.sha256, **card}) if as_json else show_rows(rows)


@tasks_app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The task's name.", show_default=False)
    ],
    cohort: Annotated[
        str, typer.Option("--cohort", help="A cohort of the store.", show_default=False)
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="COLUMNS",
            help="One label column, or several for multilabel.",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        str,
        typer.Option(
            "--positive",
            metavar="VALUE",
            help="Which of two words is positive, such as abnormal.",
            show_default=False,
        ),
    ] = "",
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            "--unknown",
            metavar="VALUES",
            help="Values that mean unknown, such as 9 or TX.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--classes",
            metavar="VALUES",
            help="The values that are classes; also None or NA, which mean unknown otherwise.",
            show_default=False,
        ),
    ] = None,
    order: Annotated[
        list[str] | None,
        typer.Option(
            "--order",
            metavar="VALUES",
            help="The classes of an ordinal label, the lowest first: I,II,III.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str,
        typer.Option(
            "--time", metavar="COLUMN", help="The times of a survival target.", show_default=False
        ),
    ] = "",
    event: Annotated[
        str,
        typer.Option(
            "--event",
            metavar="COLUMN",
            help="The events of a survival target: 1 where it happened at that time.",
            show_default=False,
        ),
    ] = "",
    unit: Annotated[
        str, typer.Option("--unit", help="What one bag is: patient, study or scan.")
    ] = "patient",
    split: Annotated[
        str,
        typer.Option("--split", help="A column with train and test, instead of repeated folds."),
    ] = "",
    group: Annotated[
        str,
        typer.Option(
            "--group",
            help="A column, such as site: each of its values is the test set once.",
        ),
    ] = "",
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test",
            metavar="COHORT",
            help="Train on all of --cohort, and test on this other cohort of the store; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            "--head", help="The head that ranks encoders; declare it before you see scores."
        ),
    ] = "abmil",
    store: Store = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where to write the card. [default: ./tasks/NAME.toml]",
            show_default=False,
            callback=writable,
        ),
    ] = None,
) -> None:
    """Write a task card for your own cohort; target and classes come from its labels.

    It refuses to guess: say which of two words is positive, or whether 9 means unknown.
    """
    from clearbench.display.console import say, show_list, store_option, warn
    from clearbench.evaluation.task.new_task import NewTask, checked_name, write_task
    from clearbench.store.cohorts import load_cohort
    from clearbench.store.folder import open_store

    columns, wishes = _meant(labels, positive, unknown, classes, order, time, event)
    place = output or Path("tasks", f"{checked_name(name)}.toml")
    folder = open_store(store_path(store))
    request = NewTask(
        cohort=load_cohort(folder, cohort),
        labels=columns,
        unit=unit,
        head=head,
        column=split,
        group=group,
        tested=tuple(load_cohort(folder, other) for other in words(test)),
        wishes=wishes,
    )
    written = write_task(request, place)
    say(f"{written.path}: {written.summary}")
    for sentence in written.says:
        say(f"  {sentence}")
    show_list(written.too_rare, "too rare to be scored yet")
    if written.problem:
        warn(f"it can't be evaluated yet: {written.problem}")
    else:
        task = name if output is None else written.path
        say(f"next: clearbench evaluate --task {task}{store_option(folder.root)}")


def _meant(
    labels: list[str] | None,
    positive: str,
    unknown: list[str] | None,
    classes: list[str] | None,
    order: list[str] | None,
    time: str,
    event: str,
) -> tuple[tuple[str, ...], "Wishes"]:
    """Return the label columns, and what their values mean; raises BadRequest for half of it."""
    from clearbench.errors import BadRequest
    from clearbench.evaluation.task.understand import Wishes

    columns = tuple(words(labels))
    if bool(time) != bool(event) or (time and columns) or not (time or columns):
        raise BadRequest("give --labels COLUMNS; or --time COLUMN --event COLUMN for survival")
    if classes and order:
        raise BadRequest("--order names the classes too; leave --classes out")
    wishes = Wishes(
        classes=tuple(words(order or classes)),
        ordered=bool(order),
        positive=positive,
        unknown=tuple(words(unknown)),
        survival=bool(time),
    )
    return columns or (time, event), wishes


@tasks_app.command()
def freeze(
    name: TaskName,
    store: Store = None,
    tasks: TaskFolders = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a split file that has other folds.")
    ] = False,
) -> None:
    """Write a task's folds to a split file next to its card; later evaluations use it."""
    from clearbench import sharing
    from clearbench.display.console import say
    from clearbench.evaluation.task.card import split_path

    split = sharing.freeze(name, store=store_path(store), task_folders=tasks or (), replace=replace)
    say(f"{split_path(name, tasks or ())}: {len(split.folds)} folds, {split.split_sha256[:12]}…")
    say(f"it has patient ids of cohort {split.cohort}; keep it next to the card")


@tasks_app.command()
def check(
    name: TaskName,
    group_copies: Annotated[
        Path | None,
        typer.Option(
            "--group-copies",
            metavar="FILE",
            help="Write a table of scan_id and patient_id in which copies of a scan belong to one "
            "patient; `clearbench cohort add FILE` takes it.",
            show_default=False,
            callback=writable,
        ),
    ] = None,
    store: Store = None,
    tasks: TaskFolders = None,
) -> None:
    """Check a task against its cohort: units, labels, patients, copies, folds and features."""
    from clearbench.checked_task import check_task
    from clearbench.display.embedding import show_damaged
    from clearbench.display.tasks import show_checked
    from clearbench.evaluation.task.card import find_task
    from clearbench.store.catalogue.fold import damaged_files
    from clearbench.store.folder import open_store

    task, folder = find_task(name, tasks or ()), open_store(store_path(store))
    checked = check_task(task, folder, group_copies)
    show_checked(checked, group_copies)
    show_damaged(damaged_files(folder))
