"""The name of a new encoder."""

from pathlib import Path

from clearbench.cards import NAME
from clearbench.encoders.registry import encoder_files, encoder_names
from clearbench.errors import BadRequest


def check_new_name(name: str, folder: Path, *, replace: bool = False) -> None:
    """Refuse a name with other characters, or one that an encoder has, unless `replace`.

    `folder` is the folder for card and weights. Raises BadRequest.
    """
    if not NAME.fullmatch(name):
        raise BadRequest(f"{name}: a name has letters, digits, dots, dashes and underscores")
    if replace:
        return
    weights = folder / f"{name}.safetensors"
    known = encoder_files([folder])
    if name in encoder_names([folder]) or weights.exists():
        taken = known[name].path if name in known else weights if weights.exists() else name
        raise BadRequest(f"{taken} exists; choose another name, or use replace (--replace)")
