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


@named
@dataclass(frozen=True)
class Vimco(Estimator):
    """Vimco()

    For the bound with many samples: the baseline of a sample is the bound with the others' mean in its place.

    With w_k = p(x, z_k) / q(z_k | x) and L = log(1/K sum_k w_k), the weight of grad log q(z_k | x) is L less the same
    with w_k replaced by the geometric mean of the other w (Mnih and Rezende, "Variational inference for Monte Carlo
    objectives", ICML 2016, eqs. 8 to 10). Unbiased for the gradient of E[L]. K samples and K evaluations, K at least 2;
    ``sc.BernoulliVAE``.
    """

    name = "vimco"
    least = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return "is for the units of an sc.BernoulliVAE"
