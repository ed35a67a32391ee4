"""values: baselines for the decisions of simulators, learned from what was paid after earlier ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Family
from ..distributions.family import Simulated
from .base import named
from .weights import Weighing, Weighted

if TYPE_CHECKING:
    from ..noise import Stream

Array = NDArray[Any]

MOST_FEATURES, MOST_STAGES = 64, 4096
RIDGE = 1e-6  # of the mean square of a feature


@named
@dataclass(frozen=True, eq=False)
class ValueBaseline(Weighted):
    """ValueBaseline(features=None, *, decay=0.9, weights=None, n_stages=512, n_pilot=256)

    g = 1/n sum_i sum_t s_it (J_i - B_it - v_t): each decision of a simulator is weighed by what was paid after it, less
    what is expected to be paid from its stage (or state) on.

    The value v is a number for each stage (costs end stages), or w . f where the program tells the features f of its
    state by ``draw.state(f)``; with discounts, g_t w . f. It is fitted by least squares (features: with a ridge of 1e-6
    of their mean square) to what earlier runs have paid, and to these alone, so that it does not depend on the samples
    that it is the baseline of: unbiased. In ``sc.minimize`` from the completed steps, whose weight falls by `decay` a
    step; the first step has none. In ``sc.estimate`` from a pilot with noise of its own (a child of the stream), whose
    runs are not counted in ``n_evals``. One run of the program a sample.

    Sutton, McAllester, Singh and Mansour, NeurIPS 2000, theorem 1 (any value may be taken off); Greensmith, Bartlett
    and Baxter, "Variance reduction techniques for gradient estimates in reinforcement learning", JMLR 5, 2004.

    Parameters
    ----------
    features : int, optional
        So many numbers are told by ``draw.state``, at most 64. Left out: the stage is all that is known.
    decay : float
        In [0, 1).
    weights : array_like, optional
        The value, if it is known: shape (features,), or (n_stages,).
    n_stages : int
        Later stages are taken for the last of these; at most 4,096.
    n_pilot : int
        Runs of the pilot, at least 2.

    Examples
    --------
    >>> import stochcore as sc
    >>> @sc.simulator
    ... def walk(draw, theta, x):
    ...     for step in range(20):
    ...         draw.cost(float(draw.bernoulli(0)))
    >>> by_value = sc.estimate(walk([0.0]), n_samples=4096, estimator="value_baseline")
    >>> whole = sc.estimate(walk([0.0]), n_samples=4096, estimator="whole_return")
    >>> bool(by_value.grad_se[0] < 0.8 * whole.grad_se[0])
    True
    """

    features: int | None = None
    decay: float = field(default=0.9, kw_only=True)
    weights: ArrayLike | None = field(default=None, kw_only=True)
    n_stages: int = field(default=512, kw_only=True)
    n_pilot: int = field(default=256, kw_only=True)
    name = "value_baseline"
    simulates = True
    blame = "later"

    def __post_init__(self) -> None:
        decay = _check.real("decay", self.decay)
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"`decay` must lie in [0, 1), got {self.decay}")
        if self.features is not None:
            _check.integer("features", self.features, 1, MOST_FEATURES)
        _check.integer("n_stages", self.n_stages, 1, MOST_STAGES)
        _check.integer("n_pilot", self.n_pilot, 2, 1 << 30)
        if self.weights is not None:
            weights = _check.reals("weights", self.weights).copy()
            if weights.shape != (self.size,):
                raise ValueError(f"`weights` must have shape ({self.size},), got {weights.shape}")
            object.__setattr__(self, "weights", weights)

    @property
    def size(self) -> int:
        """How many numbers the value is made of."""
        return self.features or self.n_stages

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Simulated) else "is for simulators"

    def weighing(self, model: Family, cost: BuiltIn | Cost, n_samples: int) -> Weighing:
        """Return what the kernels are told."""
        weights = np.zeros(self.size) if self.weights is None else np.array(self.weights, dtype=np.float64)
        value = Value(weights, self.features is None)
        return Weighing("score_function", np.zeros(1), value=value)

    def fitted(self, model: Family, cost: Any, stream: Stream, prepared: Any) -> ValueBaseline:
        """Return the same estimator with the weights that a pilot says."""
        if self.weights is not None:
            return self
        run = prepared(model, cost, self.n_pilot, self, stream, errors=False)
        value: Value = run.weights.value
        learned = value.learns()
        run.tree(model, stream, None)
        return replace(self, weights=value.fit(learned))

    def negated(self) -> ValueBaseline:
        """Return the same estimator for minus the cost."""
        return self if self.weights is None else replace(self, weights=-np.asarray(self.weights))


@dataclass
class Value:
    """A value as the recorders see it (csrc/kernels/recorder.h), and the sums that it is fitted to."""

    weights: Array
    by_time: bool
    learned: Array | None = None

    def learns(self) -> Array:
        """Return an array that the sums of coming runs are added to."""
        n = self.weights.size
        self.learned = np.zeros(3 * n if self.by_time else n * n + n)
        return self.learned

    def fit(self, learned: Array) -> Array:
        """Return the weights that fit such sums best; elementary operations in a fixed order alone."""
        n = self.weights.size
        if not self.by_time:
            return _least_squares(learned[: n * n].reshape(n, n), learned[n * n :])
        ends, costs, paid = learned.reshape(3, n)
        count, total = (np.add.accumulate(part[::-1])[::-1] for part in (ends, costs))
        known = count > 0.0
        if not known[0]:
            return np.zeros(n)
        value = (total - paid) / np.where(known, count, 1.0)
        last = n - 1 - int(np.argmax(known[::-1]))  # nobody has come further: it is taken to go on like that
        value[last + 1 :] = value[last]
        return np.asarray(value)


def _least_squares(square: Array, right: Array) -> Array:
    """Solve (lower triangle + ridge) w = right by Cholesky's method; a feature that tells nothing has no weight."""
    n = len(right)
    a, w = square.copy(), right.copy()
    trace = math.fsum(a[i, i] for i in range(n))
    if not trace > 0.0:
        return np.zeros(n)
    a[np.diag_indices(n)] += RIDGE * trace / n
    for k in range(n):
        a[k:, k] /= math.sqrt(a[k, k])
        w[k] /= a[k, k]
        w[k + 1 :] -= w[k] * a[k + 1 :, k]
        a[k + 1 :, k + 1 :] -= a[k + 1 :, k, None] * a[None, k + 1 :, k]
    for k in range(n - 1, -1, -1):
        w[k] /= a[k, k]
        w[:k] -= w[k] * a[k, :k]
    return w
