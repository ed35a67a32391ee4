"""bits: estimators of Bernoulli models that look at the noise behind the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..costs import BuiltIn, Cost
from ..distributions import Bernoulli, Family
from .base import named
from .terms import Block, Terms

Array = NDArray[Any]

HALF_STEP = 2.0**-54  # from the uniform k 2^-53 to the middle of what it stands for


@named
@dataclass(frozen=True)
class Arm(Terms):
    """Arm()

    g_d = (J(y') - J(y)) (u_d - 1/2), averaged over antithetic pairs y = [u < p], y' = [1 - u < p].

    ARM: Yin and Zhou, "ARM: augment-REINFORCE-merge gradient for stochastic binary networks", ICLR 2019, theorem 1;
    by probs it is divided by p (1 - p). Unbiased. One evaluation of J a sample, `n_samples` even; Bernoulli, and
    networks of BernoulliUnits (a multiple of the layers of units and one). `Disarm` is its expectation given the bits,
    and so never worse.
    """

    name = "arm"
    least = 2
    samples_per_unit = 2
    dependent_samples = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Bernoulli) else "is for Bernoulli models"

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of pairs."""
        costs = block.price(woven(block.sample(), block.opposite()), drawn=True)
        away = (block.noise_of_samples("uniform") - 0.5) + HALF_STEP
        difference = costs[1::2] - costs[::2]
        terms = difference[:, :, None] * away.reshape(block.units, block.problems, -1)
        if block.model.given == "probs":
            terms = terms * per_probability(block.model).reshape(block.problems, -1)
        return costs, terms

    def draw(self, model: Family, stream: Any, number: int) -> Any:
        """Return sample `number` again, from its address."""
        row, opposite = divmod(number, 2)
        own = stream.antithetic() if opposite else stream
        return model.sample(1, own.at(row * model.n_elements))


def woven(a: Array, b: Array) -> Array:
    """Return the rows a_0, b_0, a_1, b_1, ..."""
    return np.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def per_probability(model: Bernoulli) -> Array:
    """Return the derivative of the logits by the probabilities, 0 where bits are certain, and so without a pair."""
    variance = model.variance
    return np.where(variance > 0.0, 1.0 / np.where(variance > 0.0, variance, 1.0), 0.0)
