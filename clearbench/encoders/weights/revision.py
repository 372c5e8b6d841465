"""Fix a hub's card to one revision and the hash of one file, because a branch can change."""

import os
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.files import USUAL_FILES
from clearbench.encoders.weights.hub import HUB_ERROR, hub_reachable
from clearbench.errors import WeightsUnavailable


def fix_revision(card: EncoderCard) -> EncoderCard:
    """Return a hub's card with revision, file and sha256; unchanged if the hub can't be reached.

    An unknown licence is taken from the hub. Raises WeightsUnavailable if the hub has no such
    repository, or no weights in it.
    """
    repository = card.source.partition(":")[2]
    if not card.source.startswith("hf-hub:") or not hub_reachable():
        return card
    try:
        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        info = api.model_info(repository, revision=card.revision, files_metadata=True)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise WeightsUnavailable(
            f"the hub has no {repository}, or needs a token (HF_TOKEN) for it"
        ) from error
    except (HUB_ERROR, OSError, ValueError):
        return card
    return _with_facts_of_hub(card, info, repository)


def has_fixed_revision(card: EncoderCard) -> bool:
    """Return whether a hub's card has a revision and the hash of its file."""
    return card.revision is not None and card.weights.sha256 is not None


def _with_facts_of_hub(card: EncoderCard, info: Any, repository: str) -> EncoderCard:
    """Add revision, file, hash and licence from the hub's facts of a repository."""
    files = {file.rfilename: file for file in info.siblings or ()}
    names = [name for name in (card.weights.file, *USUAL_FILES) if name in files]
    if not names:
        raise WeightsUnavailable(f"{repository} has no weights ({', '.join(USUAL_FILES)})")
    # the hub has the sha256 only of files in LFS
    stored = files[names[0]].lfs
    licence = getattr(info.card_data, "license", None) if info.card_data else None
    unknown = card.weights.licence == "unknown" and isinstance(licence, str)
    facts = {
        "file": names[0],
        "sha256": stored.sha256 if stored else None,
        "gated": bool(info.gated),
        "licence": licence if unknown else card.weights.licence,
        "licence_url": card.weights.licence_url or f"https://huggingface.co/{repository}",
    }
    revision = info.sha if stored else None
    weights = card.weights.model_copy(update=facts)
    return card.model_copy(update={"revision": revision, "weights": weights})
