"""gaussian: estimators for Normal models and costs that know their gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..costs import BuiltIn, Cost
from ..distributions import Family, Normal
from .base import named
from .terms import Block, Terms

Array = NDArray[Any]


class Smooth(Terms):
    """An estimator for a Normal and a cost with `grad_y`."""

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        if not isinstance(model, Normal):
            return "is for Normal models"
        if getattr(cost, "grad_y", None) is None:
            return "needs a cost that knows its gradient, by a method `grad_y`"
        return None

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of samples."""
        model, y = block.model, block.sample()
        shape = (block.problems, math.prod(model.event_shape))
        costs = block.price(y, drawn=True)
        slope = block.slopes(y, "grad_y")
        by_scale = self._by_scale(block, y, slope, model.scale.reshape(shape))
        if model._by_log:
            by_scale = by_scale * model.scale.reshape(shape)
        return costs, np.concatenate([slope, by_scale], axis=-1)

    def _by_scale(self, block: Block, y: Array, slope: Array, scale: Array) -> Array:
        """Return terms by the scale."""
        return slope * block.noise_of_samples("normal").reshape(slope.shape)


@named
@dataclass(frozen=True)
class Pathwise(Smooth):
    """Pathwise()

    g = dJ/dy at y = mean + scale z, by the chain rule: by mean dJ/dy_d, by scale z_d dJ/dy_d (by log_scale times the
    scale).

    Mohamed, Rosca, Figurnov and Mnih, "Monte Carlo gradient estimation in machine learning", JMLR 21, 2020, section 5.
    Unbiased where J is continuous and its gradient exists almost everywhere; a step in J is overlooked, and then it is
    biased (`MeasureValued` is not). Normal, and a cost with a method ``grad_y(y)`` of shape (n, *sites), such as
    ``stochcore.costs.with_gradient`` makes. One evaluation of J and one of its gradient a sample.
    """

    name = "pathwise"


@named
@dataclass(frozen=True)
class Price(Smooth):
    """Price()

    By mean E[dJ/dy_d] (Bonnet's theorem), by the variance 1/2 E[d^2 J/dy_d^2] (Price's theorem), so by scale the second
    derivative times the scale.

    Bonnet 1964; Price, "A useful theorem for nonlinear devices having Gaussian inputs", 1958; Rezende, Mohamed and
    Wierstra, "Stochastic backpropagation and approximate inference in deep generative models", ICML 2014, eq. 7 and 8.
    Unbiased where J has two derivatives; with one, by Stein's identity, 1/2 E[dJ/dy_d z_d / scale_d], which is the
    pathwise estimator. Normal, and a cost with ``grad_y(y)``; where it has ``hess_y(y)``, of shape (n, *sites), that is
    the diagonal of the second derivatives. One evaluation of J, and one of each, a sample.
    """

    name = "price"

    def _by_scale(self, block: Block, y: Array, slope: Array, scale: Array) -> Array:
        if getattr(block.cost, "hess_y", None) is None:
            return super()._by_scale(block, y, slope, scale)
        return block.slopes(y, "hess_y") * scale
