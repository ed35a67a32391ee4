"""unbiased: the proof of unbiasedness, by z-scores against enumeration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .costs import BuiltIn, Cost, fitting
from .distributions import Family
from .distributions.parameters import Structure
from .estimate import Estimate, student_quantile
from .estimators import Estimator, resolve, sample_estimate
from .exact import exact
from .noise import Stream

Array = NDArray[Any]


@dataclass(frozen=True)
class Unbiasedness:
    """What `check_unbiased` found, one row for each number of samples.

    Attributes
    ----------
    estimator : str
    n_samples : tuple of int
        Sizes of the estimates.
    n_replicates : int
        Independent estimates of each size.
    z_cost : ndarray of shape (sizes, *batch)
        (mean over replicates - exact) / standard error of that mean, for the cost.
    z_grad : ndarray of shape (sizes, *parameters)
        The same for each entry of the gradient; by parameters of several arrays, all in a row.
    coverage_cost, coverage_grad : ndarray of shape (sizes,)
        Share of the replicates' intervals at `level` that hold the exact value (for the gradient: over its entries).
    level : float
    """

    estimator: str
    n_samples: tuple[int, ...]
    n_replicates: int
    z_cost: Array
    z_grad: Array
    coverage_cost: Array
    coverage_grad: Array
    level: float

    @property
    def max_abs_z(self) -> float:
        """The largest |z| of all."""
        return float(max(np.abs(self.z_cost).max(), np.abs(self.z_grad).max()))

    @property
    def p_value(self) -> float:
        """Chance of a |z| so large among so many, were there no bias (Sidak's correction)."""
        single = 2 * NormalDist().cdf(-self.max_abs_z)
        return -math.expm1((self.z_cost.size + self.z_grad.size) * math.log1p(-min(single, 1 - 1e-16)))

    @property
    def passed(self) -> bool:
        """Is there no sign of bias: all |z| < 4, and a p-value above 1e-4 given how many were looked at?

        Whichever is more lenient: |z| < 4 is the rule for a few numbers, the p-value for hundreds.
        """
        return self.max_abs_z < 4 or self.p_value > 1e-4

    def __str__(self) -> str:
        lines = [
            f"{self.estimator}: {self.n_replicates} replicates each, {'no bias seen' if self.passed else 'BIASED'}"
        ]
        lines.append(
            f"{'samples':>8} {'max |z| cost':>13} {'max |z| grad':>13} {'coverage of ' + f'{self.level:.0%}':>16}"
        )
        for i, n in enumerate(self.n_samples):
            z, g = np.abs(self.z_cost[i]).max(), np.abs(self.z_grad[i]).max()
            lines.append(f"{n:8d} {z:13.2f} {g:13.2f} {self.coverage_grad[i]:16.1%}")
        return "\n".join(lines)


def check_unbiased(
    model: Family,
    cost: BuiltIn | Cost | None = None,
    estimator: str | Estimator = "leave_one_out",
    *,
    baseline: ArrayLike | None = None,
    n_samples: int | Sequence[int] = (2, 4, 8),
    n_replicates: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    n_threads: int | None = None,
) -> Unbiasedness:
    """Hold an estimator against enumeration: z-scores of its mean, and coverage of its error bars.

    Bias hides at a million samples and shows at two, so the default sizes are the smallest ones.

    Parameters
    ----------
    model, cost, estimator, baseline
        As in ``stochcore.estimate``; the model must be small enough to enumerate. Any object with a method
        ``estimate(model, cost, n_samples, stream)`` that returns an Estimate is taken as an estimator too.
    n_samples : int or sequence of int
        Sizes of the estimates to check.
    n_replicates : int
        Independent estimates of each size; at least 2.
    seed : int
        Replicate r of size i uses stream ``i * n_replicates + r`` of this seed.
    level : float
        Of the intervals whose coverage is counted.

    Returns
    -------
    Unbiasedness
        ``print`` shows a table; ``.passed`` is the verdict.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Bernoulli(logits=[0.3, -1.0])
    >>> sc.check_unbiased(q, lambda y: y.sum(axis=1) ** 2, n_replicates=1000).passed
    True
    """
    sizes = tuple(_check.integer("n_samples", n, 1) for n in np.atleast_1d(n_samples))
    count = _check.integer("n_replicates", n_replicates, 2)
    truth, price = exact(model, cost), fitting(model, cost)
    run = getattr(estimator, "estimate", None)
    if run is None:
        chosen = resolve(estimator, baseline)
        name_of = chosen.name

        def run(m: Family, c: BuiltIn | Cost, n: int, s: Stream) -> Estimate:
            return sample_estimate(m, c, n, chosen, s, n_threads=n_threads)

    else:
        name_of = getattr(estimator, "name", type(estimator).__name__)
    rows = []
    for i, n in enumerate(sizes):
        right = _read(truth)
        values = [np.empty((count, *np.shape(number))) for number in right]
        for r in range(count):
            found = run(model, price, n, Stream(seed, stream=i * count + r))
            for array, number in zip(values, _read(found), strict=True):
                array[r] = number
        j, j_se, grad, grad_se = values
        rows.append(
            (
                _z(j, right[0]),
                _z(grad, right[2]),
                _coverage(j, j_se, right[0], level, found._dof_of_cost),
                _coverage(grad, grad_se, right[2], level, found.dof),
            )
        )
    z_cost, z_grad, in_cost, in_grad = (np.array(column) for column in zip(*rows, strict=True))
    return Unbiasedness(name_of, sizes, count, z_cost, z_grad, in_cost, in_grad, level)


def _read(e: Estimate) -> tuple[Any, Any, Array, Array]:
    """Return cost and gradient with their errors; the gradient by several arrays in one row."""
    structure = Structure.of(e.grad)
    grads = e.grad, e.grad_se
    if structure.shape is None:
        grads = structure.leaves(e.grad), structure.leaves(e.grad_se)
    return e.cost, e.cost_se, *grads


def _coverage(values: Array, se: Array, truth: Any, level: float, dof: float) -> float:
    """Share of the intervals that hold the truth, to rounding."""
    slack = 1e-12 * np.maximum(1.0, np.abs(truth))
    return float(np.mean(np.abs(values - truth) <= student_quantile(0.5 + level / 2, dof) * se + slack))


def _z(values: Array, truth: Any) -> Array:
    """z-score of the mean over replicates; 0 where nothing varies and the value is right to rounding."""
    mean, se = values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))
    gap = mean - truth
    slack = 1e-12 * np.maximum(1.0, np.abs(truth))
    return np.where(np.abs(gap) <= slack, 0.0, gap / np.where(se > 0, se, np.finfo(float).tiny))


def z_scores(found: Estimate, truth: Estimate) -> Array:
    """Return (cost and gradient less the exact ones) / standard errors; 0 where they are right to rounding."""
    value, right = (np.append(e._flat_grad(), np.ravel(e.cost)) for e in (found, truth))
    se = np.append(found._flat_grad_se(), np.ravel(found.cost_se))
    gap = value - right
    slack = 1e-12 * np.maximum(1.0, np.abs(right))
    return np.asarray(np.where(np.abs(gap) <= slack, 0.0, gap / np.where(se > 0, se, np.finfo(float).tiny)))
