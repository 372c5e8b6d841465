"""Borders that a network leaves out, as a card states them and as people read them."""

from clearbench.encoders.card import AXES, EncoderCard
from clearbench.encoders.unseen.measure import Borders

PLANES = ("planes along z", "planes along y", "planes along x")
SLICE_AXES = (0, 1)  # rows, columns


def stated(card: EncoderCard) -> Borders:
    """Return the borders that the card says are left out, along the network's axes."""
    numbers = card.volume.unseen_zyx if card.volume is not None else card.seen.unseen_px
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return tuple(pairs[axis] for axis in card_axes(card))


def statement(card: EncoderCard, borders: Borders) -> str:
    """Return the line of a card that states borders: unseen_px = [0, 8, 0, 8]."""
    by_axis = dict(zip(card_axes(card), borders, strict=True))
    numbers = ", ".join(str(number) for axis in sorted(by_axis) for number in by_axis[axis])
    return f"{'unseen_px' if card.volume is None else 'unseen_zyx'} = [{numbers}]"


def in_words(card: EncoderCard, borders: Borders) -> str:
    """Return borders in words, such as "the last 8 rows and columns"; "" if there are none."""
    parts = []
    for place, end in (("first", 0), ("last", 1)):
        ends = zip(borders, axis_names(card), strict=True)
        counts = [(pair[end], name) for pair, name in ends if pair[end]]
        if len({count for count, _ in counts}) == 1:
            joined = " and ".join(name for _, name in counts)
            parts.append(f"the {place} {_counted(counts[0][0], joined)}")
        else:
            parts += [f"the {place} {_counted(count, name)}" for count, name in counts]
    return " and ".join(parts)


def _counted(count: int, names: str) -> str:
    """Return "8 rows and columns", and "row and column" for one of each."""
    if count > 1:
        return f"{count} {names}"
    return names.replace("rows", "row").replace("columns", "column").replace("planes", "plane")


def axis_names(card: EncoderCard) -> tuple[str, ...]:
    """Name what is along each axis of a network's input."""
    if card.volume is None:
        return ("rows", "columns")
    return tuple(PLANES[axis] for axis in card_axes(card))


def card_axes(card: EncoderCard) -> tuple[int, ...]:
    """Return for each axis of a network's input its place on the card."""
    return SLICE_AXES if card.volume is None else tuple(AXES[one] for one in card.volume.axes)
