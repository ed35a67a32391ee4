"""What `minimize` drives, models that can take optimiser steps, and the history that they leave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _arrays, _check, _optimize
from ._distributions import Sites
from .costs import BuiltIn, Cost
from .distributions import Bernoulli, Compiled, Family
from .distributions.parameters import Structure
from .estimate import BLOCKS_PER_SHARD
from .estimators import Estimator, MovingAverage, ValueBaseline, Way, Workers, prepared
from .exact import exact
from .noise import Stream
from .optimizers import Rate

Array = NDArray[Any]


class Trainer(Protocol):
    """A model that moves. `run` takes a step for each row of scalars, and writes it down before the next.

    `completed` says how many steps of the last run are done, `records` holds a row for each. Whatever ends a
    run, parameters, moments and records agree: those of `completed` steps. A step is a function of its number
    and of the parameters and moments before it, so that cutting steps into runs changes nothing.

    A record: cost, its standard error, norm of the gradient, as float64. With several problems there are as
    many of the first two; the smallest cost sampled so far, of each problem, may follow.
    """

    parameters: Array
    completed: int
    records: Array

    def run(self, kind: int, scalars: Array, first_step: int, moments: Array) -> Array:
        """Take the steps first_step, first_step + 1, ... and return their records."""

    def model(self) -> Any:
        """Return the model as it is now."""


class FamilyTrainer:
    """The trainer of a family: every step is one `sc.estimate` on noise of its own.

    What an estimate needs is prepared once. Tables of logits move in place, where the model has such; other models are
    made again for each step.
    """

    best: tuple[Any, Any] | None
    workers: Workers | None = None

    def __init__(
        self,
        family: Family,
        cost: Cost | BuiltIn,
        n_samples: int,
        estimator: Estimator,
        stream: Stream,
        n_threads: int | None,
        entropy: Rate | None = None,
        natural: bool = False,
    ) -> None:
        self._made_of = family, cost, n_samples, estimator, stream, n_threads, entropy, natural
        self._family = family
        self._unconstrained = family._unconstrained()
        self._cost, self._n_samples, self._estimator = cost, n_samples, estimator
        self._stream, self._n_threads = stream, n_threads
        self._structure = self._unconstrained._structure
        self.parameters = self._structure.flatten(self._unconstrained.parameters)
        self.records = np.empty((0, 3 * math.prod(family.batch_shape) + 1))
        self.best = None
        self._now, self._bits = self._live()
        self._width = n_samples * family.n_elements  # elements of noise that a step takes
        self._run = prepared(self._now, cost, n_samples, estimator, stream, errors=False)
        problems = math.prod(family.batch_shape)
        self._descent = _optimize.Descent(
            self, self._bits, self.parameters, problems, n_samples, estimator.dependent_samples
        )
        if natural:
            if self._bits is None or not isinstance(family, Bernoulli):
                raise ValueError(f"`optimizer` Natural is for Bernoulli models without a Linear, got {family!r}")
            self._descent.natural = True
        self.average = None
        if isinstance(estimator, MovingAverage):
            assert self._run is not None
            self.average = np.zeros(problems + 1)
            self._descent.follow(self.average, self._run.baseline, estimator.decay)
        self._value = None
        if isinstance(estimator, ValueBaseline) and estimator.weights is None:
            assert self._run is not None
            assert self._run.weights is not None
            self._value = self._run.weights.value
            latest = self._value.learns()
            self.average = np.zeros(latest.size)
            self._descent.learn(self.average, latest, estimator.decay)
        self._entropy = entropy
        if entropy is not None:
            self.records = np.empty((0, 4 * problems + 2))
            try:
                self.entropy()
            except NotImplementedError as error:
                raise ValueError(f"`entropy` must be left out for this model: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _trainer_again, (self._made_of, self.parameters, self.best, self.average)

    def _live(self) -> tuple[Family, Sites | None]:
        """Return a model of the parameters, and its tables where they can follow these."""
        now = self._unconstrained.with_parameters(self._structure.build(self.parameters))
        tables = getattr(now, "_tables", None)
        if not (isinstance(now, Compiled) and isinstance(tables, Sites) and tables.moves):
            return now, None
        seen = self._structure.build(self.parameters).view()
        seen.flags.writeable = False
        now._arguments = {now.given: seen}
        now.__dict__["parameters"] = seen
        return now, tables

    def stand(self, best: tuple[Any, Any] | None, average: Array | None) -> None:
        """Stand where another trainer stood."""
        self.best = best
        if self.average is not None and average is not None:
            self.average[:] = average

    @property
    def completed(self) -> int:
        """How many steps of the last run are done."""
        return self._descent.completed

    @completed.setter
    def completed(self, value: int) -> None:
        self._descent.begin()

    def run(self, kind: int, scalars: Array, first_step: int, moments: Array) -> Array:
        """Take the steps first_step, first_step + 1, ... and return their records."""
        self._descent.begin()
        self.records = np.empty((len(scalars), self.records.shape[1]))
        if not len(scalars):
            return self.records
        run, width = self._run, self._width
        _check.addresses(self._stream.offset, (first_step + len(scalars)) * width)
        weights = None if self._entropy is None else entropy_weights(self._entropy, first_step, len(scalars))
        steps = kind, scalars, first_step, moments, self.records, weights
        if run and run.inside and run.blocks <= BLOCKS_PER_SHARD and self.workers is None:
            job = run.jobs[0][0]
            self._descent.run(job, self._stream, width, run.blocks, *steps, self._n_threads)
        else:
            self._descent.run_outside(*steps)
        return self.records

    def node_at(self, step: int) -> Array:
        """Return the node of a step's estimate, which is made in Python."""
        self._move(step)
        if self._run is None:
            return self._listed()
        if self._value is not None:
            assert self.average is not None
            self._value.weights[:] = self._value.fit(self.average)
            self._value.learned[:] = 0.0
        way = None if self.workers is None else Way(workers=self.workers)
        return self._run.tree(self._now, self._stream.at(step * self._width), self._n_threads, way).total()

    def _listed(self) -> Array:
        """Return the node of all outcomes: no sample among them is the best."""
        found = exact(self._now, self._cost)
        costs = np.asarray(found.cost).reshape(-1, 1)
        stats = np.concatenate([costs, np.zeros_like(costs), np.full_like(costs, np.inf), np.zeros_like(costs)], axis=1)
        grad = self._structure.leaves(found.grad)
        return np.concatenate([[2.0, 1.0], stats.reshape(-1), grad, np.zeros(2 * grad.size)])

    def _move(self, step: int) -> None:
        """Let model and prepared run follow the parameters."""
        if self._bits is not None and _arrays.within(self.parameters, -_check.LARGEST, _check.LARGEST):
            self._bits.move(self.parameters)
            if self._run:
                self._run.renew_factor(self._now)
        else:
            try:
                self._now = self._unconstrained.with_parameters(self._structure.build(self.parameters))
            except ValueError as error:
                raise diverged(step, str(error)) from None
            if self._run:
                self._run.move(self._now)

    def renew_factor(self) -> None:
        """Let the factors of scores follow the parameters."""
        if self._run:
            self._run.renew_factor(self._now)

    def entropy(self) -> tuple[Array, Array]:
        """Return the entropies of the problems, and their gradient."""
        grad = self._structure.leaves(self._now.entropy_grad)
        values = np.array(self._now.entropy, dtype=np.float64).reshape(-1)
        return values, np.array(grad, dtype=np.float64)

    def tables_at(self, step: int) -> Any:
        """Return the tables of the model as it is now."""
        self._move(step)
        return self._now._parts()[0][0]

    def model(self) -> Family:
        """Return the family as it is now, given as it was given."""
        return self._family._given_as(self._unconstrained.with_parameters(self._structure.build(self.parameters)))

    def better(self, step: int, costs: Array) -> tuple[Any, Any]:
        """Return the smallest cost of each problem so far, and its y, after a step with some that are smaller."""
        family, stream = self._now, self._stream.at(step * self._width)
        cost, number = costs[2], costs[3]
        if not isinstance(family, Compiled) or not family.batch_shape:
            y = self._estimator.draw(family, stream, int(number[0]))
            return cost[0], Structure.of(y).map(lambda part: part[0], y)
        smallest, best_y = np.full(len(cost), np.inf), np.zeros((len(cost), *family.event_shape), family.dtype)
        if self.best is not None:
            smallest[:], best_y[...] = self.best[0].reshape(-1), self.best[1].reshape(best_y.shape)
        for problem in np.flatnonzero(cost < smallest):
            drawn = self._estimator.draw(family, stream, int(number[problem]))[0]
            smallest[problem], best_y[problem] = cost[problem], drawn.reshape(best_y.shape)[problem]
        return smallest.reshape(family.batch_shape), best_y.reshape(family.site_shape)


def _trainer_again(
    made_of: tuple[Any, ...], parameters: Array, best: tuple[Any, Any] | None, average: Array | None
) -> FamilyTrainer:
    """Make a trainer that stands where another stood, for pickle."""
    trainer = FamilyTrainer(*made_of)
    trainer.parameters[:] = parameters
    trainer.stand(best, average)
    return trainer


def entropy_weights(entropy: Rate, first_step: int, n_steps: int) -> Array:
    """Return the weights of steps first_step .. first_step + n_steps."""
    if not callable(entropy):
        return np.full(n_steps, float(entropy))
    weights = np.array([float(entropy(step)) for step in range(first_step, first_step + n_steps)])
    for step, weight in enumerate(weights, first_step):
        if not math.isfinite(weight):
            raise ValueError(f"`entropy` must be finite, got {weight} at step {step}")
    return weights


def diverged(step: int, what: str) -> ValueError:
    """Return the error for a descent that left the finite numbers."""
    return ValueError(f"the descent diverged before step {step}, try a smaller `learning_rate`: {what}")


def columns(records: Array, batch_shape: tuple[int, ...]) -> dict[str, Array]:
    """Return what records hold, as views of them by name."""
    rows, n = len(records), math.prod(batch_shape)

    def of_problems(first: int) -> Array:
        return records[:, first : first + n].reshape(rows, *batch_shape)

    found = {
        "cost": of_problems(0),
        "cost_se": of_problems(n),
        "grad_norm": records[:, 2 * n],
        "best_cost": of_problems(2 * n + 1),
    }
    if records.shape[1] > 3 * n + 1:
        found |= {"entropy_weight": records[:, 3 * n + 1], "entropy": of_problems(3 * n + 2)}
    return found


class Columns(Mapping[str, Array]):
    """Read-only arrays, as attributes and by name."""

    _names: tuple[str, ...]

    def _show(self, found: dict[str, Array]) -> None:
        self._names = tuple(found)
        for name, array in found.items():
            array.flags.writeable = False
            setattr(self, name, array)

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        array: Array = getattr(self, name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class History(Columns):
    """What each completed step had to say: read-only arrays whose first axis is the step.

    Attributes
    ----------
    cost, cost_se : ndarray of shape (n_steps, *batch)
        Estimated cost before the step, and its standard error. For a BernoulliVAE minus the bound, with ``vimco`` the
        one with n_samples samples.
    grad_norm : ndarray of shape (n_steps,)
        Euclidean norm of the gradient that the optimiser was given, that of the entropy included.
    best_cost : ndarray of shape (n_steps, *batch)
        The best cost met so far: of single samples for a family, of steps for a network.
    entropy_weight, entropy : ndarray of shape (n_steps,), (n_steps, *batch)
        With ``minimize(entropy=...)`` alone: the weight of each step, and the entropy of the model before it.
    """

    cost: Array
    cost_se: Array
    grad_norm: Array
    best_cost: Array
    entropy_weight: Array
    entropy: Array

    def __init__(self, records: Array, batch_shape: tuple[int, ...], sign: int) -> None:
        found = columns(records, batch_shape)
        turned = ("cost", "best_cost") if sign < 0 else ()
        self._show({name: -array if name in turned else array for name, array in found.items()})

    def __repr__(self) -> str:
        return f"History({', '.join(self._names)} of {len(self.grad_norm)} steps)"
