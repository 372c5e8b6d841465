from dataclasses import replace

import pytest

from clearbench.display.doctor import show_checkup
from clearbench.doctor import CardState, Checkup, Extra, Package, PlugInState
from clearbench.encoders.device import DeviceFacts
from clearbench.scans.dicom.codecs import Codec
from clearbench.store.disk import Disk

FOUND = Checkup(
    packages=(Package("torch", "2.9"), Package("monai", "")),
    python="3.12 on Linux",
    devices=(
        DeviceFacts("cpu", "Some CPU", 8 * 2**30, 4, False),
        DeviceFacts("cuda:0", "Some GPU", 80 * 2**30, None, True),
    ),
    codecs=(Codec("RLE", "1.2.5", ("pydicom",), ()), Codec("HTJ2K", "1.2.4", (), ("needs x",))),
    extras=(Extra("ray", False, "pip install 'clearbench[ray]'"), Extra("volume", True, "")),
    plugins=(PlugInState("acme", "1.0", "lung", "acme:build", ""),),
    cards=(
        CardState("seeded", "ready", "random", ""),
        CardState("known", "ready", "cache", ""),
        CardState("shut", "gated", "", "accept the licence at PAGE"),
        CardState("deep", "extra", "", "pip install 'clearbench[volume]'"),
        CardState("far", "download", "", "fetched when first used"),
    ),
    broken_cards=(),
    hub_token=False,
    hub_cache=Disk("/home/hub", True, 3 * 2**30, "", "ext4"),
    store=Disk("/data/store", False, 2**30, "Read-only file system", "nfs4"),
    troubles=(),
)


def shown(found: Checkup, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    show_checkup(found)
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


def test_each_part_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines, errors = shown(FOUND, capsys)
    assert lines == [
        "Python 3.12 on Linux",
        "torch 2.9",
        "cpu: Some CPU, 4 cores, 8.0 GiB, no fast bfloat16: float32 is used",
        "cuda:0: Some GPU, 80.0 GiB, bfloat16",
        "compressed DICOM that can be read: RLE",
        "compressed DICOM that can't be read: HTJ2K (needs x)",
        "optional: ray (no: pip install 'clearbench[ray]'), volume",
        "plug-in acme 1.0, family lung: works",
        "2 of 5 encoders can run now: seeded, known",
        "1 wait for a download at their first use: far",
        "1 wait for a licence to be accepted: shut",
        "  shut: accept the licence at PAGE",
        "1 lack a library: deep",
        "  deep: pip install 'clearbench[volume]'",
        "3 have never run here with their real weights",
        "hub token: none (HF_TOKEN); only gated weights need it",
        "hub cache: /home/hub, 3.0 GiB free, writable, ext4",
        "store: /data/store (does not exist yet), 1.0 GiB free, NOT writable (Read-only file "
        "system), nfs4",
        "  a network file system: several machines can share one embed by --shard i/n",
        "something is broken: see above",
    ]
    assert errors == ""


def test_what_is_broken_comes_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    fault = PlugInState("beta", "2.0", "x", "beta:build", "plug-in beta 2.0: importing it fails")
    found = replace(
        FOUND,
        plugins=(fault, *FOUND.plugins),
        broken_cards=("odd.toml: dim is missing",),
        troubles=("torch: ImportError: libcudart",),
        devices=(),
        hub_cache=None,
    )
    lines, errors = shown(found, capsys)
    assert lines[-1] == "something is broken: see above"
    assert lines.index("plug-in acme 1.0, family lung: works") < lines.index(f"✗ {fault.fault}")
    assert "odd.toml: dim is missing" in errors
    assert "torch: ImportError: libcudart" in errors
