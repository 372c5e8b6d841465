"""Families of encoders, of clearbench and of plug-in packages; imports their builders."""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import Build
from clearbench.errors import BadCard, BadRequest, ClearbenchError, MissingExtra, UnknownName
from clearbench.plugins import GROUP, LIST, PlugIn, find_plugins, package_folders

FAMILIES = MappingProxyType(
    {
        "timm": "clearbench.encoders.families.timm:build",
        "open_clip": "clearbench.encoders.families.open_clip:build",
        "lecl": "clearbench.encoders.families.lecl:build",
        "medimageinsight": "clearbench.encoders.families.medimageinsight:build",
        "monai": "clearbench.encoders.families.monai:build",
        "merlin": "clearbench.encoders.families.merlin:build",
        "transformers": "clearbench.encoders.families.transformers:build",
        "torchvision": "clearbench.encoders.families.torchvision:build",
        "ct_clip": "clearbench.encoders.families.ct_clip:build",
    }
)
VALUE = re.compile(r"\w+(\.\w+)*:\w+")
PIP_NAMES = MappingProxyType(  # module → its name for pip, where the two differ
    {
        "cv2": "opencv-python-headless",
        "merlin": '"clearbench[merlin]"',
        "mamba_ssm": '"clearbench[mamba]"',
        "monai": '"clearbench[volume]"',
        "open_clip": "open_clip_torch",
        "PIL": "pillow",
        "skimage": "scikit-image",
        "sklearn": "scikit-learn",
        "transformers": '"clearbench[transformers]"',
        "yaml": "PyYAML",
    }
)


@dataclass(frozen=True)
class PlugInFault:
    """A plug-in that can't be used: why, and what to do."""

    plugin: PlugIn
    reason: str


def find_faults() -> tuple[PlugInFault, ...]:
    """List the plug-ins that can't be used, without importing any."""
    plugins = find_plugins()
    reasons = ((plugin, _refusal(plugin, plugins)) for plugin in plugins)
    return tuple(PlugInFault(plugin, reason) for plugin, reason in reasons if reason)


def try_plugins() -> tuple[PlugInFault, ...]:
    """Import every plug-in's builder, and list the plug-ins that can't be used."""
    plugins, faults = find_plugins(), []
    for plugin in plugins:
        try:
            _load_plugin(plugin, plugins)
        except ClearbenchError as error:
            faults.append(PlugInFault(plugin, str(error)))
    return tuple(faults)


def family_builder(
    card: EncoderCard, folder: Path | None = None, *, trust_remote_code: bool = False
) -> Build:
    """Return the builder of a card's family, from clearbench or a plug-in.

    `folder` is the folder of the card. Raises UnknownName for a family that no package has, BadCard
    for a plug-in that can't be used, MissingExtra with the pip command for a missing package,
    BadRequest for code of a repository that isn't trusted.
    """
    if card.weights.remote_code and not trust_remote_code:
        raise BadRequest(
            f"{card.title}: its network is code of its repository ({card.source}, revision "
            f"{card.revision or 'none'}), and such code can do anything; read it, and if you trust "
            "it, allow it with trust_remote_code"
        )
    plugins = find_plugins()
    matching = [plugin for plugin in plugins if plugin.family == card.family]
    if card.family not in FAMILIES:
        if not matching and card.facts.code:
            raise MissingExtra(f"{card.title}: {authors_code(card)}")
        if not matching:
            known = {*FAMILIES, *(plugin.family for plugin in plugins)}
            more = f" (known: {', '.join(sorted(known))})"
            raise UnknownName.among("family of encoders", card.family, known, more)
        return _load_plugin(matching[0], plugins)
    for plugin in matching:
        if folder is not None and folder.parent in package_folders(plugin.package):
            raise BadCard(_refusal(plugin, plugins))
    return _load(FAMILIES[card.family], f"family {card.family}")


def authors_code(card: EncoderCard) -> str:
    """Return what to do about a network whose code is only in its authors' repository."""
    return (
        f"its network is its authors' code ({card.facts.code}); it needs a plug-in with the family "
        f"{card.family}: docs/encoders/plugin.md shows how to write one"
    )


def _refusal(plugin: PlugIn, plugins: Sequence[PlugIn]) -> str:
    """Return why a plug-in is not imported, and what to do; "" if it can be."""
    if not plugin.family:
        return f"plug-in {plugin}: its list of families ({LIST}) is damaged; {_repair(plugin)}"
    named = f'plug-in {plugin}, family "{plugin.family}"'
    if plugin.family in FAMILIES:
        return (
            f"{named}: clearbench has a family of this name, and no package may replace it; rename "
            f"the entry point of {plugin.distribution}, and the family in its cards"
        )
    rivals = [other for other in plugins if other.family == plugin.family and other != plugin]
    if rivals:
        return (
            f"{named}: {', '.join(map(str, rivals))} has it too, so none of them is used; "
            f"keep one: pip uninstall {rivals[0].distribution} (or {plugin.distribution})"
        )
    if not VALUE.fullmatch(plugin.value):
        return f'{named}: its entry point is "{plugin.value}"; {GROUP} needs package.module:build'
    if not package_folders(plugin.package):
        return f"{named}: the package {plugin.package} is missing; {_repair(plugin)}"
    return ""


def _repair(plugin: PlugIn) -> str:
    """Return what to do about a damaged plug-in."""
    name = plugin.distribution
    if " " in name:
        return "reinstall it, or remove its .dist-info folder"
    return f"repair or reinstall {name}, or remove it: pip uninstall {name}"


def _load_plugin(plugin: PlugIn, plugins: Sequence[PlugIn]) -> Build:
    """Import a plug-in's builder; raises BadCard with one sentence if its code fails."""
    reason = _refusal(plugin, plugins)
    if reason:
        raise BadCard(reason)
    named = f'plug-in {plugin}, family "{plugin.family}"'
    try:
        return _load(plugin.value, named, plugin.package)
    except ClearbenchError:
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        line = next(iter(str(error).splitlines()), "")
        raise BadCard(
            f"{named}: importing {plugin.value.partition(':')[0]} fails "
            f"({type(error).__name__}: {line}); {_repair(plugin)}"
        ) from error


def family_module(family: str) -> Any:
    """Import the module of one of clearbench's families, and with it the library it uses.

    Raises MissingExtra with the pip command for a missing package.
    """
    return _imported(FAMILIES[family].partition(":")[0], f"family {family}")


def _load(value: str, named: str, package: str = "clearbench") -> Build:
    """Import "module:function" of a package."""
    place, _, function = value.partition(":")
    build: Build | None = getattr(_imported(place, named, package), function, None)
    if not callable(build):
        raise BadCard(f"{named}: {place} has no function {function}")
    return build


def _imported(place: str, named: str, package: str = "clearbench") -> ModuleType:
    """Import a module of a package; raises MissingExtra with the pip command if one is missing."""
    try:
        return importlib.import_module(place)
    except MissingExtra:
        raise
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", package):
            raise BadCard(f"{named}: importing {place} fails ({error})") from error
        raise MissingExtra(f"{named} {_need(missing, error)}") from error


def _need(missing: str, error: ImportError) -> str:
    """Return which package to install or to upgrade."""
    pip = PIP_NAMES.get(missing, missing)
    # otherwise the module is there, but lacks a name that is imported from it
    if isinstance(error, ModuleNotFoundError) and error.name == missing:
        return f"needs {missing}: pip install {pip}"
    return f"needs another version of {missing} ({error}): pip install --upgrade {pip}"
