"""What a new encoder is made of: a library's model or own weights, and facts of the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.errors import BadRequest

FAMILY_BY_ARGUMENTS = {
    ("timm",): "timm",
    ("open_clip",): "open_clip",
    ("transformers",): "transformers",
    ("checkpoint", "net"): "lecl",
    ("checkpoint", "timm"): "timm",
    ("checkpoint", "torchvision"): "torchvision",
}
SOURCES = "timm, open_clip, transformers, or checkpoint with net, timm or torchvision"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class AddRequest:
    """A new encoder's family, its name or place in that family, and a checkpoint of the user.

    ema     of a checkpoint with raw and averaged weights: the average (True), the raw ones (False),
            or what its own library takes (None)
    unused  beginnings of names in the checkpoint that are no part of the encoder
    """

    family: str
    place: str
    checkpoint: Path | None = None
    ema: bool | None = None
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """Facts from the user instead of the library's; blank: the library's."""

    views: tuple[str, ...] = ()
    size_px: int = 0
    pooling: str = ""
    licence: str = ""


def make_request(  # noqa: PLR0913  options of a command
    *,
    timm: str = "",
    open_clip: str = "",
    transformers: str = "",
    checkpoint: Path | None = None,
    net: str = "",
    torchvision: str = "",
    ema: bool | None = None,
    unused: Sequence[str] = (),
) -> AddRequest:
    """Return the request of exactly one source; raises BadRequest for none, or for several.

    `ema` and `unused` belong to a checkpoint; see AddRequest.
    """
    values = {
        "checkpoint": checkpoint,
        "net": net,
        "open_clip": open_clip,
        "timm": timm,
        "torchvision": torchvision,
        "transformers": transformers,
    }
    given = tuple(key for key, value in values.items() if value)
    if given not in FAMILY_BY_ARGUMENTS:
        raise BadRequest(f"name one source: {SOURCES}; given: {', '.join(given) or 'none'}")
    if checkpoint is None and (ema is not None or unused):
        raise BadRequest("ema and unused say what is taken of a checkpoint; give one, or leave out")
    family = FAMILY_BY_ARGUMENTS[given]
    place = net or timm or open_clip or transformers or torchvision
    return AddRequest(family, place, checkpoint, ema, tuple(unused))
