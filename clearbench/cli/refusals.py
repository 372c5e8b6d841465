"""Errors as the command line prints them: one sentence, with the option that was typed."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clearbench.errors import BadArgument
from clearbench.files import DISK_REFUSES

# Parameters of the Python functions whose option has another name.
OPTIONS = MappingProxyType(
    {
        "cohorts": "cohort",
        "encoder": "model",
        "sources": "from",
        "texts": "id",
        "floors": "no_floors",
        "heads": "head",
        "models": "model",
        "target": "output",
        "task_folders": "tasks",
        "tasks": "task",
        "timeout_s": "timeout",
    }
)


def argument_sentence(error: BadArgument, params: Sequence[Any]) -> str:
    """Return a BadArgument as typed, `--device gpu: reason`; `params` are those of the command."""
    value = _value(error.value)
    option = _option(error.name, params, off=error.value is False)
    return f"{option}{f' {value}' if value else ''}: {error.reason}"


def _option(name: str, params: Sequence[Any], *, off: bool) -> str:
    """Return the option of a Python parameter, or the metavar of a positional argument.

    A switch that is `off` has its other name: --no-ema.
    """
    by_name = {param.name: param for param in params}
    # The other name goes first: `evaluate` has both --task (tasks) and --tasks (task_folders).
    param = by_name.get(OPTIONS.get(name, name)) or by_name.get(name)
    if param is None:
        return f"--{OPTIONS.get(name, name).replace('_', '-')}"
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = (getattr(param, "secondary_opts", ()) if off else ()) or param.opts
    return str(max(names, key=len))


def _value(value: object) -> str:
    """Return a value as it is typed; nothing for a switch or where none was typed."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, value))
    return str(value)


def file_sentence(error: OSError) -> str:
    """Name the folder or file that the system refuses."""
    path = Path(str(error.filename)) if error.filename else None
    if path is None:
        if error.errno not in DISK_REFUSES:
            return str(error)
        # files of ours are named, and refused as StorageFull
        return f"the output can't be written ({error.strerror}); choose another place for it"
    # Drafts are next to the file that they become; the user typed the folder, not the draft.
    place = path.parent if path.suffix == ".tmp" else path
    return f"{place}: {error.strerror}; allow it, or choose another place"
