"""classes: a coupled antithetic estimator for categorical sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _functions
from ..costs import BuiltIn, Cost
from ..distributions import Categorical, Family
from ..noise import Stream
from .base import named
from .bits import woven
from .terms import Block, Terms

Array = NDArray[Any]

LAST = 1.0 - 2.0**-53  # the largest uniform


@dataclass(frozen=True)
class Sticks:
    """Classes as bits: class c is taken where its stick breaks and none before it did.

    Attributes
    ----------
    order : ndarray of shape (sites, C)
        The classes, those of large probability first.
    take, leave : ndarray of shape (sites, C)
        Probability that stick c breaks, p_c / (p_c + p_c+1 + ...), and one minus it; the last one always does.
    """

    order: Array
    take: Array
    leave: Array

    @classmethod
    def of(cls, logits: Array, ordered: bool = True) -> Sticks:
        """Make them of logits (sites, C), which may be -inf."""
        order = np.argsort(-logits, axis=1, kind="stable") if ordered else np.argsort(logits * 0, kind="stable")
        own = np.take_along_axis(logits, order, axis=1)
        tail = np.full(own.shape, -np.inf)  # log of the mass behind
        for c in range(own.shape[1] - 2, -1, -1):
            tail[:, c] = _log_sum(own[:, c + 1], tail[:, c + 1])
        with np.errstate(invalid="ignore"):
            odds = own - tail  # no number where neither class nor tail is ever taken: never reached
        odds = np.where(np.isnan(odds), 0.0, odds)
        odds[:, -1] = np.inf
        return cls(order, _functions.sigmoid(odds), _functions.sigmoid(-odds))


def _log_sum(a: Array, b: Array) -> Array:
    high, low = np.maximum(a, b), np.minimum(a, b)
    gap = np.where(np.isfinite(low), low - np.where(np.isfinite(high), high, 0.0), -np.inf)
    return np.asarray(high + _functions.log1p(_functions.exp(gap)))


@named
@dataclass(frozen=True)
class Coupled(Terms):
    """Coupled(ordered=True)

    DisARM on the sticks of stick-breaking: with b, b' the bits of an antithetic pair y, y' at stick c, p_c the stick's
    probability and alpha_c its logit, g by alpha_c is (J(y) - J(y'))/2 times

        (b_c - b'_c) max(p_c, 1 - p_c)   where both reach the stick (none of theirs before it broke),
        b_c - p_c, -(b'_c - p_c)         where only y, only y' does,
        0                                where neither does;

    then by the classes' logits, alpha_c = l_c - log(sum of exp l_j behind c).

    DisARM-SB: Dong, Mnih and Tucker, "Coupled gradient estimators for discrete latent variables", NeurIPS 2021
    (what a sample does not reach is averaged out). Unbiased. One evaluation of J a sample,
    `n_samples` even; Categorical. For two classes it is `Disarm`.

    Samples come from noise of their own, C uniforms a site: they are not those of ``model.sample``.

    Parameters
    ----------
    ordered : bool
        Break the sticks of likely classes first; else in the order of the classes.
    """

    ordered: bool = True
    name = "coupled"
    least = 2
    samples_per_unit = 2
    dependent_samples = 2

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Categorical) else "is for Categorical models"

    def prepare(self, model: Any, cost: BuiltIn | Cost | None, stream: Stream) -> Sticks:
        """Return the sticks of all sites."""
        return Sticks.of(model.logits.reshape(-1, model.n_classes), self.ordered)

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of pairs."""
        sticks, model = block.prepared, block.model
        mine, its, pair = _break(block)
        costs = block.price(pair, drawn=True)
        half = (costs[::2] - costs[1::2]) / 2.0
        each = model.n_elements // block.problems
        weight = np.repeat(half, each, axis=1)  # of each site
        n, classes = block.units, model.n_classes
        terms = np.empty((n, model.n_elements, classes))
        before = np.zeros(weight.shape)  # sum over the sticks before, of what they pass on
        for c in range(classes):
            take, leave = sticks.take[:, c], sticks.leave[:, c]
            own = weight * _factor(c, mine, its, take, leave) if c < classes - 1 else np.zeros(weight.shape)
            terms[:, :, c] = own - take * before
            before = before * leave + own
        unsorted = np.empty_like(terms)
        np.put_along_axis(unsorted, np.broadcast_to(sticks.order, terms.shape), terms, axis=-1)
        if model.given == "probs":
            unsorted = _by_probs(model.probs.reshape(-1, classes), unsorted)
        return costs, unsorted

    def draw(self, model: Any, stream: Any, number: int) -> Any:
        """Return sample `number` again, from its address."""
        unit, which = divmod(number, 2)
        block = Block(model, _no_cost, stream, unit, 1, None, self.prepare(model, None, stream))
        return _break(block)[2][which : which + 1]


def _no_cost(y: Array) -> Array:
    raise AssertionError


def _break(block: Block) -> tuple[Array, Array, Array]:
    """Draw pairs: at which stick each stops, (pairs, sites) twice, and their classes, y and y' by turns."""
    model, sticks = block.model, block.prepared
    sites, classes = sticks.order.shape
    u = block.noise("uniform", sites * classes).reshape(block.units, sites, classes)
    u[:, :, -1] = 0.0  # the last stick always breaks
    opposite = LAST - u
    opposite[:, :, -1] = 0.0
    stops = [np.argmax(noise < sticks.take, axis=-1) for noise in (u, opposite)]
    classes_of = [
        np.take_along_axis(np.broadcast_to(sticks.order, u.shape), stop[..., None], axis=-1)[..., 0] for stop in stops
    ]
    pair = woven(*classes_of).astype(model.dtype).reshape(-1, *model.site_shape)
    return stops[0], stops[1], pair


def _factor(c: int, mine: Array, its: Array, take: Array, leave: Array) -> Array:
    """Return what the difference of costs is weighed with at stick c, where the pair stops at `mine` and `its`."""
    own, other = (np.where(stop == c, leave, -take) for stop in (mine, its))  # b - p
    both = ((mine == c) * 1.0 - (its == c)) * np.maximum(take, leave)
    reaches, too = mine >= c, its >= c
    return np.where(reaches & too, both, np.where(reaches, own, np.where(too, -other, 0.0)))


def _by_probs(p: Array, terms: Array) -> Array:
    """Return derivatives along the simplex from those by logits; 0 by what is never drawn."""
    each = np.where(p > 0.0, terms / np.where(p > 0.0, p, 1.0), 0.0)
    mean = np.add.accumulate(each, axis=-1)[..., -1:] / p.shape[-1]
    return np.asarray(each - mean)
