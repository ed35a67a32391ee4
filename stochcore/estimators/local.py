"""local: estimators that change one site, or one parameter, at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Bernoulli, Categorical, Family, Normal, Poisson
from ..noise import Stream
from .base import named
from .marginals import SUMMABLE, Marginals, outcome_ranges
from .terms import Block, Terms, _as_sites
from .weights import Weighing

Array = NDArray[Any]

ROOT_2_PI = 2.5066282746310002


@named
@dataclass(frozen=True)
class LocalExpectation(Terms):
    """LocalExpectation(max_outcomes=256)

    g = 1/n sum_i sum_d sum_c dp_d(c)/dtheta J(y_i with y_d = c): each site in turn is summed out, the others being
    sampled.

    Titsias and Lazaro-Gredilla, "Local expectation gradients for black box variational inference", NeurIPS 2015:
    the score function with each site's own noise averaged out (Rao-Blackwell). Unbiased. Families with independent
    sites: Bernoulli, Categorical, Ordinal, Binomial, and counts as far as they are drawn.

    One evaluation of J a sample where the cost knows its `differences` (or, for bits, `flip`); else 1 + sum_d (C_d -
    1), C_d outcomes of site d: the outcome that was drawn is not evaluated again. So it is in
    networks, for small layers of units, where `n_samples` counts what is drawn and not what is evaluated.

    Parameters
    ----------
    max_outcomes : int
        Sites with more outcomes are refused.
    """

    max_outcomes: int = 256
    name = "local_expectation"

    def __post_init__(self) -> None:
        _check.integer("max_outcomes", self.max_outcomes, 2)

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        if not isinstance(model, SUMMABLE):
            return "is for sites that are independent of each other and can be counted"
        most = int(outcome_ranges(model)[1].max())
        if most > self.max_outcomes:
            return f"sums over the outcomes of a site, at most {self.max_outcomes}, and here one has {most}"
        return None

    def evals_per_sample(self, model: Any, cost: BuiltIn | Cost) -> int:
        """Return how often J is called for a sample."""
        return 1 if knows_differences(model, cost) else _evals(model)

    def weighing(self, model: Any, cost: Any, n_samples: int) -> Weighing | None:
        """Let the kernels do bits whose cost they know (csrc/kernels/local.h)."""
        if not (isinstance(model, Bernoulli) and isinstance(cost, BuiltIn)):
            return None
        p, q = model._tables.probs, model._tables.complement
        by_p = p * q if model.given == "logits" else np.ones_like(p)
        return Weighing(self.name, np.zeros(math.prod(model.batch_shape)), factor=by_p, flips=True)

    def prepare(self, model: Any, cost: BuiltIn | Cost, stream: Stream) -> Marginals:
        """Return what the sites may be."""
        return Marginals.of(model)

    def numbers_per_sample(self, model: Any) -> int:
        """Return how many numbers a block holds for a sample."""
        outcomes = int(outcome_ranges(model)[1].max()) * model.n_elements
        return int(max(outcomes, super().numbers_per_sample(model)))

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of samples."""
        y = block.sample()
        costs = block.price(y, drawn=True)
        return costs, block.prepared.weigh(differences(block, y, costs))


def _evals(model: Any) -> int:
    """Return how many outcomes are a sample, or are one site away from it."""
    return int(1 + (outcome_ranges(model)[1].max(axis=0) - 1).sum())


def knows_differences(model: Any, cost: Any) -> bool:
    """Does the cost know what it is when one site changes?"""
    first, _ = outcome_ranges(model)
    if getattr(cost, "differences", None) is not None and not first.any():
        return True
    return isinstance(model, Bernoulli) and getattr(cost, "flip", None) is not None


def differences(block: Block, y: Array, costs: Array) -> Array:
    """Return J(y with y_d = c) - J(y), (n, problems, sites, outcomes)."""
    model, sites = block.model, block.prepared
    cost: Any = block.cost
    most = sites.probs.shape[-1]
    if not knows_differences(model, cost):
        return _changed(block, y, costs)
    own = _as_sites(cost, model, y)
    shape = (len(y), *sites.first.shape)
    if getattr(cost, "differences", None) is not None:
        return _of_cost("differences", cost.differences(own, most), (*y.shape, most)).reshape(*shape, most)
    flips = _of_cost("flip", cost.flip(own), y.shape).reshape(shape)
    bits = y.reshape(shape)
    return np.stack([np.where(bits == 1, flips, 0.0), np.where(bits == 1, 0.0, flips)], axis=-1)


def _of_cost(method: str, values: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{method}` of the cost must return real numbers, got dtype {array.dtype}")
    if array.size != math.prod(shape) or array.shape[:1] != shape[:1]:
        raise ValueError(f"`{method}` of the cost must return shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"`{method}` of the cost must be finite, got {array[~np.isfinite(array)][0]}")
    return array.astype(np.float64)


def _changed(block: Block, y: Array, costs: Array) -> Array:
    """Evaluate J with each site at each of its other outcomes."""
    first, count = block.prepared.first, block.prepared.count
    place = y.reshape(len(y), *first.shape) - first
    out = np.zeros((len(y), *first.shape, block.prepared.probs.shape[-1]))

    def others() -> Iterator[tuple[int, Array]]:
        for site in range(first.shape[1]):
            for step in range(1, count[:, site].max()):  # where a problem has fewer, some come twice
                yield site, (place[:, :, site] + step) % count[:, site]

    changes = ((site, first[:, site] + other) for site, other in others())
    for (site, other), priced in zip(others(), block.price_changes(y, changes), strict=True):
        np.put_along_axis(out[:, :, site], other[..., None], (priced - costs)[..., None], axis=-1)
    return out


@named
@dataclass(frozen=True)
class MeasureValued(Terms):
    """MeasureValued()

    g = c (J(y+) - J(y-)), one parameter at a time, where dp/dtheta = c (p+ - p-) is a difference of two distributions
    and y+, y- are y with that site drawn from these.

    Weak derivatives: Mohamed, Rosca, Figurnov and Mnih, "Monte Carlo gradient estimation in machine learning", JMLR 21,
    2020, table 1 and section 6; Heidergott and Vazquez-Abad 2008. Unbiased, also where J has steps.

    | family | by | c | y+ | y- | evaluations of J a sample, D sites |
    |---|---|---|---|---|---|
    | Bernoulli | probs (logits: times p (1-p)) | 1 | 1 | 0 | D + 1 |
    | Categorical | logit k | p_k | k | y itself | D (C-1) + 1 |
    | Categorical | probs, tangent | 1 | k | the mean over all classes | D (C-1) + 1 |
    | Poisson | rate (log_rate: times the rate) | 1 | y + 1 | y | D + 1 |
    | Normal | mean | 1/(scale sqrt(2 pi)) | mean + scale W | mean - scale W | 3D + 1 with scale |
    | Normal | scale (log_scale: times it) | 1/scale | mean + scale M | y | |

    W is Rayleigh (Weibull of shape 2), M double-sided Maxwell. Couplings (section 7.2 there): W is the same on both
    sides; M has the sign of y's own noise z and |M| = sqrt(z^2 + W^2), which is what M has given z where z = M U with U
    uniform, so that J(y) serves all sites.
    """

    name = "measure_valued"

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        known = isinstance(model, (Bernoulli, Categorical, Poisson, Normal))
        return None if known else "is for Bernoulli, Categorical, Poisson and Normal models"

    def evals_per_sample(self, model: Any, cost: BuiltIn | Cost) -> int:
        """Return how often J is called for a sample."""
        sites: int = math.prod(model.event_shape)
        if isinstance(model, (Normal, Poisson)):
            return sites * (3 if isinstance(model, Normal) else 1) + 1
        return _evals(model)

    def prepare(self, model: Any, cost: BuiltIn | Cost, stream: Stream) -> Any:
        """Return what the sites may be, where they are finite."""
        return None if isinstance(model, (Normal, Poisson)) else Marginals.of(model)

    def numbers_per_sample(self, model: Any) -> int:
        """Return how many numbers a block holds for a sample."""
        return 3 * super().numbers_per_sample(model)

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of samples."""
        y = block.sample()
        costs = block.price(y, drawn=True)
        if isinstance(block.model, Normal):
            return costs, _normal_terms(block, y, costs)
        if isinstance(block.model, Poisson):
            return costs, _poisson_terms(block, y, costs)
        change = _changed(block, y, costs)
        if block.prepared.by_class == "logits":
            return costs, block.prepared.probs * change
        return costs, block.prepared.weigh(change)


def _poisson_terms(block: Block, y: Array, costs: Array) -> Array:
    flat = y.reshape(len(y), block.problems, -1)
    more = ((site, flat[:, :, site] + 1) for site in range(flat.shape[-1]))
    change = np.stack([priced - costs for priced in block.price_changes(y, more)], axis=-1)
    if block.model.given == "rate":
        return change
    return np.asarray(change * block.model.rate.reshape(change.shape[1:]))


def _normal_terms(block: Block, y: Array, costs: Array) -> Array:
    model = block.model
    shape = (block.problems, math.prod(model.event_shape))
    mean, scale = model.mean.reshape(shape), model.scale.reshape(shape)
    z = block.noise_of_samples("normal").reshape(len(y), *shape)
    square = 2.0 * block.noise("exponential", model.n_elements).reshape(z.shape)
    w = np.sqrt(square)
    moved = (mean + scale * w, mean - scale * w, mean + scale * np.copysign(np.sqrt(z * z + square), z))
    changes = ((site, values[:, :, site]) for values in moved for site in range(shape[1]))
    priced = np.stack(list(block.price_changes(y, changes)), axis=-1)
    up, down, wide = np.split(priced, 3, axis=-1)
    by_scale = wide - costs[..., None]
    by_mean = (up - down) / (scale * ROOT_2_PI)
    return np.concatenate([by_mean, by_scale if model._by_log else by_scale / scale], axis=-1)
