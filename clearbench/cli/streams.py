"""Standard streams as a command needs them: open, and able to write any letter.

The shell may have closed one, a terminal may know no letters beyond ASCII or Latin-1, and a disk
may be full.
"""

import os
import sys
from contextlib import suppress

NAMES = ("stdin", "stdout", "stderr")
ANY_LETTER = "backslashreplace"


def mend_streams() -> None:
    """Open what is closed as /dev/null, and write letters that a stream doesn't know as codes."""
    for number, name in enumerate(NAMES):
        with suppress(OSError):
            _open_descriptor(number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name != "stdin" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors=ANY_LETTER)


def _open_descriptor(number: int) -> None:
    """Open a closed descriptor; else the next file has its number, and prints go into that file."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def give_up_output() -> None:
    """Send what is left of the output nowhere: Python would fail to write it again at its end."""
    with suppress(OSError, ValueError):
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, sys.stdout.fileno())
        os.close(opened)
