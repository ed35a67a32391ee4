"""graph: what each layer of a network takes, where its costs are told, and what the kernels are told of all that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _network
from .layers import Affine, BernoulliUnits, Layer
from .noise import LAYERS, Stream

Array = NDArray[Any]

INPUT = -1  # the number of what comes before all nodes
BLOCK = 64  # inputs of a batch in a block, at most
LEAST = 64  # units, and rows in a block, for tables of subsets to be worth their making
CHUNK = 1 << 16  # weights in a chunk, about: they stay in the second-level cache


@dataclass(frozen=True)
class Node:
    """A layer that takes what an earlier one puts out."""

    layer: Layer
    inputs: int
    source: int = INPUT
    centre: Array | None = None  # a linear layer takes 2 (x - centre) for x

    @property
    def outputs(self) -> int:
        """Width of a row that it puts out."""
        return self.layer.outputs(self.inputs)


@dataclass(frozen=True)
class Told:
    """A cost of each row that a node puts out, told to the level that is to blame for it."""

    kind: int
    output: int
    level: int
    target: int | None = None  # a node, or the input; None: it comes with the data
    sign: float = 1.0


@dataclass(frozen=True)
class Graph:
    """Nodes from the input on, and what is told of their outputs."""

    nodes: tuple[Node, ...]
    ends: tuple[Told, ...]

    @staticmethod
    def chain(layers: tuple[Layer, ...], widths: list[int], end: int) -> Graph:
        """Return a stack of layers with a cost of its output."""
        nodes = tuple(Node(layer, widths[i], i - 1) for i, layer in enumerate(layers))
        return Graph(nodes, (Told(end, len(nodes) - 1, sum(layer.units for layer in layers)),))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the nodes."""
        return tuple(node.layer for node in self.nodes)

    @property
    def given(self) -> bool:
        """Is a cost told by a function of one's own?"""
        return any(end.kind == _network.GIVEN for end in self.ends)

    @property
    def noisy(self) -> bool:
        """Does any layer draw?"""
        return any(layer.noise for layer in self.layers)

    @cached_property
    def places(self) -> tuple[list[tuple[int, int]], int]:
        """Where each node's weight and bias begin among the parameters (-1: none), and how many these are."""
        found, at = [], 0
        for layer in self.layers:
            if not isinstance(layer, Affine):
                found.append((-1, -1))
                continue
            weights = layer.n_inputs * layer.n_outputs
            found.append((at, at + weights if layer.bias else -1))
            at += weights + (layer.n_outputs if layer.bias else 0)
        return found, at

    def views(self, i: int, flat: Array) -> tuple[Array, Array | None]:
        """Return weight and bias of linear node i as views of all parameters."""
        layer, (weight, bias) = self.layers[i], self.places[0][i]
        assert isinstance(layer, Affine)
        n, m = layer.n_inputs, layer.n_outputs
        return flat[weight : weight + n * m].reshape(n, m), flat[bias : bias + m] if layer.bias else None

    def lead(self, straight: bool) -> list[bool]:
        """Say for each node whether a gradient by its output reaches parameters."""
        used: list[bool] = []
        for node in self.nodes:
            below = node.source != INPUT and used[node.source]
            used.append(isinstance(node.layer, Affine) or (below and (straight or not node.layer.units)))
        return used

    def rows(self, groups: int, branches: bool) -> list[int]:
        """Return how many rows each node puts out for an input (csrc/network.h)."""
        found: list[int] = []
        for node in self.nodes:
            came = 1 if node.source == INPUT else found[node.source]
            if node.layer.noise and came == 1:
                came = groups
            found.append(came + (groups if branches and node.layer.units else 0))
        return found

    def levels(self, rows: list[int]) -> list[int]:
        """Return how many rows each level has: its units', and for level 0 those of a network without units."""
        units = [n for n, node in zip(rows, self.nodes, strict=True) if node.layer.units]
        return [1 if units else rows[self.ends[0].output], *units]

    def by_bits(self, rows: list[int], batch: int) -> list[bool]:
        """Say which linear nodes sum up the rows that units' bits name, by tables: those large enough to gain by it."""
        return [
            isinstance(node.layer, Affine)
            and node.source != INPUT
            and isinstance(self.layers[node.source], BernoulliUnits)
            and min(node.inputs, rows[node.source] * min(batch, BLOCK)) >= LEAST
            and node.outputs >= 16
            for node in self.nodes
        ]

    def planned(self, rows: list[int], batch: int, straight: bool, stream: Stream) -> list[dict[str, Any]]:
        """Return what the kernels are told of each node."""
        used, bits, units, plan = self.lead(straight), self.by_bits(rows, batch), 0, []
        for i, (node, place) in enumerate(zip(self.nodes, self.places[0], strict=True)):
            layer, below = node.layer, node.source != INPUT
            units += layer.units
            plan.append(
                {
                    "kind": layer.kind, "back": below and used[node.source] and (used[i] or layer.units),
                    "used": used[i], "unit": units if layer.units else 0, "source": node.source,
                    "inputs": node.inputs, "outputs": node.outputs, "classes": layer.classes,
                    "before": rows[node.source] if below else 1, "after": rows[i], "number": layer.number,
                    "weight": place[0], "bias": place[1], "centre": node.centre,
                    "bits": bits[i],
                    "noise": stream._replace(purpose=LAYERS + i),
                }
            )  # fmt: skip
        return plan

    def chunks(self, sparse: bool, bits: list[bool]) -> Array:
        """Cut the parameters into pieces whose gradients are one product each: node, row, rows, column, columns."""
        found = []
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Affine):
                continue
            n, m = layer.n_inputs, layer.n_outputs
            pieces = max(1, round(n * m / CHUNK))
            if (n >= m and not bits[i]) or (sparse and i == 0):  # that one goes by rows
                edges = [n * k // pieces for k in range(pieces + 1)]
                found += [(i, a, b - a, 0, m) for a, b in pairwise(edges) if b > a]
            elif n:
                edges = sorted({m * k // pieces // 16 * 16 for k in range(pieces)} | {m})
                if len(edges) > 2 and edges[-1] - edges[-2] < 16:  # bits go by whole lanes
                    edges.pop(-2)
                found += [(i, 0, n, a, b - a) for a, b in pairwise(edges)]
            if layer.bias:
                found.append((i, 0, 0, 0, m))
        found.sort(key=lambda c: -c[2] * c[4])  # they are dealt out to threads in turn
        return np.array(found, dtype=np.int64).reshape(-1, 5)
