"""pairs: weighted pairs of sites from matrices, graphs, lists and files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check

Array = NDArray[Any]

MOST_NODES = 2**31 - 2  # indices are int32, and a form has one node more


@dataclass(frozen=True)
class Pairs:
    """Entries (i, j, weight) of n nodes, as they came: `matrix` where they are those of a matrix."""

    n: int
    i: Array
    j: Array
    weight: Array
    matrix: bool

    def summed(self) -> tuple[Array, Array, Array, Array]:
        """Return i < j and their weights, and the diagonal: all entries of a pair are added up, in their order."""
        low, high = np.minimum(self.i, self.j), np.maximum(self.i, self.j)
        own = low == high
        diagonal = np.bincount(low[own], weights=self.weight[own], minlength=self.n)
        return (*_merged(self.n, low[~own], high[~own], self.weight[~own]), diagonal)

    def undirected(self, name: str) -> tuple[Array, Array, Array]:
        """Return i < j and their weights; a matrix must be symmetric, or have one triangle only."""
        loop = np.flatnonzero((self.i == self.j) & (self.weight != 0))
        if loop.size:
            raise ValueError(f"`{name}` must have no self-loops, got one at node {self.i[loop[0]]}")
        if not self.matrix:
            return self.summed()[:3]
        upper, lower = (
            _merged(self.n, a[side], b[side], self.weight[side])
            for a, b, side in ((self.i, self.j, self.i < self.j), (self.j, self.i, self.i > self.j))
        )
        if not lower[0].size or not upper[0].size:
            return upper if upper[0].size else lower
        if any(not np.array_equal(a, b) for a, b in zip(upper, lower, strict=True)):
            raise ValueError(f"`{name}` must be a symmetric or a triangular matrix, got {_first_gap(upper, lower)}")
        return upper


def _merged(n: int, i: Array, j: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Sort pairs, add up those that are the same, leave out zeros."""
    key, place = np.unique(i * n + j, return_inverse=True)
    total = np.bincount(place, weights=weight, minlength=key.size)  # in their order
    kept = total != 0
    return key[kept] // n, key[kept] % n, total[kept]


def _first_gap(upper: tuple[Array, Array, Array], lower: tuple[Array, Array, Array]) -> str:
    sides = [{(int(a), int(b)): float(w) for a, b, w in zip(*side, strict=True)} for side in (upper, lower)]
    i, j = next(pair for pair in sorted({*sides[0], *sides[1]}) if sides[0].get(pair) != sides[1].get(pair))
    return f"{sides[0].get((i, j), 0.0)} at ({i}, {j}) and {sides[1].get((i, j), 0.0)} at ({j}, {i})"


def pairs_of(name: str, graph: Any, n_nodes: int | None) -> Pairs:
    """Read pairs from what they may be given as: see `MaxCut`."""
    n = None if n_nodes is None else _check.integer("n_nodes", n_nodes, 1, MOST_NODES)
    if callable(getattr(graph, "tocoo", None)):
        pairs = _of_sparse(name, graph)
    elif all(hasattr(graph, part) for part in ("nodes", "edges", "is_directed")):
        pairs = _of_networkx(name, graph)
    else:
        pairs = _of_array(name, graph, n)
    if n is not None and pairs.n != n:
        raise ValueError(f"`n_nodes` goes with edges, got {n} and a `{name}` of {pairs.n} nodes")
    if pairs.n < 1:
        raise ValueError(f"`{name}` must have at least one node, got none")
    return pairs


def _of_sparse(name: str, graph: Any) -> Pairs:
    if len(graph.shape) != 2 or graph.shape[0] != graph.shape[1]:
        raise ValueError(f"`{name}` must be a square matrix, got shape {tuple(graph.shape)}")
    entries = graph.tocoo()
    i, j = (np.asarray(at, np.int64) for at in (entries.row, entries.col))
    return Pairs(graph.shape[0], i, j, _weights(name, entries.data), True)


def _of_networkx(name: str, graph: Any) -> Pairs:
    if graph.is_directed():
        raise TypeError(f"`{name}` must be an undirected graph, got {_check._short(graph)}")
    place = {node: at for at, node in enumerate(graph.nodes)}
    edges = list(graph.edges(data="weight", default=1))
    i, j = (np.array([place[edge[end]] for edge in edges], np.int64) for end in (0, 1))
    return Pairs(len(place), i, j, _weights(name, [edge[2] for edge in edges] or np.empty(0)), False)


def _of_array(name: str, graph: Any, n: int | None) -> Pairs:
    listed = isinstance(graph, (list, tuple)) and all(isinstance(edge, tuple) for edge in graph)
    array = np.empty((0, 2)) if listed and not graph else _check.reals(name, graph)
    if array.ndim == 2 and array.shape[0] == array.shape[1] and not listed and n is None:
        i, j = np.nonzero(array)
        return Pairs(len(array), i, j, array[i, j], True)
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError(f"`{name}` must be a square matrix or edges (i, j) or (i, j, weight), got shape {array.shape}")
    ends = array[:, :2].astype(np.int64)
    bad = (ends != array[:, :2]) | (ends < 0) | (ends >= (MOST_NODES if n is None else n))
    if bad.any():
        rule = "a node" if n is None else f"one of the {n} nodes"
        raise ValueError(f"`{name}` must have {rule} at each end of an edge, got {_check._first(array[:, :2], bad)}")
    most = int(ends.max()) + 1 if ends.size else 0
    weight = array[:, 2].copy() if array.shape[1] == 3 else np.ones(len(array))
    return Pairs(most if n is None else n, ends[:, 0].copy(), ends[:, 1].copy(), weight, False)


def _weights(name: str, values: Any) -> Array:
    """Check the weights of edges: finite numbers."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        array = array.astype(np.float64)
    return _check.reals(name, array).reshape(-1)


def read(path: str | os.PathLike[str], what: str) -> Pairs:
    """Read a file of "n m" and m lines of "i j weight" (or "i j": weight 1), 1-based."""
    name = os.fspath(path)
    lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    rows = [(at, line.split()) for at, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ValueError(f"{name} is empty: {what} begins with its numbers of nodes and of edges")
    n, m = _numbers(name, *rows[0], (int, int))
    if not 1 <= n <= MOST_NODES or m < 0:
        raise ValueError(f"{name}, line {rows[0][0]}: must have at least one node, got {n} nodes and {m} edges")
    if len(rows) - 1 != m:
        raise ValueError(f"{name} must have {m} lines of edges, as its first line says, got {len(rows) - 1}")
    i, j, weight = np.empty(m, np.int64), np.empty(m, np.int64), np.ones(m)
    for k, (at, words) in enumerate(rows[1:]):
        i[k], j[k], *rest = _numbers(name, at, words, (int, int, float)[: max(2, len(words))])
        weight[k] = rest[0] if rest else 1.0
        if not (1 <= i[k] <= n and 1 <= j[k] <= n):
            raise ValueError(f"{name}, line {at}: nodes must be in 1 .. {n}, got {i[k]} and {j[k]}")
        if not np.isfinite(weight[k]):
            raise ValueError(f"{name}, line {at}: a weight must be finite, got {weight[k]}")
    return Pairs(n, i - 1, j - 1, weight, False)


def _numbers(name: str, at: int, words: list[str], kinds: tuple[type, ...]) -> list[Any]:
    """Return the numbers of a line."""
    try:
        return [kind(word) for kind, word in zip(kinds, words, strict=True)]
    except ValueError:
        rule = " and ".join("a whole number" if kind is int else "a number" for kind in kinds)
        raise ValueError(f"{name}, line {at}: must be {rule}, got {' '.join(words)!r}") from None
