from collections.abc import Callable

import pytest

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.inputs.views import View, choose_views
from clearbench.errors import BadRequest, UnknownName
from clearbench.windows import WINDOWS_HU

MakeCard = Callable[..., EncoderCard]
FIXED = {"views": {"abdomen": [-160, 240], "chest": [-1350, 150]}, "default_views": []}


def test_free_views_default_to_the_cards(make_card: MakeCard) -> None:
    views = choose_views(make_card())
    assert views == (
        View("lung", (WINDOWS_HU["lung"],), ("lung",)),
        View("mediastinum", (WINDOWS_HU["mediastinum"],), ("mediastinum",)),
    )


def test_presets_and_own_windows_are_chosen(make_card: MakeCard) -> None:
    views = choose_views(make_card(), ["Brain", "mine=-20:35.5"])
    assert [(v.name, v.windows_hu) for v in views] == [
        ("brain", ((0.0, 80.0),)),
        ("mine", ((-20.0, 35.5),)),
    ]


@pytest.mark.parametrize("wanted", ["lungs", "lung=1.2.3:4", "lung=-5", "=1:2", "lung=a:b", ""])
def test_anything_else_is_no_window(make_card: MakeCard, wanted: str) -> None:
    with pytest.raises(UnknownName, match=r"presets: brain, .*name=lower:upper in HU"):
        choose_views(make_card(), [wanted])


def test_bounds_stand_in_order(make_card: MakeCard) -> None:
    with pytest.raises(BadRequest, match="the lower HU bound comes first"):
        choose_views(make_card(), ["mine=5:5"])


def test_a_window_is_named_once(make_card: MakeCard) -> None:
    with pytest.raises(BadRequest, match="one window is named twice"):
        choose_views(make_card(), ["lung", "LUNG"])


def test_fixed_views_are_the_cards(make_card: MakeCard) -> None:
    card = make_card(input=FIXED)
    assert [view.name for view in choose_views(card)] == ["abdomen", "chest"]
    with pytest.raises(BadRequest, match=r"fixed views \(abdomen, chest\); leave views out"):
        choose_views(card, ["lung"])


def test_stacked_windows_are_one_view(make_card: MakeCard) -> None:
    card = make_card(input={"channels": "stack", "default_views": ["lung", "bone", "brain"]})
    [view] = choose_views(card)
    assert view.name == "lung+bone+brain"
    assert view.windows_hu == tuple(WINDOWS_HU[name] for name in view.window_names)
    with pytest.raises(BadRequest, match="needs 3 windows, one per channel"):
        choose_views(card, ["lung", "bone"])


def test_raw_hu_has_no_window(make_card: MakeCard) -> None:
    card = make_card(input={"channels": "hu", "default_views": []})
    assert choose_views(card) == (View("hu", ()),)
    with pytest.raises(BadRequest, match="raw HU"):
        choose_views(card, ["lung"])
