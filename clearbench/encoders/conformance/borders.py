"""Check that every pixel at the borders of an input can change the features."""

from torch import Tensor

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.checked_encoder import (
    SPACING_MM,
    CheckedEncoder,
    example_slices,
)
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.unseen.measure import Borders, measure_structure, measure_values
from clearbench.encoders.unseen.wording import in_words, stated, statement

IMAGES = 2  # some networks refuse a batch of one


def check_borders(checked: CheckedEncoder) -> CheckResult:
    """The first and last rows and columns change features, unless the card states otherwise."""
    encoder, card = checked.encoder, checked.encoder.card
    if encoder.precision != "float32":
        encoder = checked.load("float32")
    images = _images(checked).to(encoder.device)
    # new weights often have zeros, which trained weights don't
    measure = measure_structure if checked.random_weights else measure_values
    found = measure(encoder.network, images)
    if found is None:
        return CheckResult("borders", "skip", "equal images have different features")
    if found.everything:
        return CheckResult("borders", "skip", "no pixel changes a feature: a dead network")
    return _compared(card, found.borders)


def _images(checked: CheckedEncoder) -> Tensor:
    """Return images of the network's size [b, c, …], as it sees them, in the first view."""
    encoder = checked.encoder
    if encoder.card.volume is not None:
        return encoder.prepare_volume(checked.slices, SPACING_MM)
    return encoder.prepare(example_slices(IMAGES, encoder.card.seen.size_px), ())[:, 0]


def _compared(card: EncoderCard, found: Borders) -> CheckResult:
    """Compare the borders that change nothing with those on the card."""
    count, limit = sum(map(sum, found)), str(sum(map(sum, stated(card))))
    unseen = in_words(card, found)
    if found == stated(card):
        note = f"note: {unseen} change nothing, as the card states"
        sentence = note if unseen else "every border changes the features"
        return CheckResult("borders", "pass", sentence, count, limit)
    if not unseen:
        sentence = f"the card states that {in_words(card, stated(card))} change nothing; they do"
        return CheckResult("borders", "fail", sentence, count, limit)
    sentence = (
        f"{unseen} change nothing: the network never sees them; choose a size that it sees whole, "
        f"or, if it was trained so, state it in the card: {statement(card, found)}"
    )
    return CheckResult("borders", "fail", sentence, count, limit)
