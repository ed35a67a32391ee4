"""enumerated: no samples at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..costs import BuiltIn, Cost
from ..distributions import Family
from ..distributions.compiled import MAX_OUTCOMES
from .base import Estimator, named
from .unordered import outcome_count


@named
@dataclass(frozen=True)
class Exact(Estimator):
    """Exact()

    g = sum over all y of p(y) J(y) grad log p(y): what ``stochcore.exact`` gives, with standard errors of zero.

    No samples are drawn, and `n_samples`, `seed` and `target_se` have no effect. J is called for each outcome, of which
    a problem has at most 2^20. Every family with `enumerate`.
    """

    name = "exact"
    samples = False

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        count = outcome_count(model)
        return None if count <= MAX_OUTCOMES else "lists all outcomes, at most 2^20"
