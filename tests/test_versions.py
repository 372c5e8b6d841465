import importlib.metadata
import platform

import pytest

from clearbench.versions import NETWORK_LIBRARIES, SCORE_LIBRARIES, library_versions


def test_libraries_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.version

    def version(name: str) -> str:
        if name == "monai":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "monai" not in library_versions(NETWORK_LIBRARIES)
    assert library_versions(NETWORK_LIBRARIES)["torch"] == found("torch")


def test_pythons_version_is_last() -> None:
    versions = library_versions(SCORE_LIBRARIES)
    assert list(versions) == ["clearbench", "torch", "scikit-learn", "numpy", "python"]
    assert versions["python"] == platform.python_version()
