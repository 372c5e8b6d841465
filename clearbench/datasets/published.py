"""The public data sets that have a builder, by name."""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from clearbench.errors import BadCohort, UnknownName

BUILDERS = MappingProxyType({"ct-ich": "clearbench.datasets.ct_ich:build"})


@dataclass(frozen=True)
class DataSetFolder:
    """A data set found on disk: its cohort table (paths from its root) and what is missing."""

    table: pa.Table
    missing: tuple[str, ...] = ()


def build_published(name: str, root: Path, target: Path) -> DataSetFolder:
    """Read a public data set's folder as a cohort table that will lie at `target`.

    Raises UnknownName for a data set without a builder, BadCohort for a folder of another layout.
    """
    if name not in BUILDERS:
        raise UnknownName.among(
            "data set",
            name,
            [*BUILDERS, "folder"],
            f" ({', '.join(BUILDERS)}, or folder for your own)",
        )
    if not root.is_dir():
        raise BadCohort(f"{root}: no such folder")
    module, _, function = BUILDERS[name].partition(":")
    build: Callable[[Path], DataSetFolder] = getattr(importlib.import_module(module), function)
    found = build(root)
    paths = [
        os.path.relpath(root / str(path), target.parent)
        for path in found.table.column("path").to_pylist()
    ]
    index = found.table.column_names.index("path")
    return DataSetFolder(found.table.set_column(index, "path", pa.array(paths)), found.missing)
