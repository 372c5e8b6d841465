"""Kernels are soft or sharp by their makers' names."""

import pytest

from clearbench.scans.kernels import is_soft_kernel


@pytest.mark.parametrize(
    "name",
    ["B30f", "B40f", "Br40d\\3", "I31f", "H30s", "STANDARD", "STD+", "soft", "FC08", "fc18", "B"],
)
def test_soft_kernels(name: str) -> None:
    assert is_soft_kernel(name) is True


@pytest.mark.parametrize(
    "name", ["B70f", "B60s", "Br64", "LUNG", "BONEPLUS", "bone", "FC51", "FC86", "YC", "E"]
)
def test_sharp_kernels(name: str) -> None:
    assert is_soft_kernel(name) is False


@pytest.mark.parametrize("name", ["", "UNKNOWN", "7", "\\"])
def test_an_unknown_name_is_neither(name: str) -> None:
    assert is_soft_kernel(name) is None
