"""Looking at a descent from outside its data: evaluations on held-out items, the best of them, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._descent import Columns, Trainer
from .noise import Stream

Array = NDArray[Any]

EVERY = 1000  # steps between evaluations
DRAWS = 5  # for each item: enough beside the spread of a few hundred items


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a descent is evaluated on, how often, and how long it waits for a better evaluation."""

    data: Any
    every: int
    n_draws: int
    patience: int | None
    bound_samples: int = 1  # within the logarithm of a bound

    @staticmethod
    def checked(
        held_out: Any, evaluate_every: Any, n_draws: Any, patience: Any, bound_samples: Any = 1
    ) -> HeldOut | None:
        """Return what `minimize` was given, checked; None without held-out items."""
        every, draws = _check.integer("evaluate_every", evaluate_every, 1), _check.integer("n_draws", n_draws, 2)
        waits, samples = checked_patience(patience), _check.integer("bound_samples", bound_samples, 1)
        if held_out is not None:
            return HeldOut(held_out, every, draws, waits, samples)
        if samples > 1:
            raise TypeError("`bound_samples` must be left out without `held_out`: it is of evaluations")
        if waits is not None:
            raise TypeError("`patience` must be left out without `held_out`: it counts evaluations")
        return None

    def evaluate(self, model: Any, seed: int | Stream, n_threads: int | None) -> tuple[float, float]:
        """Return a model's cost on the held-out items and its standard error: the same noise for every model."""
        more = {"n_samples": self.bound_samples} if self.bound_samples > 1 else {}
        found = model.evaluate(self.data, n_draws=self.n_draws, seed=seed, n_threads=n_threads, **more)
        cost, se = map(float, found)
        if not math.isfinite(cost):
            raise ValueError(f"the held-out cost is not finite: {cost}")
        return cost, se

    def about(self) -> dict[str, Any]:
        """Return what a file holds of it."""
        about = {"evaluate_every": self.every, "n_draws": self.n_draws, "patience": self.patience}
        return about | ({"bound_samples": self.bound_samples} if self.bound_samples > 1 else {})

    @staticmethod
    def again(kept: dict[str, Any] | None, held_out: Any) -> HeldOut | None:
        """Return what `about` told of, on the items that no file holds."""
        if kept is None and held_out is not None:
            raise ValueError("`held_out` must be left out: there was none")
        if kept is None:
            return None
        if held_out is None:
            raise TypeError("`held_out` must be given, as it was to `minimize`")
        return HeldOut.checked(held_out, **kept)


def checked_patience(patience: Any) -> int | None:
    """Return a number of evaluations, or None."""
    return None if patience is None else _check.integer("patience", patience, 1)


class Evaluations(Columns):
    """What the evaluations of a fit on its held-out items found: read-only arrays, the first axis the evaluation.

    Attributes
    ----------
    step : ndarray of int64, shape (n,)
        How many steps the model had taken.
    cost, cost_se : ndarray of float64, shape (n,)
        Its cost on the held-out items, for a BernoulliVAE minus the bound (with `bound_samples` samples), and the
        standard error of that: how much another seed would move it. All evaluations have the same noise, so that
        their differences are known better.
    """

    step: Array
    cost: Array
    cost_se: Array

    def __init__(self, rows: Array) -> None:
        self._show({"step": rows[:, 0].astype(np.int64), "cost": rows[:, 1].copy(), "cost_se": rows[:, 2].copy()})

    def __repr__(self) -> str:
        return f"Evaluations({', '.join(self)} of {len(self.step)} evaluations)"


class Watch:
    """The evaluations of a fit: at every multiple of `every` steps, and at the end of a run.

    One at the end that is no such multiple is let go when the fit goes on, so that it then has what a descent that
    never paused has. All state changes by one assignment: a Ctrl-C leaves what was or what is.
    """

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out = held_out
        # Room for rows (step, cost, standard error), how many there are, and the best of the regular ones: its
        # parameters and model.
        self._state: tuple[Array, int, tuple[Array, Any] | None] = np.empty((0, 3)), 0, None

    @property
    def rows(self) -> Array:
        """Step, cost and standard error of each evaluation."""
        rows, n, _ = self._state
        return rows[:n]

    @property
    def best(self) -> tuple[Array, Any] | None:
        """Parameters and model of the best regular evaluation."""
        return self._state[2]

    def stand(self, rows: Array, best: tuple[Array, Any] | None) -> None:
        """Stand where another watch stood."""
        self._state = rows.copy(), len(rows), best

    def _regular(self, rows: Array) -> Array:
        """Return the rows but for one at the end of a run."""
        return rows[:-1] if len(rows) and rows[-1, 0] % self.held_out.every else rows

    def go_on(self) -> None:
        """Let go of an evaluation that is there only because a run ended."""
        rows, _, best = self._state
        self._state = rows, len(self._regular(self.rows)), best

    def due(self, step: int, over: bool) -> bool:
        """Say whether it is time to evaluate: this step has its turn, or the run is over, and it was not done yet."""
        rows = self.rows
        return (over or step % self.held_out.every == 0) and not (len(rows) and rows[-1, 0] == step)

    def room(self, step: int) -> int:
        """Return how many steps there are to the next evaluation."""
        return self.held_out.every - step % self.held_out.every

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        cost, patience = self._regular(self.rows)[:, 1], self.held_out.patience
        return patience is not None and len(cost) > 0 and len(cost) - 1 - int(cost.argmin()) >= patience

    def look(self, trainer: Trainer, step: int, seed: int | Stream, n_threads: int | None) -> None:
        """Evaluate the model as it is after `step` steps."""
        model = trainer.model()
        cost, se = self.held_out.evaluate(model, seed, n_threads)
        rows, n, best = self._state
        if n == len(rows):
            rows = np.concatenate([rows, np.empty((max(16, n), 3))])
        rows[n] = step, cost, se
        if step % self.held_out.every == 0 and (best is None or cost < rows[:n, 1].min()):
            best = trainer.parameters.copy(), model
        self._state = rows, n + 1, best

    def best_model(self, now: Any) -> Any:
        """Return the model of the best evaluation; `now` makes the model at the last step."""
        rows = self.rows
        if not len(rows):
            return None
        first = int(rows[:, 1].argmin())
        return now() if first == len(self._regular(rows)) else self._state[2][1]  # type: ignore[index]
