"""A check-up as a person reads it: a Checkup of clearbench.doctor."""

from collections.abc import Iterable
from typing import Any

from clearbench.display.console import say, show_list

WAITS = {
    "download": "wait for a download at their first use",
    "gated": "wait for a licence to be accepted",
    "pretrain": "wait to be trained, as no weights are published",
    "missing": "lack their weights",
    "extra": "lack a library",
    "family": "lack a plug-in for their family",
    "trust": "wait for your trust in their repository's code",
}


def show_checkup(found: Any) -> None:
    """Print every part that was checked, then what is broken."""
    have = [f"{one.name} {one.version}" for one in found.packages if one.version]
    say(f"Python {found.python}")
    say(" · ".join(have))
    _show_devices(found.devices)
    _show_codecs(found.codecs)
    _show_extras(found.extras)
    _show_plugins(found.plugins)
    _show_cards(found.cards)
    token = "found" if found.hub_token else "none (HF_TOKEN); only gated weights need it"
    say(f"hub token: {token}")
    _show_disk("hub cache", found.hub_cache)
    _show_disk("store", found.store)
    show_list(found.broken_cards, "cards that are left out")
    show_list(found.troubles, "parts that don't work here")
    say("nothing is broken" if found.sound else "something is broken: see above")


def _show_devices(devices: Iterable[Any]) -> None:
    """Print a line per device."""
    for one in devices:
        cores = f"{one.cores} cores, " if one.cores else ""
        precision = "bfloat16" if one.bfloat16 else "no fast bfloat16: float32 is used"
        say(f"{one.device}: {one.name}, {cores}{_size(one.memory_bytes)}, {precision}")


def _show_codecs(codecs: Iterable[Any]) -> None:
    """Print which compressed DICOM can be read, and which can't."""
    decoded = [one.name for one in codecs if one.decoders]
    if decoded:
        say(f"compressed DICOM that can be read: {'; '.join(decoded)}")
    for one in codecs:
        if not one.decoders:
            say(f"compressed DICOM that can't be read: {one.name} ({'; '.join(one.others)})")


def _show_extras(extras: Iterable[Any]) -> None:
    """Print the optional parts."""
    parts = [one.name if one.installed else f"{one.name} (no: {one.command})" for one in extras]
    say(f"optional: {', '.join(parts)}")


def _show_plugins(plugins: Iterable[Any]) -> None:
    """Print the plug-ins, those that work first."""
    for one in sorted(plugins, key=lambda one: bool(one.fault)):
        name = f"plug-in {one.distribution} {one.version}, family {one.family}"
        say(f"✗ {one.fault}" if one.fault else f"{name}: works")


def _show_cards(cards: Any) -> None:
    """Print which encoders can run, and what the others need."""
    ready = [one.encoder for one in cards if one.state == "ready"]
    say(f"{len(ready)} of {len(cards)} encoders can run now: {', '.join(ready)}")
    for state, words in WAITS.items():
        waiting = [one for one in cards if one.state == state]
        if waiting:
            say(f"{len(waiting)} {words}: {', '.join(one.encoder for one in waiting)}")
        for one in waiting if state not in ("download", "pretrain") else ():
            say(f"  {one.encoder}: {one.todo}")
    unseen = sum(not one.has_weights for one in cards if one.place != "random")
    if unseen:
        say(f"{unseen} have never run here with their real weights")


def _show_disk(what: str, disk: Any) -> None:
    """Print the free space of a folder's disk, and whether it can be written."""
    if disk is None:
        return
    state = "" if disk.exists else " (does not exist yet)"
    writable = f"NOT writable ({disk.refusal})" if disk.refusal else "writable"
    filesystem = f", {disk.filesystem}" if disk.filesystem else ""
    say(f"{what}: {disk.path}{state}, {_size(disk.free_bytes)} free, {writable}{filesystem}")
    if disk.network and what == "store":
        say("  a network file system: several machines can share one embed by --shard i/n")


def _size(count: int) -> str:
    """Return a number of bytes in GiB."""
    return f"{count / 2**30:.1f} GiB"
