import importlib.metadata

import pytest
import torch

from clearbench.encoders.conformance.environment import (
    forget_peak,
    library_versions,
    peak_mb,
    usable_cores,
)


def test_memory_is_measured_anew() -> None:
    """What an earlier step took is forgotten, what this one takes is not."""
    device = torch.device("cpu")
    forget_peak(device)
    before = peak_mb(device)
    if before is None:
        pytest.skip("no /proc here")
    block = torch.ones(50_000_000)
    assert peak_mb(device) > before + 150
    del block
    forget_peak(device)
    assert peak_mb(device) < before + 150


def test_libraries_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.version

    def version(name: str) -> str:
        if name == "monai":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "monai" not in library_versions()
    assert library_versions()["torch"] == torch.__version__


def test_there_is_a_core_to_run_on() -> None:
    assert usable_cores() >= 1
