"""terms: estimators whose terms of the gradient are made in Python, block by block; the kernels sum them."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    n_threads: int | None

    @property
    def own(self) -> Stream:
        """The stream, from the noise of the first unit on: a unit has that of one sample."""
        return self.stream.at(self.first * self.model.n_elements)

    def sample(self) -> Any:
        """Draw a sample for each unit: those of ``model.sample``."""
        return self.model.sample(self.units, self.own, n_threads=self.n_threads)

    def noise(self, kind: str, width: int) -> Array:
        """Draw noise besides that of samples, (units, width); all kinds are the same noise."""
        each = -(-width // self.model.n_elements)  # so many times the addresses of a sample
        offset = (self.stream.offset + self.first * self.model.n_elements) * each
        _check.addresses(offset, self.units * width * each)
        aside = self.stream._replace(offset=0, purpose=ESTIMATORS)
        if self.model.n_elements * each == width:
            return np.asarray(getattr(aside.at(offset), kind)((self.units, width)))
        rows = [getattr(aside.at(offset + u * self.model.n_elements * each), kind)(width) for u in range(self.units)]
        return np.stack(rows)

    def price(self, y: Any) -> Array:
        """Return J of samples, (n, problems); they are shown to the cost a bounded number at a time."""
        n, problems = length(y), math.prod(self.model.batch_shape)
        step = max(1, CHUNK_OUTCOMES // max(1, self.model.n_elements))
        out = np.empty((n, problems))
        for start in range(0, n, step):
            part = Structure.of(y).map(lambda a, at=start: np.ascontiguousarray(a[at : at + step]), y)
            out[start : start + step] = evaluate(self.cost, part, self.model.batch_shape).reshape(-1, problems)
        return out


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

    def lacks(self, model: Family, cost: BuiltIn | Cost) -> str | None:
        """Say what is missing."""
        return None if isinstance(model, Compiled) or self.by_theta else f"is not for a {type(model).__name__}"

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
    ) -> None:
        """Make the node of samples begin .. end."""
        unit = self.samples_per_unit
        block = Block(model, cost, stream, begin // unit, (end - begin) // unit, n_threads)
        costs, terms = self.terms(block)
        bad = ~np.isfinite(costs)
        if bad.any():
            raise ValueError(f"`cost` must be finite, got NaN or infinity for sample {begin + np.argwhere(bad)[0][0]}")
        costs = np.ascontiguousarray(costs).reshape(block.units, unit, -1)
        terms = np.ascontiguousarray(terms, dtype=np.float64).reshape(block.units, -1)
        tables = model._parts()[0][0]  # by theta its map is of no use
        fold_terms(tables, costs, terms, begin, self.by_theta, within, model._structure.size, node)
