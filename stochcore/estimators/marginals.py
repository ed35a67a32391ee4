"""marginals: the outcomes of each site, and how the site's scores move their probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _functions
from ..distributions import Bernoulli, Categorical, Ordinal, RoundedNormal
from ..distributions.counts import Counts

Array = NDArray[Any]

SUMMABLE = (Bernoulli, Categorical, Ordinal, RoundedNormal, Counts)  # sites that are independent of each other


def outcome_ranges(model: Any) -> tuple[Array, Array]:
    """Return the least outcome of each site and how many it has: (problems, sites) each."""
    problems = math.prod(model.batch_shape)
    shape = (problems, math.prod(model.event_shape))
    if isinstance(model, (Counts, RoundedNormal)):
        return model._first.reshape(shape), model._n.reshape(shape)
    return np.zeros(shape, dtype=np.int64), np.full(shape, 2 if isinstance(model, Bernoulli) else model.n_classes)


@dataclass(frozen=True)
class Marginals:
    """Outcomes of each site, in all problems.

    Attributes
    ----------
    first, count : ndarray of shape (problems, sites)
        The least outcome, and how many there are: as many as are ever drawn.
    by_class : {"logits", "probs"} or None
        Classes with a score each.
    probs : ndarray of shape (problems, sites, outcomes)
        Zero beyond the site's own.
    moves : ndarray of shape (problems, sites, outcomes, scores of a site), or None by class
        Derivative of the probabilities by the site's scores.
    """

    first: Array
    count: Array
    by_class: str | None
    probs: Array
    moves: Array | None

    @classmethod
    def of(cls, model: Any) -> Marginals:
        """Make them of a model with independent sites."""
        first, count = outcome_ranges(model)
        most = int(count.max())
        if isinstance(model, Categorical):
            return cls(first, count, model.given, model.probs.reshape(*first.shape, most), None)
        places = np.minimum(np.arange(most)[:, None, None], count - 1)
        y = (first + places).reshape(most, *model.site_shape).astype(model.dtype)
        p = np.moveaxis(model._site_probs(y).reshape(most, *first.shape), 0, -1)
        p = np.where(np.arange(most) < count[..., None], p, 0.0)
        if isinstance(model, Bernoulli):
            move = model.variance.reshape(first.shape) if model.given == "logits" else np.ones(first.shape)
            return cls(first, count, None, p, np.stack([-move, move], axis=-1)[..., None])
        scores = np.moveaxis(_scores(model, y).reshape(most, *first.shape, -1), 0, 2)
        return cls(first, count, None, p, p[..., None] * scores)

    def weigh(self, differences: Array) -> Array:
        """Return sum_c dp_d(c) (J(y with y_d = c) - J(y)) of differences (n, problems, sites, outcomes): by scores."""
        n = len(differences)
        if self.by_class is None:
            assert self.moves is not None
            out = np.zeros((n, *self.moves.shape[:2], self.moves.shape[3]))
            for c in range(differences.shape[-1]):
                out += differences[..., c, None] * self.moves[:, :, c]
            return out.reshape(n, -1)
        weight = self.probs if self.by_class == "logits" else np.full(self.probs.shape, 1.0 / self.probs.shape[-1])
        mean = np.zeros(differences.shape[:-1])
        for c in range(differences.shape[-1]):
            mean += weight[..., c] * differences[..., c]
        away = differences - mean[..., None]
        return np.asarray(self.probs * away if self.by_class == "logits" else away).reshape(n, -1)


def _scores(model: Any, y: Array) -> Array:
    """Return the scores of each site's outcome, those of a site on the last axis."""
    if isinstance(model, Counts):
        centre, slope = model._affine()
        return np.asarray(slope * (y - centre))
    if isinstance(model, RoundedNormal):
        _, first, second = _functions.normal_interval(*model._borders(y, model._mean, model._scale))
        return np.stack([first / model._scale, second if model._by_log else second / model._scale], axis=-1)
    table = np.broadcast_to(model._score_table, (*y.shape, *model._score_table.shape[-2:]))
    return np.take_along_axis(table, y[..., None, None].astype(np.int64), axis=-2)[..., 0, :]
