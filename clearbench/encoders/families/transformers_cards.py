"""A card from a repository's config.json and preprocessor_config.json."""

import json
from pathlib import Path
from typing import Any

import torch

from clearbench.bounded import read_text
from clearbench.encoders import torchvision_patch  # noqa: F401  before transformers, which imports torchvision

# isort: split
import transformers
from transformers import AutoConfig, AutoImageProcessor

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard, Facts
from clearbench.encoders.families.image_processors import input_facts
from clearbench.encoders.families.transformers_towers import (
    CANT,
    channels_of,
    configure,
    last_line,
    measure,
    own_sizes,
    pooler_options,
    quiet,
    tower_class,
)
from clearbench.encoders.weights.hub import fetch_file
from clearbench.errors import BadCard, BadRequest

HUB = "hf-hub:"
CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
DERIVED = ("stage_names", "out_features", "out_indices")
OF_TRAINING = ("initializer", "drop", "attention_drop", "attention_probs_drop", "hidden_drop")


def describe(
    place: str, *, pooling: str = "", size_px: int = 0, revision: str | None = None
) -> EncoderCard:
    """Fill in a card from the files of a repository, or of a folder like it.

    place    hf-hub:<repository>, or a folder; a hub's current revision is written into the card
    pooling  absent: the projection of a model of images and text; else the first that the network
             has of class token, native pooler, mean

    Raises BadRequest if files are missing, WeightsUnavailable if the hub can't be reached, BadCard
    for settings that a card can't express.
    """
    folder = _folder(place, revision)
    whole = _read(AutoConfig, folder / CONFIG)
    tower = getattr(whole, "vision_config", whole)
    sizes = _sizes(whole, tower)
    config = configure(tower.model_type, sizes, place)
    seen = input_facts(
        _read(AutoImageProcessor, folder / PROCESSOR).to_dict(), channels_of(config), place
    )
    hub = place.startswith(HUB)
    facts = {
        "title": place.removeprefix(HUB).rpartition("/")[2] if hub else folder.name,
        "family": "transformers",
        "source": place if hub else f"file:{folder}",
        "revision": folder.name if hub else None,
        "net": tower.model_type,
        "sizes": sizes,
        "dim": 1,  # measured below
        "pooling": "native",
        "weights": {"licence": "unknown"},
        "input": seen | ({"size_px": size_px} if size_px else {}),
    }
    draft = check_card(facts, EncoderCard, place)
    both = whole is not tower and hasattr(whole, "projection_dim")
    choice = [pooling] if pooling else ["projection"] if both else ["cls", "native", "mean"]
    card = _measured(draft, config, choice)
    unused = _unused_keys(whole, config, card.pooling)
    return card.model_copy(update={"weights": card.weights.model_copy(update={"unused": unused})})


def _folder(place: str, revision: str | None) -> Path:
    """Return the folder of the two files; for a hub, the folder's name is the revision."""
    if place.startswith(HUB):
        config, _ = (
            fetch_file(place.removeprefix(HUB), name, revision) for name in (CONFIG, PROCESSOR)
        )
        return config.parent
    folder = Path(place.removeprefix("file:")).resolve()
    missing = [name for name in (CONFIG, PROCESSOR) if not (folder / name).is_file()]
    if missing:
        raise BadRequest(
            f"{place}: no {' and no '.join(missing)} in it; give {HUB}org/name or a folder"
        )
    return folder


def _read(reader: Any, path: Path) -> Any:
    """Read one of the files with a class of the library, which has the defaults.

    Raises BadCard if the file names code of its repository: the library would silently read it as
    one of its own networks.
    """
    try:
        if "auto_map" in json.loads(read_text(path)):
            raise BadCard(
                f"{path} needs code of its repository, and no such code runs here; "
                "write the card by hand: docs/encoders/transformers.md"
            )
        with quiet():
            return reader.from_pretrained(
                str(path.parent), local_files_only=True, trust_remote_code=False
            )
    except BadCard:
        raise
    except (OSError, ImportError, *CANT) as error:
        raise BadCard(f"{path}: transformers can't read it ({last_line(error)})") from error


def _sizes(whole: Any, tower: Any) -> dict[str, Any]:
    """Return the sizes that differ from a tower's defaults, without those of training."""
    usual = own_sizes(type(tower)())
    found = own_sizes(tower)
    if "projection_dim" in found:
        found["projection_dim"] = getattr(whole, "projection_dim", found["projection_dim"])
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in found.items()
        if value is not None
        and value != usual.get(key)
        and key not in DERIVED
        and not key.startswith(OF_TRAINING)
    }


def _measured(draft: EncoderCard, config: Any, poolings: list[str]) -> EncoderCard:
    """Fill in dim and parameters, with the first pooling that the network has."""
    for pooling in poolings:
        card = draft.model_copy(update={"pooling": pooling})
        try:
            found = measure(card, config)
        except BadCard:
            if pooling == poolings[-1]:
                raise
            continue
        facts = Facts(parameters_m=round(found.parameters / 1e6, 2))
        return card.model_copy(update={"dim": found.dim, "facts": facts})
    raise BadCard(f"{draft.title}: no pooling")


def _unused_keys(whole: Any, config: Any, pooling: str) -> tuple[str, ...]:
    """Return the prefixes of keys that are not part of the tower: text, heads, scales."""
    published = getattr(transformers, next(iter(whole.architectures or ()), ""), None)
    plain = tower_class(config, "native")
    if published is None:
        return ()
    if published is plain:
        return (
            ("pooler.",) if pooler_options(config, pooling) == {"add_pooling_layer": False} else ()
        )
    with torch.device("meta"), quiet():
        model = published(whole)
    of_tower = {"vision_model", model.base_model_prefix}
    if pooling == "projection":
        of_tower.add("visual_projection")
    keys = [key.partition(".") for key in model.state_dict()]
    return tuple(sorted({top + dot for top, dot, _ in keys if top not in of_tower}))
