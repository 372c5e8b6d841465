"""Reconstruction kernels: soft or sharp, by the names that each maker uses.

Siemens uses numbers: B10–B49 soft, B50 and up sharp (the same for Br, Bf, Hr, I …). Toshiba and
Canon: FC01–FC29 body, soft; FC30 and up bone and lung, sharp. GE and Philips use words and letters.
"""

import re

SOFT_WORDS = frozenset({"STANDARD", "STD", "STD+", "SOFT", "SMOOTH", "A", "B", "BRAIN", "BODY"})
SHARP_WORDS = frozenset(
    {
        "LUNG",
        "BONE",
        "BONEPLUS",
        "EDGE",
        "DETAIL",
        "CHEST",
        "SHARP",
        "ULTRA",
        "YC",
        "YD",
        "C",
        "D",
        "E",
        "L",
    }
)
SIEMENS = re.compile(r"^[A-Z][A-Za-z]{0,2}(\d\d)[A-Za-z]?")
CANON = re.compile(r"^FC(\d\d)")


def is_soft_kernel(kernel: str) -> bool | None:
    """Return True for a soft kernel, False for a sharp one, None for an unknown name."""
    name = kernel.split("\\")[0].strip()  # Siemens may add the strength of iterative recon: I40f\\3
    canon, siemens = CANON.match(name.upper()), SIEMENS.match(name)
    # Canon first, because SIEMENS fits FC08 too
    if canon:
        return int(canon[1]) < 30
    if siemens:
        return int(siemens[1]) < 50
    if name.upper() in SOFT_WORDS:
        return True
    return False if name.upper() in SHARP_WORDS else None
