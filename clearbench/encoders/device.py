"""Device and precision of a network, chosen before the fingerprint is computed."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from clearbench.errors import BadArgument

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def choose_device(wanted: str = "auto") -> torch.device:
    """Return a device; auto takes CUDA, then Apple's MPS, then the CPU.

    Raises BadArgument if torch finds no such device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BadArgument("device", wanted, "must be auto, cpu, cuda, cuda:1 or mps") from error
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise BadArgument("device", wanted, "torch finds no such device; use cpu")
    return device


def choose_precision(
    wanted: str,
    device: torch.device,
    stored: Precision | None = None,
    coarsest: Precision = "bfloat16",
) -> Precision:
    """Return a precision; auto follows `stored`, else takes bfloat16 where the processor has it.

    `coarsest` comes from the card; "float32", where rounding changes the features, keeps auto to
    float32. Raises BadArgument for an unknown precision.
    """
    if wanted == "auto":
        rounds = coarsest != "float32" and has_bfloat16(device)
        return stored or ("bfloat16" if rounds else "float32")
    if wanted not in PRECISIONS:
        raise BadArgument("precision", wanted, f"must be auto, {', '.join(PRECISIONS)}")
    return next(name for name in PRECISIONS if name == wanted)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the processor multiplies bfloat16 matrices in hardware, which is faster."""
    if device.type == "cuda":  # Ampere is compute capability 8
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        # private names of torch, which other versions may lack
        return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return False


@dataclass(frozen=True)
class DeviceFacts:
    """A device of this machine; `bfloat16` is true if it multiplies bfloat16 in hardware."""

    device: str
    name: str
    memory_bytes: int
    cores: int | None
    bfloat16: bool


def list_devices() -> tuple[DeviceFacts, ...]:
    """Describe the CPU and every GPU that torch finds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = [_facts("cpu", _processor(), memory, os.cpu_count())]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(number)
        found.append(_facts(f"cuda:{number}", card.name, card.total_memory, None))
    if torch.backends.mps.is_available():
        found.append(_facts("mps", "Apple GPU, memory shared with the CPU", memory, None))
    return tuple(found)


def _facts(device: str, name: str, memory: int, cores: int | None) -> DeviceFacts:
    """Describe one device."""
    return DeviceFacts(device, name, memory, cores, has_bfloat16(torch.device(device)))


def _processor() -> str:
    """Return the processor's name, from Linux or Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
