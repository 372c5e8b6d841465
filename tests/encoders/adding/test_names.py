from pathlib import Path

import pytest

from clearbench.encoders.adding.names import check_new_name
from clearbench.errors import BadRequest


@pytest.mark.parametrize("name", ["mine", "resnet50.a1_in1k", "9-lives", "m" * 100])
def test_a_plain_word_is_a_name(tmp_path: Path, name: str) -> None:
    check_new_name(name, tmp_path)


@pytest.mark.parametrize("name", ["", "../mine", "a/b", ".hidden", "mine one", "-mine", "m" * 101])
def test_anything_else_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="letters, digits, dots, dashes and underscores"):
        check_new_name(name, tmp_path, replace=True)


@pytest.mark.parametrize("file", ["mine.toml", "mine.safetensors"])
def test_a_name_in_use_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(BadRequest, match=rf"{file} exists; choose another name, or use replace"):
        check_new_name("mine", tmp_path)
    check_new_name("mine", tmp_path, replace=True)


def test_a_name_in_use_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card in a later folder would silently win over the one that others mean."""
    with pytest.raises(BadRequest, match=r"registry/biomedclip\.toml exists"):
        check_new_name("biomedclip", tmp_path)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "theirs.toml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadRequest, match=r"registry/theirs\.toml exists"):
        check_new_name("theirs", tmp_path / "elsewhere")
