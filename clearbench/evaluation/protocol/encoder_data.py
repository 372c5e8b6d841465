"""One encoder's features for one task, loaded once for all heads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.arrays import Rows
from clearbench.encoders.device import choose_device, choose_precision
from clearbench.errors import BadArgument, BadTask, suggestion
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.bags.load import Bag, common_views, load_bags
from clearbench.evaluation.heads.estimator import strata_of
from clearbench.evaluation.heads.targets import Targets, make_targets
from clearbench.evaluation.task.checks import pixels_check
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.evaluation.task.rare import too_rare
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord


@dataclass(frozen=True)
class EncoderData:
    """One encoder's features for one task, loaded once for every head.

    bags: the features and origin of each instance; () for a floor
    instances: the same features, for training
    make_instances: of a floor that fits its features to the training units: rows of training units
        → bags of all units
    shuffled: whether the labels of training units are shuffled among them; for a floor
    """

    prepared: PreparedTask
    record: EncoderRecord
    bags: tuple[Bag, ...]
    instances: BagSet
    targets: Targets
    make_instances: Callable[[Rows], BagSet] | None = None
    shuffled: bool = False

    @property
    def units(self) -> Units:
        """Return the units that have features."""
        return self.prepared.units

    @property
    def strata(self) -> NDArray[np.bool_]:
        """Return the flags [units, columns] by which units are stratified."""
        return strata_of(self.targets)

    def instances_for(self, rows: Rows) -> BagSet:
        """Return all units' bags, for a head that is trained on `rows`."""
        return self.make_instances(rows) if self.make_instances else self.instances

    def training_targets(self, rows: Rows, seed: int) -> Targets:
        """Return the targets of training units; shuffled among them if the floor shuffles."""
        chosen = np.random.default_rng(seed).permutation(rows) if self.shuffled else rows
        return self.targets.take(chosen)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Return which scored outputs each unit truly has [units, outputs]."""
        rare = np.isin(np.arange(self.targets.outputs), self.prepared.unscored)
        return self.targets.positive & ~rare


def load_encoder_data(
    prepared: PreparedTask,
    record: EncoderRecord,
    store: StoreFolder,
    *,
    device: str = "cpu",
    precision: str = "auto",
    views: Sequence[str] = (),
) -> EncoderData:
    """Load an encoder's features of a task's units onto the device, of `views` only or of all.

    With precision "auto" they are bfloat16 where the processor multiplies it, else float32. Raises
    BadRequest for a device or precision that isn't available, BadArgument for a view that is not
    stored, BadTask if features are missing.
    """
    record = with_wanted_views(record, views)
    units, bags = load_bags(prepared.units, record, store)
    several = len(set(units.cohorts)) > 1
    record = record.with_views(common_views(bags, units.cohorts, record)) if several else record
    return make_encoder_data(prepared, record, units, bags, device=device, precision=precision)


def with_wanted_views(record: EncoderRecord, views: Sequence[str]) -> EncoderRecord:
    """Return a record with only the wanted views, () for all; raises BadArgument for others."""
    if not views:
        return record
    unknown = [name for name in views if name not in record.views]
    if unknown:
        has = ", ".join(record.views)
        reason = f"{record.reference} has {has}{suggestion(unknown[0], record.views)}"
        raise BadArgument("views", unknown[0], reason)
    return record.with_views(views)


def make_encoder_data(
    prepared: PreparedTask,
    record: EncoderRecord,
    units: Units,
    bags: tuple[Bag, ...],
    *,
    device: str = "cpu",
    precision: str = "auto",
) -> EncoderData:
    """Move loaded bags onto the device; see load_encoder_data."""
    place, card = choose_device(device), prepared.task.card
    dtype = getattr(torch, choose_precision(precision, place))
    if dtype == torch.float16:
        raise BadArgument("precision", precision, "heads train in float32 or bfloat16")
    folds = with_features(prepared, units)
    if folds != prepared.folds:
        try:
            too_rare(units, folds, prepared.task)
        except BadTask as error:  # too few patients are left to score
            lacking = units.excluded[len(prepared.units.excluded) :]
            raise BadTask("; ".join((str(error), *lacking))) from error
    reduced = replace(
        prepared,
        units=units,
        folds=folds,
        whole=prepared.whole or prepared.folds,
        pixels_check=pixels_check(units.ids, [bag.pixels for bag in bags]),
    )
    instances = BagSet.of([bag.features for bag in bags], device=place, dtype=dtype)
    targets = make_targets(card.target, units.targets, len(card.classes))
    return EncoderData(reduced, record, bags, instances, targets)


def with_features(prepared: PreparedTask, units: Units) -> tuple[Fold, ...]:
    """Return the folds without the patients who lack features.

    Raises BadTask if a side is left empty.
    """
    present = set(units.patients)
    if present == set(prepared.units.patients):
        return prepared.folds
    parts = [
        tuple(tuple(p for p in side if p in present) for side in (f.train, f.tune, f.test))
        for f in prepared.folds
    ]
    if any(not side for sides in parts for side in sides):
        raise BadTask(f"{prepared.task.name}: too few patients have features; {units.excluded[-1]}")
    return tuple(
        Fold(fold.repeat, fold.number, *sides)
        for fold, sides in zip(prepared.folds, parts, strict=True)
    )


def rows_of(patients: Sequence[str], units: Units) -> Rows:
    """Return the rows of some patients' units."""
    wanted = set(patients)
    return np.array([row for row, patient in enumerate(units.patients) if patient in wanted], int)
