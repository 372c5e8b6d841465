"""`clearbench doctor`: what can run here."""

import typer

from clearbench.cli.options import Json, Registry, Store, store_path
from clearbench.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


def doctor(store: Store = None, registry: Registry = None, as_json: Json = False) -> None:
    """Show what is installed, which encoders can run here, what is broken, and what to do."""
    from dataclasses import asdict

    from clearbench.display.console import dump
    from clearbench.display.doctor import show_checkup
    from clearbench.doctor import check_up

    found = check_up(store_path(store), registry or ())
    dump(asdict(found) | {"sound": found.sound}) if as_json else show_checkup(found)
    raise typer.Exit(ExitCode.DONE if found.sound else ExitCode.FAILED)
