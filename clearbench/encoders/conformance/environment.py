"""What an encoder runs on here: libraries, device, cores; and the most memory that a step took."""

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

LIBRARIES = ("torch", "timm", "open_clip_torch", "transformers", "monai", "numpy")
PROCESS = Path("/proc/self")
RESET_PEAK = "5"  # what Linux takes in clear_refs to forget the peak


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that networks are made of."""
    found = {name: _version(name) for name in LIBRARIES}
    return {name: version for name, version in found.items() if version}


def _version(name: str) -> str:
    """Return an installed package's version, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def device_name(device: torch.device) -> str:
    """Name a device so that another person knows it."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"


def usable_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def forget_peak(device: torch.device) -> None:
    """Begin to measure memory anew, where that can be done."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
    except OSError:
        return


def peak_mb(device: torch.device) -> float | None:
    """Return the most memory held since forget_peak, in MB (10⁶ bytes); None if it can't be told.

    Of a GPU what torch took of it; else what the whole process held, libraries and all.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if device.type != "cpu":
        return None
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 / 1e6 if found else None
