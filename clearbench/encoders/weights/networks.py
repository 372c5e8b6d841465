"""The networks in a checkpoint: where each is, and whether it is an average of another.

Trainings keep an average of their weights next to the raw ones: an EMA, a teacher, a momentum
encoder. Wrappers of DDP, FSDP and torch.compile are removed from the names of tensors.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

# parts of names that wrappers add: anywhere, and only in front
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
OUTER_WRAPPERS = ("module", "_forward_module")
NO_NETWORKS = re.compile(r"optim|sched|scaler|loops|hyper|hparams")
AVERAGE = re.compile(
    r"(^|_)(ema|swa|teacher|averaged?|avg|shadow|momentum|target)(_|$)|^encoder_k$"
)
CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # EMACallback → EMA_Callback
RAW = re.compile(r"(^|_)(online|student|raw)(_|$)|^encoder_q$")  # also inside an EMA's own module
# averages that their own method doesn't evaluate: MoCo's, BYOL's
FOR_TRAINING = re.compile(r"(^|_)momentum(_|$)|^encoder_k$|^target_net")
# Lightning's WeightAveraging keeps the raw weights under these, and the average as state_dict
RAW_IN_LIGHTNING = ("current_model_state", "current_state_dict")
DEEPEST = 6  # levels of keys in which networks are looked for


@dataclass(frozen=True)
class SavedNetwork:
    """A part of a checkpoint that may be a network.

    place     the keys that lead to it, then the beginning of its tensors' names
    averaged  whether it is an average of another network
    state     its tensors, by their names inside it
    """

    place: tuple[str, ...]
    averaged: bool
    state: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """Its place in one word; "" if it is the whole file."""
        return ".".join(self.place)

    @property
    def numbers(self) -> int:
        """How many numbers its tensors have."""
        return sum(tensor.numel() for tensor in self.state.values())

    @property
    def evaluated(self) -> bool:
        """Whether its method evaluates it rather than the raw network: an EMA, a teacher."""
        return self.averaged and not any(map(FOR_TRAINING.search, self.place))

    def parts(self) -> list["SavedNetwork"]:
        """Return what is inside, by the first word of the names."""
        words = dict.fromkeys(key.partition(".")[0] for key in self.state if "." in key)
        return [self._part(word) for word in words]

    def _part(self, word: str) -> "SavedNetwork":
        """Return the tensors whose names begin with a word, without it."""
        inner = {
            key.removeprefix(f"{word}."): value
            for key, value in self.state.items()
            if key.startswith(f"{word}.")
        }
        place = (*self.place, word)
        averaged = is_average(word) or (self.averaged and not RAW.search(word))
        return SavedNetwork(place, averaged, without_wrappers(inner))

    def without(self, unused: Sequence[str]) -> "SavedNetwork":
        """Leave out the tensors whose names, or the keys that lead to them, begin so."""
        wanted = tuple(unused)
        gone = any(f"{word}.".startswith(wanted) for word in self.place)
        kept = {} if gone else {k: v for k, v in self.state.items() if not k.startswith(wanted)}
        return SavedNetwork(self.place, self.averaged, kept)


def saved_networks(checkpoint: Mapping[str, Any]) -> list[SavedNetwork]:
    """Return every state dict of a checkpoint, from the outside in; optimisers have none."""
    return [_named(found, checkpoint) for found in _state_dicts(checkpoint, ())]


def averages_in_lists(checkpoint: Any) -> list[str]:
    """Return the places of averages that a checkpoint keeps as lists of tensors, without names.

    Such are torch_ema's `shadow_params`, and what Composer's `algorithms` and NeMo's optimisers
    keep. Which tensor is which is only known to the model's own code.
    """
    return list(dict.fromkeys(".".join(place) for place in _lists(checkpoint, ())))


def _lists(level: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the places of averages inside of lists."""
    if len(place) > DEEPEST:
        return
    listed = any(word.isdigit() for word in place)
    if isinstance(level, Mapping):
        if listed and any(map(is_average, place)) and _tensors(level.values()):
            yield place
        for key, inner in level.items():
            yield from _lists(inner, (*place, str(key)))
    elif isinstance(level, list | tuple):
        if any(map(is_average, place)) and _tensors(level):
            yield place
        # Composer's pairs: a name, then its state
        words = [each if isinstance(each, str) else str(n) for n, each in enumerate(level)]
        named = len(level) == 2 and isinstance(level[0], str)
        for number, inner in enumerate(level):
            yield from _lists(inner, (*place, words[0] if named else str(number)))


def _tensors(values: Iterable[Any]) -> bool:
    """Tell whether some values are the tensors of a network: more than one."""
    return sum(isinstance(value, Tensor) for value in values) > 1


def keys_outside(network: SavedNetwork, networks: Sequence[SavedNetwork]) -> list[str]:
    """Return the names in the same state dict whose tensors are not in a part of it."""
    whole = next(each for each in networks if each.place == network.place[: len(each.place)])
    inside = {tensor.data_ptr() for tensor in network.state.values()}
    return [key for key, tensor in whole.state.items() if tensor.data_ptr() not in inside]


def is_average(word: str) -> bool:
    """Return whether a key says that a network is an average of another."""
    return AVERAGE.search(CAPITALS.sub("_", word).lower()) is not None


def without_wrappers(state: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the wrappers of DDP, FSDP and torch.compile from names, in any order."""
    plain = {_unwrapped(str(key)): value for key, value in state.items()}
    # two names that become one are no wrappers
    return plain if len(plain) == len(state) else {str(key): v for key, v in state.items()}


def _unwrapped(key: str) -> str:
    """Remove the wrappers from one name."""
    *parts, last = key.split(".")
    inner = [part for part in parts if part not in WRAPPERS]
    while inner and inner[0] in OUTER_WRAPPERS:
        inner = inner[1:]
    return ".".join((*inner, last))


def _state_dicts(level: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[SavedNetwork]:
    """Yield the tensors of each level of a checkpoint."""
    tensors = {str(key): value for key, value in level.items() if isinstance(value, Tensor)}
    if tensors:
        # torch's AveragedModel counts what it has averaged
        averaged = any(map(is_average, place)) or "n_averaged" in tensors
        yield SavedNetwork(place, averaged, without_wrappers(tensors))
    for key, inner in level.items():
        wanted = isinstance(inner, Mapping) and not NO_NETWORKS.search(str(key).lower())
        if wanted and len(place) < DEEPEST:
            outer = str(key) in OUTER_WRAPPERS
            yield from _state_dicts(inner, place if outer else (*place, str(key)))


def _named(found: SavedNetwork, checkpoint: Mapping[str, Any]) -> SavedNetwork:
    """Mark an average that its library keeps as the state dict itself."""
    top = found.place[0] if found.place else ""
    lightning = any(key in checkpoint for key in RAW_IN_LIGHTNING)
    if lightning and top == "state_dict":
        return SavedNetwork(found.place, True, found.state)
    meta = checkpoint.get("meta")
    # MMEngine exchanges the two when it saves
    swapped = isinstance(meta, Mapping) and "mmengine_version" in meta
    if swapped and "ema_state_dict" in checkpoint and top in ("state_dict", "ema_state_dict"):
        return SavedNetwork(found.place, top == "state_dict", found.state)
    return found
