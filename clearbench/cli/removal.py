"""`clearbench store gc`, `clearbench store forget` and `clearbench cohort remove`."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.cohorts import cohort_app
from clearbench.cli.embedding import store_app
from clearbench.cli.options import Store, TaskFolders, lines_of, store_path
from clearbench.exit_codes import ExitCode

PRETRAINING = Path("pretraining")  # where `clearbench pretrain` writes by default

Yes = Annotated[bool, typer.Option("--yes", help="Do it; without it, it is only listed.")]
MoreResults = Annotated[
    list[Path] | None,
    typer.Option(
        "--results",
        metavar="DIR",
        help="A folder of results outside of the store; may be repeated.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the groups of store and cohort."""
    del app
    store_app.command()(gc)
    store_app.command()(forget)
    cohort_app.command()(remove)


def gc(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what is listed; without it, nothing is.")
    ] = False,
    other_sets: Annotated[
        bool,
        typer.Option(
            "--other-sets",
            help="With --delete: also older sets with other views or another precision, if no "
            "result names them.",
        ),
    ] = False,
    results: MoreResults = None,
    store: Store = None,
) -> None:
    """List what can go, with its size: drafts, replaced or empty sets, scans of no cohort."""
    from clearbench.display.removal import show_garbage
    from clearbench.errors import BadRequest
    from clearbench.store.folder import open_store
    from clearbench.store.garbage import delete_garbage, find_garbage

    if other_sets and not delete:
        raise BadRequest("--other-sets is for --delete; they are listed without it")
    folder = open_store(store_path(store))
    _refuse_missing(results)
    found = find_garbage(folder, results or ())
    freed = delete_garbage(found, folder, other_sets=other_sets) if delete else None
    show_garbage(found, freed, other_sets=other_sets)


def forget(
    patient: Annotated[
        list[str] | None,
        typer.Option(
            "--patient",
            metavar="ID",
            help="A patient's id in the cohort, or the PatientID that its pseudonym was made of; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option(
            "--ids",
            metavar="FILE",
            help="Each line of this file, or of standard input (-), is a patient's id, which "
            "nobody sees in the list of processes; may be repeated.",
            show_default=False,
        ),
    ] = None,
    cohort: Annotated[
        list[str] | None,
        typer.Option(
            "--cohort",
            metavar="NAME",
            help="The cohort that is meant, where several have the id; may be repeated.",
            show_default=False,
        ),
    ] = None,
    results: MoreResults = None,
    pretraining: Annotated[
        list[Path] | None,
        typer.Option(
            "--pretraining",
            metavar="DIR",
            help="A folder that `clearbench pretrain` wrote, with stacks of slices; may be "
            "repeated. [default: ./pretraining, if it exists]",
            show_default=False,
        ),
    ] = None,
    tasks: TaskFolders = None,
    store: Store = None,
    yes: Yes = False,
) -> None:
    """Remove every trace of a patient, and prove it by a search; without --yes, only list it."""
    from clearbench.display.removal import SearchProgress, show_plan, show_proof
    from clearbench.errors import BadArgument
    from clearbench.evaluation.task.card import split_path, task_names
    from clearbench.store.folder import open_store
    from clearbench.store.forgetting.forget import forget as remove_traces
    from clearbench.store.forgetting.forget import plan_removal
    from clearbench.store.forgetting.traces import Folders

    patients = [*(patient or ()), *(line for path in lists or () for line in lines_of(path))]
    if not patients:
        raise BadArgument("patient", "", "name a patient, by its id in the cohort")
    usual = [PRETRAINING] if PRETRAINING.is_dir() else []
    plan = plan_removal(
        open_store(store_path(store)),
        patients,
        cohorts=cohort or (),
        folders=Folders(tuple(results or ()), tuple(pretraining or usual)),
        split_files=[
            path
            for name in task_names(tasks or ())
            if (path := split_path(name, tasks or ())).is_file()
        ],
    )
    show_plan(plan)
    if not yes:
        _say_nothing_done()
    with SearchProgress() as progress:
        proof = remove_traces(plan, progress)
    show_proof(plan, proof)
    raise typer.Exit(ExitCode.FAILED if proof.found else ExitCode.DONE)


def remove(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A cohort of the store.", show_default=False)
    ],
    store: Store = None,
    yes: Yes = False,
) -> None:
    """Take a cohort out of the store's list; its features and results stay."""
    from clearbench.display.console import say
    from clearbench.display.removal import show_cohort_to_remove
    from clearbench.store.catalogue.fold import refresh
    from clearbench.store.cohorts import remove_cohort
    from clearbench.store.folder import open_store
    from clearbench.store.garbage import weigh_cohort

    folder = open_store(store_path(store))
    show_cohort_to_remove(weigh_cohort(folder, name))
    if not yes:
        _say_nothing_done()
    remove_cohort(folder, name)
    refresh(folder)
    say(f"removed: cohort {name}")


def _say_nothing_done() -> None:
    """Say that nothing was changed, and stop."""
    from clearbench.display.console import say

    say("nothing was removed: type the same command with --yes to do it")
    raise typer.Exit(ExitCode.REFUSED)


def _refuse_missing(folders: list[Path] | None) -> None:
    """Refuse folders that don't exist: without their results, too much could go."""
    from clearbench.errors import BadRequest

    missing = [str(folder) for folder in folders or () if not folder.is_dir()]
    if missing:
        raise BadRequest(f"{', '.join(missing)}: no such folder of results")
