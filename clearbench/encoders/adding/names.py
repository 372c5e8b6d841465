"""What a new encoder may be called."""

from pathlib import Path

from clearbench.cards import NAME
from clearbench.encoders.registry import encoder_files, encoder_names
from clearbench.errors import BadRequest


def check_new_name(name: str, folder: Path, *, replace: bool = False) -> None:
    """Refuse a name that is no plain word, or that an encoder has already, unless `replace`.

    `folder` is where card and weights are to lie. Raises BadRequest.
    """
    if not NAME.fullmatch(name):
        raise BadRequest(f"{name}: letters, digits, dots, dashes and underscores make a name")
    if replace:
        return
    weights = folder / f"{name}.safetensors"
    known = encoder_files([folder])
    if name in encoder_names([folder]) or weights.exists():
        there = known[name].path if name in known else weights if weights.exists() else name
        raise BadRequest(f"{there} exists; choose another name, or type --replace")
