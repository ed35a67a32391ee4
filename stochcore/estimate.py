"""estimate: the result, its error bars, and the tree of shards that it is made of."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _check, _estimate
from .distributions.parameters import Structure

Array = NDArray[Any]

BLOCKS_PER_SHARD = 64
ENOUGH_GROUPS = 32  # from so many on, groups are compared with each other; below, the error bar comes from inside them
LEAST = 8  # a last block of fewer samples joins the one before it (csrc/job.h)


def block_rows(n_elements: int, unit: int = 1) -> int:
    """Samples in a block: a power of two in 32 .. 1024, some 2^17 outcomes; or as many whole units as fit in it."""
    rows = max(32, min(1024, 1 << (max(1, (1 << 17) // n_elements).bit_length() - 1)))
    return max(unit, rows // unit * unit)


@dataclass(frozen=True)
class Layout:
    """What a node of the tree holds: the shape of problems, the structure of parameters, samples in a block."""

    batch_shape: tuple[int, ...]
    structure: Structure
    block_rows: int
    unit: int = 1  # so many samples are independent of the others
    dependent: int = 1  # so many of them have costs that depend on each other

    @cached_property
    def problems(self) -> int:
        """Number of problems."""
        return math.prod(self.batch_shape)

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.structure.size

    @property
    def node_size(self) -> int:
        """Numbers in a node."""
        return 2 + 4 * self.problems + 3 * self.parameters

    @property
    def shard_rows(self) -> int:
        """Samples in a shard."""
        return self.block_rows * BLOCKS_PER_SHARD

    def merge(self, left: Array, right: Array) -> None:
        """Fold a node into the one before it."""
        _estimate.merge(left, right, self.problems, self.parameters)

    def blocks(self, n: int) -> int:
        """How many blocks hold samples 0 .. n: the last takes up a short remainder."""
        whole, rest = divmod(n, self.block_rows)
        return max(1, whole + (rest >= LEAST))


shared_layout = lru_cache(maxsize=256)(Layout)  # a layout is a value: small calls take it from the one before


class Tree:
    """Shards in order, merged as the dyadic intervals of their numbers.

    After shards i .. j have been pushed, `nodes` holds the largest aligned runs that tile them: what is in a node, and
    so the total, depends on the range alone and not on how it was cut or who made which part.
    """

    def __init__(self, layout: Layout, nodes: list[tuple[int, int, Array]] | None = None) -> None:
        self.layout = layout
        self.nodes = [] if nodes is None else nodes.copy()

    def push(self, first: int, size: int, node: Array, *, merge: bool = True) -> None:
        """Append the node of shards first .. first + size."""
        self.nodes.append((first, size, node))
        while merge and len(self.nodes) > 1:
            (a, n, left), (_, m, right) = self.nodes[-2:]
            if n != m or a % (2 * n):
                break
            self.nodes[-2:] = [(a, 2 * n, self._merge(left, right))]

    def total(self) -> Array:
        """Fold the nodes in order."""
        total = self.nodes[0][2]
        for _, _, node in self.nodes[1:]:
            total = self._merge(total, node)
        return total

    def read(self) -> tuple[Array, Array, Array]:
        """Read the total: rows mean cost, its error, best, its sample; gradient; its error."""
        layout = self.layout
        costs, grad, grad_se = _estimate.read(
            self.total(), layout.problems, layout.parameters, ENOUGH_GROUPS, layout.dependent
        )
        return costs.reshape(4, -1), grad, grad_se

    def _merge(self, left: Array, right: Array) -> Array:
        merged = left.copy()
        self.layout.merge(merged, right)
        return merged


class Source(NamedTuple):
    """Where an estimate comes from: what has to agree before two can be merged."""

    model: Any
    cost: Any
    estimator: Any
    stream: Any
    version: str

    def differs(self, other: Source) -> str | None:
        """Name the first thing that differs, or None. Values are compared by their pickles, functions by identity."""
        for name in self._fields:
            mine, its = getattr(self, name), getattr(other, name)
            if mine is not its and _value(mine) != _value(its):
                return name
        return None


def _value(thing: Any) -> bytes | int:
    """Return what a thing is worth: two equal models have the same."""
    try:
        return pickle.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError):
        return id(thing)


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """An estimated expected cost and its gradient, each with a standard error.

    Attributes
    ----------
    cost, cost_se : float or ndarray of shape (*batch)
        Mean of J and its standard error.
    grad, grad_se : ndarray of the parameters' shape, or a dict where the parameters are one
        Gradient by the parameters as they were given, and its standard error, entry by entry. The error bar compares
        blocks of samples where there are at least 32 of them; below that it comes from inside the blocks (the sample
        variance, or the jackknife). It is infinite where the samples say nothing about it (one sample; two for
        leave-one-out), and zero where nothing varied.
    n_samples, n_evals : int
        Draws of y, and calls of J.
    seconds : float
        Wall time.
    unbiased : bool
        Is the expectation of `grad` the gradient?
    dof : float
        Degrees of freedom of `grad_se`, for Student's t: groups - 1, or samples - 1.
    first_sample : int
        The samples are first_sample .. first_sample + n_samples of the stream.
    best_cost, best_y
        The smallest J among the samples, and its y (one of them for each problem).
    source : Source
        Model, cost, estimator, stream and version: a rerun with these has the same bits.
    """

    cost: Any
    cost_se: Any
    grad: Any
    grad_se: Any
    n_samples: int
    n_evals: int
    seconds: float
    unbiased: bool
    first_sample: int = 0
    best_cost: Any = None
    source: Source | None = None
    _best_sample: Any = field(default=None)
    _tree: Tree | None = field(default=None)
    dof: float = field(default=math.inf)

    @property
    def estimator(self) -> Any:
        """The estimator that was used, with its options; None where nothing was sampled."""
        return None if self.source is None else self.source.estimator

    def _flat_grad(self) -> Array:
        return Structure.of(self.grad).leaves(self.grad)

    def _flat_grad_se(self) -> Array:
        return Structure.of(self.grad_se).leaves(self.grad_se)

    @property
    def best_y(self) -> Any:
        """The sample with the smallest cost, drawn again from its address: shape (*sites), or a dict of a Joint."""
        if self.source is None:
            raise AttributeError("this estimate was not sampled, so it has no `best_y`")
        model, stream = self.source.model, self.source.stream
        numbers = [int(number) for number in np.asarray(self._best_sample).reshape(-1)]
        samples = [self.source.estimator.draw(model, stream, number) for number in numbers]
        if not model.batch_shape:
            return Structure.of(samples[0]).map(lambda y: y[0], samples[0])
        rows = [y[0].reshape(-1, *model.event_shape)[problem] for problem, y in enumerate(samples)]
        return np.stack(rows).reshape(model.site_shape)

    def ci(self, level: float = 0.95, of: str = "grad") -> tuple[Any, Any]:
        """Return the confidence interval (low, high), entry by entry.

        Parameters
        ----------
        level : float
            In (0, 1).
        of : {"grad", "cost"}

        Returns
        -------
        low, high : float or ndarray
            mean -+ t * se, with Student's t at (groups - 1) degrees of freedom. It covers the truth in `level` of the
            cases once the mean is close to normal: from some 32 samples on for bounded costs and probabilities not
            near 0 or 1. With fewer samples, rare outcomes or counts with long tails it covers less (measured: a
            negative binomial 83%, a geometric 88% at 400 samples; 94 to 95% at 40,960).
        """
        level = _check.real("level", level)
        if not 0 < level < 1:
            raise ValueError(f"`level` must lie in (0, 1), got {level}")
        mean, se, dof = _check.choice(
            "of",
            of,
            {
                "grad": (self.grad, self.grad_se, self.dof),
                "cost": (self.cost, self.cost_se, self._dof_of_cost),
            },
        )
        times = student_quantile(0.5 + level / 2, dof)
        same = Structure.of(mean).map
        return same(lambda m, s: m - times * s, mean, se), same(lambda m, s: m + times * s, mean, se)

    @property
    def _dof_of_cost(self) -> int:
        return self.n_samples // (1 if self._tree is None else self._tree.layout.dependent) - 1

    def merge(self, other: Estimate) -> Estimate:
        """Return the estimate over both ranges of samples, with the bits of one over the whole.

        Parameters
        ----------
        other : Estimate
            Of the same model, cost, estimator and stream; it begins where this one ends, at the border of a shard.

        Raises
        ------
        ValueError
            Ranges that overlap or leave a gap, an end that is not a shard's border, another problem.
        """
        if not isinstance(other, Estimate):
            raise TypeError(f"`other` must be an Estimate, got {type(other).__name__}")
        if self.source is None or other.source is None or self._tree is None or other._tree is None:
            raise ValueError("`merge` needs sampled estimates, got one without samples")
        name = self.source.differs(other.source)
        if name:
            mine, its = getattr(self.source, name), getattr(other.source, name)
            raise ValueError(f"`other` must have the same {name}, got {its!r} beside {mine!r}")
        stop = self.first_sample + self.n_samples
        if other.first_sample != stop:
            came = f"{other.first_sample} after {stop}"
            raise ValueError(f"`other` must begin at the sample where this estimate ends, got {came}")
        shard = self._tree.layout.shard_rows
        if stop % shard:
            raise ValueError(f"only whole shards merge: this estimate must end at a multiple of {shard}, got {stop}")
        tree = Tree(self._tree.layout, self._tree.nodes)
        for first, size, node in other._tree.nodes:
            tree.push(first, size, node)
        return from_tree(
            tree,
            source=self.source,
            first_sample=self.first_sample,
            seconds=self.seconds + other.seconds,
            unbiased=self.unbiased and other.unbiased,
            evals=self.n_evals // (self.n_samples * self._tree.layout.problems),
        )

    def __repr__(self) -> str:
        cost = f"{self.cost:.6g} +- {self.cost_se:.2g}" if np.ndim(self.cost) == 0 else f"<{np.shape(self.cost)}>"
        told, structure = "parameters", Structure.of(self.grad)
        if structure.shape is not None:
            told = f"shape {structure.shape}"
        grad = f"grad of {told}, norm {np.linalg.norm(structure.leaves(self.grad)):.4g}"
        worst = np.max(structure.leaves(self.grad_se), initial=0.0)
        bias = "" if self.unbiased else ", biased"
        return f"Estimate(cost {cost}; {grad}, se <= {worst:.2g}; {self.n_samples} samples{bias})"


def from_tree(
    tree: Tree, *, source: Source, first_sample: int, seconds: float, unbiased: bool, evals: int = 1
) -> Estimate:
    """Read an Estimate off the total of a tree."""
    layout = tree.layout
    found = object.__new__(Estimate)
    own = found.__dict__  # a frozen dataclass's own way takes microseconds
    _estimate.fill(
        own, tree.total(), layout.problems, layout.parameters, ENOUGH_GROUPS, layout.dependent, layout.unit, evals
    )
    if layout.batch_shape:
        for name in ("cost", "cost_se", "best_cost", "_best_sample"):
            own[name] = own[name].reshape(layout.batch_shape)
    if layout.structure.shape is None or len(layout.structure.shape) != 1:
        own["grad"], own["grad_se"] = layout.structure.build(own["grad"]), layout.structure.build(own["grad_se"])
    own["seconds"], own["unbiased"], own["first_sample"] = seconds, unbiased, first_sample
    own["source"], own["_tree"] = source, tree
    return found


@lru_cache(maxsize=256)
def student_quantile(p: float, dof: float) -> float:
    """Return the p-quantile (p > 1/2) of Student's t.

    Up to 300 degrees of freedom by bisection on the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4;
    beyond by their expansion 26.7.5 in 1/dof, whose error is below 1e-9 there.
    """
    dof = max(dof, 1)
    if dof > 300:
        z = NormalDist().inv_cdf(p)
        g1 = (z**3 + z) / 4
        g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + g1 / dof + g2 / dof**2 + g3 / dof**3
    low, high = 0.0, math.pi / 2  # in theta = atan(t / sqrt(dof))
    for _ in range(100):
        theta = (low + high) / 2
        low, high = (theta, high) if _student_mass(theta, int(dof)) < 2 * p - 1 else (low, theta)
    return math.sqrt(dof) * math.tan(low)


def _student_mass(theta: float, dof: int) -> float:
    """P(|T| < sqrt(dof) tan(theta)) for a whole number of degrees of freedom."""
    cos2, odd = math.cos(theta) ** 2, dof % 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for k in range(1 if odd else 0, dof - 1, 2):
        total += term
        term *= cos2 * (k + 1) / (k + 2)
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
