"""exact: the oracle, by enumeration."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from .costs import BuiltIn, Cost, evaluate, fitting, length
from .distributions import Compiled, Family
from .distributions.family import Simulated
from .distributions.parameters import Structure
from .estimate import Estimate

Array = NDArray[Any]


def exact(model: Family, cost: BuiltIn | Cost | None = None) -> Estimate:
    """Return E[J(y)] and its gradient by enumerating every outcome: sum_y p(y) J(y) and sum_y p(y) J(y) score(y).

    Parameters
    ----------
    model : Family, or a simulator with its theta
        With at most 2^20 outcomes a problem. Counts without end are enumerated as far as they are drawn: all but 2^-60
        of each tail of a site.
    cost
        As in ``stochcore.estimate``; a simulator has none.

    Returns
    -------
    Estimate
        With zero standard errors. By probs at exactly 0 or 1 the gradient misses outcomes that are never drawn, and
        ``unbiased`` is False.

    Examples
    --------
    >>> import stochcore as sc
    >>> e = sc.exact(sc.Bernoulli(logits=[0.0]), lambda y: (y[:, 0] - 0.45) ** 2)
    >>> round(float(e.grad[0]), 12)
    0.025
    """
    started = time.perf_counter()
    if not isinstance(model, Family):
        raise TypeError(
            f"`model` must be a family such as Bernoulli, or a simulator with its theta, got {_check._short(model)}"
        )
    price = fitting(model, cost)
    if isinstance(model, Simulated):
        return _all_ways(model, started)
    events = model.enumerate()
    y = _on_every_problem(model, events)
    n = length(y)
    j = evaluate(price, copy.deepcopy(y), model.batch_shape)
    bad = ~np.isfinite(j)
    if bad.any():
        row = np.argwhere(bad)[0][0]
        outcome = Structure.of(events).map(lambda part: part[row].tolist(), events)
        raise ValueError(f"`cost` must be finite, got {j[bad][0]} for outcome {outcome}")
    p = model._probs_of(y)
    mean = _ordered_sum(p * j)
    gradient = model._weigh(y, p * (j - mean))  # the score has mean zero: the centre costs nothing
    zero = np.zeros(model.batch_shape)[()]
    return Estimate(
        cost=mean,
        cost_se=zero,
        grad=gradient,
        grad_se=Structure.of(gradient).map(np.zeros_like, gradient),
        n_samples=n,
        n_evals=n * math.prod(model.batch_shape),
        seconds=time.perf_counter() - started,
        unbiased=not model.has_certain_outcomes,
    )


def _all_ways(model: Simulated, started: float) -> Estimate:
    """Return sum p J and sum p ((J - mean) S + R) over all ways that a program can go."""
    p, j, score, rest = model.exact()
    mean = _ordered_sum(p * j)
    grad = _ordered_sum(p[:, None] * ((j - mean)[:, None] * score + rest))
    grad = model._structure.build(np.asarray(grad, dtype=np.float64).reshape(-1))
    return Estimate(
        cost=mean,
        cost_se=np.float64(0.0),
        grad=grad,
        grad_se=np.zeros_like(grad),
        n_samples=len(p),
        n_evals=len(p),
        seconds=time.perf_counter() - started,
        unbiased=True,
    )


def _on_every_problem(model: Family, events: Any) -> Any:
    """Return the outcomes of one problem as samples, in which all problems have the same outcome."""
    if not model.batch_shape or not isinstance(model, Compiled):
        return events
    spread = events.reshape(len(events), *(1,) * len(model.batch_shape), *model.event_shape)
    return np.ascontiguousarray(np.broadcast_to(spread, (len(events), *model.site_shape)))


def _ordered_sum(terms: Array) -> Any:
    """Sum over the first axis, correctly rounded (math.fsum), so that no order of additions shows."""
    flat = terms.reshape(len(terms), -1)
    sums = np.array([math.fsum(flat[:, i]) for i in range(flat.shape[1])])
    return sums.reshape(terms.shape[1:])[()]
