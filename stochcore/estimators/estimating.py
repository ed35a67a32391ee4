"""estimating: sc.estimate, whose samples are as many as asked for, or as a target needs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .._progress import checked_progress
from ..costs import BuiltIn, Cost
from ..distributions import Family
from ..estimate import Estimate
from ..noise import Stream, as_stream
from . import workers
from .base import Estimator, resolve
from .folding import Way
from .run import sample_estimate
from .stopping import Stopping


def estimate(
    model: Family,
    cost: BuiltIn | Cost | None = None,
    n_samples: int | None = None,
    *,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    target_se: float | Mapping[str, float] | None = None,
    min_samples: int | None = None,
    max_samples: int | None = None,
    max_seconds: float | None = None,
    seed: int | Stream = 0,
    first_sample: int = 0,
    n_threads: int | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[Estimate], object] = False,
) -> Estimate:
    """Estimate E[J(y)] and its gradient by the model's parameters, each with a standard error.

    grad E[J] = E[(J(y) - b) grad log p(y; w)], averaged over samples y_n = f(z_n; w).

    Parameters
    ----------
    model : Family
        Such as Bernoulli, or one of your own.
    cost : a cost of ``stochcore.costs``, or a callable
        ``cost(y) -> J`` with y of shape (n, *sites) and J of shape (n, *batch); see ``stochcore.costs``.
    n_samples : int, optional
        Draws of y; 10,000 where neither this nor `target_se` is given.
    estimator : str or Estimator
        A name, or one of ``stochcore.estimators`` with options. "auto" lets a pilot choose.
    baseline : array_like, optional
        For "score_function"; see ``estimators.ScoreFunction``.
    target_se : float or dict, optional
        Sample until the standard error is at most this: that of the cost (a number, or ``{"cost": ...}``), of each
        entry of the gradient (``{"grad": ...}``), or the norm of all of these (``{"grad_norm": ...}``). It is looked at
        after each shard of samples, and an error of zero where no cost has varied is not taken for an answer. The rule
        has a bias: it stops where the error bar happens to be small, and so where rare large costs are missing; where
        costs are skewed, the mean is low by a part of its error bar (docs/estimators.md has how much).
    min_samples, max_samples : int, optional
        With `target_se`: at least and at most so many; 0 and 10^8. It warns where the target was not reached.
    max_seconds : float, optional
        Stop at the first shard that ends later. The number of samples is in the result, and a rerun with that has the
        same bits.
    seed : int or Stream
        The samples are ``model.sample(n_samples, Stream(seed))``.
    first_sample : int
        Begin with this sample of the stream; a multiple of the shard's size. The estimate merges with its neighbours.
    n_threads : int, optional
        At most so many threads; the bits do not depend on it. With an executor: in each worker, 1 by default.
    executor : concurrent.futures.Executor, or a function that makes one, optional
        Whose workers make the shards of samples: a process pool, ``dask.distributed.Client().get_executor()``,
        ``mpi4py.futures.MPIPoolExecutor()``, loky. Any number of workers, in whatever order they finish, gives the bits
        of one process. Where a worker's death breaks the executor, a function makes another one and what was lost is
        made again. docs/scale.md has more.
    checkpoint : path, optional
        Keep every shard in this file as soon as it is made. If it is there already, from the same estimate, go on from
        it: a run that was killed ends with the bits of one that was not. The file stays.
    progress : bool or callable
        True shows a bar of shards on stderr, with the error bars as they shrink (needs tqdm). A function is called with
        the Estimate so far a few times a second, and at the end.

    Returns
    -------
    Estimate

    Raises
    ------
    TypeError, ValueError
        Arguments that break a rule; a cost of the wrong shape or not finite (the message names the sample).
    RuntimeError
        A worker died, or the connection to it did, and nobody makes another executor.

    Warns
    -----
    RuntimeWarning
        `target_se` was not reached; or all sampled costs are equal, so that the error bars are zero because nothing
        varied.

    Examples
    --------
    >>> import stochcore as sc
    >>> model = sc.Bernoulli(logits=[0.0, 1.0])
    >>> e = sc.estimate(model, sc.costs.Linear([1.0, -1.0]), n_samples=100_000)
    >>> abs(e.grad - [0.25, -0.19661193]) < 4 * e.grad_se
    array([ True,  True])
    """
    stopping = None
    if n_samples is None or not (target_se is min_samples is max_samples is max_seconds is None):
        stopping = Stopping.of(n_samples, target_se, min_samples, max_samples, max_seconds)
        n_samples = stopping.max_samples
    if not (checkpoint is None or isinstance(checkpoint, (str, os.PathLike))):
        raise TypeError(f"`checkpoint` must be a path, got {_check._short(checkpoint)}")
    way = Way(
        stopping=stopping if stopping and stopping.watches else None,
        workers=workers.checked(executor),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        progress=checked_progress(progress, "Estimate"),
    )
    threads = None if n_threads is None else _check.threads(n_threads)
    with way:
        found = sample_estimate(
            model,
            cost,
            n_samples,
            resolve(estimator, baseline),
            as_stream(seed),
            first_sample=first_sample,
            n_threads=threads,
            way=way,
        )
    if stopping and stopping.levels and found._tree and (short := stopping.short_of(found._tree)):
        told = ", ".join(f"{name} {error:.3g} > {stopping.levels[name]:.3g}" for name, error in short.items())
        warnings.warn(
            f"`target_se` was not reached after {found.n_samples} samples: {told}", RuntimeWarning, stacklevel=2
        )
    varied = np.any(found.cost_se) if model.batch_shape else found.cost_se
    if not varied and found._tree and found.n_samples > 1 and np.all(found.best_cost == found.cost):
        warnings.warn(
            f"all {found.n_samples} sampled costs are equal: the standard errors are zero because nothing varied",
            RuntimeWarning,
            stacklevel=2,
        )
    return found
