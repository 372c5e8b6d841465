"""Exit codes of the command line: scripts read them, so they change only with the major version."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell learns from a command."""

    DONE = 0
    FAILED = 1  # the command ran, and part of its work failed: a scan, a check, a comparison
    REFUSED = 2  # nothing was done: a wrong option, card, table or store
    STOPPED = 130  # Ctrl-C; what is done stays
