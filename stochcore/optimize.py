"""optimize: descent on an expected cost by its estimated gradient."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._descent import History, Trainer, diverged
from ._files import read_npz, write_npz
from ._plan import Plan, checked_entropy
from ._progress import Progress
from .costs import fitting
from .distributions import Family
from .estimators import Auto, Estimator, resolve, sample_estimate
from .noise import Stream, as_stream
from .optimizers import SGD, Adam, Momentum, Natural, Optimizer, Rate, RMSProp, checked
from .version import __version__

__all__ = ["SGD", "Adam", "Fit", "History", "Momentum", "Natural", "RMSProp", "minimize"]

Array = NDArray[Any]

RUN_SECONDS = 0.05  # a run of steps between two looks at the clock takes about so long
MOST_STEPS = 4096  # and has at most so many
FORMAT = 2  # of the file that Fit.save writes


class Fit:
    """What `minimize` found, and where it stands; `resume` goes on from there.

    Attributes
    ----------
    model
        The model after the last completed step, given as it was given to `minimize`.
    history : History
        Arrays cost, cost_se, grad_norm, best_cost, and entropy where it has a weight; also by name,
        ``fit.history["cost"]``.
    best_cost : float or ndarray of shape (*batch)
        The best cost of a single sample (for a network: of a step); infinite before the first step.
    best_y : ndarray of shape (*sites), or None
        The sample that has it. None before the first step, and for networks.
    n_steps : int
        Completed steps.
    seconds : float
        Wall time of all of them.
    optimizer : Optimizer
        The one in use.
    """

    def __init__(self, plan: Plan, trainer: Trainer | None = None) -> None:
        self._plan = plan
        self._trainer = trainer or plan.trainer()
        self._moments = np.zeros((2, self._trainer.parameters.size), dtype=self._trainer.parameters.dtype)
        self._records = np.empty((0, plan.record_width))
        self.n_steps = 0
        self.seconds = 0.0

    @property
    def model(self) -> Any:
        """The model after the last completed step."""
        return self._trainer.model()

    @property
    def history(self) -> History:
        """What each completed step had to say."""
        return History(self._records[: self.n_steps], self._plan.batch_shape, self._sign)

    @property
    def best_cost(self) -> Any:
        """The best cost so far."""
        never = np.full(self._plan.batch_shape, self._sign * np.inf)
        best = self.history.best_cost[-1] if self.n_steps else never
        return best if self._plan.batch_shape else float(best)

    @property
    def best_y(self) -> Any:
        """The sample that has the best cost."""
        best = getattr(self._trainer, "best", None)
        return None if best is None else copy.deepcopy(best[1])

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser in use."""
        return self._plan.optimizer

    @property
    def _sign(self) -> int:
        return -1 if self._plan.maximize else 1

    def __repr__(self) -> str:
        told = f", last cost {self.history.cost[-1]:.6g}" if self.n_steps and not self._plan.batch_shape else ""
        return f"Fit({type(self._plan.model).__name__} after {self.n_steps} steps{told})"

    def resume(
        self,
        n_steps: int,
        *,
        n_threads: int | None = None,
        progress: bool | Callable[[Fit], object] = False,
    ) -> Fit:
        """Return the fit after `n_steps` more steps: the bits of a descent that never paused.

        Parameters
        ----------
        n_steps : int
            At least 0.
        n_threads, progress
            As in `minimize`.

        Returns
        -------
        Fit
            Another one; this one stays as it is.
        """
        n_steps = _check.integer("n_steps", n_steps, 0)
        threads = _check.threads(n_threads)
        again = getattr(self._trainer, "again", None)
        other = Fit(replace(self._plan, n_threads=threads), again and again(threads))
        other._put(self._trainer.parameters, self._moments, self._records[: self.n_steps], self.seconds)
        other._stand(getattr(self._trainer, "best", None), getattr(self._trainer, "average", None))
        other._descend(n_steps, progress)
        return other

    def _stand(self, best: Any, average: Array | None) -> None:
        """Let the trainer stand where another one stood, if it keeps more than parameters."""
        if hasattr(self._trainer, "stand"):
            self._trainer.stand(best, average)

    def _put(self, parameters: Array, moments: Array, records: Array, seconds: float) -> None:
        """Stand where another fit stood."""
        self._trainer.parameters[:] = parameters
        self._moments[:] = moments
        self._records, self.n_steps, self.seconds = records.copy(), len(records), seconds

    def _descend(self, n_steps: int, progress: bool | Callable[[Fit], object]) -> None:
        """Take steps in runs of some 50 ms. Whatever ends them, the fit is left at a completed step."""
        plan, trainer = self._plan, self._trainer
        shown = Progress(progress, n_steps, plan.shows)
        first = start = self.n_steps
        stop, steps = start + n_steps, 1
        try:
            while first < stop:
                began = time.perf_counter()
                scalars = plan.optimizer.scalars(first, min(steps, stop - first))
                trainer.run(plan.optimizer.kind, scalars, first, self._moments)
                self._take_records(first)
                trainer.completed, first = 0, self.n_steps
                spent = time.perf_counter() - began
                self.seconds += spent
                if not np.isfinite(trainer.parameters).all():
                    raise diverged(first, "its parameters are not finite")
                steps = max(1, min(2 * steps, int(steps * RUN_SECONDS / max(spent, 1e-9)), MOST_STEPS))
                shown.show(self, first - start, last=first == stop)
        except BaseException as error:
            self._take_records(first)
            with contextlib.suppress(AttributeError):
                error.fit = self  # type: ignore[attr-defined]
            raise
        finally:
            shown.close()

    def _take_records(self, first: int) -> None:
        """Take over what the trainer's run from step `first` on has completed; twice is once."""
        rows = self._trainer.records[: self._trainer.completed]
        stop = first + len(rows)
        if stop <= self.n_steps:
            return
        if stop > len(self._records):  # earlier views keep the old array
            bigger = np.empty((max(stop, 2 * len(self._records)), self._records.shape[1]))
            bigger[:first] = self._records[:first]
            self._records = bigger
        self._records[first:stop, : rows.shape[1]] = rows
        if rows.shape[1] < self._records.shape[1]:
            best = np.minimum.accumulate(rows[:, 0])
            self._records[first:stop, -1] = np.minimum(best, self._records[first - 1, -1]) if first else best
        self.n_steps = stop

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that `load` needs to go on, besides model, cost and data.

        The file (an .npz without pickles) appears whole or not at all.

        Parameters
        ----------
        path : path
            Taken as it is; replaced if it exists.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        trainer = self._trainer
        plan, options = self._plan.about()
        about = {
            "format": FORMAT,
            "version": __version__,
            "model": repr(self._plan.model),
            "plan": plan,
            "seconds": self.seconds,
        }
        arrays = {
            "parameters": trainer.parameters,
            "moments": self._moments,
            "records": self._records[: self.n_steps],
        }
        best, average = getattr(trainer, "best", None), getattr(trainer, "average", None)
        if best is not None:
            arrays["best_cost"] = best[0]
            arrays |= _named_arrays("best_y", best[1])
        if average is not None:
            arrays["average"] = average
        for name, value in options.items():
            arrays |= _named_arrays(f"estimator.{name}", value)
        write_npz(Path(path), {"about": np.array(json.dumps(about)), **arrays})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        model: Any,
        cost: Any = None,
        *,
        data: Any = None,
        optimizer: Optimizer | None = None,
        estimator: str | Estimator | None = None,
        entropy: Rate | None = None,
        n_threads: int | None = None,
    ) -> Fit:
        """Read a fit that `save` wrote; its `resume` goes on with the bits of a descent that never paused.

        Parameters
        ----------
        path : path
        model
            Of the kind and shape that `minimize` was given. Its parameters do not matter.
        cost, data
            As they were given to `minimize`.
        optimizer : Optimizer, optional
            Must be given where the learning rate was a function of one's own, which no file can hold;
            otherwise the file says.
        estimator : str or Estimator, optional
            Must be given where it was a class of one's own or holds a function.
        entropy : float or schedule, optional
            Must be given where it was a function of one's own.
        n_threads : int, optional

        Returns
        -------
        Fit

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            The file is damaged, no fit, or one of another model.
        """
        about, arrays = _read(Path(path))
        if repr(model) != about["model"]:
            raise ValueError(f"`model` must be like that of {str(path)!r}, {about['model']}, got {model!r}")
        given = {"model": model, "cost": cost, "data": data, "n_threads": _check.threads(n_threads)}
        names = {name.split("/")[0] for name in arrays if name.startswith("estimator.")}
        options = {name.removeprefix("estimator."): _tree(name, arrays) for name in names}
        plan = Plan.again(about["plan"], options, optimizer, estimator, entropy, **given)
        fit = cls(plan)
        fit._put(arrays["parameters"], arrays["moments"], arrays["records"], about["seconds"])
        best = (arrays["best_cost"], _tree("best_y", arrays)) if "best_cost" in arrays else None
        fit._stand(best, arrays.get("average"))
        return fit


def _named_arrays(name: str, tree: Any) -> dict[str, Array]:
    """Return the arrays of a tree, each named by its path."""
    if not isinstance(tree, dict):
        return {name: tree}
    return {key: array for part, inner in tree.items() for key, array in _named_arrays(f"{name}/{part}", inner).items()}


def _tree(name: str, arrays: dict[str, Array]) -> Any:
    """Return the tree that `_named_arrays` has taken apart."""
    if name in arrays:
        return arrays[name]
    parts = dict.fromkeys(key[len(name) + 1 :].split("/")[0] for key in arrays if key.startswith(f"{name}/"))
    return {part: _tree(f"{name}/{part}", arrays) for part in parts}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `Fit.save` wrote."""
    arrays = read_npz(path)
    try:
        about = json.loads(str(arrays.pop("about")))
        written = about["format"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"`path` must be a file by Fit.save, got {str(path)!r}") from None
    if written not in (1, FORMAT):
        raise ValueError(f"`path` must be a Fit of format 1 or {FORMAT}, got {str(path)!r} of format {written}")
    if "baseline" in arrays:  # format 1
        about["plan"]["estimator"] = {"name": about["plan"]["estimator"], "options": {}}
        arrays["estimator.baseline"] = arrays.pop("baseline")
    return about, arrays


def minimize(
    model: Any,
    cost: Any = None,
    *,
    n_steps: int,
    n_samples: int,
    optimizer: Optimizer = Adam(1e-2),  # noqa: B008
    data: Any = None,
    batch_size: int = 50,
    estimator: str | Estimator = "leave_one_out",
    baseline: ArrayLike | None = None,
    entropy: Rate | None = None,
    seed: int | Stream = 0,
    n_threads: int | None = None,
    maximize: bool = False,
    progress: bool | Callable[[Fit], object] = False,
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
        )
    )
    fit._descend(steps, progress)
    return fit


def _chosen(model: Any, cost: Any, estimator: str | Estimator, seed: int | Stream) -> str | Estimator:
    """Let a pilot at the start choose the estimator, once."""
    auto = resolve(estimator)
    if not isinstance(auto, Auto) or not isinstance(model, Family):
        return estimator
    return auto.chosen(model, fitting(model, cost), as_stream(seed), sample_estimate)
