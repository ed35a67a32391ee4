"""graph: what each layer of a network takes, where its costs are told, and what the kernels are told of all that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _network
from .layers import Affine, BernoulliUnits, Layer, Tanh
from .noise import LAYERS, Stream

Array = NDArray[Any]

INPUT = -1  # the number of what comes before all nodes
PASSING = (_network.STRAIGHT, _network.GUMBEL)  # rules by which a gradient passes through units
VARYING = (_network.DOUBLE, _network.RODEO)  # rules with a control variate by the gradient by the last units
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
    baselines: tuple[int, ...] = ()  # the nodes that foretell the cost of each level, three of a net, after all others

    @staticmethod
    def chain(layers: tuple[Layer, ...], widths: list[int], end: int) -> Graph:
        """Return a stack of layers with a cost of its output."""
        nodes = tuple(Node(layer, widths[i], i - 1) for i, layer in enumerate(layers))
        return Graph(nodes, (Told(end, len(nodes) - 1, sum(layer.units for layer in layers)),))

    def with_baselines(self, hidden: int) -> Graph:
        """Return the graph with a net for each level of units that foretells its cost from what came into it."""
        nodes, baselines = list(self.nodes), []
        for node in self.nodes:
            if not node.layer.units:
                continue
            while node.source != INPUT and not self.nodes[node.source].layer.units:
                node = self.nodes[node.source]
            nodes.append(Node(Affine(node.inputs, hidden), node.inputs, node.source, node.centre))
            nodes.append(Node(Tanh(), hidden, len(nodes) - 1))
            nodes.append(Node(Affine(hidden, 1), hidden, len(nodes) - 1))
            baselines.append(len(nodes) - 1)
        return replace(self, nodes=tuple(nodes), baselines=tuple(baselines))

    def begun(self, parameters: Array, noise: Stream) -> Array:
        """Return all parameters, those of baselines as they begin: hidden weights ~ N(0, 1/inputs), others 0."""
        flat, used = np.zeros(self.places[1], dtype=np.float32), 0
        flat[: parameters.size] = parameters
        for node in self.baselines:
            weight, _ = self.views(node - 2, flat)
            drawn = noise.at(used).normal(weight.shape, dtype=np.float32)
            weight[:] = drawn * np.float32(1 / math.sqrt(len(weight)))
            used += weight.size
        return flat

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

    def lead(self, rule: int) -> list[bool]:
        """Say for each node whether a gradient by its output reaches parameters, or a control variate."""
        used: list[bool] = []
        last = max((i for i, layer in enumerate(self.layers) if layer.units), default=-1)
        for i, node in enumerate(self.nodes):
            below = node.source != INPUT and used[node.source]
            passes = not node.layer.units or rule in PASSING or (rule in VARYING and i == last)
            used.append(isinstance(node.layer, Affine) or (below and passes))
        return used

    def branches(self, rule: int) -> list[int]:
        """Return how many branches each node adds to a group of samples (csrc/network.h)."""
        if rule == _network.LOCAL:
            others = [node.outputs // node.layer.classes * max(1, node.layer.classes - 1) for node in self.nodes]
        else:
            others = [int(rule in (_network.DISARM, _network.ARM))] * len(self.nodes)
        return [n if layer.units else 0 for n, layer in zip(others, self.layers, strict=True)]

    def rows(self, groups: int, rule: int) -> list[int]:
        """Return how many rows each node puts out for an input (csrc/network.h)."""
        found: list[int] = []
        for node, branches in zip(self.nodes, self.branches(rule), strict=True):
            came = 1 if node.source == INPUT else found[node.source]
            if node.layer.noise and came == 1:
                came = groups
            found.append(came + groups * branches)
        return found

    def levels(self, rows: list[int]) -> list[int]:
        """Return how many rows each level has: its units', and for level 0 those of a network without units."""
        units = [n for n, node in zip(rows, self.nodes, strict=True) if node.layer.units]
        return [1 if units else rows[self.ends[0].output], *units]

    def by_bits(self, rows: list[int], batch: int, rule: int) -> list[bool]:
        """Say which linear nodes sum up the rows that units' bits name, by tables: those large enough to gain by it."""
        return [
            isinstance(node.layer, Affine)
            and node.source != INPUT
            and isinstance(self.layers[node.source], BernoulliUnits)
            and min(node.inputs, rows[node.source] * min(batch, BLOCK)) >= LEAST
            and node.outputs >= 16
            and rule != _network.GUMBEL  # whose units are none
            for node in self.nodes
        ]

    def planned(self, rows: list[int], batch: int, rule: int, stream: Stream) -> list[dict[str, Any]]:
        """Return what the kernels are told of each node."""
        used, bits, units, plan = self.lead(rule), self.by_bits(rows, batch, rule), 0, []
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
                    "noise": stream._replace(purpose=LAYERS + (i if layer.noise else 0)),
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
