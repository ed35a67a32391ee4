"""What `minimize` returns: a fit, which stands at a step, goes on, and lives in files."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._descent import FamilyTrainer, History, Trainer, diverged
from ._files import read_npz, write_npz
from ._held_out import Evaluations, Watch, checked_patience
from ._plan import Plan
from ._progress import Progress
from .estimators import Estimator
from .optimizers import Optimizer, Rate
from .version import __version__

__all__ = ["Fit"]

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
    evaluations : Evaluations
        Arrays step, cost, cost_se of the evaluations on held-out items; empty without such.
    best_model
        The model at the best evaluation, the first one if several are. None before the first evaluation. Its cost is
        the smallest of several, so rather too small: what it is worth, other items tell.
    stopped_early : bool
        Whether `patience` has run out.
    n_steps : int
        Completed steps.
    seconds : float
        Wall time of all of them, without evaluations.
    optimizer : Optimizer
        The one in use.
    """

    def __init__(self, plan: Plan, trainer: Trainer | None = None) -> None:
        self._plan = plan
        self._trainer = trainer or plan.trainer()
        self._moments = np.zeros((2, self._trainer.parameters.size), dtype=self._trainer.parameters.dtype)
        self._records = np.empty((0, plan.record_width))
        self._watch = None if plan.held_out is None else Watch(plan.held_out)
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
    def evaluations(self) -> Evaluations:
        """What the evaluations on held-out items found."""
        return Evaluations(np.empty((0, 3)) if self._watch is None else self._watch.rows)

    @property
    def best_model(self) -> Any:
        """The model at the best evaluation."""
        return None if self._watch is None else self._watch.best_model(self._trainer.model)

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out."""
        return self._watch is not None and self._watch.stopped

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser in use."""
        return self._plan.optimizer

    @property
    def _sign(self) -> int:
        return -1 if self._plan.maximize else 1

    def __repr__(self) -> str:
        told = f", last cost {self.history.cost[-1]:.6g}" if self.n_steps and not self._plan.batch_shape else ""
        found = self.evaluations
        if len(found.step):
            at = int(found.cost.argmin())
            told += f", best held-out cost {found.cost[at]:.6g} at step {found.step[at]}"
        return f"Fit({type(self._plan.model).__name__} after {self.n_steps} steps{told})"

    def resume(
        self,
        n_steps: int,
        *,
        n_threads: int | None = None,
        progress: bool | Callable[[Fit], object] = False,
        patience: int | Literal["same"] | None = "same",
    ) -> Fit:
        """Return the fit after `n_steps` more steps: the bits of a descent that never paused.

        An evaluation that is there only because the last run ended is made again where its turn is. Where patience has
        run out, no step is taken, as in a descent that never paused; another `patience` goes on.

        Parameters
        ----------
        n_steps : int
            At least 0.
        n_threads, progress
            As in `minimize`.
        patience : int or None, optional
            Another one from now on, None for no end; left out, it stays.

        Returns
        -------
        Fit
            Another one; this one stays as it is.
        """
        n_steps = _check.integer("n_steps", n_steps, 0)
        threads = _check.threads(n_threads)
        plan = replace(self._plan, n_threads=threads)
        if patience != "same":
            if plan.held_out is None:
                raise TypeError("`patience` must be left out without `held_out`: it counts evaluations")
            plan = replace(plan, held_out=replace(plan.held_out, patience=checked_patience(patience)))
        again = self._trainer.again(threads) if hasattr(self._trainer, "again") else None
        other = Fit(plan, again)
        other._put(self._trainer.parameters, self._moments, self._records[: self.n_steps], self.seconds)
        if self._watch is not None and other._watch is not None:
            other._watch.stand(self._watch.rows, self._watch.best)
        other._stand(getattr(self._trainer, "best", None), getattr(self._trainer, "average", None))
        other._descend(n_steps, progress)
        return other

    def _leave_workers(self) -> None:
        """Take further steps here: an executor is its owner's, who may close it."""
        if self._plan.workers is not None:
            self._plan = replace(self._plan, workers=None)
            cast(FamilyTrainer, self._trainer).workers = None

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
        plan, trainer, watch = self._plan, self._trainer, self._watch
        shown = Progress(progress, n_steps, plan.label)
        first = start = self.n_steps
        stop, steps = start + n_steps, 1
        try:
            if watch and n_steps:
                watch.go_on()
            self._look(over=not n_steps)
            while first < stop and not self.stopped_early:
                began = time.perf_counter()
                count = min(steps, stop - first, watch.room(first) if watch else steps)
                scalars = plan.optimizer.scalars(first, count)
                trainer.run(plan.optimizer.kind, scalars, first, self._moments)
                self._take_records(first)
                trainer.completed, first = 0, self.n_steps
                spent = time.perf_counter() - began
                self.seconds += spent
                if not np.isfinite(trainer.parameters).all():
                    raise diverged(first, "its parameters are not finite")
                steps = max(1, min(2 * steps, int(count * RUN_SECONDS / max(spent, 1e-9)), MOST_STEPS))
                self._look(over=first == stop)
                shown.show(self, first - start, last=first == stop or self.stopped_early)
        except BaseException as error:
            self._take_records(first)
            with contextlib.suppress(AttributeError):
                error.fit = self  # type: ignore[attr-defined]
            raise
        finally:
            shown.close()

    def _look(self, over: bool) -> None:
        """Evaluate, if it is time to."""
        if self._watch is not None and self._watch.due(self.n_steps, over):
            self._watch.look(self._trainer, self.n_steps, self._plan.seed, self._plan.n_threads)

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
        """Write everything that `load` needs to go on, besides model, cost, data and held-out items.

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
        if self._watch is not None:
            arrays["evaluations"] = self._watch.rows
            if self._watch.best is not None:
                arrays["best_parameters"] = self._watch.best[0]
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
        held_out: Any = None,
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
        cost, data, held_out
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
        about, arrays = read(Path(path))
        if repr(model) != about["model"]:
            raise ValueError(f"`model` must be like that of {str(path)!r}, {about['model']}, got {model!r}")
        given = {"model": model, "cost": cost, "data": data, "n_threads": _check.threads(n_threads)}
        names = {name.split("/")[0] for name in arrays if name.startswith("estimator.")}
        options = {name.removeprefix("estimator."): _tree(name, arrays) for name in names}
        plan = Plan.again(about["plan"], options, optimizer, estimator, entropy, held_out, **given)
        fit = cls(plan)
        fit._watch_again(arrays)
        fit._put(arrays["parameters"], arrays["moments"], arrays["records"], about["seconds"])
        best = (arrays["best_cost"], _tree("best_y", arrays)) if "best_cost" in arrays else None
        fit._stand(best, arrays.get("average"))
        return fit

    def _watch_again(self, arrays: dict[str, Array]) -> None:
        """Let the watch stand where a file says. Goes through the trainer's parameters, which are set afterwards."""
        if self._watch is None:
            return
        best = None
        if "best_parameters" in arrays:
            self._trainer.parameters[:] = arrays["best_parameters"]
            best = self._trainer.parameters.copy(), self._trainer.model()
        self._watch.stand(arrays["evaluations"], best)


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


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
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
