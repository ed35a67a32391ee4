"""orders: rankings of items, and the first k of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._distributions import Tables
from .compiled import MAX_OUTCOMES, Compiled
from .parameters import Mapped, value_of

Array = NDArray[Any]

MOST_ITEMS = 1 << 20
ALL = object()  # of the items


class Orders(Compiled):
    """What PlackettLuce and TopK share: items by decreasing logit + Gumbel noise."""

    noise_kind = "gumbel"
    dtype = np.dtype(np.int32)

    ordered: bool
    k: int

    def _build(self, logits: Any, k: Any, ordered: bool, batch_ndims: int) -> None:
        argument = self._argument("logits", logits, _check.classes)
        self.n_items = argument.shape[-1]
        if self.n_items > MOST_ITEMS:
            raise ValueError(f"`logits` must have at most 2^20 items on the last axis, got {self.n_items}")
        self.k = self.n_items if k is ALL else _check.integer("k", k, 1, self.n_items)
        self.ordered = ordered
        self._take(batch_ndims, {"logits": argument}, (self.k,), logits=argument.shape[:-1])
        problems, lists = math.prod(self.batch_shape), math.prod(self.site_shape[:-1])
        values = np.array(value_of(argument)).reshape(-1)
        self._tables = Tables(
            "orders", self.dtype, problems, lists // problems * self.k, lists * self.n_items, self.n_items
        )
        self._tables.set_orders(values, self.k, not ordered)
        self._tables.set_scores("ranks", values.size // problems)
        self._map()

    @property
    def _noise_sites(self) -> tuple[int, ...]:
        return (*self.site_shape[:-1], self.n_items)

    @property
    def logits(self) -> Array:
        """Logits, shape (*lists, D)."""
        return value_of(self._arguments["logits"])

    @property
    def support(self) -> range:
        """Items."""
        return range(self.n_items)

    def _outcomes(self, y: ArrayLike) -> Array:
        array = _check.outcomes("y", y, self.site_shape, self.n_items, self.dtype)
        arranged = np.sort(array, axis=-1)
        twice = arranged[..., 1:] == arranged[..., :-1]
        if twice.any():
            at = np.argwhere(twice)[0]
            where = tuple(int(i) for i in at[:-1])
            place = f" at index {where if len(where) > 1 else where[0]}" if where else ""
            raise ValueError(f"`y` must hold each item once, got {int(arranged[tuple(at)])} twice{place}")
        return array if self.ordered else np.ascontiguousarray(arranged)

    def _site_log_probs(self, y: Array) -> Array:
        lists = np.empty(y.shape[:-1])
        self._tables.log_prob_ranks(y.reshape(-1), lists.reshape(-1))
        return lists

    def enumerate(self) -> Array:
        """Return every outcome of one problem, in lexicographic order (the last list runs fastest).

        Returns
        -------
        ndarray of shape (outcomes, *event_shape)

        Raises
        ------
        ValueError
            More than 2^20 outcomes.
        """
        lists = math.prod(self.event_shape[:-1])
        count = (math.perm if self.ordered else math.comb)(self.n_items, self.k)
        if lists * math.log2(count) > math.log2(MAX_OUTCOMES) + 1e-9:
            about = f"some 2^{lists * math.log2(count):.0f} on {lists} lists"
            raise ValueError(f"enumeration must have at most 2^20 outcomes, got {about}")
        pick = itertools.permutations if self.ordered else itertools.combinations
        one = np.array(list(pick(range(self.n_items), self.k)), dtype=self.dtype)
        rows = np.unravel_index(np.arange(count**lists), (count,) * lists) if lists else ()
        return np.stack([one[row] for row in rows], axis=1).reshape(-1, *self.event_shape)

    def _moments(self) -> tuple[Array, Array]:
        """E[y] and E[y^2], by enumeration of each list."""
        values, shape = self.logits.reshape(-1, self.n_items), self.site_shape
        first, second = np.empty((2, len(values), self.k))
        for i, row in enumerate(values):
            alone = self._alone(row)
            y = alone.enumerate().astype(np.float64)
            p = alone.outcome_probs(y.astype(np.int32))[:, None]
            first[i], second[i] = (p * y).sum(axis=0), (p * y * y).sum(axis=0)
        return first.reshape(shape), second.reshape(shape)

    def _alone(self, row: Array) -> Orders:
        raise NotImplementedError

    @property
    def mean(self) -> Array:
        """E[y] of the item number at each place, shape (*lists, k): by enumeration, at most 2^20 outcomes."""
        return self._moments()[0]

    @property
    def variance(self) -> Array:
        """Variance of the item number at each place, shape (*lists, k): by enumeration, at most 2^20 outcomes."""
        first, second = self._moments()
        return np.asarray(second - first * first)


class PlackettLuce(Orders):
    """PlackettLuce(logits, *, batch_ndims=0)

    Rankings: the items by decreasing logit + Gumbel noise.

    Parameters
    ----------
    logits : array_like of shape (*lists, D)
        Finite; the last axis holds the items. Each list is ranked on its own.
    batch_ndims : int
        The first so many axes of lists are independent problems.

    Notes
    -----
    y_0 is the item with the largest logit + noise, and so on: y has shape (n, *lists, D). log p(y) = sum_t [l_{y_t} -
    log sum_{s >= t} exp l_{y_s}] (Plackett, "The analysis of permutations", Applied Statistics 24, 1975; Luce 1959;
    that Gumbel noise makes it: Yellott 1977). Score by l_i: 1 less the chance of i at each place up to its own, given
    what was left. `step` takes Gumbel noise of shape (..., *lists, D).

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.PlackettLuce([2.0, 1.0, 0.0])
    >>> q.step([0.0, 1.5, 0.5])
    array([1, 0, 2], dtype=int32)
    >>> q.outcome_probs(q.enumerate()).round(3)
    array([0.486, 0.179, 0.216, 0.029, 0.066, 0.024])
    """

    def __init__(self, logits: ArrayLike | Mapped, *, batch_ndims: int = 0) -> None:
        self._build(logits, ALL, True, batch_ndims)

    def _alone(self, row: Array) -> PlackettLuce:
        return PlackettLuce(row)


class TopK(Orders):
    """TopK(logits, k, *, ordered=True, batch_ndims=0)

    k of D items without replacement: those with the largest logit + Gumbel noise.

    Parameters
    ----------
    logits : array_like of shape (*lists, D)
        Finite; the last axis holds the items.
    k : int
        In 1 .. D.
    ordered : bool
        True: y holds the items in the order in which they were drawn, with the probability of that order. False: the
        set, its items in increasing order, with the exact probability of the set.
    batch_ndims : int
        The first so many axes of lists are independent problems.

    Notes
    -----
    In order: log p(y) = sum_{t < k} [l_{y_t} - log sum over the items not yet taken of exp l] (Kool, van Hoof and
    Welling, "Stochastic beams and where to find them", 2019). Of a set S, with w = exp l and W what is left over: p(S)
    = integral over s > 0 of W e^{-Ws} prod_{i in S} (1 - e^{-w_i s}), which the trapezoidal rule in log s gives to
    rounding. The score of a set is the expectation of the scores of its orders: less variance.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.TopK([2.0, 1.0, 0.0, 0.0], k=2, ordered=False)
    >>> q.outcome_probs(q.enumerate()).round(3)
    array([0.528, 0.184, 0.184, 0.044, 0.044, 0.015])
    """

    def __init__(self, logits: ArrayLike | Mapped, k: int, *, ordered: bool = True, batch_ndims: int = 0) -> None:
        if not isinstance(ordered, (bool, np.bool_)):
            raise TypeError(f"`ordered` must be a bool, got {_check._short(ordered)}")
        self._build(logits, k, bool(ordered), batch_ndims)
        self._options |= {"k": self.k, "ordered": self.ordered}

    def _alone(self, row: Array) -> TopK:
        return TopK(row, self.k, ordered=self.ordered)

    @property
    def inclusion_probs(self) -> Array:
        """P(item i is among the k), shape (*lists, D): by enumeration of sets, at most 2^20."""
        out = np.zeros((math.prod(self.site_shape[:-1]), self.n_items))
        for i, row in enumerate(self.logits.reshape(-1, self.n_items)):
            alone = TopK(row, self.k, ordered=False)
            y = alone.enumerate()
            np.add.at(out[i], y, np.broadcast_to(alone.outcome_probs(y)[:, None], y.shape))
        return out.reshape(self.logits.shape)
