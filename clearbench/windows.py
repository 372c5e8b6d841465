"""Named HU windows.

Lower and upper end in HU, from the usual widths and levels (Radiopaedia, "Windowing (CT)"; bone is
that of skull and spine, 1800/400).
"""

import re
from types import MappingProxyType

WINDOWS_HU = MappingProxyType(
    {
        "brain": (0.0, 80.0),
        "subdural": (-25.0, 175.0),
        "bone": (-500.0, 1300.0),
        "lung": (-1350.0, 150.0),
        "mediastinum": (-125.0, 225.0),
        "abdomen": (-160.0, 240.0),
        "liver": (-45.0, 105.0),
    }
)
MOST_HU = 100_000  # of a window's ends; the values of a CT end at about 30,000
NUMBER = r"-?\d+(?:\.\d*)?"
OWN_WINDOW = re.compile(rf"(?P<name>[A-Za-z]\w*)=(?P<low>{NUMBER}):(?P<high>{NUMBER})", re.ASCII)


def parse_window(text: str) -> tuple[str, tuple[float, float]] | None:
    """Read a preset's name (lung, Lung window) or `name=lower:upper` as a name and HU.

    None for any other text; upper is not checked to be above lower.
    """
    own = OWN_WINDOW.fullmatch(text)
    if own:
        low, high = float(own["low"]), float(own["high"])
        return (own["name"].lower(), (low, high)) if max(abs(low), abs(high)) <= MOST_HU else None
    name = text.lower().strip().removesuffix(" window")
    return (name, WINDOWS_HU[name]) if name in WINDOWS_HU else None
