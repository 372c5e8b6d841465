"""Plug-in packages: found by their entry points, without importing them."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

GROUP = "clearbench.encoders"


@dataclass(frozen=True)
class PlugIn:
    """A family of encoders in an installed package; `value` is "package.module:build"."""

    distribution: str
    version: str
    family: str
    value: str

    @property
    def package(self) -> str:
        """The top package, which also has the cards."""
        return self.value.partition(":")[0].partition(".")[0].strip()

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def find_plugins() -> tuple[PlugIn, ...]:
    """List the encoder families of installed packages, by family and distribution."""
    found = [_plugin(entry) for entry in importlib.metadata.entry_points(group=GROUP)]
    return tuple(sorted(set(found), key=lambda plugin: (plugin.family, str(plugin))))


def _plugin(entry: importlib.metadata.EntryPoint) -> PlugIn:
    """Read one entry point."""
    name = entry.dist.name if entry.dist is not None else "an unnamed distribution"
    version = entry.dist.version if entry.dist is not None else ""
    return PlugIn(name, version, entry.name, entry.value)


def plugin_folders(folder: str) -> dict[Path, PlugIn]:
    """Return the folders of cards ("registry" or "tasks") in the packages of plug-ins.

    An editable install doesn't list its files, so Python's import system finds the package; that
    doesn't run its code.
    """
    found: dict[Path, PlugIn] = {}
    for plugin in find_plugins():
        for root in package_folders(plugin.package):
            if (root / folder).is_dir():
                found.setdefault(root / folder, plugin)
    return found


def package_folders(package: str) -> tuple[Path, ...]:
    """Return the folders of a top package; () if Python can't find it."""
    try:
        spec = importlib.util.find_spec(package)
    # find_spec raises ValueError for a loaded module without a spec
    except (ImportError, ValueError):
        return ()
    places = spec.submodule_search_locations if spec is not None else None
    return tuple(Path(place).resolve() for place in places or ())
