"""optimize: descent on an expected cost by its estimated gradient."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _check
from ._descent import History
from ._fit import Fit
from ._held_out import DRAWS, EVERY, Evaluations, HeldOut
from ._plan import Plan, checked_entropy
from .costs import fitting
from .distributions import Family
from .estimators import Auto, Estimator, Way, resolve, sample_estimate
from .estimators.workers import checked as checked_executor
from .noise import Stream, as_stream
from .optimizers import SGD, Adam, Momentum, Natural, Optimizer, Rate, RMSProp, checked

__all__ = ["SGD", "Adam", "Evaluations", "Fit", "History", "Momentum", "Natural", "RMSProp", "minimize"]


def minimize(
    model: Any,
    cost: Any = None,
    *,
    n_steps: int,
    n_samples: int,
    optimizer: Optimizer = Adam(1e-2),  # noqa: B008
    data: Any = None,
    batch_size: int = 50,
    held_out: Any = None,
    evaluate_every: int = EVERY,
    n_draws: int = DRAWS,
    bound_samples: int = 1,
    patience: int | None = None,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    entropy: Rate | None = None,
    seed: int | Stream = 0,
    n_threads: int | None = None,
    maximize: bool = False,
    progress: bool | Callable[[Fit], object] = False,
    executor: Executor | Callable[[], Executor] | None = None,
) -> Fit:
    """Move the parameters of a model down the estimated gradient of its expected cost.

    Step t estimates cost and gradient with `n_samples` samples of its own, from element
    ``t * n_samples * n_elements`` of the stream on, and hands the gradient to the optimiser.

    Parameters
    ----------
    model : Bernoulli, Categorical, or a network: Network or BernoulliVAE
        Where to begin; it is not changed. A family given by `probs` moves through its logits.
    cost : a cost of ``stochcore.costs``, or a callable
        For families: as in `estimate`. A network brings its own.
    n_steps : int
        At least 0.
    n_samples : int
        Samples for each step; for a network, for each image of the batch.
    optimizer : SGD, Momentum, RMSProp or Adam, or one of these in a Natural
    data : array_like, or a pair of them
        For networks: what to learn from; for a Network also inputs and targets.
    batch_size : int
        For networks: how many items of `data` a step looks at.
    held_out : as `data`, optional
        For networks: items to evaluate the model on, before the first step, then every `evaluate_every` steps and at
        the end, by ``model.evaluate(held_out, n_draws=n_draws, seed=seed)``: on noise that is apart from training's and
        the same each time. `Fit.evaluations` has what was found, `Fit.best_model` the best. The steps have the same
        bits with it and without.
    evaluate_every : int
        Steps between evaluations.
    n_draws : int
        Draws of the noise for each held-out item and evaluation, at least 2.
    bound_samples : int
        For a BernoulliVAE: evaluations are of the bound with so many samples within the logarithm, which is what
        ``vimco`` learns with its `n_samples`.
    patience : int, optional
        Stop after so many evaluations in a row without a better cost than the best before; `Fit.stopped_early` tells.
    estimator : str or Estimator
        As in `estimate`.
    baseline : array_like, optional
        As in `estimate`.
    entropy : float or schedule, optional
        Families only: minimise E[J] - lambda_t H instead, H the entropy of the model and lambda_t this weight at step t
        (`stochcore.schedules`); with `maximize`, maximise E[J] + lambda_t H. The gradient of H is exact. A weight that
        falls to zero is annealing: it keeps a model of independent sites from deciding too early. The family must know
        its `entropy`.
    seed : int or Stream
    n_threads : int, optional
        At most so many threads; the bits do not depend on it.
    maximize : bool
        Go up instead (families only).
    progress : bool or callable
        True shows a bar on stderr (needs tqdm). A function is called with the Fit a few times a second, and
        after the last step; the Fit stands at a completed step then, and may be saved.

    executor : concurrent.futures.Executor, or a function that makes one, optional
        Families only: whose workers make the shards of each step's estimate, as in `estimate`, to the same bits. It
        pays where a step takes seconds. The Fit does not keep it: `resume` takes its steps here.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError, ValueError
        Arguments that break a rule; a cost of the wrong shape or not finite; a descent that leaves the finite
        numbers.
    KeyboardInterrupt
        On Ctrl-C, at once. Like every exception once the descent has begun, it has an attribute `fit`: the
        Fit of the completed steps, ready to be saved or resumed.

    Examples
    --------
    >>> import stochcore as sc
    >>> start, cost = sc.Bernoulli(logits=[0.0, 0.0, 0.0]), sc.costs.Linear([-1.0, 2.0, -3.0])
    >>> fit = sc.minimize(start, cost, optimizer=sc.Adam(0.1), n_steps=200, n_samples=32)
    >>> fit.best_cost, fit.best_y
    (-4.0, array([1, 0, 1], dtype=uint8))
    >>> fit.model.probs.round()
    array([1., 0., 1.])
    """
    steps = _check.integer("n_steps", n_steps, 0)
    if not isinstance(maximize, (bool, np.bool_)):
        raise TypeError(f"`maximize` must be a bool, got {_check._short(maximize)}")
    if estimator == "auto" or isinstance(estimator, Auto):
        estimator = _chosen(model, cost, estimator, seed)
    workers = checked_executor(executor)
    fit = Fit(
        Plan(
            model=model,
            cost=cost,
            data=data,
            batch_size=_check.integer("batch_size", batch_size, 1),
            optimizer=checked(optimizer),
            n_samples=_check.integer("n_samples", n_samples, 1),
            estimator=estimator if baseline is None else resolve(estimator, baseline),
            seed=as_stream(seed),
            n_threads=_check.threads(n_threads),
            maximize=bool(maximize),
            entropy=checked_entropy(entropy),
            workers=workers,
            held_out=HeldOut.checked(held_out, evaluate_every, n_draws, patience, bound_samples),
        )
    )
    try:
        with Way(workers=workers):
            fit._descend(steps, progress)
    finally:
        fit._leave_workers()
    return fit


def _chosen(model: Any, cost: Any, estimator: str | Estimator, seed: int | Stream) -> str | Estimator:
    """Let a pilot at the start choose the estimator, once."""
    auto = resolve(estimator)
    if not isinstance(auto, Auto) or not isinstance(model, Family):
        return estimator
    return auto.chosen(model, fitting(model, cost), as_stream(seed), sample_estimate)
