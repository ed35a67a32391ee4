"""auto: the estimator with the least variance for each evaluation of the cost, found by a pilot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Family
from ..estimate import Estimate
from ..noise import Stream
from .base import ESTIMATORS, Estimator, available, named

Sampler = Callable[[Family, BuiltIn | Cost, int, Estimator, Stream], Estimate]


@named
@dataclass(frozen=True)
class Auto(Estimator):
    """Auto(n_evals=1024)

    The unbiased estimator whose gradient has the least variance for each evaluation of J, as a pilot of `n_evals`
    evaluations of each finds; ``Estimate.estimator`` says which it was.

    The pilot has noise of its own (a child of the stream), so the estimate is as unbiased as the one that was chosen.
    The choice looks at variances and not at the clock, so that it is the same on every machine and in every run; where
    J costs little, ``stochcore.compare`` shows which is the fastest for a given precision.

    Parameters
    ----------
    n_evals : int
        At least 64.
    """

    n_evals: int = 1024
    name = "auto"

    def __post_init__(self) -> None:
        _check.integer("n_evals", self.n_evals, 64, 1 << 30)

    def chosen(self, model: Family, cost: BuiltIn | Cost, stream: Stream, sampler: Sampler) -> Estimator:
        """Return the one that the pilot finds best."""
        pilot = stream.spawn(1)[0]
        best, least = None, math.inf
        for kind in candidates(model, cost):
            estimator = kind()
            n = samples_for(self.n_evals, estimator, model, cost)
            if n * estimator.evals_per_sample(model, cost) > 4 * self.n_evals:
                continue  # one sample alone is dearer than the whole pilot
            variance = variance_per_eval(sampler(model, cost, n, estimator, pilot))
            if variance < least:
                best, least = estimator, variance
        if best is None:
            return ESTIMATORS["leave_one_out"]()
        return best


def candidates(model: Family, cost: BuiltIn | Cost) -> list[type[Estimator]]:
    """Return the unbiased estimators of the model that sample."""
    kinds = [ESTIMATORS[name] for name in available(model, cost)]
    return [kind for kind in kinds if kind.unbiased and kind.samples and kind is not Auto]


def samples_for(n_evals: int, estimator: Estimator, model: Family, cost: BuiltIn | Cost) -> int:
    """Return how many samples take about so many evaluations of J."""
    unit = estimator.samples_per_unit
    n = n_evals // estimator.evals_per_sample(model, cost) // unit * unit
    return max(n, -(-max(estimator.least, 2 * unit) // unit) * unit)


def variance_per_eval(found: Estimate) -> float:
    """Return the summed variance of all entries of the gradient, times evaluations of J."""
    se = found._flat_grad_se().tolist()
    return math.fsum(x * x for x in se) * found.n_evals
