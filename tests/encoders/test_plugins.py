"""Plug-in packages, really installed: they work by being there, and faulty ones are named."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.plugins import FAMILIES, family_builder, find_faults, try_plugins
from clearbench.encoders.registry import find_encoder
from clearbench.errors import BadCard, MissingExtra, UnknownName
from clearbench.plugins import find_plugins
from clearbench.scans.write import write_nifti

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "plugin_sample"
CARD = (SAMPLE / "src" / "clearbench_texture" / "registry" / "texture-small.toml").read_text()
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "2.0"
[project.entry-points."clearbench.encoders"]
"{family}" = "{value}"
"""
FAULTY = {  # distribution → family, value, code
    "twin": ("texture", "twin:build", "build = print"),
    "raiser": ("raiser", "raiser.network:build", "raise RuntimeError('no licence\\nat all')"),
    "leaver": ("leaver", "leaver.network:build", "raise SystemExit(3)"),
    "needy": ("needy", "needy.network:build", "import skimage_of_a_test"),
    "outdated": ("outdated", "outdated.network:build", "from scipy import no_such_name"),
    "typist": ("typist", "typist.netwrok:build", "build = print"),
    "nameless": ("nameless", "nameless.network:make", "build = print"),
    "usurper": ("timm", "usurper.network:build", "build = print"),
    "wordy": ("wordy", "wordy", "build = print"),
    "absent": ("absent", "not_there:build", "build = print"),
    "sound": ("sound", "sound.network:build", "def build(card, weights):\n    return 'sound'"),
}


def package(folder: Path, name: str) -> Path:
    """Write the source of one of FAULTY, with a card in its registry."""
    family, value, code = FAULTY[name]
    inner = folder / name / name
    (inner / "registry").mkdir(parents=True)
    text = PYPROJECT.format(name=name, family=family, value=value)
    (folder / name / "pyproject.toml").write_text(text)
    (inner / "__init__.py").write_text(code if name == "twin" else "")
    (inner / "network.py").write_text(code)
    card = "texture-small" if name == "twin" else f"{name}-card"
    (inner / "registry" / f"{card}.toml").write_text(
        CARD.replace('"texture"', f'"{family}"').replace("three widths", name)
    )
    return folder / name


def install(*arguments: object) -> None:
    """Install as pip does, without a network."""
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", *map(str, arguments), *offline, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the sample plug-in is installed."""
    target = tmp_path_factory.mktemp("site")
    install("install", "--target", target, SAMPLE)
    return target


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which every plug-in of FAULTY is installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("faulty")
    install("install", "--target", target, *(package(source, name) for name in FAULTY))
    return target


def python(code: str, *paths: Path, where: Path, program: str = sys.executable) -> str:
    """Run code in a new Python that finds packages in `paths`."""
    found = os.pathsep.join(map(str, (ROOT, *paths)))
    done = subprocess.run(
        [program, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=where,
        env={**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def typed(*arguments: object, code: int = 0) -> str:
    """Return code that runs a command, checks its exit code, and prints what it has loaded."""
    return f"""
import sys
from clearbench.cli import main
sys.argv = ["clearbench", *{[str(a) for a in arguments]!r}]
try:
    main()
except SystemExit as end:
    assert (end.code or 0) == {code}, end.code
print("LOADED", *sorted({{"torch", "clearbench_texture", "twin", "raiser"}} & set(sys.modules)))
"""


def test_an_installed_plug_in_is_listed_and_not_imported(sample: Path, tmp_path: Path) -> None:
    output = python(typed("models", "list"), sample, where=tmp_path)
    [row] = [line for line in output.splitlines() if line.startswith("texture-small")]
    assert "Textures of three widths, seeded" in row
    assert "clearbench-texture 1.0" in row
    assert "LOADED" in output.splitlines()
    output = python(typed("models", "show", "texture-small", "--json"), sample, where=tmp_path)
    card, loaded = output.rsplit("LOADED", 1)
    assert json.loads(card)["sizes"] == {"filters": 8, "widths": [3, 7, 15]}
    assert loaded == "\n"


def test_an_installed_plug_in_embeds_like_our_own_families(sample: Path, tmp_path: Path) -> None:
    hu = np.random.default_rng(0).integers(-1000, 400, (3, 40, 40)).astype(np.int16)
    write_nifti(tmp_path / "own" / "a.nii.gz", hu, (5.0, 1.0, 1.0))
    code = typed("embed", "own", "-m", "texture-small", "--workers", "0", "--store", "store")
    code += """
import numpy as np
import clearbench as cb
encoder = cb.load_encoder("texture-small", device="cpu", precision="float32")
features = encoder.embed(np.arange(3 * 40 * 40).reshape(3, 40, 40) % 1400 - 1000)
assert features.shape == (3, 2, 48) and np.isfinite(features).all()
assert len({row.tobytes() for row in features.reshape(6, 48)}) == 6
store = cb.FeatureStore("store")
[[scan]] = store.sql("SELECT scan_id FROM scans").fetchall()
print(store.features("texture-small", scan).shape, "EMBEDDED")
"""
    output = python(code, sample, where=tmp_path)
    assert "1 scan, 3 slices written" in output
    assert "(3, 2, 48) EMBEDDED" in output


def test_an_editable_install_is_found_with_its_cards(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    inside = tmp_path / "env" / "bin" / "python"
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    hosts = [path for path in sys.path if path.endswith("site-packages")]
    (site / "host.pth").write_text("\n".join(hosts))
    source = Path(shutil.copytree(SAMPLE, tmp_path / "source"))
    with (source / "pyproject.toml").open("a") as file:  # so that hatchling needs no `editables`
        file.write('[tool.hatch.build]\ndev-mode-dirs = ["src"]\n')
    install("--python", inside, "install", "--editable", source)
    code = typed("models", "show", "texture-small")
    output = python(code, where=tmp_path, program=str(inside))
    assert "Textures of three widths" in output
    assert "LOADED" in output.splitlines()
    code = """
from clearbench.encoders.registry import find_encoder
print(find_encoder("texture-small").folder)
"""
    output = python(code, where=tmp_path, program=str(inside))
    assert Path(output.strip()) == source / "src" / "clearbench_texture" / "registry"


def test_faulty_plug_ins_are_named_in_the_list_and_the_rest_goes_on(
    sample: Path, faulty: Path, tmp_path: Path
) -> None:
    output = python(typed("models", "list", code=1), sample, faulty, where=tmp_path)
    assert any(line.startswith("sound-card ") for line in output.splitlines())
    assert any(line.startswith("random-vit-tiny ") for line in output.splitlines())
    assert not any(line.startswith("texture-small ") for line in output.splitlines())
    assert 'plug-in clearbench-texture 1.0, family "texture": twin 2.0 has it too' in output
    assert 'plug-in usurper 2.0, family "timm": clearbench has a family of this name' in output
    assert 'several encoder cards are called "texture-small"' in output
    assert "LOADED" in output.splitlines()


REASONS = {
    "raiser": (
        BadCard,
        r"importing raiser\.network fails \(RuntimeError: no licence\); .*pip unin",
    ),
    "leaver": (BadCard, r"importing leaver\.network fails \(SystemExit: 3\); repair or reinstall"),
    "needy": (MissingExtra, r"needs skimage_of_a_test: pip install skimage_of_a_test$"),
    "outdated": (MissingExtra, r"other version of scipy \(cannot .*: pip install --upgrade scipy$"),
    "typist": (BadCard, r"importing typist\.netwrok fails \(No module named 'typist\.netwrok'\)"),
    "nameless": (BadCard, r"nameless\.network has no function make"),
    "wordy": (BadCard, r'its entry point is "wordy"; .* needs package\.module:build'),
    "absent": (BadCard, r"the package not_there is missing; repair or reinstall absent"),
}


@pytest.fixture
def installed(sample: Path, faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the sample and the faulty plug-ins."""
    monkeypatch.syspath_prepend(faulty)
    monkeypatch.syspath_prepend(sample)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", REASONS)
def test_a_plug_in_that_fails_is_named_with_what_to_do(
    name: str, make_card: Callable[..., EncoderCard]
) -> None:
    kind, words = REASONS[name]
    with pytest.raises(kind, match=rf'^plug-in {name} 2\.0, family "{name}".*{words}'):
        family_builder(make_card(family=name))


@pytest.mark.usefixtures("installed")
def test_a_plug_in_beside_faulty_ones_works(make_card: Callable[..., EncoderCard]) -> None:
    assert family_builder(make_card(family="sound"))(make_card(), None) == "sound"
    faults = {fault.plugin.distribution for fault in try_plugins()}
    assert faults == {*FAULTY, "clearbench-texture"} - {"sound"}


@pytest.mark.usefixtures("installed")
def test_two_plug_ins_of_one_family_are_both_refused(
    make_card: Callable[..., EncoderCard],
) -> None:
    words = r"twin 2\.0 has it too, so none of them is used; keep one: pip uninstall twin"
    with pytest.raises(BadCard, match=words):
        family_builder(make_card(family="texture"))
    blamed = [f.plugin.distribution for f in find_faults() if f.plugin.family == "texture"]
    assert blamed == ["clearbench-texture", "twin"]


@pytest.mark.usefixtures("installed")
def test_no_plug_in_replaces_a_family_of_ours(make_card: Callable[..., EncoderCard]) -> None:
    assert family_builder(make_card(family="timm")).__module__.endswith("families.timm")
    with pytest.raises(BadCard, match=r"usurper 2\.0.*no package may replace it"):
        load_encoder("usurper-card")


@pytest.mark.usefixtures("installed")
def test_a_name_that_two_packages_give_is_chosen_by_a_path(
    sample: Path, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [site / package / "registry" / "texture-small.toml"
              for site, package in ((sample, "clearbench_texture"), (faulty, "twin"))]  # fmt: skip
    with pytest.raises(BadCard) as refusal:
        find_encoder("texture-small")
    for part in (*map(str, places), "(clearbench-texture 1.0)", "(twin 2.0)", "give the path"):
        assert part in str(refusal.value)
    titles = [find_encoder(str(place)).card.title for place in places]
    assert titles == ["Textures of three widths, seeded", "Textures of twin, seeded"]
    assert find_encoder("texture-small", [places[1].parent]).card.title == titles[1]
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "texture-small.toml").write_text(places[0].read_text())
    monkeypatch.chdir(tmp_path)
    assert find_encoder("texture-small").card.title == titles[0]


def test_an_unknown_family_offers_the_known(
    sample: Path, monkeypatch: pytest.MonkeyPatch, make_card: Callable[..., EncoderCard]
) -> None:
    monkeypatch.syspath_prepend(sample)
    assert [str(one) for one in find_plugins() if one.family == "texture"] == [
        "clearbench-texture 1.0"
    ]
    known = ", ".join(sorted({*FAMILIES, "texture"}))
    with pytest.raises(UnknownName, match=rf"did you mean texture\? \(known: .*{known}"):
        family_builder(make_card(family="textur"))


@pytest.mark.parametrize(
    ("family", "module", "words"),
    [
        ("transformers", "transformers", 'pip install "clearbench[transformers]"'),
        ("merlin", "merlin", 'pip install "clearbench[merlin]"'),
    ],
)
def test_a_missing_extra_is_named_with_its_pip_command(
    make_card: Callable[..., EncoderCard],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    module: str,
    words: str,
) -> None:
    ours = f"clearbench.encoders.families.{family}"
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    if module != "merlin":
        monkeypatch.setitem(sys.modules, module, None)
    elif importlib.util.find_spec(module):
        pytest.skip("merlin-vlm is installed")
    with pytest.raises(MissingExtra) as refusal:
        family_builder(make_card(family=family))
    assert str(refusal.value) == f"family {family} needs {module}: {words}"


def test_a_network_of_its_authors_says_where_its_code_is(
    make_card: Callable[..., EncoderCard],
) -> None:
    card = make_card(family="voxels", facts={"code": "https://github.com/a/b"})
    with pytest.raises(MissingExtra, match=r"code \(https://github.com/a/b\).* the family voxels"):
        family_builder(card)
