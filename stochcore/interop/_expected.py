"""What the faces of torch and JAX share: the question that a function of logits asks, and noise step by step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..costs import BuiltIn, Cost
from ..distributions import Family
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
        threads = None if n_threads is None else _check.threads(n_threads)
        return cls(cost, n_samples, family, batch_ndims, resolve(estimator, baseline), threads)

    def model(self, logits: Array) -> Family:
        """Return the family of these logits."""
        if isinstance(self.family, type):
            made: Family = self.family(logits=logits, batch_ndims=self.batch_ndims)  # type: ignore[call-arg]
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
        """Return the estimate; no warning where all costs are equal, as at the end of a descent."""
        return sample_estimate(
            self.model(logits), self.cost, self.n_samples, self.estimator, stream, n_threads=self.n_threads
        )


@lru_cache(maxsize=64)
def _takes_logits(family: type[Family]) -> bool:
    return issubclass(family, Family) and {"logits", "batch_ndims"} <= set(inspect.signature(family).parameters)
