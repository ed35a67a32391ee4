"""entropies: H = -E[log p(y)] of the families, and its derivatives by what their scores are by, in closed form.

With s the score of a site, grad H = -E[(log p(y) + c) s(y)] for any c, since E[s] = 0; here c = H of the site, so that
the weights sum to zero. Sums run from left to right: the same bits everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _functions
from .._distributions import row_sums

Array = NDArray[Any]

HALF_LOG_2PI_E = 1.4189385332046727


def ladders(model: Any) -> tuple[Array, Array, Array]:
    """Return outcomes of each site, log p of them and where there are any: (sites, most) each, padded."""
    first, n = model._first[:, None], model._n[:, None]
    most = np.arange(int(model._n.max()))
    y = first + np.minimum(most, n - 1)
    log_p = model._site_log_probs(y.T.reshape(-1, *model.site_shape)).reshape(len(most), -1).T
    return y, np.ascontiguousarray(log_p), most < n


def weigh(log_p: Array, there: Any = True) -> tuple[Array, Array]:
    """Return H of each row of outcomes, and the weights -p (log p + H) of their scores."""
    p = np.where(there, _functions.exp(log_p), 0.0)
    log_p = np.where(p > 0.0, log_p, 0.0)
    entropy = row_sums(-p * log_p)
    return entropy, -p * (log_p + entropy[:, None])


def counts(model: Any) -> tuple[Array, Array]:
    """Of each site, summed over all outcomes but tails of 2^-60; the score is slope (y - centre)."""
    y, log_p, there = ladders(model)
    entropy, w = weigh(log_p, there)
    centre, slope = (np.broadcast_to(x, model.site_shape).reshape(-1) for x in model._affine())
    return entropy, slope * row_sums(w * (y - centre[:, None]))


def geometric(model: Any) -> tuple[Array, Array]:
    """H = -log p - q/p log q; by the logit q/p log q, by p log q/p^2."""
    p, q = model._p.reshape(-1), model._q.reshape(-1)
    if model.given == "logits":
        x = np.ascontiguousarray(np.broadcast_to(model._arguments["logits"], model.site_shape)).reshape(-1)
        tail = _functions.exp(-x) * _functions.softplus(x)
        return _functions.softplus(-x) + tail, -tail
    rate = model._rate.reshape(-1)  # -log q
    tail = np.where(q > 0.0, q, 0.0) * np.where(q > 0.0, rate, 0.0) / p
    return tail - _functions.log(p), -rate / p / p


def normal(model: Any) -> tuple[Array, Array]:
    """H = log scale + log(2 pi e)/2: none of it by the mean, 1 by the logarithm of the scale."""
    scale = model._scale.reshape(-1)
    by_scale = np.ones_like(scale) if model._by_log else 1.0 / scale
    sites = by_scale.reshape(max(1, int(np.prod(model.batch_shape))), -1)
    return _functions.log(scale) + HALF_LOG_2PI_E, np.concatenate([np.zeros_like(sites), sites], axis=1)


def rounded(model: Any) -> tuple[Array, Array]:
    """Of each site, summed over all outcomes but tails of 2^-60."""
    y, log_p, there = ladders(model)
    mean, scale = model._mean.reshape(-1, 1), model._scale.reshape(-1, 1)
    _, first, second = (np.asarray(x) for x in _functions.normal_interval(*model._borders(y, mean, scale)))
    entropy, w = weigh(log_p, there)
    by_scale = second if model._by_log else second / scale
    return entropy, np.stack([row_sums(w * (first / scale)), row_sums(w * by_scale)], axis=-1)


def ordinal(model: Any) -> tuple[Array, Array]:
    """Of each site, over its classes."""
    classes = model.n_classes
    entropy, w = weigh(model._log_probs.reshape(-1, classes))
    table = model._score_table.reshape(-1, classes, classes)
    scores = np.zeros((len(w), classes))
    for c in range(classes):
        scores += w[:, c, None] * table[:, c]
    return entropy, scores


def chain(model: Any) -> tuple[Array, Array]:
    """H = H(y_0) + sum_t E[H(y_t | y_{t-1})], by the values to come of the states, from the last step back."""
    p, log_p, steps, states = model._probs, model._log_probs, model.n_steps, model.n_states
    chains = len(p)
    moves = p[:, 1:].reshape(chains, -1, states, states)
    surprise = -np.where(p > 0.0, log_p, 0.0)[:, 1:].reshape(moves.shape)
    apart = moves.shape[1] > 1
    to_come = np.zeros((steps, chains, states))  # entropy of all steps after step t, given its state
    for t in range(steps - 2, -1, -1):
        at = t if apart else 0
        gain = moves[:, at] * (surprise[:, at] + to_come[t + 1][:, None, :])
        to_come[t] = row_sums(gain.reshape(-1, states)).reshape(chains, states)
    first = np.where(p[:, 0] > 0.0, -log_p[:, 0], 0.0) + to_come[0]
    entropy = row_sums(p[:, 0] * first)
    scores = np.zeros(p.shape)
    scores[:, 0] = p[:, 0] * (first - entropy[:, None])
    by_move = scores[:, 1:].reshape(moves.shape)
    marginals = model.marginals.reshape(chains, steps, states)
    for t in range(steps - 1):
        at = t if apart else 0
        value = surprise[:, at] + to_come[t + 1][:, None, :] - to_come[t][:, :, None]
        by_move[:, at] += marginals[:, t, :, None] * moves[:, at] * value
    scores[:, 1:] = by_move.reshape(chains, -1, states)
    return entropy, scores
