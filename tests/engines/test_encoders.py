from pathlib import Path

from clearbench.encoders.encoder import Encoder
from clearbench.encoders.registry import find_encoder
from clearbench.engines.encoders import encoder_for
from clearbench.engines.local import encoder_record
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.records import write_record

CARD = Path(__file__).parents[1] / "cards" / "tiny.toml"


def tiny(store: StoreFolder, precision: str, view: str = "lung", dtype: str = "float32") -> Encoder:
    return encoder_for(find_encoder(str(CARD)), store, [view], "cpu", precision, None, dtype, False)


def test_auto_precision_goes_on_with_the_features_that_are_there(tmp_path: Path) -> None:
    """No processor takes float16 by itself; other views or another dtype are other features."""
    store = open_store(tmp_path / "store", create=True)
    first = tiny(store, "float16")
    write_record(encoder_record(first), store)
    assert tiny(store, "auto").fingerprint == first.fingerprint
    assert tiny(store, "auto", view="bone").precision != "float16"
    assert tiny(store, "auto", dtype="float16").precision != "float16"
    assert tiny(store, "float32").fingerprint != first.fingerprint
