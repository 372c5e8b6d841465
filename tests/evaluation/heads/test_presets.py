import pytest

from clearbench.errors import UnknownName
from clearbench.evaluation.heads.presets import PRESETS, find_preset


def test_the_papers_settings_are_the_papers() -> None:
    clear = find_preset("clear")
    assert (clear.batch_size, clear.epochs, clear.patience) == (128, 32, 8)
    assert (clear.learning_rate, clear.networks) == (1e-4, 1)
    assert not clear.standardise


def test_every_preset_trains() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.networks > 0
        assert preset.steps > 0 or preset.epochs > preset.patience > 0


def test_many_bags_get_as_many_updates_as_their_passes_need() -> None:
    default = find_preset("default")
    assert default.steps_for(10) == default.steps
    assert default.steps_for(10_000) == default.passes * 10_000 / default.batch_size
    assert not default.stops_early
    assert find_preset("clear").stops_early


def test_a_preset_is_found_by_itself_too() -> None:
    assert find_preset(PRESETS["clear"]) is PRESETS["clear"]


def test_an_unknown_preset_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean clear\? \(default, clear\)"):
        find_preset("cleer")
