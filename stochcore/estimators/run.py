"""run: an estimator over samples of a model, shard by shard: what shards need, and one shard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._estimators import Job
from ..costs import BuiltIn, Cost, evaluate, fitting
from ..distributions import Compiled, Family
from ..distributions.family import Simulated
from ..distributions.parameters import Structure
from ..estimate import (
    BLOCKS_PER_SHARD,
    ENOUGH_GROUPS,
    Estimate,
    Layout,
    Source,
    Tree,
    block_rows,
    from_tree,
    shared_layout,
)
from ..exact import exact
from ..noise import Stream
from ..version import __version__
from .ahead import shards_ahead
from .auto import Auto
from .base import Estimator
from .control import Adjusted, ControlVariate
from .folding import Way, folded
from .terms import Terms, keep_least
from .values import ValueBaseline
from .weights import MovingAverage, Weighing

Array = NDArray[Any]

CHUNK_OUTCOMES = 1 << 20  # a Python cost sees at most so many at a time


def sample_estimate(
    model: Family,
    cost: BuiltIn | Cost | None,
    n_samples: int,
    estimator: Estimator,
    stream: Stream,
    *,
    first_sample: int = 0,
    n_threads: int | None = None,
    way: Way | None = None,
) -> Estimate:
    """Estimate with arguments that are resolved already; says nothing where all costs are equal."""
    started = time.perf_counter()
    if way and way.stopping and way.stopping.levels:  # a bound need not be a multiple
        n_samples -= n_samples % estimator.samples_per_unit
    run = prepared(model, cost, n_samples, estimator, stream, first_sample)
    if run is None:
        return exact(model, fitting(model, cost))
    _check.addresses(stream.offset, (first_sample + run.n_samples) * model.n_elements)
    if way is not None:
        way.started = started
    tree = run.tree(model, stream, n_threads, None if way is None or way.plain else way)
    return run.read(tree, model, stream, time.perf_counter() - started)


def prepared(
    model: Family,
    cost: BuiltIn | Cost | None,
    n_samples: int,
    estimator: Estimator,
    stream: Stream,
    first_sample: int = 0,
    *,
    errors: bool = True,
) -> Run | None:
    """Check the arguments and return what is the same in every estimate with them; a model keeps the last one.

    A built-in cost keeps the last one too, without its model: for the next model of the same form.

    Without `errors` nobody asks for those of the gradient. None: the estimator does not sample.
    """
    kept: Run | None = getattr(model, "_run", None)
    if (
        kept is not None
        and kept.estimator is estimator
        and kept.cost is cost
        and kept.errors is errors
        and type(n_samples) is type(first_sample) is int
        and n_samples == kept.n_samples
        and not first_sample
    ):
        return kept
    form = getattr(model, "_form", None) if errors else None
    if form is not None and isinstance(cost, BuiltIn) and type(n_samples) is type(first_sample) is int:
        last_form, last = cost.__dict__.get("_last_run", (None, None))
        if last_form == form and last.estimator is estimator and last.n_samples == n_samples and not first_sample:
            again: Run = last.over(model, cost)
            return again
    cost = fitting(model, cost)
    if not isinstance(model, Family):
        raise TypeError(
            f"`model` must be a family such as Bernoulli, or a simulator with its theta, got {_check._short(model)}"
        )
    n_samples = _check.integer("n_samples", n_samples, 1)
    keep = isinstance(model, Compiled) and estimator.stays
    if isinstance(estimator, Auto):
        estimator = estimator.chosen(model, cost, stream, sample_estimate)
    estimator.check(model, cost, n_samples)
    if not estimator.samples:
        return None
    if errors and isinstance(estimator, ValueBaseline):
        estimator = estimator.fitted(model, cost, stream.spawn(1)[0], prepared)
    unit = estimator.samples_per_unit
    rows = block_rows(estimator.numbers_per_sample(model), unit)
    layout = shared_layout(model.batch_shape, model._structure, rows, unit, estimator.dependent_samples)
    first_sample = _check.integer("first_sample", first_sample, 0)
    if first_sample % layout.shard_rows:
        raise ValueError(f"`first_sample` must be a multiple of {layout.shard_rows}, got {first_sample}")
    run = Run(
        cost,
        estimator,
        layout,
        n_samples,
        first_sample,
        blocks=layout.blocks(n_samples),
        evals=estimator.evals_per_sample(model, cost),
        unbiased=estimator.unbiased and not model.has_certain_outcomes,
        errors=errors,
    )
    weighing = run.weighing(model)
    if isinstance(model, Simulated):
        assert weighing is not None
        run.mirrored, run.weights = weighing.mirrored, weighing
    elif weighing is not None:
        run.mirrored, run.jobs = weighing.mirrored, _jobs(run, model, weighing)
    if keep and first_sample == 0:
        model.__dict__["_run"] = run
        if form is not None and run.inside and weighing is not None and weighing.factor is None:
            cost.__dict__["_last_run"] = form, run.over(None, None)
    return run


def _jobs(run: Run, model: Family, weighing: Weighing) -> list[tuple[Job, int]]:
    """Return the kernels' descriptions: a job for each part of theta, and the part's size."""
    cost, given = run.priced(model), None
    if isinstance(cost, BuiltIn) and isinstance(model, Compiled):
        given = cost.weights_of(model, flips=weighing.flips)
        run.inside = True
    jobs, at = [], 0
    for tables, size in model._parts():
        own = None if weighing.by_parameter is None else weighing.by_parameter[at : at + size]
        job = Job(
            tables,
            run.layout.block_rows,
            size,
            weighing.kind,
            weighing.mirrored,
            run.estimator.samples_per_unit,
            run.within,
            weighing.baseline,
            weighing.by_sample,
            run.first_sample,
            own,
            weighing.factor,
            given,
        )
        jobs.append((job, size))
        at += size
    return jobs


@dataclass
class Pass:
    """One estimate on its way."""

    model: Family
    cost: Any
    stream: Stream
    n_threads: int | None
    prepared: Any = None  # what a `Terms` estimator has made ready


@dataclass
class Run:
    """What the shards of an estimate need, besides the model and its noise."""

    cost: BuiltIn | Cost
    estimator: Estimator
    layout: Layout
    n_samples: int
    first_sample: int
    blocks: int
    evals: int
    unbiased: bool
    errors: bool
    inside: bool = False  # are costs priced where samples are drawn?
    mirrored: bool = False
    jobs: list[tuple[Job, int]] = field(default_factory=list)
    weights: Weighing | None = None  # of a simulator, which has no jobs

    @property
    def inner(self) -> Estimator:
        """The estimator that makes the nodes."""
        return self.estimator.inner if isinstance(self.estimator, ControlVariate) else self.estimator

    def priced(self, model: Family) -> BuiltIn | Cost:
        """Return what is sampled: the cost, or one of the kind that a control variate makes of it."""
        if isinstance(self.estimator, ControlVariate):
            return Adjusted(model, self.cost, self.estimator.h, 1.0)
        return self.cost

    def weighing(self, model: Family) -> Weighing | None:
        """Return what the kernels are told, or None where they are told terms."""
        weighing: Weighing | None = self.inner.weighing(model, self.priced(model), self.n_samples)
        return weighing

    def tree(self, model: Family, stream: Stream, n_threads: int | None, way: Way | None = None) -> Tree:
        """Fold the shards of samples of a model, all of them or until it is time to stop."""
        if way is None and self.blocks <= BLOCKS_PER_SHARD and not self.first_sample:
            end = self.n_samples
            if self.inside:
                node, bad = self.jobs[0][0].whole(stream, 0, self.blocks, end, n_threads)
                return Tree(self.layout, [(0, 1, node if bad < 0 else _finite(node, bad))])
            return Tree(self.layout, [(0, 1, self.maker(model, stream, n_threads, False)(0, self.blocks, end))])
        return folded(self, model, stream, n_threads, way or Way(), lambda tree: self.read(tree, model, stream, 0.0))

    def read(self, tree: Tree, model: Family, stream: Stream, seconds: float) -> Estimate:
        """Return the estimate of a tree."""
        source = Source(model, self.cost, self.estimator, stream, __version__)
        return from_tree(
            tree,
            source=source,
            first_sample=self.first_sample,
            seconds=seconds,
            unbiased=self.unbiased,
            evals=self.evals,
        )

    def maker(
        self, model: Family, stream: Stream, n_threads: int | None, may_stop: bool
    ) -> Callable[[int, int, int], Array]:
        """Return what makes the node of the blocks first .. first + blocks, the last up to sample `stop`."""
        if self.inside:
            whole = self.jobs[0][0].whole
            return lambda first, blocks, stop: _finite(*whole(stream, first, blocks, stop, n_threads))
        if isinstance(model, Simulated):
            make, end = model.maker(self, self.weights, stream, n_threads), self.first_sample + self.n_samples
            last = self.first_sample // self.layout.block_rows + self.blocks
            return shards_ahead(lambda *those: _finite(*make(*those)), self.layout, last, end, may_stop)
        plan, now = None, Pass(model, self.cost, stream, n_threads)
        if isinstance(self.estimator, ControlVariate):
            plan = self.estimator.plan(model, self.cost, stream, sample_estimate)
            now.cost = plan.cost
            plan.cost.n_threads = n_threads
        fold = self._fold_chunks
        if not self.jobs:
            assert isinstance(self.inner, Terms)
            now.prepared, fold = self.inner.prepare(model, now.cost, stream), self._fold_terms

        def shard(first: int, blocks: int, stop: int) -> Array:
            node = fold(now, first, blocks, stop)
            if plan:
                plan.onto(node)
            return node

        return shard

    def over(self, model: Any, cost: Any) -> Run:
        """Return the same for another model of the same form, which keeps it; None: a run that keeps nobody alive."""
        other = object.__new__(Run)
        ((job, size),) = self.jobs
        other.__dict__.update(self.__dict__)
        other.cost, other.jobs = cost, [(job.like(None if model is None else model._tables), size)]
        if model is not None:
            model.__dict__["_run"] = other
        return other

    @property
    def baseline(self) -> Array:
        """One number a problem, live."""
        return self.weights.baseline if self.weights is not None else self.jobs[0][0].baseline

    @property
    def moving_baseline(self) -> Array | None:
        """The baseline that `minimize` sets before each step, if there is one."""
        return self.baseline if isinstance(self.estimator, MovingAverage) else None

    def move(self, model: Family) -> None:
        """Go over to a model of the same shapes."""
        if self.jobs:
            for (job, _), (tables, _) in zip(self.jobs, model._parts(), strict=True):
                job.move(tables)
            self.renew_factor(model)

    def renew_factor(self, model: Family) -> None:
        """Let the factors of scores follow the model's parameters."""
        for job, _ in self.jobs:
            weighing = None if job.factor is None else self.weighing(model)
            if job.factor is not None and weighing is not None:
                job.factor[:] = weighing.factor

    @property
    def within(self) -> bool:
        """Are there too few groups to compare, so that error bars come from inside them?"""
        return self.errors and self.blocks < ENOUGH_GROUPS

    def _fold_chunks(self, now: Pass, first: int, blocks: int, stop: int) -> Array:
        """Fold a shard with a Python cost: draw a chunk, call the cost, weigh the chunk."""
        layout, model = self.layout, now.model
        step = max(1, CHUNK_OUTCOMES // (layout.block_rows * model.n_elements))
        head = 2 + 4 * layout.problems
        nodes = [np.empty(head + 3 * size) for _, size in self.jobs]
        seen: list[tuple[Array, Array]] = []
        for start in range(first, first + blocks, step):
            count = min(step, first + blocks - start)
            begin = start * layout.block_rows
            end = stop if start + count == first + blocks else begin + count * layout.block_rows
            y = self._samples(now, begin, end, count)
            j = evaluate(now.cost, y, model.batch_shape, now.n_threads).reshape(-1)
            if isinstance(now.cost, Adjusted):
                seen.append((now.cost.raw.reshape(end - begin, -1), self._numbers(begin, end, count)))
            for (job, _), part, flat in zip(self.jobs, nodes, model._flat(y), strict=True):
                _finite(part, job.fold(now.stream, part, start == first, start, count, end, flat, j, now.n_threads))
        if seen:  # the least cost is that of J, not of what was weighed
            keep_least(nodes[0], *map(np.concatenate, zip(*seen, strict=True)))
        if len(nodes) == 1:
            return nodes[0]
        thirds = [part[head:].reshape(3, -1) for part in nodes]
        return np.concatenate([nodes[0][:head], np.concatenate(thirds, axis=1).reshape(-1)])

    def _samples(self, now: Pass, begin: int, end: int, blocks: int) -> Any:
        """Draw samples begin .. end in the order of the kernels: in each block, then their opposites."""
        model, width, n = now.model, now.model.n_elements, end - begin
        if not self.mirrored:
            own = now.stream.at(begin * width) if begin else now.stream
            return model.sample(n, own, n_threads=now.n_threads)
        own = now.stream.at(begin // 2 * width)
        y = model.sample(n // 2, own, n_threads=now.n_threads)
        opposite = model.sample(n // 2, own.antithetic(), n_threads=now.n_threads)
        return Structure.of(y).map(lambda a, b: self._woven(a, b, blocks), y, opposite)

    def _numbers(self, begin: int, end: int, blocks: int) -> Array:
        """Return the numbers of the samples that `_samples` draws."""
        numbers = np.arange(begin, end)
        return self._woven(numbers[::2], numbers[1::2], blocks) if self.mirrored else numbers

    def _woven(self, a: Array, b: Array, blocks: int) -> Array:
        """Return first the rows of a and then those of b, in each block."""
        cuts = [block * self.layout.block_rows // 2 for block in range(blocks)]
        ends = [*cuts[1:], len(a)]
        return np.concatenate([part[i:k] for i, k in zip(cuts, ends, strict=True) for part in (a, b)])

    def _fold_terms(self, now: Pass, first: int, blocks: int, stop: int) -> Array:
        """Fold a shard of terms that are made in Python, block by block."""
        estimator, rows = self.inner, self.layout.block_rows
        assert isinstance(estimator, Terms)
        node = np.empty(self.layout.node_size)
        for block in range(first, first + blocks):
            end = stop if block == first + blocks - 1 else (block + 1) * rows
            one = node if block == first else np.empty(node.size)
            within, begin = self.within, block * rows
            estimator.fold(now.model, now.cost, now.stream, begin, end, within, one, now.n_threads, now.prepared)
            if block > first:
                self.layout.merge(node, one)
        return node


def shard_maker(
    model: Family, cost: Any, estimator: Estimator, stream: Stream, n_samples: int, first_sample: int, n_threads: int,
    baseline: Array | None,
) -> tuple[Callable[[int, int, int], Array], Layout]:  # fmt: skip
    """Return what makes the node of any shard of an estimate, for a worker, and what is in a node."""
    run = prepared(model, cost, n_samples, estimator, stream, first_sample)
    assert run is not None
    if baseline is not None:
        run.baseline[:] = baseline
    if isinstance(model, Simulated):
        make = model.maker(run, run.weights, stream, n_threads)
        return (lambda *shard: _finite(*make(*shard))[0]), run.layout
    return run.maker(model, stream, n_threads, False), run.layout


def _finite(node: Array, bad: int) -> Array:
    """Return a node; a cost that is not finite becomes an error that names its sample."""
    if bad >= 0:
        raise ValueError(f"`cost` must be finite, got NaN or infinity for sample {bad}")
    return node
