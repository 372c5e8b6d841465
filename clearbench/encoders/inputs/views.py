"""Views: HU windows of a slice, with one embedding per view."""

from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadArgument, UnknownName
from clearbench.windows import WINDOWS_HU, parse_window


@dataclass(frozen=True)
class View:
    """One embedding per slice: the windows [lower, upper] in HU of its channels.

    One window for "repeat", one per channel for "stack", none for raw HU.
    """

    name: str
    windows_hu: tuple[tuple[float, float], ...]
    window_names: tuple[str, ...] = ()


def choose_views(card: EncoderCard, wanted: Sequence[str] = ()) -> tuple[View, ...]:
    """Return a card's views: its fixed ones, else the `wanted` windows, else its default.

    `wanted` has presets (brain, lung, …) or `name=lower:upper` in HU. Raises BadArgument for wanted
    views of a card with fixed views, UnknownName for another preset.
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
        raise BadArgument("views", ",".join(wanted), "one window is named twice")
    if card.seen.channels == "stack":
        return (_stacked(card, windows),)
    return tuple(View(name, (window,), (name,)) for name, window in windows.items())


def _stacked(card: EncoderCard, windows: dict[str, tuple[float, float]]) -> View:
    """Make one view whose channels are the windows."""
    if len(windows) != len(card.seen.mean):
        reason = f"{card.title} needs {len(card.seen.mean)} windows, one per channel"
        raise BadArgument("views", ",".join(windows), reason)
    return View("+".join(windows), tuple(windows.values()), tuple(windows))


def _refuse(card: EncoderCard, wanted: Sequence[str], fixed: str) -> None:
    """Refuse wanted views for a card with fixed views; raises BadArgument."""
    if wanted:
        reason = f"{card.title} has fixed views ({fixed}); leave views out"
        raise BadArgument("views", ",".join(wanted), reason)


def _window(text: str) -> tuple[str, tuple[float, float]]:
    """Read a preset's name or `name=lower:upper`."""
    found = parse_window(text)
    if found is None:
        raise UnknownName.among(
            "window",
            text,
            WINDOWS_HU,
            f" (presets: {', '.join(WINDOWS_HU)}; or name=lower:upper in HU)",
        )
    low, high = found[1]
    if low >= high:
        raise BadArgument("views", text, "the lower HU bound comes first")
    return found
