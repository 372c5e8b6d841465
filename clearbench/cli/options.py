"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.store.folder import default_store

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="The store's folder. [default: $CLEARBENCH_STORE, else ./clearbench-store]",
        show_default=False,
    ),
]
TaskName = Annotated[
    str, typer.Argument(help="A task's name, or the path of its card.", show_default=False)
]
EncoderName = Annotated[
    str, typer.Argument(help="An encoder's name, or the path of its card.", show_default=False)
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="Features by name, or name@fp8. [default: all of the cohort]",
        show_default=False,
    ),
]
CohortName = Annotated[
    str,
    typer.Option(
        "--name",
        help="The cohort's name. [default: its cohort column, else the file's name]",
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
    Path | None, typer.Option("--weights", help="A file or offline folder of weights.")
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-remote-code",
        metavar="NAME",
        help="Run the code of this encoder's repository; read it first.",
        show_default=False,
    ),
]
NewCards = Annotated[
    Path, typer.Option("--registry", help="The folder for the new card and its weights.")
]
Registry = Annotated[
    list[Path] | None, typer.Option("--registry", help="A further folder of encoder cards.")
]
TaskFolders = Annotated[
    list[Path] | None, typer.Option("--tasks", help="A further folder of task cards.")
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write to this file instead of the screen.")
]
KeepIds = Annotated[
    bool,
    typer.Option(
        "--keep-ids", help="Keep identifiers from DICOM headers in clear instead of pseudonyms."
    ),
]

BROKEN = "cards that are left out"


def store_path(store: Path | None) -> Path:
    """Return the store meant."""
    return store or default_store()


def words(values: list[str] | None) -> list[str]:
    """Split repeated or comma-separated option values."""
    return [word.strip() for value in values or [] for word in value.split(",") if word.strip()]
