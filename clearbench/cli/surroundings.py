"""What a command is started with: words, a store and a working folder that can be used at all."""

import os
from collections.abc import Sequence

from clearbench.errors import BadRequest, is_text
from clearbench.store.folder import STORE_VARIABLE

ANY_BYTES = ("audit",)  # commands that store nothing, and search files of any name
WAY_OUT = "rename it, since tables can't hold such a name"


def check_surroundings(words: Sequence[str]) -> None:
    """Raise BadRequest for words or folders that aren't UTF-8, and for a folder that is gone."""
    try:
        here = os.getcwd()  # noqa: PTH109  Path.cwd does the same
    except OSError as error:
        raise BadRequest(
            f"the working folder can't be used ({error.strerror}); go to another one with cd"
        ) from error
    if words[:1] in ([], [""]) or words[0] in ANY_BYTES:
        return
    for word in words:
        _check_text(word, f"{word} isn't text in UTF-8")
    store = os.environ.get(STORE_VARIABLE, "")
    _check_text(store, f"${STORE_VARIABLE} isn't text in UTF-8 ({store})")
    _check_text(here, f"the name of the working folder isn't text in UTF-8 ({here})")


def _check_text(text: str, what: str) -> None:
    """Raise BadRequest for bytes that aren't UTF-8."""
    if not is_text(text):
        raise BadRequest(f"{what}; {WAY_OUT}")
