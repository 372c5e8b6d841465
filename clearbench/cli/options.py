"""Options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from clearbench.bounded import read_text
from clearbench.errors import BadArgument, BadRequest
from clearbench.files import check_output
from clearbench.store.folder import default_store
from clearbench.windows import WINDOWS_HU, parse_window


def writable(path: Path | None) -> Path | None:
    """Return a file to write, if it is none or can be one; raises BadRequest before any work."""
    return path and check_output(path)


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file, or of standard input, without blank ones.

    Raises BadRequest for a file that can't be read.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else read_text(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise BadRequest(
            f"{path}: can't be read ({why}); name a text file of names and ids"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="The store's folder. [default: $CLEARBENCH_STORE, else ./clearbench-store]",
        show_default=False,
    ),
]
TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="A task's name, or the path of its card.", show_default=False
    ),
]
EncoderName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="An encoder's name, or the path of its card.", show_default=False
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Features of an encoder: its name, or name@fp8 with the first digits of the "
        "fingerprint; may be repeated. [default: all of the cohort]",
        show_default=False,
    ),
]
CohortName = Annotated[
    str,
    typer.Option(
        "--name",
        help="The cohort's name. [default: the column cohort, else the file's name]",
        show_default=False,
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results", help="The folder of results. [default: <store>/results]", show_default=False
    ),
]
Net = Annotated[str, typer.Option("--net", help="vit, vssm or gated-cnn.", show_default=False)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, float32, bfloat16 or float16.")]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="A file or a folder of weights on this machine.")
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-remote-code",
        metavar="NAME",
        help="Run the code in this encoder's repository; read that code first.",
        show_default=False,
    ),
]
NewCards = Annotated[
    Path, typer.Option("--registry", help="The folder for the new card and its weights.")
]
Registry = Annotated[
    list[Path] | None,
    typer.Option("--registry", metavar="DIR", help="Another folder of encoder cards."),
]
TaskFolders = Annotated[
    list[Path] | None, typer.Option("--tasks", metavar="DIR", help="Another folder of task cards.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write to this file instead of the screen; a pipe or /dev/stdout will do.",
        callback=writable,
    ),
]
KeepIds = Annotated[
    bool,
    typer.Option(
        "--keep-ids", help="Keep identifiers of DICOM headers in clear, without pseudonyms."
    ),
]
GroupReadable = Annotated[
    bool,
    typer.Option(
        "--group-readable",
        help="Let the store's group read it too, now and later, except for the secret and the key "
        "table. Without it, a new store is its owner's alone.",
    ),
]
ReplaceRows = Annotated[
    bool,
    typer.Option(
        "--replace-rows",
        help="Make the table the truth: scans of the stored cohort that it lacks leave the cohort.",
    ),
]

Window = Annotated[
    str,
    typer.Option(
        "--window",
        help="The window of 8-bit images, such as lung or soft=-100:200 (HU); the column window of "
        "a table goes before it.",
        show_default=False,
    ),
]

BROKEN = "cards that are left out"


def store_path(store: Path | None) -> Path:
    """Return the folder that was typed, else the default store."""
    return store or default_store()


def checked_window(text: str) -> str:
    """Return the window that was typed; raises BadArgument if it is none."""
    if text and parse_window(text) is None:
        reason = f"a window is one of {', '.join(WINDOWS_HU)}, or name=lower:upper in HU"
        raise BadArgument("window", text, reason)
    return text


def words(values: list[str] | None) -> list[str]:
    """Split repeated or comma-separated option values."""
    return [word.strip() for value in values or [] for word in value.split(",") if word.strip()]
