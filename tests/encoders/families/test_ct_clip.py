import importlib.util

import pytest

from clearbench.encoders.plugins import family_builder
from clearbench.encoders.registry import find_encoder
from clearbench.errors import MissingExtra


def test_it_says_exactly_what_must_be_installed() -> None:
    if importlib.util.find_spec("transformer_maskgit"):
        pytest.skip("CT-CLIP's code is installed")
    with pytest.raises(MissingExtra, match=r"git clone .*pip install \./CT-CLIP/transf"):
        family_builder(find_encoder("ct-clip").card)
