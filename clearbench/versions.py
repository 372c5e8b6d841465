"""The libraries whose versions may change a score."""

import platform
from importlib.metadata import version

LIBRARIES = ("clearbench", "torch", "scikit-learn", "numpy")


def installed_versions() -> dict[str, str]:
    """Return the version of each library and of Python."""
    found = {name: version(name) for name in LIBRARIES}
    return found | {"python": platform.python_version()}
