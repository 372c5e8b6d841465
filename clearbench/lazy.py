"""Load the public names of a package at their first use."""

import importlib
from collections.abc import Mapping
from typing import Any


def load_public(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Return a public name from its module; raises AttributeError for any other name."""
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)
