"""The command line: parse, make one call, show the record. Heavy imports wait inside commands."""

import sys

import click
import typer

from clearbench.cli import boards, cohorts, embedding, encoders, queries, tasks
from clearbench.errors import ClearbenchError

app = typer.Typer(
    name="clearbench",
    help="A feature store and benchmark for radiology slice encoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (boards, cohorts, embedding, encoders, queries, tasks):
    part.add_to(app)


def main() -> None:
    """Run the command line; deliberate errors become one sentence and their exit code."""
    try:
        code = app(standalone_mode=False)
    except ClearbenchError as error:
        sys.stderr.write(f"clearbench: {error}\n")
        code = error.exit_code
    except click.exceptions.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.stderr.write(
            "clearbench: stopped; what was complete is kept, the same command goes on from there\n"
        )
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
