"""graphs: costs of bits over few pairs of sites, all of them one quadratic form (csrc/kernels/cuts.h)."""

from __future__ import annotations

import copy
import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._costs import Weights
from ..distributions.compiled import Compiled
from .built_in import Formula, _bits
from .pairs import Pairs, pairs_of, read

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

TERMS_FOR_A_PAIR = 10  # more powers of two than this, and a pair is cheaper as a number
EXACT = 2.0**51  # sums of whole numbers up to here are exact


@dataclass(frozen=True, eq=False)
class Cut:
    """A form as signed powers of two of a unit, each on whether two bits differ; see `cuts.h`."""

    constant: float
    unit: float
    offset: int
    n_planes: int
    groups: Array  # rows (first, count, plane, turned)
    pairs: Array  # j << 32 | i


class Form(Formula):
    """J(y) = constant + b . y + sum over pairs i < j of q_ij y_i y_j, for bits y: what `QUBO`, `Ising`, `MaxCut` are.

    A model whose sites have several axes is taken in C order; a call on samples of one's own wants the sites flat.
    Where the weights are whole multiples of a power of two, as in all common instances, J is exact: 64 samples are
    added up at a time, and no rounding takes place.

    Attributes
    ----------
    constant : float
    linear : ndarray of shape (n,)
        b.
    first, second : ndarray of shape (pairs,)
        i < j, sorted.
    weight : ndarray of shape (pairs,)
        q_ij.
    """

    kind = "form"
    _flat = True
    constant: float
    first: Array
    second: Array
    weight: Array
    _cut: Cut | None

    def _take_form(self, n: int, i: Array, j: Array, q: Array, b: Array, constant: float) -> None:
        """Keep constant + b . y + sum q y_i y_j; the same as a cut has the weights -q/2 and b + sum q/2."""
        self._keep(i, j, q, b, constant)
        unit = _unit(np.concatenate([q / 2, b]))
        exact = unit and max(_most(q) / 2, _most(b)) / unit * (2 * q.size + n + 1) < EXACT
        self._cut = _cut_of(n, i, j, -q / 2, b + _at_ends(n, i, j, q / 2), constant) if exact else None

    def _take_cut(self, n: int, i: Array, j: Array, w: Array, alone: Array, constant: float) -> None:
        """Keep constant + alone . y + sum w [y_i != y_j]; the same as a form has the weights -2 w and alone + sum w."""
        with np.errstate(over="ignore"):
            self._keep(i, j, -2.0 * w, alone + _at_ends(n, i, j, w), constant)
        self._cut = _cut_of(n, i, j, w, alone, constant)

    def _keep(self, i: Array, j: Array, q: Array, b: Array, constant: float) -> None:
        """Keep the form, unless its sums overflow."""
        if not (math.isfinite(constant) and np.all(np.isfinite(b)) and np.all(np.isfinite(q))):
            raise ValueError("`cost` must have weights whose sums are finite, got some too large for float64")
        self.constant, self.linear, self.first, self.second, self.weight = constant, b, i, j, q

    @property
    def n_nodes(self) -> int:
        """Number of bits."""
        return self.linear.size

    @property
    def n_pairs(self) -> int:
        """Number of pairs that have a weight."""
        return self.weight.size

    def _make(self, packed: bool, flips: bool) -> Weights:
        weights = Weights(self.kind, 0, self.linear)
        n, ends = self.n_nodes, np.concatenate([self.first, self.second])
        others = np.concatenate([self.second, self.first])
        order = np.lexsort((others, ends))
        start = np.zeros(n + 1, np.int64)
        start[1:] = np.bincount(ends, minlength=n).cumsum()
        upper = start[:-1] + np.bincount(self.second, minlength=n)
        weights.set_form(self.constant, start, upper, others[order].astype(np.int32), np.tile(self.weight, 2)[order])
        weights.set_slope(self.linear, None)
        if self._cut is not None:
            c = self._cut
            weights.set_cut(c.constant, c.unit, c.offset, c.n_planes, c.groups, c.pairs)
        if packed and n <= 8:
            outcomes = np.arange(256)[:, None] >> np.arange(n) & 1
            costs = np.empty(256)
            weights.rows(outcomes.astype(np.uint8).reshape(-1), 1, n, costs, 1)
            weights.set_outcomes(costs)
        return weights

    def _take(self, model: Compiled) -> None:
        if getattr(model, "support", None) != range(2):
            raise ValueError(f"`cost` is of bits: the model must have outcomes 0 and 1, got {model!r}")

    @property
    def _told(self) -> str:
        return f"{type(self).__name__} of {self.n_nodes} nodes"

    def _outcomes(self, y: ArrayLike) -> Array:
        array = _check._array("y", y)
        return array if array.dtype == np.uint8 else _bits(array)  # bytes are looked at by the kernel

    def negated(self) -> Self:
        """Return minus this cost, exactly."""
        other = copy.copy(self)
        other.constant, other.linear, other.weight = -self.constant, -self.linear, -self.weight
        if self._cut is not None:
            other._cut = replace(self._cut, constant=-self._cut.constant, unit=-self._cut.unit)
        return other

    def __repr__(self) -> str:
        return f"costs.{type(self).__name__}(<{self.n_nodes} nodes, {self.n_pairs} pairs>)"


class QUBO(Form):
    """QUBO(Q, b=None, *, n_nodes=None)

    J(y) = y'Qy + b . y = sum_i (Q_ii + b_i) y_i + sum_{i<j} (Q_ij + Q_ji) y_i y_j, for bits y.

    Parameters
    ----------
    Q : matrix, graph or edges
        As in `MaxCut`, but a matrix need not be symmetric, and the diagonal (self-loops) counts. Of a graph or of edges
        each entry counts once: (i, j, w) adds w y_i y_j.
    b : array_like of shape (n,), optional
    n_nodes : int, optional
        As in `MaxCut`.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.QUBO([[1.0, -3.0], [0.0, 1.0]])([[0, 0], [0, 1], [1, 1]])
    array([ 0.,  1., -1.])
    """

    def __init__(self, Q: Any, b: ArrayLike | None = None, *, n_nodes: int | None = None) -> None:
        self._take_pairs(pairs_of("Q", Q, n_nodes), b, 1.0)

    def _take_pairs(self, pairs: Pairs, b: ArrayLike | None, factor: float) -> None:
        i, j, q, diagonal = pairs.summed()
        with np.errstate(over="ignore"):
            q, alone = factor * q, _vector("b", b, pairs.n) + diagonal
        self._take_form(pairs.n, i, j, q, alone, 0.0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read an instance of the Biq Mac Library.

        Lines "i j q", 1-based, after a line "n m" mean sum_i q_ii y_i + 2 sum_{i<j} q_ij y_i y_j: a pair is named once
        and counts twice. Pairs that are named again are added up.

        Parameters
        ----------
        path : path

        Returns
        -------
        QUBO
        """
        made = cls.__new__(cls)
        made._take_pairs(read(path, "a QUBO"), None, 2.0)
        return made


class Ising(Form):
    """Ising(J, h=None, *, n_nodes=None)

    J(y) = sum_{i<j} J_ij s_i s_j + sum_i h_i s_i with spins s = 2y - 1: bit 0 is spin -1, bit 1 is spin +1. This is the
    energy to be minimised, with no minus sign in it: neighbours with J_ij < 0 like to be equal.

    Parameters
    ----------
    J : matrix, graph or edges
        As in `MaxCut`; each pair counts once, and there is no diagonal.
    h : array_like of shape (n,), optional
    n_nodes : int, optional
        As in `MaxCut`.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.Ising([(0, 1, -1.0)], h=[0.0, 0.5])([[0, 0], [0, 1], [1, 1]])
    array([-1.5,  1.5, -0.5])
    """

    def __init__(self, J: Any, h: ArrayLike | None = None, *, n_nodes: int | None = None) -> None:
        pairs = pairs_of("J", J, n_nodes)
        i, j, w = pairs.undirected("J")
        field = _vector("h", h, pairs.n)
        with np.errstate(over="ignore"):
            constant = float(np.add.accumulate(np.concatenate([[0.0], w, -field]))[-1])
            self._take_cut(pairs.n, i, j, -2.0 * w, 2.0 * field, constant)


class MaxCut(Form):
    """MaxCut(graph, *, n_nodes=None)

    J(y) = - sum over edges of w_ij [y_i != y_j]: minus the cut between the sites that are 0 and those that are 1.

    Parameters
    ----------
    graph : matrix, graph or edges
        A square array or SciPy sparse matrix of weights, symmetric or with one triangle only; an undirected networkx
        graph (sites in the order of its nodes, the edge attribute "weight" or 1); or edges, an array or list of rows
        (i, j) or (i, j, weight), 0-based. Self-loops are refused; edges that come several times are added up. A square
        array is a matrix, unless `n_nodes` is given; a list of tuples is always of edges.
    n_nodes : int, optional
        Of edges: how many nodes there are; left out, one more than the largest.

    Examples
    --------
    >>> import stochcore as sc
    >>> triangle = sc.costs.MaxCut([(0, 1), (1, 2), (0, 2)])
    >>> triangle([[0, 0, 0], [0, 1, 1]])
    array([ 0., -2.])
    """

    def __init__(self, graph: Any, *, n_nodes: int | None = None) -> None:
        self._take_pairs(pairs_of("graph", graph, n_nodes))

    def _take_pairs(self, pairs: Pairs) -> None:
        i, j, w = pairs.undirected("graph")
        self._take_cut(pairs.n, i, j, -w, np.zeros(pairs.n), 0.0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a graph of the Gset: "n m", then lines "i j weight" (or "i j"), 1-based; repeated edges are added up.

        Parameters
        ----------
        path : path

        Returns
        -------
        MaxCut
        """
        made = cls.__new__(cls)
        made._take_pairs(read(path, "a graph"))
        return made


def _vector(name: str, value: ArrayLike | None, n: int) -> Array:
    """Return one number for each of n sites, zeros by default."""
    if value is None:
        return np.zeros(n)
    array = _check.reals(name, value)
    if array.shape != (n,):
        raise ValueError(f"`{name}` must have shape ({n},), got {array.shape}")
    return array


def _at_ends(n: int, i: Array, j: Array, w: Array) -> Array:
    """Add up the weights at both ends of each pair, in their order."""
    return np.bincount(np.concatenate([i, j]), weights=np.concatenate([w, w]), minlength=n)


def _most(w: Array) -> float:
    return float(np.abs(w).max(initial=0.0))


def _unit(w: Array) -> float:
    """Return the largest power of two of which all numbers are whole multiples; 0 where there is nothing but zeros."""
    w = w[w != 0]
    if not w.size:
        return 0.0
    mantissa, exponent = np.frexp(w)
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # at the end of each
    return float(np.ldexp(1.0, int((exponent - 53 + zeros).min())))


def _cut_of(n: int, i: Array, j: Array, w: Array, alone: Array, constant: float) -> Cut | None:
    """Return constant + alone . y + sum w [y_i != y_j] as a cut, or None where it is not exact or not cheap."""
    sites = np.flatnonzero(alone)
    i, j = np.concatenate([i, sites]), np.concatenate([j, np.full(sites.size, n)])
    w = np.concatenate([w, alone[sites]])
    unit = _unit(w)
    if not unit or _most(w) / unit * (2 * w.size) >= EXACT:
        return None
    whole = np.abs(w / unit).astype(np.int64)
    half = whole >> 1  # the non-adjacent form: Prodinger, "On binary representations of integers with digits -1, 0, 1"
    signs = half ^ (whole + half)
    more, less = (whole + half) & signs, half & signs
    more, less = np.where(w < 0, less, more), np.where(w < 0, more, less)
    if int(np.bitwise_count(more | less).sum()) > TERMS_FOR_A_PAIR * w.size:
        return None
    order = np.lexsort((j, i))
    ends = (j.astype(np.uint64) << np.uint64(32) | i.astype(np.uint64))[order]
    groups, pairs, at, most, offset = [], [], 0, 0, 0
    for plane in range(int((more | less).max()).bit_length()):
        for turned, digits in ((0, more), (1, less)):
            chosen = ends[(digits[order] >> plane & 1).astype(bool)]
            if chosen.size:
                groups.append((at, chosen.size, plane, turned))
                pairs.append(chosen)
                at += chosen.size
                most += chosen.size << plane
                offset += turned * chosen.size << plane
    return Cut(
        constant, unit, offset, most.bit_length(), np.array(groups, np.int64).reshape(-1, 4), np.concatenate(pairs)
    )
