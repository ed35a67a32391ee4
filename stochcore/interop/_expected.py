"""What the faces of torch and JAX share: the question that a function of logits asks, and noise step by step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _views
from ..costs import BuiltIn, Cost
from ..distributions import Bernoulli, Categorical, Family
from ..estimate import Estimate
from ..estimators import Estimator, resolve, sample_estimate
from ..noise import Stream, as_stream

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..noise import SeedLike

Array = NDArray[Any]
FamilyOf = type[Family] | Callable[[Array], Family]


def stream_of_step(stream: Stream, step: int) -> Stream:
    """Return the noise of a step: child `step` of the stream."""
    return stream.at(_check.integer("step", step, 0)).spawn(1)[0]


class Steps:
    """Steps(seed=0, step=0)

    Noise for a training loop: a Stream of its own for each step, the same in every run.

    Step i has child i of ``Stream(seed)``, ``Stream(seed).at(i).spawn(1)[0]``. Where a function takes a seed, it may be
    given the Steps themselves: each call takes the next one. `step` is all the state there is: keep it in a checkpoint,
    and set it to go on.

    Parameters
    ----------
    seed : int or Stream
    step : int
        The number of the next step.

    Attributes
    ----------
    stream : Stream
    step : int

    Examples
    --------
    >>> from stochcore.interop.torch import Steps
    >>> noise = Steps(seed=7)
    >>> first, second = next(noise), next(noise)
    >>> noise.step
    2
    >>> noise.step = 1
    >>> next(noise) == second
    True
    """

    def __init__(self, seed: SeedLike | Stream = 0, step: int = 0) -> None:
        self.stream, self.step = as_stream(seed), _check.integer("step", step, 0)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Stream:
        found = stream_of_step(self.stream, self.step)
        self.step += 1
        return found

    def __repr__(self) -> str:
        return f"Steps({self.stream!r}, step={self.step})"


class Question(NamedTuple):
    """What is asked of logits, all but the logits and the noise."""

    cost: BuiltIn | Cost | None
    n_samples: int
    family: FamilyOf
    batch_ndims: int
    estimator: Estimator
    n_threads: int | None

    @classmethod
    def of(
        cls,
        cost: BuiltIn | Cost | None,
        n_samples: int,
        family: FamilyOf,
        batch_ndims: int,
        estimator: str | Estimator,
        baseline: ArrayLike | None,
        n_threads: int | None,
    ) -> Question:
        """Check what can be checked without logits."""
        if isinstance(family, type):
            if not _takes_logits(family):
                raise TypeError(
                    "`family` must take logits, or be a function of an array such as "
                    f"lambda rate: sc.Poisson(log_rate=rate), got {family.__name__}"
                )
        elif not callable(family):
            raise TypeError(
                "`family` must be a class such as sc.Bernoulli, or a function that makes a family of an array, "
                f"got {_check._short(family)}"
            )
        elif batch_ndims:
            raise ValueError(f"`batch_ndims` goes with a class; a function sets its own, got {batch_ndims}")
        n_samples = _check.integer("n_samples", n_samples, 1)
        threads = None if n_threads is None else _check.threads(n_threads)
        return cls(cost, n_samples, family, batch_ndims, resolve(estimator, baseline), threads)

    def model(self, logits: Array) -> Family:
        """Return the family of these logits."""
        if isinstance(self.family, type):
            made: Family = self.family(logits=logits, batch_ndims=self.batch_ndims)
            return made
        model = self.family(logits)
        if not isinstance(model, Family):
            raise TypeError(f"`family` must return a family or a simulator with its theta, got {_check._short(model)}")
        if isinstance(model.parameters, dict) or np.shape(model.parameters) != logits.shape:
            raise ValueError(
                f"`family` must return a family whose parameters are the array of shape {logits.shape} that it is "
                f"given, got {model!r} with parameters {model._structure}"
            )
        return model

    def answer(self, logits: Array, stream: Stream) -> Estimate:
        """Return the estimate; no warning where all costs are equal, as at the end of a descent.

        It may hold a model that moves on with the next call: read its numbers, and let it go.
        """
        if logits.nbytes < _views.SMALL and isinstance(self.cost, BuiltIn) and self.family in (Bernoulli, Categorical):
            return self._moved(self.cost, _check.reals("logits", logits).copy(), stream)
        return self._new(self.model(logits), stream)

    def _new(self, model: Family, stream: Stream) -> Estimate:
        return sample_estimate(model, self.cost, self.n_samples, self.estimator, stream, n_threads=self.n_threads)

    def _moved(self, cost: BuiltIn, logits: Array, stream: Stream) -> Estimate:
        """The same by the model of the last call, whose tables go over to these logits in place, if it was alike.

        It stays with the cost; whoever uses it takes it away meanwhile, so that other threads make their own. Small
        calls live on it: a new model and its preparations take longer than the samples.
        """
        alike = self.family, self.batch_ndims, self.n_samples, logits.shape
        last_alike, estimator, model, run = cost.__dict__.pop("_moving", (None, None, None, None))
        if last_alike != alike or estimator is not self.estimator:
            model = self.model(logits)
            found = self._new(model, stream)
            run = model.__dict__.get("_run")
            if (
                run is None
                or run.estimator is not self.estimator
                or not run.inside
                or run.jobs[0][0].factor is not None
            ):
                return found
        else:
            model._tables.move(logits)
            _check.addresses(stream.offset, run.n_samples * model.n_elements)
            found = run.read(run.tree(model, stream, self.n_threads), model, stream, 0.0)
        cost.__dict__["_moving"] = alike, self.estimator, model, run
        return found


@lru_cache(maxsize=64)
def _takes_logits(family: type[Family]) -> bool:
    return issubclass(family, Family) and {"logits", "batch_ndims"} <= set(inspect.signature(family).parameters)
