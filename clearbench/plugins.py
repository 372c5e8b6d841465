"""Plug-in packages: found by their entry points, and not imported here."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

GROUP = "clearbench.encoders"


@dataclass(frozen=True)
class PlugIn:
    """A family of encoders that an installed package brings; `value` is "package.module:build"."""

    distribution: str
    version: str
    family: str
    value: str

    @property
    def package(self) -> str:
        """The top package, in which its cards lie too."""
        return self.value.partition(":")[0].partition(".")[0].strip()

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def find_plugins() -> tuple[PlugIn, ...]:
    """List what the packages of this environment bring, by family and distribution."""
    found = [_plugin(entry) for entry in importlib.metadata.entry_points(group=GROUP)]
    return tuple(sorted(set(found), key=lambda plugin: (plugin.family, str(plugin))))


def _plugin(entry: importlib.metadata.EntryPoint) -> PlugIn:
    """Read one entry point."""
    name = entry.dist.name if entry.dist is not None else "an unnamed distribution"
    version = entry.dist.version if entry.dist is not None else ""
    return PlugIn(name, version, entry.name, entry.value)


def plugin_folders(folder: str) -> dict[Path, PlugIn]:
    """Find the folders of cards ("registry" or "tasks") that lie in the plug-ins' packages.

    An editable install doesn't list its files, so the place is asked of Python's import system,
    which finds a top package without running it.
    """
    found: dict[Path, PlugIn] = {}
    for plugin in find_plugins():
        for place in package_folders(plugin.package):
            if (place / folder).is_dir():
                found.setdefault(place / folder, plugin)
    return found


def package_folders(package: str) -> tuple[Path, ...]:
    """Return where a top package lies; none if Python finds no such package."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ()
    places = spec.submodule_search_locations if spec is not None else None
    return tuple(Path(place).resolve() for place in places or ())
