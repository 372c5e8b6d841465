"""The command line: parse, make one call, show the record.

Commands import heavy libraries inside their functions, so that --help stays fast.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from clearbench.cli import (
    auditing,
    boards,
    checks,
    cohorts,
    doctor,
    embedding,
    encoders,
    pretraining,
    queries,
    removal,
    sharing,
    tasks,
)
from clearbench.cli.refusals import argument_sentence, file_sentence
from clearbench.cli.sections import Program
from clearbench.cli.streams import give_up_output, mend_streams
from clearbench.cli.surroundings import check_surroundings
from clearbench.errors import BadArgument, ClearbenchError, plain_text
from clearbench.exit_codes import ExitCode
from clearbench.files import DISK_REFUSES
from clearbench.processes import SAFE_PATH

app = typer.Typer(
    name="clearbench",
    cls=Program,
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
    auditing, boards, checks, cohorts, doctor, embedding, encoders, pretraining, queries, removal,
    sharing, tasks,
)  # fmt: skip
for part in PARTS:
    part.add_to(app)


def _typed_params() -> Sequence[Any]:
    """Return the parameters of the command that was typed."""
    command: Any = typer.main.get_command(app)
    for word in sys.argv[1:]:
        command = getattr(command, "commands", {}).get(word, command)
    return list(command.params)


def _complain(sentence: str) -> None:
    """Print what stopped the command, on one line, without codes that a terminal obeys."""
    # where standard error can't be written to either, the exit code still tells
    with suppress(OSError, ValueError):
        sys.stderr.write(f"clearbench: {plain_text(sentence)}\n")


def _run() -> None:
    """Run the command that was typed, until all of its answer is written."""
    check_surroundings(sys.argv[1:])
    try:
        app()
    finally:
        sys.stdout.flush()


def main() -> None:
    """Run the command line; errors of clearbench become one sentence and their exit code."""
    os.environ.setdefault(SAFE_PATH, "1")  # of every process that a library starts, too
    mend_streams()
    try:
        _run()
    except BadArgument as error:
        _complain(argument_sentence(error, _typed_params()))
        sys.exit(error.exit_code)
    except ClearbenchError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        give_up_output()
        sys.exit(ExitCode.DONE)
    except OSError as error:
        _complain(file_sentence(error))
        if error.filename is None and error.errno in DISK_REFUSES:
            give_up_output()
            sys.exit(ExitCode.FAILED)
        sys.exit(ExitCode.REFUSED)
    except SystemExit as done:
        if done.code == ExitCode.STOPPED:
            _complain("stopped; what is complete is kept, and a rerun goes on")
        raise
