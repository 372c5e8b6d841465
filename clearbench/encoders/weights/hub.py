"""The only access to the model hub: weights, small files and code, cached or downloaded."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import hf_hub_download, list_repo_files, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.files import (
    HUBS,
    SUFFIXES,
    USUAL_FILES,
    cached,
    hub_cache,
    in_cache,
    source_type,
)
from clearbench.errors import WeightsUnavailable

HUB_ERROR: type[Exception] = HfHubHTTPError.__mro__[1]  # of the HTTP library that the client uses
CODE = ("*.py", "*.json")  # code and configuration of a repository


def fetch_weights(card: EncoderCard, repository: str) -> Path:
    """Return a card's weights file of a hub's repository, from the cache or downloaded.

    Raises WeightsUnavailable with what to do.
    """
    found = in_cache(card, repository)
    if found is not None:
        return found
    offline = _offline_way_out(repository)
    if _is_offline() or not _hub_answers():
        gate = ""
        if card.weights.gated:
            gate = f" (gated: accept its licence at {_page(card, repository)})"
        raise WeightsUnavailable(_no_network(f"{card.title}{gate}", offline))
    return _downloaded(card, repository, offline)


def fetch_file(repository: str, name: str, revision: str | None = None) -> Path:
    """Return a small file of a hub's repository, from the cache or downloaded.

    Raises WeightsUnavailable with what to do.
    """
    found = cached(repository, name, revision)
    if found is not None:
        return found
    offline = f"or download {repository} elsewhere and give its folder"
    if _is_offline() or not _hub_answers():
        raise WeightsUnavailable(_no_network(repository, offline, name))
    page = f"https://huggingface.co/{repository}"
    with _refusals(repository, repository, revision, page, offline):
        return Path(hf_hub_download(repository, name, revision=revision))


def fetch_code(card: EncoderCard, weights: Path) -> Path:
    """Return the folder with the code and configuration of a card's repository.

    They are next to the weights, or come from the hub at the card's revision. Raises
    WeightsUnavailable with what to do.
    """
    scheme, _, repository = card.source.partition(":")
    if scheme not in HUBS or weights != in_cache(card, repository):
        return weights.parent
    offline = _offline_way_out(repository)
    if _is_offline() or not _hub_answers():
        if any(weights.parent.glob("*.py")):
            return weights.parent
        raise WeightsUnavailable(_no_network(card.title, offline, "code"))
    with _refusals(card.title, repository, card.revision, _page(card, repository), offline):
        return Path(
            snapshot_download(repository, revision=card.revision, allow_patterns=list(CODE))
        )


def _offline_way_out(repository: str) -> str:
    """Return what to do without the hub."""
    return f"or download {repository} elsewhere and give its folder as weights (--weights FOLDER)"


def _page(card: EncoderCard, repository: str) -> str:
    """Return the page with a card's licence."""
    return card.weights.licence_url or f"https://huggingface.co/{repository}"


def _downloaded(card: EncoderCard, repository: str, offline: str) -> Path:
    """Download the weights file."""
    page = _page(card, repository)
    repo_type = source_type(card)
    with _refusals(card.title, repository, card.revision, page, offline):
        names = (
            [card.weights.file]
            if card.weights.file
            else list_repo_files(repository, revision=card.revision, repo_type=repo_type)
        )
        name = next(
            (name for name in (*USUAL_FILES, *names) if name in names and name.endswith(SUFFIXES)),
            USUAL_FILES[0],
        )
        return Path(hf_hub_download(repository, name, revision=card.revision, repo_type=repo_type))


@contextmanager
def _refusals(
    title: str, repository: str, revision: str | None, page: str, offline: str
) -> Iterator[None]:
    """Turn a hub's error into WeightsUnavailable with the page to visit or variable to set."""
    try:
        yield
    except GatedRepoError as error:
        raise WeightsUnavailable(
            f"{title} is gated: accept its licence at {page}, "
            f"then set HF_TOKEN to your access token, {offline}"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, RemoteEntryNotFoundError) as error:
        raise WeightsUnavailable(
            f"the hub has no {repository} (revision {revision or 'main'}), "
            f"or needs a token (HF_TOKEN) for it; {offline}"
        ) from error
    except (HUB_ERROR, OSError, ValueError) as error:
        raise WeightsUnavailable(_why_not(error, title, offline)) from error


def _why_not(error: Exception, title: str, offline: str) -> str:
    """Return what is wrong with the disk, the hub or the network, and what to do."""
    if isinstance(error, LocalEntryNotFoundError):  # the first question got no answer
        return _no_network(title, offline)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return f"{title}: the model hub answers with error {status}; try again later, {offline}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        return (
            f"{title}: the download can't be kept in {hub_cache()} ({error.strerror}); set HF_HOME "
            f"to a folder with more room, {offline}"
        )
    return (
        f"{title}: the download broke off; run the command again, and it goes on where it was, "
        f"{offline}"
    )


def _is_offline() -> bool:
    """Return whether the user switched the hub off."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "true", "yes")


def _hub_answers() -> bool:
    """Return whether the hub's name can be resolved.

    Without this check the hub's client would retry for a long time. Behind a proxy, the proxy
    resolves names, so nothing is checked.
    """
    if any(
        os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    ):
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _no_network(title: str, offline: str, name: str = "") -> str:
    """Return the message for a hub that can't be reached."""
    missing = f"its {name} is" if name else "its weights are"
    if _is_offline():
        why = f"{missing} not in the cache, and HF_HUB_OFFLINE is set; unset it"
    else:
        why = f"the model hub can't be reached, and {missing} not in the cache; connect"
    return f"{title}: {why}, {offline}"


def hub_reachable() -> bool:
    """Return whether the hub is allowed and can be reached."""
    return not _is_offline() and _hub_answers()
