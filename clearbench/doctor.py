"""What is installed, what can run here, what is broken, and what to do, without downloads."""

import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clearbench.cards import Readable, read_all
from clearbench.encoders.plugins import FAMILIES, try_plugins
from clearbench.encoders.registry import Registered, list_encoders
from clearbench.evaluation.task.card import find_task, task_names
from clearbench.plugins import find_plugins
from clearbench.store.disk import Disk, look_at_disk
from clearbench.store.folder import default_store

PACKAGES = (
    "clearbench", "torch", "torchvision", "timm", "open_clip_torch", "transformers", "monai",
    "huggingface_hub", "duckdb", "h5py", "pydicom", "nibabel",
)  # fmt: skip
OPTIONAL = ("torchvision", "transformers", "monai")
EXTRAS = MappingProxyType(  # extra → the module that it installs
    {
        "ray": "ray",
        "mamba": "mamba_ssm",
        "merlin": "merlin",
        "transformers": "transformers",
        "volume": "monai",
    }
)


@dataclass(frozen=True)
class Package:
    """An installed distribution; version "" if it is missing."""

    name: str
    version: str


@dataclass(frozen=True)
class Extra:
    """An optional part of clearbench, and the command that installs it."""

    name: str
    installed: bool
    command: str


@dataclass(frozen=True)
class PlugInState:
    """A plug-in, and why it can't be used; fault "" if it can."""

    distribution: str
    version: str
    family: str
    value: str
    fault: str


@dataclass(frozen=True)
class CardState:
    """A card, and whether its encoder can run: see Availability."""

    encoder: str
    state: str
    place: str
    todo: str

    @property
    def has_weights(self) -> bool:
        """Return whether the card's real weights are on this machine; seeded ones don't count."""
        return self.place in ("package", "cache", "file")


@dataclass(frozen=True)
class Checkup:
    """All that was checked. `troubles` are parts of clearbench that don't work here."""

    packages: tuple[Package, ...]
    python: str
    devices: tuple[Any, ...]
    codecs: tuple[Any, ...]
    extras: tuple[Extra, ...]
    plugins: tuple[PlugInState, ...]
    cards: tuple[CardState, ...]
    broken_cards: tuple[str, ...]
    hub_token: bool
    hub_cache: Disk | None
    store: Disk | None
    troubles: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Return whether nothing is broken; a missing extra or download is not broken."""
        faulty = any(plugin.fault for plugin in self.plugins)
        closed = self.store is not None and bool(self.store.refusal)
        return not (self.broken_cards or self.troubles or faulty or closed)


def check_up(store: Path | None = None, registry: Iterable[Path] = ()) -> Checkup:
    """Check packages, devices, codecs, plug-ins, cards and disks.

    A part that fails becomes a line of `troubles`, and the others are still checked. Plug-ins are
    imported.
    """
    checks = _Checks([])
    packages = tuple(Package(name, _version(name)) for name in PACKAGES)
    devices = checks.of("torch", partial(_call, "encoders.device", "list_devices"), ())
    codecs = checks.of("DICOM", partial(_call, "scans.dicom.codecs", "list_codecs"), ())
    plugins = checks.of("plug-ins", _plugins, ())
    found = checks.of("encoder cards", partial(list_encoders, tuple(registry)), Readable((), ()))
    return Checkup(
        packages=packages,
        python=f"{platform.python_version()} on {platform.platform(terse=True)}",
        devices=devices,
        codecs=codecs,
        extras=tuple(_extra(name, module) for name, module in EXTRAS.items()),
        plugins=plugins,
        cards=checks.of("weights", partial(_states, found.found, plugins), ()),
        broken_cards=(*found.broken, *checks.of("task cards", _broken_tasks, ())),
        hub_token=checks.of("token", partial(_call, "encoders.weights.files", "has_token"), False),
        hub_cache=checks.of("hub cache", _hub_disk, None),
        store=checks.of("store", lambda: look_at_disk(store or default_store()), None),
        troubles=(*_missing(packages), *checks.troubles),
    )


@dataclass(frozen=True)
class _Checks:
    """Checks of one part after the other; errors are kept."""

    troubles: list[str]

    def of(self, part: str, look: Callable[[], Any], otherwise: Any) -> Any:
        """Return what `look` finds; if it fails, keep the error and return `otherwise`."""
        try:
            return look()
        except Exception as error:  # noqa: BLE001  one broken part must not hide the others
            message = next(iter(str(error).splitlines()), "")
            self.troubles.append(f"{part}: {type(error).__name__}: {message}")
            return otherwise


def _call(module: str, function: str, *arguments: Any) -> Any:
    """Import a module of clearbench only now, as its library may be broken, and call a function."""
    part = importlib.import_module(f"clearbench.{module}")
    return getattr(part, function)(*arguments)


def _version(name: str) -> str:
    """Return a distribution's version, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _missing(packages: Iterable[Package]) -> tuple[str, ...]:
    """Name the required packages that are missing."""
    names = [one.name for one in packages if not one.version and one.name not in OPTIONAL]
    return tuple(f"{name} is not installed: pip install {name}" for name in names)


def _extra(name: str, module: str) -> Extra:
    """Return whether an extra is installed."""
    # found without importing it, because a broken library raises anything
    installed = importlib.util.find_spec(module) is not None
    return Extra(name, installed, "" if installed else f"pip install 'clearbench[{name}]'")


def _plugins() -> tuple[PlugInState, ...]:
    """Import every plug-in; return each with its fault."""
    faults = {fault.plugin: fault.reason for fault in try_plugins()}
    return tuple(
        PlugInState(one.distribution, one.version, one.family, one.value, faults.get(one, ""))
        for one in find_plugins()
    )


def _states(found: Iterable[Registered], plugins: Iterable[PlugInState]) -> tuple[CardState, ...]:
    """Return each card's state; cards of a plug-in that fails can't run either."""
    faults = {one.family: one.fault for one in plugins if one.fault}
    states = []
    for item in found:
        seen = _call("encoders.availability", "availability", item)
        fault = faults.get(item.card.family) if item.card.family not in FAMILIES else None
        state, todo = ("family", fault) if fault else (seen.state, seen.todo)
        states.append(CardState(item.name, state, seen.place, todo))
    return tuple(states)


def _broken_tasks() -> tuple[str, ...]:
    """Name the task cards that break their rules."""
    return read_all(task_names(), find_task).broken


def _hub_disk() -> Disk:
    """Look at the disk under the hub's cache."""
    return look_at_disk(_call("encoders.weights.files", "hub_cache"))
