"""Device, cores and peak memory of this process."""

import platform
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
RESET_PEAK = "5"  # written to clear_refs, Linux resets the peak


def device_name(device: torch.device) -> str:
    """Return a device with the name of its hardware."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"


def forget_peak(device: torch.device) -> None:
    """Reset the peak of memory, if the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
    except OSError:
        return


def peak_mb(device: torch.device) -> float | None:
    """Return the peak of memory since forget_peak, in MB (10⁶ bytes); None if it is unknown.

    On a GPU: the memory that torch allocated. Else: the memory of the whole process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if device.type != "cpu":
        return None
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    # Linux writes kB and means 1,024 bytes
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 / 1e6 if found else None
