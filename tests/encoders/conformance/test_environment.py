import subprocess
import sys

import pytest

from clearbench.encoders.conformance.environment import usable_cores

MEASURE = """
import torch
from clearbench.encoders.conformance.environment import forget_peak, peak_mb

device = torch.device("cpu")
forget_peak(device)
before = peak_mb(device)
block = torch.ones(50_000_000)
during = peak_mb(device)
del block
forget_peak(device)
print(*(peak - before for peak in (during, peak_mb(device))) if before else "")
"""


def test_memory_is_measured_anew() -> None:
    """What an earlier step took is forgotten, what this one takes is not; 200 MB are taken."""
    command = [sys.executable, "-c", MEASURE]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if not said:
        pytest.skip("no /proc here")
    during, after = map(float, said)
    assert during > 150
    assert after < 150


def test_there_is_a_core_to_run_on() -> None:
    assert usable_cores() >= 1
