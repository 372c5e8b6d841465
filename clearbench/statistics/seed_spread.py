"""How much a score depends on the seed alone: how weights start, in which order bags come."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from clearbench.metrics import score_outputs
from clearbench.metrics.weighted import mean_known
from clearbench.statistics.intervals import FoldScores

FEWEST_SEEDS = 2  # one seed shows no spread


def seed_spread(
    target: str, metric: str, heads: Sequence[FoldScores], *, unscored: Collection[int] = ()
) -> float:
    """Return the standard deviation over seeds of a metric, its mean over the folds.

    Each network that a head averages is a seed of its own, scored alone, so this is the spread of a
    benchmark that trains one network per fold. That of the averaged heads is smaller. NaN with
    fewer than two seeds.
    """
    most = max((len(head.networks) for head in heads), default=0)
    by_seed: dict[tuple[int, int], list[float]] = defaultdict(list)
    for head in heads:
        once = np.ones((1, len(head.patients)))
        # A choice among heads takes one without networks in some folds; there all seeds are alike.
        for number, scores in enumerate(head.networks or (head.scores,) * max(most, 1)):
            found = score_outputs(
                target, head.truth, scores, once, unscored, cuts=head.cuts, only=metric
            )
            by_seed[head.seed, number].append(float(found[metric][0]))
    values = [np.array(each) for each in by_seed.values()]
    if len(values) < FEWEST_SEEDS:
        return float("nan")
    means = [float(mean_known(each[:, None])[0]) for each in values]
    return float(np.std(means, ddof=1))
