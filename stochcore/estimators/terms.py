"""terms: estimators whose terms of the gradient are made in Python, block by block; the kernels sum them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._estimators import fold_terms
from ..costs import BuiltIn, Cost, evaluate, length
from ..distributions import Compiled, Family
from ..distributions.parameters import Structure
from ..noise import ESTIMATORS, Stream
from .base import Estimator

Array = NDArray[Any]

CHUNK_OUTCOMES = 1 << 20  # a cost sees at most so many at a time


@dataclass
class Block:
    """Units first .. first + units of an estimate: what a `Terms` estimator makes its terms of."""

    model: Any
    cost: BuiltIn | Cost
    stream: Stream
    first: int
    units: int
    n_threads: int | None = None
    prepared: Any = None  # by the estimator's `prepare`
    seen: Array | None = field(default=None, init=False)  # costs of the samples, of which the least is kept

    @property
    def problems(self) -> int:
        """Number of problems."""
        return math.prod(self.model.batch_shape)

    @property
    def own(self) -> Stream:
        """The stream, from the noise of the first unit on: a unit has that of one sample."""
        return self.stream.at(self.first * self.model.n_elements)

    def sample(self) -> Any:
        """Draw a sample for each unit: those of ``model.sample``."""
        return self.model.sample(self.units, self.own, n_threads=self.n_threads)

    def opposite(self) -> Any:
        """Draw a sample for each unit from the opposite noise."""
        return self.model.sample(self.units, self.own.antithetic(), n_threads=self.n_threads)

    def noise_of_samples(self, kind: str) -> Array:
        """Return the noise that `sample` steps on, (units, n_elements)."""
        return np.asarray(getattr(self.own, kind)((self.units, self.model.n_elements)))

    def noise(self, kind: str, width: int) -> Array:
        """Draw noise besides that of samples, (units, width); all kinds are the same noise."""
        each = -(-width // self.model.n_elements) * self.model.n_elements  # whole times the addresses of a sample
        unit = self.stream.offset // self.model.n_elements + self.first
        _check.addresses(unit * each, self.units * each)
        aside = self.stream._replace(offset=unit * each, purpose=ESTIMATORS)
        return np.asarray(getattr(aside, kind)((self.units, each)))[:, :width]

    def price(self, y: Any, *, drawn: bool = False) -> Array:
        """Return J of outcomes, (n, problems); they are shown to the cost a bounded number at a time.

        `drawn`: these are the samples of the block's units, in order.
        """
        n = length(y)
        step = max(1, CHUNK_OUTCOMES // max(1, self.model.n_elements))
        out = np.empty((n, self.problems))
        raw = np.empty_like(out) if hasattr(self.cost, "raw") else out
        for start in range(0, n, step):
            part = Structure.of(y).map(lambda a, at=start: np.ascontiguousarray(a[at : at + step]), y)
            j = evaluate(self.cost, part, self.model.batch_shape, self.n_threads)
            out[start : start + step] = j.reshape(-1, self.problems)
            if raw is not out:
                raw[start : start + step] = self.cost.raw.reshape(-1, self.problems)  # type: ignore[union-attr]
        if drawn:
            self.seen = raw
        self._check_finite(out, y, drawn)
        return out

    def _check_finite(self, costs: Array, y: Any, drawn: bool) -> None:
        bad = ~np.isfinite(costs)
        if not bad.any():
            return
        row = int(np.argwhere(bad)[0][0])
        told = f"sample {self.first * (length(y) // self.units) + row}"
        if not drawn:
            told = f"outcome {Structure.of(y).map(lambda part: part[row].tolist(), y)}"
        raise ValueError(f"`cost` must be finite, got NaN or infinity for {told}")

    def price_changes(self, y: Array, changes: Iterable[tuple[int, Array]]) -> Iterator[Array]:
        """Yield J of the samples y (n, *batch, *event) with one site changed, (n, problems) for each change.

        A change is the number of a site, the same one in all problems, and its new outcomes, (n, problems).
        """
        flat = y.reshape(len(y), self.problems, -1)
        most, rest = max(1, CHUNK_OUTCOMES // y.size), iter(changes)
        while some := list(islice(rest, most)):
            many = np.repeat(flat[None], len(some), axis=0)
            for copy, (site, values) in zip(many, some, strict=True):
                copy[:, :, site] = values
            yield from self.price(many.reshape(-1, *y.shape[1:])).reshape(len(some), len(y), -1)

    def slopes(self, y: Array, method: str) -> Array:
        """Return what the cost's `grad_y` or `hess_y` says, (n, problems, sites)."""
        values = np.asarray(getattr(self.cost, method)(_as_sites(self.cost, self.model, y)))
        if values.dtype.kind not in "iuf":
            raise TypeError(f"`{method}` of the cost must return real numbers, got dtype {values.dtype}")
        if values.size != y.size or values.shape[:1] != y.shape[:1]:
            raise ValueError(f"`{method}` of the cost must return shape {y.shape}, got {values.shape}")
        bad = ~np.isfinite(values.reshape(len(y), -1))
        if bad.any():
            number = self.first + int(np.argwhere(bad)[0][0])
            raise ValueError(f"`{method}` of the cost must be finite, got NaN or infinity for sample {number}")
        return values.astype(np.float64).reshape(len(y), self.problems, -1)


def _as_sites(cost: Any, model: Any, y: Array) -> Array:
    """Return samples as a cost wants them: a quadratic one with the sites of a problem in a row."""
    return y.reshape(len(y), *model.batch_shape, -1) if getattr(cost, "_flat", False) else y


class Terms(Estimator):
    """An estimator that makes the terms of the gradient itself.

    `terms` gives, for each unit, the costs of its samples and its term; the gradient is the mean of the terms, its
    error bar their spread.
    """

    by_theta: ClassVar[bool] = False  # terms are derivatives by theta, and not by the scores of sites

    def terms(self, block: Block) -> tuple[Array, Array]:
        """Return costs (units * samples_per_unit, problems) and terms (units, scores of all problems).

        Sums must run in an order of their own: no ``np.sum``, whose order is the machine's.
        """
        raise NotImplementedError

    def prepare(self, model: Any, cost: BuiltIn | Cost, stream: Stream) -> Any:
        """Return what all blocks of an estimate share; `Block.prepared` holds it."""
        return None

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Compiled) or self.by_theta else f"is not for a {type(model).__name__}"

    def numbers_per_sample(self, model: Family) -> int:
        """Return how many numbers a block holds for a sample."""
        if self.by_theta or not isinstance(model, Compiled):
            return max(model.n_elements, model._structure.size)
        return max(model.n_elements, model._tables.n_scores * math.prod(model.batch_shape))

    def fold(
        self,
        model: Any,
        cost: BuiltIn | Cost,
        stream: Stream,
        begin: int,
        end: int,
        within: bool,
        node: Array,
        n_threads: int | None,
        prepared: Any = None,
    ) -> None:
        """Make the node of samples begin .. end."""
        unit = self.samples_per_unit
        block = Block(model, cost, stream, begin // unit, (end - begin) // unit, n_threads, prepared)
        costs, terms = self.terms(block)
        costs = np.ascontiguousarray(costs).reshape(block.units, unit, -1)
        terms = np.ascontiguousarray(terms, dtype=np.float64).reshape(block.units, -1)
        tables = model._parts()[0][0]  # by theta its map is of no use
        fold_terms(tables, costs, terms, begin, self.by_theta, within, model._structure.size, node)
        if block.seen is not None:
            keep_least(node, block.seen, np.arange(begin, end))


def keep_least(node: Array, costs: Array, numbers: Array) -> None:
    """Write the least of the costs (n, problems) and its sample's number into a node."""
    for problem, row in enumerate(np.argmin(costs, axis=0)):
        at = 2 + 4 * problem
        node[at + 2 : at + 4] = costs[row, problem], numbers[row]
