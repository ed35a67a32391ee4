"""differences: the gradient from neighbouring parameters, with common random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Categorical, Family, Joint
from ..distributions.parameters import Mapped
from ..noise import Stream
from .base import named
from .terms import Block, Terms

Array = NDArray[Any]

KEPT_NUMBERS = 1 << 20  # parameters of neighbouring models that are kept from block to block


@named
@dataclass(frozen=True)
class FiniteDifference(Terms):
    """FiniteDifference(h=0.05)

    g_k = (J(f(z; theta + h e_k)) - J(f(z; theta - h e_k))) / (2h), with the same noise z on both sides.

    Glasserman, "Monte Carlo Methods in Financial Engineering", 2003, section 7.1 (central differences, common random
    numbers). Biased by h^2/6 times the third derivative of E[J], and so by O(h^2); its variance grows as 1/h, since the
    outcomes of both sides differ in a share of the samples that is proportional to h. Every family; probabilities of
    classes move within their simplex, theta +- h (e_k - 1/C).

    2P + 1 evaluations of J a sample, P parameters.

    Parameters
    ----------
    h : float
        Positive. Parameters must stay allowed at h to both sides.
    """

    h: float = 0.05
    name = "finite_difference"
    unbiased = False
    by_theta = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", _check.real("h", self.h, positive=True))

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing: nothing."""
        return None

    def evals_per_sample(self, model: Family, cost: BuiltIn | Cost) -> int:
        """Return how often J is called for a sample."""
        return 2 * model._structure.size + 1

    def prepare(self, model: Family, cost: BuiltIn | Cost, stream: Stream) -> list[tuple[Any, Any]] | None:
        """Return the neighbouring models, where they are few; where there are many, each block makes them again."""
        few = model._structure.size**2 <= KEPT_NUMBERS
        return list(self._neighbours(model)) if few else None

    def _neighbours(self, model: Family) -> Iterator[tuple[Any, Any]]:
        theta = model._structure.leaves(model.parameters).astype(np.float64)
        simplices = _simplices(model)
        for k in range(theta.size):
            away = np.zeros(theta.size)
            if simplices[k] >= 0:
                own = np.flatnonzero(simplices == simplices[k])
                away[own] = -self.h / len(own)
            away[k] += self.h
            yield self._moved(model, theta + away), self._moved(model, theta - away)

    def _moved(self, model: Family, theta: Array) -> Any:
        try:
            return model.with_parameters(model._structure.build(theta))
        except ValueError as error:
            raise ValueError(
                f"`h` must be so small that parameters stay allowed to both sides, got {self.h}: {error}"
            ) from None

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of samples, by theta."""
        model = block.model
        costs = block.price(block.sample(), drawn=True)
        terms = np.empty((block.units, model._structure.size))
        for k, sides in enumerate(block.prepared or self._neighbours(model)):
            up, down = (block.price(side.sample(block.units, block.own, n_threads=block.n_threads)) for side in sides)
            change = np.add.accumulate(up - down, axis=1)[:, -1]  # over the problems, in order
            terms[:, k] = change / (2 * self.h)
        return costs, terms


def _simplices(model: Any) -> Array:
    """Return, for each number of theta, which simplex of probabilities it belongs to, or -1."""
    if isinstance(model, Joint):
        parts, at = [], 0
        for family in model.families.values():
            own = _simplices(family)
            parts.append(np.where(own >= 0, own + at, -1))
            at += own.size
        return np.concatenate(parts)
    size = model._structure.size
    if isinstance(model, Categorical) and model.given == "probs" and not isinstance(model._arguments["probs"], Mapped):
        return np.arange(size) // model.n_classes
    return np.full(size, -1)
