"""autoencoder: the networks behind sc.BernoulliVAE, as a graph of layers, and what they say of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _blas, _network, _networks
from ._graph import INPUT, Graph, Node, Told
from ._layered import PASS, SPARSE, work
from ._rules import Rule
from .layers import Affine, BernoulliUnits, Layer, LeakyReLU
from .noise import Stream

Array = NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """The sizes of an autoencoder: pixels, layers of units from the pixels on, and what stands between any two."""

    n_visible: int
    latents: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    slope: float = 0.3

    @property
    def bits(self) -> bool:
        """Is it one layer of units between linear maps, for which there are kernels that sum up rows?"""
        return len(self.latents) == 1 and not self.hidden

    def graph(self, mean: Array) -> Graph:
        """Return encoders from the pixels up, decoders from the first units on, and the prior of the last units.

        Level l is told -log p(z_l-1 | z_l) + log q(z_l | z_l-1), z_0 the pixels, and the last one -log p(z_L) besides.
        Pixels enter as 2 (x - mean), units as 2 z - 1; with one layer and linear maps as z.
        """
        nodes: list[Node] = []
        ends: list[Told] = []

        def net(widths: tuple[int, ...], source: int, centre: Array | None) -> int:
            """Add a net of so many numbers from layer to layer; return the number of its last node."""
            for i, (n, m) in enumerate(pairwise(widths)):
                nodes.append(Node(Affine(n, m), n, source, centre if i == 0 else None))
                source = len(nodes) - 1
                if i < len(widths) - 2:
                    nodes.append(Node(LeakyReLU(self.slope), m, source))
                    source += 1
            return source

        def centre(units: int) -> Array | None:
            return None if self.bits else np.full(units, 0.5, dtype=np.float32)

        units, sizes = [INPUT], (self.n_visible, *self.latents)
        for level, (n, m) in enumerate(zip(sizes, self.latents, strict=False), 1):
            logits = net((n, *self.hidden, m), units[-1], mean if level == 1 else centre(n))
            nodes.append(Node(BernoulliUnits(m), m, logits))
            units.append(len(nodes) - 1)
            ends.append(Told(_network.LIKELIHOOD, logits, level, units[-1], sign=-1.0))
        for level, (n, m) in enumerate(zip(self.latents, sizes, strict=False), 1):
            logits = net((n, *self.hidden[::-1], m), units[level], centre(n))
            ends.append(Told(_network.LIKELIHOOD, logits, level, units[level - 1]))
        nodes.append(Node(Affine(0, sizes[-1]), 0, units[-1]))
        ends.append(Told(_network.LIKELIHOOD, len(nodes) - 1, len(self.latents), units[-1]))
        return Graph(tuple(nodes), tuple(ends))

    @cached_property
    def plain(self) -> Graph:
        """The graph with 0 as the mean, whose layout of parameters is that of any other."""
        return self.graph(np.zeros(self.n_visible, dtype=np.float32))

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.plain.places[1]

    def outputs(self) -> tuple[list[int], list[int]]:
        """Return the nodes that give the logits of units, and those that give the logits of what is below."""
        levels = len(self.latents)
        told = [end.output for end in self.plain.ends]
        return told[:levels], told[levels : 2 * levels]

    def named(self, flat: Array) -> dict[str, Array]:
        """Return the parameters by name, as views."""
        graph, found = self.plain, {}
        for name, i in self._linear():
            weight, bias = graph.views(i, flat)
            assert bias is not None
            if name == "prior":
                found[name] = bias
            elif self.bits:
                found |= dict(
                    zip(("W", "b") if name.startswith("encoder") else ("V", "c"), (weight, bias), strict=True)
                )
            else:
                found |= {f"{name}.weight": weight, f"{name}.bias": bias}
        return found

    def _linear(self) -> Iterator[tuple[str, int]]:
        """Name every linear node: encoder0.linear0, encoder0.linear1, .., decoder0.linear0, .., prior."""
        graph, each = self.plain, len(self.hidden) + 1
        for k, i in enumerate(i for i, layer in enumerate(graph.layers) if isinstance(layer, Affine)):
            net, place = divmod(k, each)
            side, level = divmod(net, len(self.latents))
            yield ("prior" if side > 1 else f"{('encoder', 'decoder')[side]}{level}.linear{place}"), i

    def start(self, noise: Stream, pixels: Array) -> Array:
        """Return weights ~ N(0, 1/inputs), biases 0, those of the pixels their logits."""
        flat, graph, used = np.zeros(self.size, dtype=np.float32), self.plain, 0
        for _, i in self._linear():
            weight, _ = graph.views(i, flat)
            if weight.size:
                drawn = noise.at(used).normal(weight.shape, dtype=np.float32)
                weight[:] = drawn * np.float32(1 / math.sqrt(len(weight)))
            used += weight.size
        bias = graph.views(self.outputs()[1][0], flat)[1]
        assert bias is not None
        bias[:] = pixels
        return flat


def chances(graph: Graph, flat: Array, node: int, x: Array) -> Array:
    """Return sigmoid(logits of the node) for rows x of what its net takes: pixels, or units."""
    path: list[int] = []
    while node != INPUT and not graph.layers[node].units:
        path.append(node)
        node = graph.nodes[node].source
    for i in reversed(path):
        layer: Layer = graph.layers[i]
        if isinstance(layer, Affine):
            weight, bias = graph.views(i, flat)
            assert bias is not None
            x = _networks.affine(x, weight, bias, graph.nodes[i].centre, i == path[0])
        else:
            x = np.where(x < 0, np.float32(layer.number) * x, x)
    return x


class Images:
    """Images that a graph learns from: chances of pixels, in rows without padding."""

    cost = None

    def __init__(self, x: Array) -> None:
        self.x = x
        self.sparse = bool(x.sum(dtype=np.float64) < SPARSE * x.size)

    def shown(self, made: _network.Work) -> _network.Work:
        """Let the kernels look at these images."""
        made.look_at(self.x, None, None)
        return made

    def judge(self, made: _network.Work, rows: Array) -> None:
        """Do nothing: all costs are told by the kernels."""


def bounds(
    graph: Graph, flat: Array, images: Images, n_draws: int, n_samples: int, pixels: Stream, units: Stream,
    n_threads: int | None,
) -> tuple[Array, Array]:  # fmt: skip
    """Return, for each image, the mean of `n_draws` bounds and the sum of their squared deviations."""
    n, piece = len(images.x), max(1, PASS // n_samples)
    mean, squares, made = np.zeros(n), np.zeros(n), None
    rule = Rule(_network.VIMCO if n_samples > 1 else _network.CONSTANT, n_samples)
    for first in range(0, n, piece):
        rows = np.arange(first, min(n, first + piece))
        if made is None or len(made.mean) != len(rows):
            made = images.shown(work(graph, flat, len(rows), rule, units, sparse=images.sparse, pixels=pixels))
        for draw in range(n_draws):
            with _blas.one_thread():
                made.forward(rows, (draw * n + first) * n_samples, n_threads)
            gap = -made.mean - mean[rows]
            mean[rows] += gap / (draw + 1)
            squares[rows] += gap * (-made.mean - mean[rows])
    return mean, squares
