"""Plug-in packages: found by their entry points, without importing them."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

GROUP = "clearbench.encoders"
LIST = "entry_points.txt"
MOST_FAMILIES = 1000  # of a package


@dataclass(frozen=True)
class PlugIn:
    """A family of encoders in an installed package; `value` is "package.module:build".

    family  "" if the package's list of families is damaged
    """

    distribution: str
    version: str
    family: str
    value: str

    @property
    def package(self) -> str:
        """The top package, which also has the cards."""
        return self.value.partition(":")[0].partition(".")[0].strip()

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()


def find_plugins() -> tuple[PlugIn, ...]:
    """List the encoder families of installed packages, by family and distribution.

    A package whose list of families is damaged has one plug-in without a family.
    """
    found: dict[str, tuple[PlugIn, ...]] = {}
    for package in importlib.metadata.distributions():
        plugins = _plugins_of(package)
        # of a package that is there twice, Python imports the first
        for name in {plugin.distribution for plugin in plugins} - found.keys():
            found[name] = plugins
    every = {plugin for plugins in found.values() for plugin in plugins}
    return tuple(sorted(every, key=lambda plugin: (plugin.family, str(plugin))))


def _plugins_of(package: importlib.metadata.Distribution) -> tuple[PlugIn, ...]:
    """Return a package's encoder families; no fault of other packages matters here."""
    try:
        listed = package.read_text(LIST) or ""
        if GROUP not in listed:
            return ()
        entries = list(package.entry_points.select(group=GROUP))
    # whatever Python raises for a damaged list
    except Exception as error:  # noqa: BLE001
        read = getattr(error, "object", b"")  # what isn't UTF-8
        ours = GROUP.encode() in read if isinstance(read, bytes) and read else GROUP in listed
        return (_plugin(package, "", ""),) if ours else ()
    if len(entries) > MOST_FAMILIES:
        return (_plugin(package, "", ""),)
    return tuple(_plugin(package, each.name, each.value) for each in entries)


def _plugin(package: importlib.metadata.Distribution, family: str, value: str) -> PlugIn:
    """Return one family of a package, which may have no name or version itself."""
    try:
        name, version = package.name, package.version
    # whatever Python raises for damaged metadata
    except Exception:  # noqa: BLE001
        name, version = "", ""
    unnamed = f"a package without a name in {package.locate_file('')}"
    return PlugIn(name or unnamed, version or "", family, value)


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
