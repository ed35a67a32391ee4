"""networks: what only layers of an ``sc.Network`` can do."""

from __future__ import annotations

from dataclasses import dataclass

from ..costs import BuiltIn, Cost
from ..distributions import Family
from .base import Estimator, named


@named
@dataclass(frozen=True)
class StraightThrough(Estimator):
    """StraightThrough()

    The gradient by the units, as if they were their means: g = dJ/dy dE[y]/dlogit.

    Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons for conditional
    computation", 2013. Biased, unless J is linear in y: for comparison. One evaluation of J a sample; ``sc.Network``,
    with a cost that has a gradient.
    """

    name = "straight_through"
    unbiased = False

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.Network"
