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


def store_path(store: Path | None) -> Path:
    """Return the store meant."""
    return store or default_store()


def words(values: list[str] | None) -> list[str]:
    """Split repeated or comma-separated option values."""
    return [word.strip() for value in values or [] for word in value.split(",") if word.strip()]
