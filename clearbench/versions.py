"""Versions of libraries, as results, feature files and reference vectors record them."""

import importlib.metadata
import platform
from collections.abc import Iterable

SCORE_LIBRARIES = ("clearbench", "torch", "scikit-learn", "numpy", "python")
FEATURE_LIBRARIES = ("clearbench", "torch", "timm", "python")
NETWORK_LIBRARIES = ("torch", "timm", "open_clip_torch", "transformers", "monai", "numpy")


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed libraries among `names`; "python" is Python itself."""
    versions = {}
    for name in names:
        try:
            found = (
                platform.python_version() if name == "python" else importlib.metadata.version(name)
            )
        except importlib.metadata.PackageNotFoundError:
            continue
        versions[name] = found
    return versions
