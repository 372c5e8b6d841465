import pytest

from clearbench.errors import UnknownName
from clearbench.evaluation.heads.presets import PRESETS, find_preset


def test_the_papers_settings_are_the_papers() -> None:
    clear = find_preset("clear")
    assert (clear.batch_size, clear.epochs, clear.patience) == (128, 32, 8)
    assert clear.learning_rates == (1e-4,)
    assert not clear.standardise


def test_every_preset_trains() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.steps > 0 or preset.early_stop_from == 0


def test_an_unknown_preset_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean clear\? \(default, clear\)"):
        find_preset("cleer")
