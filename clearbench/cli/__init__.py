"""The command line: parse, make one call, show the record. Heavy imports wait inside commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli import (
    boards,
    checks,
    cohorts,
    doctor,
    embedding,
    encoders,
    pretraining,
    queries,
    sharing,
    tasks,
)
from clearbench.errors import ClearbenchError

STOPPED = 130

app = typer.Typer(
    name="clearbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"clearbench {version('clearbench')}\n")
        raise typer.Exit


@app.callback()
def clearbench(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """A feature store and benchmark for radiology slice encoders."""
    del version


PARTS = (
    boards, checks, cohorts, doctor, embedding, encoders, pretraining, queries, sharing, tasks,
)  # fmt: skip
for part in PARTS:
    part.add_to(app)


def _refused(error: OSError) -> str:
    """Say which folder or file the system refuses; drafts are named after what they become."""
    path = Path(str(error.filename)) if error.filename else None
    if path is None:
        return str(error)
    place = path.parent if path.suffix == ".tmp" else path
    return f"{place}: {error.strerror}; allow it, or choose another place"


def main() -> None:
    """Run the command line; deliberate errors become one sentence and their exit code."""
    try:
        app()
    except ClearbenchError as error:
        sys.stderr.write(f"clearbench: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        sys.stderr.write(f"clearbench: {_refused(error)}\n")
        sys.exit(2)
    except SystemExit as done:
        if done.code == STOPPED:
            sys.stderr.write("clearbench: stopped; what is complete is kept, and a rerun goes on\n")
        raise
