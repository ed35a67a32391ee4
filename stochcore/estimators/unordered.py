"""unordered: an estimator from sets of different outcomes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check, _functions
from ..costs import BuiltIn, Cost, length
from ..distributions import Compiled, Family, Joint, PlackettLuce, TopK
from ..distributions.parameters import Structure
from ..noise import Stream
from .base import named
from .terms import Block, Terms

Array = NDArray[Any]

MOST_OUTCOMES = 1 << 12
CHUNK_KEYS = 1 << 20


def outcome_count(model: Any) -> float:
    """Return how many outcomes a problem of the model has; infinite where they cannot be listed."""
    if isinstance(model, Joint):
        return math.prod(outcome_count(family) for family in model.families.values())
    if isinstance(model, (PlackettLuce, TopK)):
        ways = math.perm if model.ordered else math.comb
        return float(ways(model.n_items, model.k)) ** math.prod(model.event_shape[:-1])
    try:
        if isinstance(model, Compiled):
            return math.prod(float(len(outcomes)) for outcomes in model._ranges())
        return length(model.enumerate())
    except (NotImplementedError, ValueError):
        return math.inf


@dataclass(frozen=True)
class Domain:
    """All outcomes, and their log-probabilities."""

    outcomes: Any
    log_probs: Array
    probs: Array


@named
@dataclass(frozen=True)
class UnorderedSet(Terms):
    """UnorderedSet(k=4)

    g = sum over s in S of p(s) R(S, s) (J(s) - B(s)) grad log p(s), with S a set of k different outcomes, drawn
    without replacement (the k largest of log p + Gumbel noise), R(S, s) = p(S without s, drawn from all but s) /
    p(S), and B(s) = sum over s' in S of p(s') R(S, s, s') J(s'), R(S, s, s') the same ratio among all outcomes but s.

    Kool, van Hoof and Welling, "Estimating gradients for discrete random variables by sampling without replacement",
    ICLR 2020: the unordered set policy gradient estimator with the built-in baseline. It is the
    first draw's score function, with leave-one-out as its baseline, averaged over the orders in which S may have been
    drawn; with k = all outcomes it is exact. Unbiased. One evaluation of J a sample; `n_samples` is a multiple of k.
    Families without problems of their own (``batch_ndims=0``) and with at most 4,096 outcomes.

    The mean cost is sum over s of p(s) R(S, s) J(s), averaged over the sets. Samples are not those of ``model.sample``.

    Parameters
    ----------
    k : int
        Outcomes in a set, 2 to 8.
    """

    k: int = 4
    name = "unordered_set"
    by_theta = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _check.integer("k", self.k, 2, 8))

    @property
    def least(self) -> int:  # type: ignore[override]
        """How many samples it needs."""
        return self.k

    samples_per_unit = dependent_samples = least

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        if model.batch_shape:
            return "is for models without problems of their own"
        count = outcome_count(model)
        if count > MOST_OUTCOMES:
            return f"lists all outcomes, at most {MOST_OUTCOMES}"
        return f"draws {self.k} different outcomes, and here are {count:.0f}" if count < self.k else None

    def prepare(self, model: Any, cost: BuiltIn | Cost | None, stream: Stream) -> Domain:
        """Return all outcomes."""
        y = model.enumerate()
        logs = np.ascontiguousarray(model.log_prob(y), dtype=np.float64)
        positive = int((logs > -np.inf).sum())
        if positive < self.k:
            raise ValueError(f"`k` must be at most the number of outcomes that can be drawn, {positive}, got {self.k}")
        return Domain(y, logs, _functions.exp(logs))

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs and terms of sets, by theta."""
        rows, rest = self._sets(block)
        y, model = _rows(block.prepared.outcomes, rows.reshape(-1)), block.model
        cost = block.price(y, drawn=True).reshape(block.units, self.k)
        weight, baseline = self._ratios(block.prepared.log_probs[rows], rest)
        away = cost - cost[:, :1]  # so that J + 1e8 gives the same differences
        mean, terms = np.zeros(block.units), np.zeros((block.units, model._structure.size))
        score = _flat_rows(model._structure, model.score(y), length(y)).reshape(block.units, self.k, -1)
        for s in range(self.k):
            mean += weight[s] * away[:, s]
            own = away[:, s].copy()
            for other in range(self.k):
                own -= baseline[s][other] * away[:, other]
            terms += (weight[s] * own)[:, None] * score[:, s]
        return np.repeat(cost[:, 0] + mean, self.k), terms

    def _sets(self, block: Block) -> tuple[Array, Array]:
        """Draw a set for each unit: its outcomes' rows (units, k), and the log-probability of all others."""
        domain, n = block.prepared, block.units
        count = len(domain.log_probs)
        rows, rest = np.empty((n, self.k), dtype=np.int64), np.empty(n)
        step = max(1, CHUNK_KEYS // count)
        for start in range(0, n, step):
            part = Block(block.model, block.cost, block.stream, block.first + start, min(step, n - start))
            keys = domain.log_probs + part.noise("gumbel", count)
            p = np.broadcast_to(domain.probs, keys.shape).copy()
            every = np.arange(len(keys))
            for i in range(self.k):
                best = np.argmax(keys, axis=1)
                rows[start : start + step, i] = best
                keys[every, best] = -np.inf
                p[every, best] = 0.0
            with np.errstate(divide="ignore"):
                rest[start : start + step] = _functions.log(np.add.accumulate(p, axis=1)[:, -1])
        return rows, rest

    def _ratios(self, logs: Array, rest: Array) -> tuple[list[Array], list[list[Array]]]:
        """Return p(s) R(S, s) of each s, and p(s') R(S, s, s') of each pair.

        With W(B) the log-probability that the draws after those in B are S without B, in any order, and M(B) that of
        all outcomes but B: W(S) = 0, exp W(B) = sum over a in S without B of exp(log p(a) - M(B) + W(B and a)). R(S, s)
        = exp(W({s}) - W({})), R(S, s, s') = exp(W({s, s'}) - W({s})).
        """
        k = self.k
        mass, orders = {}, {frozenset(range(k)): np.zeros(len(rest))}
        for size in range(k - 1, -1, -1):
            for some in map(frozenset, combinations(range(k), size)):
                left = [a for a in range(k) if a not in some]
                mass[some] = _log_sums([logs[:, a] for a in left] + [rest])
                orders[some] = _log_sums([logs[:, a] - mass[some] + orders[some | {a}] for a in left])
        none: frozenset[int] = frozenset()
        weight: list[Array] = [
            _functions.exp(logs[:, s] - mass[none] + orders[frozenset([s])] - orders[none]) for s in range(k)
        ]
        baseline: list[list[Array]] = []
        for s in range(k):
            one = frozenset([s])
            row: list[Array] = [_functions.exp(logs[:, a] + orders[one | {a}] - orders[one]) for a in range(k)]
            row[s] = _functions.exp(logs[:, s])
            baseline.append(row)
        return weight, baseline

    def draw(self, model: Any, stream: Any, number: int) -> Any:
        """Return sample `number` again, from its address."""
        unit, which = divmod(number, self.k)
        block = Block(model, _no_cost, stream, unit, 1, None, self.prepare(model, None, stream))
        rows, _ = self._sets(block)
        return _rows(block.prepared.outcomes, rows[0, which : which + 1])


def _no_cost(y: Array) -> Array:
    raise AssertionError


def _rows(y: Any, index: Array) -> Any:
    return Structure.of(y).map(lambda part: np.ascontiguousarray(part[index]), y)


def _flat_rows(structure: Structure, tree: Any, n: int) -> Array:
    if structure.shape is not None:
        return np.asarray(tree, dtype=np.float64).reshape(n, -1)
    return np.concatenate([_flat_rows(field, tree[name], n) for name, field in structure.fields], axis=1)


def _log_sums(logs: list[Array]) -> Array:
    """Return log(sum exp) over a list, in its order."""
    high = logs[0]
    for one in logs[1:]:
        high = np.maximum(high, one)
    total = _functions.exp(logs[0] - high)
    for one in logs[1:]:
        total = total + _functions.exp(one - high)
    return np.asarray(high + _functions.log(total))
