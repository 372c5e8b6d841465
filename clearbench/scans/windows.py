"""Named HU windows.

Lower and upper end in HU, from the usual widths and levels (Radiopaedia, "Windowing (CT)"; bone is
that of skull and spine, 1800/400).
"""

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
