"""estimators: what weighs the score. `estimate` runs one of them over samples of a model."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._estimators import Job
from .costs import BuiltIn, Cost, as_cost, evaluate
from .distributions import Bernoulli, Compiled, Family, Joint
from .estimate import (
    BLOCKS_PER_SHARD,
    ENOUGH_GROUPS,
    Estimate,
    Layout,
    Source,
    Tree,
    block_rows,
    from_tree,
)
from .noise import Stream, as_stream
from .version import __version__

Array = NDArray[Any]

CHUNK_OUTCOMES = 1 << 20  # a Python cost sees at most so many at a time


class Estimator:
    """A way to weigh the score: a value with its options."""

    name: str
    least: int  # samples it needs


@dataclass(frozen=True, eq=False)
class ScoreFunction(Estimator):
    """ScoreFunction(baseline=None)

    g = 1/n sum_i (J_i - b) grad log p(y_i; w). Unbiased for any baseline b that does not depend on the samples.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
    Learning 8, 1992, eq. 5. One evaluation of J a sample; every family.

    Parameters
    ----------
    baseline : array_like, optional
        A number; one for each problem, shape (*batch); one for each parameter (Williams' b_ij), shape of the
        parameters; or one for each sample, shape (n_samples, *batch). Left out: 0.
    """

    baseline: ArrayLike | None = None
    name = "score_function"
    least = 1


@dataclass(frozen=True)
class LeaveOneOut(Estimator):
    """LeaveOneOut()

    g = 1/n sum_i (J_i - mean of the others' J) grad log p(y_i; w) = 1/(n-1) sum_i (J_i - Jbar) grad log p(y_i; w).

    Kool, van Hoof and Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019, eq. 8. Unbiased: the mean of
    the others is independent of sample i. "The others" are those of the same block (32 to 1024 samples, by the size
    of the model). One evaluation of J a sample, at least two samples; every family.
    """

    name = "leave_one_out"
    least = 2


ESTIMATORS: dict[str, type[Estimator]] = {"score_function": ScoreFunction, "leave_one_out": LeaveOneOut}


def resolve(estimator: str | Estimator, baseline: ArrayLike | None = None) -> Estimator:
    """Return an estimator from its name or itself; `baseline` is short for ``ScoreFunction(baseline)``."""
    if isinstance(estimator, str):
        made = _check.choice("estimator", estimator, ESTIMATORS)()
    elif isinstance(estimator, Estimator):
        made = estimator
    else:
        names = ", ".join(map(repr, ESTIMATORS))
        raise TypeError(f"`estimator` must be one of {names} or an Estimator, got {_check._short(estimator)}")
    if baseline is None:
        return made
    if not isinstance(made, ScoreFunction) or made.baseline is not None:
        raise ValueError(f"`baseline` goes with estimator 'score_function' without one of its own, got {made!r}")
    return ScoreFunction(baseline)


def estimate(
    model: Family,
    cost: BuiltIn | Cost | None = None,
    n_samples: int = 10_000,
    *,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    seed: int | Stream = 0,
    first_sample: int = 0,
    n_threads: int | None = None,
) -> Estimate:
    """Estimate E[J(y)] and its gradient by the model's parameters, each with a standard error.

    grad E[J] = E[(J(y) - b) grad log p(y; w)], averaged over samples y_n = f(z_n; w).

    Parameters
    ----------
    model : Family
        Such as Bernoulli, or one of your own.
    cost : a cost of ``stochcore.costs``, or a callable
        ``cost(y) -> J`` with y of shape (n, *sites) and J of shape (n, *batch); see ``stochcore.costs``.
    n_samples : int
        Draws of y.
    estimator : {"leave_one_out", "score_function"} or an Estimator
    baseline : array_like, optional
        For "score_function"; see ``estimators.ScoreFunction``.
    seed : int or Stream
        The samples are ``model.sample(n_samples, Stream(seed))``.
    first_sample : int
        Begin with this sample of the stream; a multiple of the shard's size. The estimate merges with its neighbours.
    n_threads : int, optional
        At most so many threads; the bits do not depend on it.

    Returns
    -------
    Estimate

    Raises
    ------
    TypeError, ValueError
        Arguments that break a rule; a cost of the wrong shape or not finite (the message names the sample).

    Warns
    -----
    RuntimeWarning
        All sampled costs are equal, so that the error bars are zero because nothing varied.

    Examples
    --------
    >>> import stochcore as sc
    >>> model = sc.Bernoulli(logits=[0.0, 1.0])
    >>> e = sc.estimate(model, sc.costs.Linear([1.0, -1.0]), n_samples=100_000)
    >>> abs(e.grad - [0.25, -0.19661193]) < 4 * e.grad_se
    array([ True,  True])
    """
    found = sample_estimate(
        model,
        fitting(model, cost),
        n_samples,
        resolve(estimator, baseline),
        as_stream(seed),
        first_sample=first_sample,
        n_threads=_check.threads(n_threads),
    )
    if n_samples > 1 and not (np.any(found.cost_se) if model.batch_shape else found.cost_se):
        warnings.warn(
            f"all {found.n_samples} sampled costs are equal: the standard errors are zero because nothing varied",
            RuntimeWarning,
            stacklevel=2,
        )
    return found


def fitting(model: Family, cost: object) -> BuiltIn | Cost:
    """Check that `cost` can be called on what the model draws."""
    price = as_cost(cost)
    if isinstance(price, BuiltIn) and isinstance(model, Joint):
        raise TypeError(f"`cost` must be a function of the dict that a Joint draws, got {price!r}")
    return price


def sample_estimate(
    model: Family,
    cost: BuiltIn | Cost,
    n_samples: int,
    estimator: Estimator,
    stream: Stream,
    *,
    first_sample: int = 0,
    n_threads: int | None = None,
) -> Estimate:
    """Estimate with arguments that are resolved already; says nothing where all costs are equal."""
    started = time.perf_counter()
    if not isinstance(model, Family):
        raise TypeError(f"`model` must be a family such as Bernoulli or Categorical, got {_check._short(model)}")
    n_samples = _check.integer("n_samples", n_samples, 1)
    if n_samples < estimator.least:
        raise ValueError(f"`n_samples` must be at least {estimator.least} for {estimator.name}, got {n_samples}")
    layout = Layout(model.batch_shape, model._structure, block_rows(model.n_elements))
    first_sample = _check.integer("first_sample", first_sample, 0)
    if first_sample % layout.shard_rows:
        raise ValueError(f"`first_sample` must be a multiple of {layout.shard_rows}, got {first_sample}")
    _check.addresses(stream.offset, (first_sample + n_samples) * model.n_elements)

    inside = isinstance(cost, BuiltIn) and isinstance(model, Compiled)  # costs are priced where samples are drawn
    jobs = _jobs(model, cost if inside else None, estimator, stream, layout, n_samples, first_sample)
    tree = Tree(layout)
    first_block = first_sample // layout.block_rows
    last_block = first_block + layout.blocks(n_samples)
    for start in range(first_block, last_block, BLOCKS_PER_SHARD):
        blocks = min(BLOCKS_PER_SHARD, last_block - start)
        stop = first_sample + n_samples if start + blocks == last_block else (start + blocks) * layout.block_rows
        node = np.empty(layout.node_size)
        if inside:
            _fold(jobs[0][0], node, True, start, blocks, stop, None, None, n_threads)
        else:
            _fold_chunks(jobs, node, model, cost, stream, layout, start, blocks, stop, n_threads)
        tree.push(start // BLOCKS_PER_SHARD, 1, node)
    return from_tree(
        tree,
        source=Source(model, cost, estimator, stream, __version__),
        first_sample=first_sample,
        seconds=time.perf_counter() - started,
        unbiased=not model.has_certain_outcomes,
    )


def _jobs(
    model: Family,
    cost: BuiltIn | Cost | None,
    estimator: Estimator,
    stream: Stream,
    layout: Layout,
    n_samples: int,
    first_sample: int,
) -> list[tuple[Job, int]]:
    """Build the kernels' descriptions of an estimate: a job for each part of theta, and the part's size."""
    given = None
    if isinstance(cost, BuiltIn) and isinstance(model, Compiled):
        stride = cost.fit(model.batch_shape, model.event_shape)
        quadratic = None if cost.quadratic is None else cost.quadratic.reshape(-1)
        packed = isinstance(model, Bernoulli) and not model.batch_shape and cost.kind == "linear"
        sums = cost.tables if packed else None
        given = (cost.kind, cost.linear.reshape(-1), quadratic, stride, sums)
    centre, by_sample, by_parameter = np.zeros(layout.problems), None, None
    if isinstance(estimator, ScoreFunction) and estimator.baseline is not None:
        centre, by_sample, by_parameter = _baselines(estimator.baseline, model, n_samples)
    jobs, at = [], 0
    for tables, size in model._parts():
        job = Job(
            tables,
            stream,
            layout.block_rows,
            size,
            estimator.name,
            layout.blocks(n_samples) < ENOUGH_GROUPS,
            centre,
            by_sample,
            first_sample,
            None if by_parameter is None else by_parameter[at : at + size],
            given,
        )
        jobs.append((job, size))
        at += size
    return jobs


def _baselines(baseline: ArrayLike, model: Family, n_samples: int) -> tuple[Array, Array | None, Array | None]:
    """Sort a baseline by its shape: one a problem, one a sample, or one a parameter (less the problem's)."""
    structure, zero = model._structure, np.zeros(math.prod(model.batch_shape))
    if isinstance(baseline, Mapping):
        return zero, None, structure.flatten(baseline, "baseline")
    b = _check.reals("baseline", baseline)
    shapes = {"problem": model.batch_shape, "parameter": structure.shape, "sample": (n_samples, *model.batch_shape)}
    if structure.shape is None:
        del shapes["parameter"]
    if b.ndim == 0:
        return np.full(math.prod(model.batch_shape), b[()]), None, None
    kinds = [kind for kind, shape in shapes.items() if b.shape == shape]
    if len(kinds) > 1:
        raise ValueError(
            f"`baseline` of shape {b.shape} may be one for each {' or one for each '.join(kinds)}: "
            "change `n_samples`, or reshape the model, so that only one of them fits"
        )
    if kinds == ["problem"]:
        return b.reshape(-1), None, None
    if kinds == ["sample"]:
        return zero, b.reshape(-1), None
    if kinds == ["parameter"] and b.shape[: len(model.batch_shape)] != model.batch_shape:  # problems share them
        return zero, None, b.reshape(-1)
    if kinds == ["parameter"]:
        by_problem = b.reshape(zero.size, -1)
        centre = by_problem.mean(axis=1)
        return centre, None, (by_problem - centre[:, None]).reshape(-1)
    rule = ", ".join(f"{shape} ({kind})" for kind, shape in shapes.items())
    raise ValueError(f"`baseline` must be a number or have one of the shapes {rule}, got {b.shape}")


def _fold(
    job: Job,
    node: Array,
    empty: bool,
    first: int,
    blocks: int,
    stop: int,
    y: Array | None,
    j: Array | None,
    n_threads: int | None,
) -> None:
    """Fold blocks into a node; a cost that is not finite becomes an error that names its sample."""
    bad = job.fold(node, empty, first, blocks, stop, y, j, n_threads)
    if bad >= 0:
        raise ValueError(f"`cost` must be finite, got NaN or infinity for sample {bad}")


def _fold_chunks(
    jobs: list[tuple[Job, int]],
    node: Array,
    model: Family,
    cost: Cost,
    stream: Stream,
    layout: Layout,
    first: int,
    blocks: int,
    stop: int,
    n_threads: int | None,
) -> None:
    """Fold a shard with a Python cost: draw a chunk, call the cost, weigh the chunk."""
    step = max(1, CHUNK_OUTCOMES // (layout.block_rows * model.n_elements))
    head = 2 + 4 * layout.problems
    nodes = [np.empty(head + 3 * size) for _, size in jobs]
    for start in range(first, first + blocks, step):
        count = min(step, first + blocks - start)
        begin = start * layout.block_rows
        end = stop if start + count == first + blocks else begin + count * layout.block_rows
        y = model.sample(end - begin, stream.at(begin * model.n_elements), n_threads=n_threads)
        j = evaluate(cost, y, model.batch_shape).reshape(-1)
        for (job, _), part, flat in zip(jobs, nodes, model._flat(y), strict=True):
            _fold(job, part, start == first, start, count, end, flat, j, n_threads)
    node[:head] = nodes[0][:head]
    thirds = [part[head:].reshape(3, -1) for part in nodes]
    node[head:] = np.concatenate(thirds, axis=1).reshape(-1)
