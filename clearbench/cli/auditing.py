"""`clearbench audit`: are there identifiers of patients in some files?"""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.options import Json, lines_of
from clearbench.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(audit)


def audit(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Files and folders to search: a store, results, packs, or any other.",
            show_default=False,
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Look for what the DICOM headers in this folder say of patients, and for names of "
            "its folders and files; may be repeated.",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            metavar="TEXT",
            help="Look for this name, id or other text; may be repeated.",
            show_default=False,
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option(
            "--ids",
            metavar="FILE",
            help="Look for each line of this file, or of standard input (-), which nobody sees in "
            "the list of processes; may be repeated.",
            show_default=False,
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="PATTERN",
            help="Leave out files and folders of this name or path, such as keys.csv; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search files for identifiers of patients; exit code 1 if one is found."""
    from dataclasses import asdict

    from clearbench.display.auditing import show_audit
    from clearbench.display.console import dump
    from clearbench.display.removal import SearchProgress
    from clearbench.store.auditing.audit import audit as search

    listed = [line for path in lists or () for line in lines_of(path)]
    wanted_texts = [*(texts or ()), *listed]
    with SearchProgress() as progress:
        done = search(
            paths, sources=sources or (), texts=wanted_texts, skip=skip or (), on_file=progress
        )
    if as_json:
        wanted = {"identifiers": len(done.wanted.identifiers), "headers": done.wanted.files}
        # the identifiers themselves are never printed
        dump(
            {
                "clean": done.clean,
                "looked_for": wanted | {"left_out": dict(done.wanted.left_out)},
                "files": done.files,
                "findings": [asdict(finding) for finding in done.findings],
                "unsearched": [{"path": path, "reason": why} for path, why in done.unsearched],
                "skipped": done.skipped,
            }
        )
    else:
        show_audit(done)
    raise typer.Exit(ExitCode.DONE if done.clean else ExitCode.FAILED)
