"""The libraries whose versions may move a score."""

import platform
from importlib.metadata import version

LIBRARIES = ("clearbench", "torch", "scikit-learn", "numpy")


def installed_versions() -> dict[str, str]:
    """Return each library's version, and Python's."""
    found = {name: version(name) for name in LIBRARIES}
    return found | {"python": platform.python_version()}
