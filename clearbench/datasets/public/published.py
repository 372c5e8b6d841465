"""A public data set's folder → its cohort table."""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.public.registry import PUBLIC_DATA_SETS, with_split_files
from clearbench.errors import BadArgument, BadCohort, UnknownName


@dataclass(frozen=True)
class DataSetFolder:
    """A data set on disk: its cohort table, what is missing, and notes on what was found or done.

    A builder's paths are relative to the data set's root. `keys` are its pseudonyms with their
    identifiers, for the store's key table.
    """

    table: pa.Table
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)


def build_published(  # noqa: PLR0913  each one is an option of the command
    name: str,
    root: Path,
    target: Path,
    *,
    splits: Path | None = None,
    repair_split: bool = False,
    names: Pseudonyms | None = None,
    keep_ids: bool = False,
) -> DataSetFolder:
    """Read a public data set's folder as a cohort table for the file `target`.

    `splits` is the folder of the community's split files; with `repair_split`, patients who are on
    two of their sides are moved to one. UIDs of a hospital become pseudonyms by `names`, stay with
    `keep_ids`, and are left out without either.
    Raises UnknownName for a data set without a builder, BadArgument for split files of a data set
    that has none, BadCohort for another layout.
    """
    if name not in PUBLIC_DATA_SETS:
        raise UnknownName.among(
            "data set",
            name,
            [*PUBLIC_DATA_SETS, "folder"],
            f" ({', '.join(PUBLIC_DATA_SETS)}, or folder for your own)",
        )
    if not root.is_dir():
        raise BadCohort(f"{root}: no such folder")
    entry = PUBLIC_DATA_SETS[name]
    build = importlib.import_module(entry.module).build
    if entry.has_split_files:
        found: DataSetFolder = build(root, splits=splits, repair_split=repair_split)
    elif splits is not None or repair_split:
        argument, value = ("splits", str(splits)) if splits else ("repair_split", repair_split)
        owners = " and ".join(with_split_files())
        raise BadArgument(argument, value, f"{name} has no split files, only {owners} have them")
    elif entry.hides_uids:
        found = build(root, names=names, keep_ids=keep_ids)
    else:
        found = build(root)
    return _relative_to(target, root, found)


def _relative_to(target: Path, root: Path, found: DataSetFolder) -> DataSetFolder:
    """Make the paths relative to the file of the cohort table."""
    paths = [
        os.path.relpath(root / str(path), target.parent)
        for path in found.table.column("path").to_pylist()
    ]
    index = found.table.column_names.index("path")
    return replace(found, table=found.table.set_column(index, "path", pa.array(paths)))
