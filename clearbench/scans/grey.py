"""An opened image → its grey values, [y, x] uint8; what isn't a picture of greys is refused.

A heat map, an overlay or a mask would become greys like any other, and nobody would see it.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from clearbench.errors import UnreadableScan

UPRIGHT = 1  # EXIF's orientation; also without one
COLOURED = 24  # grey levels between two channels: JPEG makes some of grey
MOST_COLOURED = 0.002  # share of the pixels; a letter or a scale bar in colour is less
OPAQUE = 255
FEWEST_PIXELS = 256  # of a picture whose greys are counted


def grey_values(image: Image.Image) -> NDArray[np.uint8]:
    """Return the grey values of an image of 8 bits.

    Raises UnreadableScan for colours or transparent parts.
    """
    if _has_alpha(image) and np.asarray(image.convert("RGBA"))[..., 3].min() < OPAQUE:
        raise UnreadableScan("it has transparent parts; save it as grey values, without them")
    if image.mode == "P" and int(np.asarray(image).max()) >= _colours(image):
        raise UnreadableScan("its palette has fewer colours than its pixels use; save it again")
    if image.mode not in ("L", "LA"):
        _refuse_colours(np.asarray(image.convert("RGB")).astype(np.int16))
    found: NDArray[np.uint8] = np.asarray(image.convert("L"))
    return found


def why_not_upright_greys(image: Image.Image) -> str:
    """Return what the header of an image says against it; "" if nothing does."""
    if image.mode == "1":
        return "a mask of 1 bit, not grey values"
    turned = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    if turned != UPRIGHT:
        return (
            f"its EXIF says that it is turned or mirrored (orientation {turned}); save it upright"
        )
    return ""


def refuse_mask(pixels: NDArray[np.uint8]) -> None:
    """Raise UnreadableScan if all images of a scan together have two grey values: it is a mask."""
    if pixels.size < FEWEST_PIXELS:
        return
    low, high = pixels.min(), pixels.max()
    if low < high and bool(((pixels == low) | (pixels == high)).all()):
        raise UnreadableScan(f"a mask: it has the values {low} and {high} only, not a CT's greys")


def _colours(image: Image.Image) -> int:
    """Return how many colours the palette of an image has."""
    return len(image.getpalette() or ()) // len("RGB")


def _has_alpha(image: Image.Image) -> bool:
    """Tell whether an image may have transparent parts."""
    return image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info


def _refuse_colours(channels: NDArray[np.int16]) -> None:
    """Raise UnreadableScan for an image [y, x, 3] whose channels differ in many pixels."""
    apart = channels.max(axis=2) - channels.min(axis=2)
    share = float((apart > COLOURED).mean())
    if share > MOST_COLOURED:
        raise UnreadableScan(
            f"{share:.0%} of its pixels are coloured: a heat map, an overlay or a photograph; a "
            "window of a CT is grey"
        )
