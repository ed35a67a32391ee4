"""control: control variates with a known mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..costs import BuiltIn, Cost, evaluate, length
from ..distributions import Family
from ..estimate import Estimate
from ..noise import Stream
from .base import Estimator, resolve

Array = NDArray[Any]
Sampler = Callable[[Family, BuiltIn | Cost, int, Estimator, Stream], Estimate]

ROUNDING = 1e-20  # of a variance


class Adjusted:
    """The cost J - c h; `raw` holds the last J."""

    def __init__(self, model: Any, cost: BuiltIn | Cost, h: Cost, coefficient: float) -> None:
        self.model, self.cost, self.h, self.coefficient = model, cost, h, coefficient
        self.raw: Array = np.empty(0)
        self.n_threads: int | None = None

    def __call__(self, y: Any) -> Array:
        """Return J(y) - c h(y)."""
        self.raw = evaluate(self.cost, y, self.model.batch_shape, self.n_threads)
        return np.asarray(self.raw - self.coefficient * self._variate(y))

    def _variate(self, y: Any) -> Array:
        values = np.asarray(self.h(y))
        want = (length(y), *self.model.batch_shape)
        if values.dtype.kind not in "iufb":
            raise TypeError(f"`h` must return real numbers, got dtype {values.dtype}")
        if values.shape != want:
            raise ValueError(f"`h` must return shape {want}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"`h` must be finite, got {values[~np.isfinite(values)][0]}")
        return values.astype(np.float64)


@dataclass(frozen=True)
class Shift:
    """What goes back onto the estimate of J - c h."""

    cost: Adjusted
    mean: Array  # c times E[h], one a problem
    grad: Array  # c times its gradient

    def onto(self, node: Array) -> None:
        """Add it to a node."""
        problems = self.mean.size
        for problem in range(problems):
            node[2 + 4 * problem] += self.mean[problem]
        at = 2 + 4 * problems
        node[at : at + self.grad.size] += self.grad


@dataclass(frozen=True, eq=False)
class ControlVariate(Estimator):
    """ControlVariate(h, mean, grad, estimator="leave_one_out", coefficient=1.0, n_pilot=1024)

    The estimate of J - c h(y) by another estimator, plus c times the gradient of E[h], which is known; the cost
    likewise plus c E[h].

    Lavenberg and Welch, "A perspective on the use of control variables to increase the efficiency of Monte Carlo
    simulations", Management Science 27, 1981; for score functions Paisley, Blei and Jordan, "Variational Bayesian
    inference with stochastic search", ICML 2012, section 3. Unbiased where the other estimator is: c does not depend
    on the samples. As many evaluations of J a sample as the other one takes, and as many of h. Every family that it
    has.

    Parameters
    ----------
    h : callable
        ``h(y)`` of shape (n, *batch), as a cost; it should follow J.
    mean : array_like of shape (*batch), or a function of the model
        E[h].
    grad : array or dict in the structure of the parameters, or a function of the model
        The gradient of E[h], as ``stochcore.exact`` gives it: of the sum over problems.
    estimator : str or Estimator
        The other one.
    coefficient : float or "pilot"
        c; "pilot" takes the one of least variance of the gradient, from a pilot with noise of its own (a child of the
        stream). Its 2 n_pilot evaluations of J are not counted in ``n_evals``.
    n_pilot : int
        Samples of the pilot, at least 64.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Bernoulli(logits=[0.3, -0.4])
    >>> w = sc.costs.Linear([1.0, 2.0])
    >>> variate = sc.estimators.ControlVariate(
    ...     w, mean=lambda q: w.linear @ q.mean, grad=lambda q: w.linear * q.variance, coefficient="pilot"
    ... )
    >>> e = sc.estimate(q, lambda y: (y[:, 0] + 2.0 * y[:, 1]) ** 2, estimator=variate)
    >>> bool((e.grad_se < sc.estimate(q, lambda y: (y[:, 0] + 2.0 * y[:, 1]) ** 2).grad_se).all())
    True
    """

    h: Cost
    mean: Any
    grad: Any
    estimator: str | Estimator = "leave_one_out"
    coefficient: float | str = 1.0
    n_pilot: int = 1024
    name = "control_variate"

    def __post_init__(self) -> None:
        if not callable(self.h):
            raise TypeError(f"`h` must be a callable h(y), got {_check._short(self.h)}")
        inner = resolve(self.estimator)
        if isinstance(inner, ControlVariate) or inner.name == "auto" or not inner.samples:
            raise ValueError(f"`estimator` must be one that samples by itself, got {inner.name!r}")
        object.__setattr__(self, "estimator", inner)
        if isinstance(self.coefficient, str):
            _check.choice("coefficient", self.coefficient, {"pilot": True})
        else:
            object.__setattr__(self, "coefficient", _check.real("coefficient", self.coefficient))
        _check.integer("n_pilot", self.n_pilot, 64, 1 << 30)

    @property
    def inner(self) -> Estimator:
        """The other estimator."""
        assert isinstance(self.estimator, Estimator)
        return self.estimator

    @property
    def unbiased(self) -> bool:  # type: ignore[override]
        """Is the other one?"""
        return self.inner.unbiased

    @property
    def least(self) -> int:  # type: ignore[override]
        """How many samples the other one needs."""
        return self.inner.least

    @property
    def samples_per_unit(self) -> int:  # type: ignore[override]
        """As for the other one."""
        return self.inner.samples_per_unit

    @property
    def dependent_samples(self) -> int:  # type: ignore[override]
        """As for the other one."""
        return self.inner.dependent_samples

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what the other one lacks: for a cost that is a function, since J - c h is one."""
        return self.inner.lacks(model, Adjusted(model, cost, self.h, 1.0))

    def evals_per_sample(self, model: Family, cost: BuiltIn | Cost) -> int:
        """Return how often J is called for a sample."""
        return self.inner.evals_per_sample(model, Adjusted(model, cost, self.h, 1.0))

    def numbers_per_sample(self, model: Family) -> int:
        """As for the other one."""
        return self.inner.numbers_per_sample(model)

    def draw(self, model: Family, stream: Any, number: int) -> Any:
        """Return sample `number` again."""
        return self.inner.draw(model, stream, number)

    def plan(self, model: Family, cost: BuiltIn | Cost, stream: Stream, sampler: Sampler) -> Shift:
        """Return the cost to sample, and what goes back onto its estimate."""
        mean = self.mean(model) if callable(self.mean) else self.mean
        array = _check.reals("mean", mean)
        if array.shape not in ((), model.batch_shape):
            raise ValueError(f"`mean` must have shape {model.batch_shape}, got {array.shape}")
        grad = self.grad(model) if callable(self.grad) else self.grad
        flat = model._structure.flatten(grad, "grad")
        c = self.coefficient
        if isinstance(c, str):
            c = self._best(model, cost, stream, sampler)
        each = np.broadcast_to(array, model.batch_shape).reshape(-1)
        return Shift(Adjusted(model, cost, self.h, c), c * each, c * flat)

    def _best(self, model: Family, cost: BuiltIn | Cost, stream: Stream, sampler: Sampler) -> float:
        """Return the coefficient of least variance: cov / var, with 2 cov = var(J) + var(h) - var(J - h)."""
        unit, pilot = self.samples_per_unit, stream.spawn(1)[0]
        n = max(self.least, -(-self.n_pilot // unit) * unit)
        nothing = Adjusted(model, cost, self.h, 0.0)
        both = Adjusted(model, cost, self.h, 1.0)
        found = [sampler(model, one, n, self.inner, pilot) for one in (nothing, nothing._variate, both)]
        of_cost, of_variate, of_difference = (_squares(e._flat_grad_se()) for e in found)
        if of_variate <= ROUNDING * _squares(np.reshape(found[1].cost_se, -1)):  # the other one knows h by itself
            return 0.0
        return (of_cost + of_variate - of_difference) / (2 * of_variate)


def _squares(errors: Array) -> float:
    return math.fsum(x * x for x in errors.tolist())
