"""Trained heads as files: the heads of every fold and seed, and what is needed to apply them.

A bundle is a folder with `heads.safetensors` (networks' weights and moments, linear models,
neighbours; no code) and `bundle.json`, written last, with the sha256 of the first. The neighbours
of k-NN heads are means of training bags: they are patient data, like features.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from clearbench.bounded import read_bytes, read_text
from clearbench.cards import Card, describe_faults
from clearbench.errors import BadRequest
from clearbench.evaluation.bags.bagset import BagSet, Moments
from clearbench.evaluation.bundles.thresholds import RULE, choose_thresholds
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.presets import find_preset
from clearbench.evaluation.protocol.encoder_data import EncoderData
from clearbench.evaluation.protocol.evaluate import Evaluation, FoldResult
from clearbench.evaluation.task.card import TaskCard
from clearbench.files import write_text, write_whole
from clearbench.store.records import EncoderRecord
from clearbench.versions import SCORE_LIBRARIES, library_versions

MOST_MB = 4096  # of the arrays of all heads
FACTS_FILE, ARRAYS_FILE = "bundle.json", "heads.safetensors"


class HeadFacts(Card):
    """One trained head: its fold and seed, the number of patients on each side, its settings."""

    repeat: int
    fold: int
    seed: int
    train: int
    tune: int
    test: int
    settings: dict[str, float | int | str]


class BundleFacts(Card):
    """The content of bundle.json; `thresholds` are in the order of `outputs`, null for none."""

    bundle: Literal[2] = 2
    task: str
    task_sha256: str
    task_card: TaskCard
    encoder: EncoderRecord
    head: str
    preset: str
    head_precision: Literal["float32", "bfloat16"]
    outputs: tuple[str, ...]
    heads: tuple[HeadFacts, ...]
    thresholds: tuple[float | None, ...]
    threshold_rule: str
    not_scored: tuple[str, ...]
    patients: int
    split_sha256: str
    versions: dict[str, str]
    arrays_sha256: str


@dataclass(frozen=True)
class Bundle:
    """Trained heads, and the moments by which instances were centred and scaled when scored."""

    facts: BundleFacts
    heads: tuple[BagEstimator, ...]
    common: Moments


def write_bundle(evaluation: Evaluation, data: EncoderData, folder: Path) -> Path:
    """Write the heads of an evaluation (`HeadConfig.keep_heads`) to a folder, and return it.

    A bundle in that folder is replaced. Raises BadRequest if the heads were not kept or are a
    floor's, StorageFull if the disk refuses.
    """
    if not data.bags:
        raise BadRequest(f"{data.record.name} has no features; its heads can't be applied")
    heads = [each.head for each in evaluation.fold_results if each.head is not None]
    if not heads or len(heads) < len(evaluation.fold_results):
        raise BadRequest(
            "the heads of this evaluation were not kept; use HeadConfig(keep_heads=True)"
        )
    arrays = {f"common/{name}": part for name, part in data.instances.common._asdict().items()}
    for number, head in enumerate(heads):
        arrays |= {f"{number}/{name}": part for name, part in head.state_dict().items()}
    image = save({name: np.ascontiguousarray(part) for name, part in arrays.items()})
    facts = _facts(evaluation, hashlib.sha256(image).hexdigest())
    text = json.dumps(facts.model_dump(mode="json"), indent=1) + "\n"
    write_whole(folder / ARRAYS_FILE, lambda draft: draft.write_bytes(image))
    write_text(folder / FACTS_FILE, text)
    return folder


def _facts(evaluation: Evaluation, arrays_sha256: str) -> BundleFacts:
    """Return the content of bundle.json for an evaluation."""
    task = evaluation.prepared.task
    return BundleFacts(
        task=task.name,
        task_sha256=task.sha256,
        task_card=task.card,
        encoder=evaluation.record,
        head=evaluation.head,
        preset=evaluation.preset,
        head_precision=evaluation.precision,  # type: ignore[arg-type]  # checked by pydantic
        outputs=task.card.outputs,
        heads=tuple(map(_head_facts, evaluation.fold_results)),
        thresholds=choose_thresholds(evaluation),
        threshold_rule=RULE,
        not_scored=evaluation.prepared.skipped,
        patients=len(set(evaluation.units.patients)),
        split_sha256=evaluation.prepared.split_sha256,
        versions=library_versions(SCORE_LIBRARIES),
        arrays_sha256=arrays_sha256,
    )


def _head_facts(result: FoldResult) -> HeadFacts:
    """Return the facts of one head."""
    fold = result.fold
    return HeadFacts(
        repeat=fold.repeat,
        fold=fold.number,
        seed=result.seed,
        train=len(fold.train),
        tune=len(fold.tune),
        test=len(fold.test),
        settings=result.settings,
    )


def read_bundle(path: Path) -> Bundle:
    """Read a bundle's folder; its heads give the same scores, bit for bit on the same instances.

    Raises BadRequest for a folder that isn't a bundle, or one that is damaged or of another
    clearbench version.
    """
    facts = _read_facts(path / FACTS_FILE)
    arrays = _read_arrays(path / ARRAYS_FILE, facts.arrays_sha256)
    try:
        common = _common(facts, arrays)
        heads = tuple(map(partial(_head, facts, arrays), range(len(facts.heads))))
        for head in heads:
            _try(head, facts, common)
    # whatever numpy and torch raise for arrays of another number, shape or type
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise _bad(path, f"its heads don't fit this clearbench version: {first[:200]}") from error
    return Bundle(facts, heads, common)


def _common(facts: BundleFacts, arrays: Mapping[str, NDArray[Any]]) -> Moments:
    """Return the moments of all instances; raises ValueError for those of other features."""
    mean, spread = arrays["common/mean"], arrays["common/spread"]
    instances = facts.encoder.dim
    if mean.shape != (instances,) or spread.shape != (instances,):
        raise ValueError(f"moments of {mean.shape} and {spread.shape}, not of {instances} features")
    if mean.dtype.kind != "f" or spread.dtype.kind != "f":
        raise ValueError(f"moments of {mean.dtype} and {spread.dtype}")
    if not facts.heads or facts.outputs != facts.task_card.outputs:
        raise ValueError("no heads, or other outputs than those of its card")
    if len(facts.thresholds) != len(facts.outputs):
        raise ValueError(f"{len(facts.thresholds)} thresholds of {len(facts.outputs)} outputs")
    return Moments(mean, spread)


def _try(head: BagEstimator, facts: BundleFacts, common: Moments) -> None:
    """Let a head judge a bag of nothing, so that it fails here and not at the last scan."""
    bag = np.zeros((2, facts.encoder.dim), np.float32)
    dtype = getattr(torch, facts.head_precision)
    scores = head.predictions(BagSet.of([bag], dtype=dtype, common=common)).scores
    if scores.shape != (1, len(facts.outputs)) or not np.isfinite(scores).all():
        raise ValueError("its scores are of another shape, or no numbers")


def _bad(path: Path, why: str) -> BadRequest:
    """Return the error for a bundle that can't be read."""
    return BadRequest(
        f"{path}: not a readable bundle ({why}); "
        "restore a copy, or make a new one: clearbench evaluate --task NAME --save-heads DIR"
    )


def _read_facts(path: Path) -> BundleFacts:
    """Read bundle.json."""
    try:
        return BundleFacts.model_validate_json(read_text(path))
    except FileNotFoundError as error:
        inner = sorted(path.parent.glob(f"*/**/{FACTS_FILE}"))
        hint = f"; there is one in {inner[0].parent}" if inner else ""
        raise BadRequest(f"{path.parent}: no bundle of heads in this folder{hint}") from error
    except OSError as error:
        raise _bad(path, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise _bad(path, "damaged, not a text file") from error
    except ValidationError as error:
        raise _bad(path, describe_faults(error, BundleFacts)) from error


def _read_arrays(path: Path, sha256: str) -> Mapping[str, NDArray[Any]]:
    """Read the arrays, if their sha256 is the one in bundle.json."""
    try:
        image = read_bytes(path, MOST_MB)
        if hashlib.sha256(image).hexdigest() != sha256:
            raise _bad(path, "damaged: its sha256 isn't the one in bundle.json")
        found: Mapping[str, NDArray[Any]] = load(image)
    except OSError as error:
        raise _bad(path, str(error.strerror)) from error
    # TypeError and KeyError: numpy has no bfloat16 and no 8-bit floats
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise _bad(path, f"not arrays of numpy: {error}") from error
    return found


def _head(facts: BundleFacts, arrays: Mapping[str, NDArray[Any]], number: int) -> BagEstimator:
    """Make one head from its arrays."""
    start, card = f"{number}/", facts.task_card
    parts = {name.removeprefix(start): v for name, v in arrays.items() if name.startswith(start)}
    preset = find_preset(facts.preset)
    # Any seed will do, because the head isn't trained again.
    request = HeadRequest(facts.head, card.target, len(card.classes) or 2, preset, 0)
    return make_head(request).load_state_dict(parts)
