"""Views: the HU windows under which a slice is embedded, one embedding each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadRequest, UnknownName
from clearbench.scans.windows import WINDOWS_HU

NUMBER = r"-?\d+(?:\.\d*)?"
OWN_WINDOW = re.compile(rf"(?P<name>[A-Za-z]\w*)=(?P<low>{NUMBER}):(?P<high>{NUMBER})", re.ASCII)


@dataclass(frozen=True)
class View:
    """One embedding per slice: the windows [lower, upper] in HU that make its channels.

    One window for "repeat", one per channel for "stack", none for raw HU.
    """

    name: str
    windows_hu: tuple[tuple[float, float], ...]
    window_names: tuple[str, ...] = ()


def choose_views(card: EncoderCard, wanted: Sequence[str] = ()) -> tuple[View, ...]:
    """Return a card's views: its fixed ones, or the `wanted` named windows, or its default.

    `wanted` names presets (brain, lung, …) or gives `name=lower:upper` in HU.
    Raises BadRequest if the card's views are fixed and others are wanted.
    """
    if card.volume is not None:
        _refuse(card, wanted, "the whole volume")
        return (View("volume", ()),)
    if card.seen.channels == "hu":
        _refuse(card, wanted, "raw HU")
        return (View("hu", ()),)
    if isinstance(card.seen.views, dict):
        _refuse(card, wanted, ", ".join(card.seen.views))
        windows = dict(card.seen.views)
    else:
        windows = dict(_window(text) for text in wanted or card.seen.default_views)
    if len(windows) < len(wanted):
        raise BadRequest(f"--views names a window twice: {', '.join(wanted)}")
    if card.seen.channels == "stack":
        return (_stacked(card, windows),)
    return tuple(View(name, (window,), (name,)) for name, window in windows.items())


def _stacked(card: EncoderCard, windows: dict[str, tuple[float, float]]) -> View:
    """Make one view whose channels are the windows."""
    if len(windows) != len(card.seen.mean):
        raise BadRequest(
            f"{card.title} stacks {len(card.seen.mean)} windows as channels, not {len(windows)}"
        )
    return View("+".join(windows), tuple(windows.values()), tuple(windows))


def _refuse(card: EncoderCard, wanted: Sequence[str], fixed: str) -> None:
    """Refuse --views for a card that was trained on fixed ones."""
    if wanted:
        raise BadRequest(f"{card.title} has fixed views ({fixed}); leave --views out")


def _window(text: str) -> tuple[str, tuple[float, float]]:
    """Read a preset's name or `name=lower:upper`."""
    own = OWN_WINDOW.fullmatch(text)
    if own:
        low, high = float(own["low"]), float(own["high"])
        if low >= high:
            raise BadRequest(f"--views {text}: the lower HU bound comes first")
        return own["name"].lower(), (low, high)
    if text.lower() not in WINDOWS_HU:
        raise UnknownName.among(
            "window",
            text,
            WINDOWS_HU,
            f" (presets: {', '.join(WINDOWS_HU)}; or name=lower:upper in HU)",
        )
    return text.lower(), WINDOWS_HU[text.lower()]
