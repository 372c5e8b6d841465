"""Plug-ins are found by what is installed, and nothing of them is run."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.cards import find_card, list_cards
from clearbench.encoders.plugins import find_faults
from clearbench.errors import BadCard
from clearbench.plugins import PlugIn, find_plugins, package_folders, plugin_folders

RAISES = "raise RuntimeError('imported')"
Install = Callable[..., Path]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution by hand: its entry points, and a package that can't be imported."""

    def install(name: str, entries: dict[str, str], package: str = "", **files: str) -> Path:
        info = tmp_path / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        lines = [f"{family} = {value}" for family, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[clearbench.encoders]", *lines]))
        for file, text in files.items():
            path = tmp_path / (package or name) / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".toml").write_text(text)
        return tmp_path

    monkeypatch.syspath_prepend(tmp_path)
    return install


def ours() -> list[tuple[str, str, str]]:
    """Leave out what else is installed in this environment."""
    return [
        (one.distribution, one.family, one.value)
        for one in find_plugins()
        if one.distribution.startswith("aa")
    ]


def test_plug_ins_are_listed_by_family(installed: Install) -> None:
    installed("aa_two", {"zeta": "aa_two.net:build", "alpha": "aa_two:make"})
    installed("aa_one", {"alpha": "aa_one:build"})
    assert ours() == [
        ("aa_one", "alpha", "aa_one:build"),
        ("aa_two", "alpha", "aa_two:make"),
        ("aa_two", "zeta", "aa_two.net:build"),
    ]
    [first] = [one for one in find_plugins() if one.distribution == "aa_one"]
    assert (str(first), first.package) == ("aa_one 1.5", "aa_one")


def test_cards_are_found_in_packages_that_can_not_be_imported(
    installed: Install, tmp_path: Path
) -> None:
    """No RECORD names them, as after an editable install."""
    installed("aa_one", {"a": "aa_one.net:build", "b": "aa_one:build"}, registry__card="")
    (tmp_path / "aa_one" / "__init__.py").write_text(RAISES)
    folders = plugin_folders("registry")
    assert [str(folders[path]) for path in folders if path.parent.name == "aa_one"] == [
        "aa_one 1.5"
    ]
    assert tmp_path.resolve() / "aa_one" / "registry" in folders
    assert tmp_path.resolve() / "aa_one" / "tasks" not in plugin_folders("tasks")
    assert "aa_one" not in sys.modules


def test_a_package_without_init_has_its_cards_too(installed: Install, tmp_path: Path) -> None:
    installed("aa_space", {"a": "aa_space.net:build"}, registry__card="")
    assert tmp_path.resolve() / "aa_space" / "registry" in plugin_folders("registry")


def test_a_plug_in_s_card_does_not_win_over_one_of_ours(
    installed: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    installed("aa_one", {"a": "aa_one.net:build"}, **{"registry__biomedclip": "title = 'x'"})
    [ours] = [file for name, file in list_cards("registry").items() if name == "biomedclip"]
    assert (ours.origin, [rival.origin for rival in ours.rivals]) == ("clearbench", ["aa_one 1.5"])
    with pytest.raises(BadCard) as refusal:
        find_card("encoder", "registry", "biomedclip")
    for part in (f"{ours.path} (clearbench)", "biomedclip.toml (aa_one 1.5)", "give the path"):
        assert part in str(refusal.value)
    assert find_card("encoder", "registry", str(ours.path)).path == ours.path
    assert not list_cards("registry", [ours.path.parent])["biomedclip"].rivals


@pytest.mark.parametrize("value", ["aa_nowhere:build", "", ":build", ".:build", "json:loads"])
def test_a_plug_in_without_a_package_brings_no_cards(installed: Install, value: str) -> None:
    plugin = PlugIn("aa", "1", "a", value)
    before = plugin_folders("registry")
    if value:
        installed("aa_lost", {"a": value})
    assert plugin_folders("registry") == before
    assert not [p for p in package_folders(plugin.package) if (p / "registry").exists()]


OURS = b"[clearbench.encoders]\n"
DAMAGED = {
    "not UTF-8": OURS + b"f\xfcm = aa_one:build\n",
    "a line without a value": OURS + b"fam\n",
    "two thousand families": OURS + b"".join(b"f%d = aa_one:build\n" % n for n in range(2000)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_list_of_families_is_one_fault_and_costs_no_other_plug_in(
    installed: Install, content: bytes
) -> None:
    place = installed("aa_one", {}) / "aa_one-1.5.dist-info" / "entry_points.txt"
    installed("aa_two", {"two": "aa_two:build"})
    place.write_bytes(content)
    assert ours() == [("aa_one", "", ""), ("aa_two", "two", "aa_two:build")]
    [reason] = [fault.reason for fault in find_faults() if fault.plugin.distribution == "aa_one"]
    assert "plug-in aa_one 1.5: its list of families (entry_points.txt) is damaged" in reason
    assert "pip uninstall aa_one" in reason


def test_damaged_lists_of_other_packages_do_not_matter(installed: Install) -> None:
    place = installed("aa_one", {}) / "aa_one-1.5.dist-info" / "entry_points.txt"
    for content in (b"[console_scripts]\nno value\n", b"\xff" * 200, bytes(range(256))):
        place.write_bytes(content)
        assert ours() == []


@pytest.mark.parametrize("metadata", [b"", b"Name: b\xfc\n", None])
def test_a_package_without_a_name_is_named_by_its_place(
    installed: Install, metadata: bytes | None
) -> None:
    place = installed("aa_one", {"f": "aa_nowhere:build"}) / "aa_one-1.5.dist-info" / "METADATA"
    place.unlink()
    if metadata is not None:
        place.write_bytes(metadata)
    reasons = [fault.reason for fault in find_faults() if fault.plugin.family == "f"]
    assert len(reasons) == 1
    assert f"a package without a name in {place.parents[1]}" in reasons[0]
    assert "remove its .dist-info folder" in reasons[0]
