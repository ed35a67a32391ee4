"""Schedules: learning rates that depend on the number of the step (names as in optax where it has one).

A schedule is a value: immutable, comparable, picklable, called with the number of the step (the first is 0).
Any callable of that form may stand in for one; those here are also kept by `Fit.save`. Cosines and powers are
those of the platform's C library: a rate has the same bits for any thread count and instruction set, but may
differ in its last bit between operating systems.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

from . import _check

__all__ = ["constant", "cosine_decay", "exponential_decay", "linear_decay", "warmup"]


class _Schedule:
    """What the schedules share: checked fields, and a repr that evaluates where `schedules` is imported."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "n_steps":
                value = _check.integer("n_steps", value, 1)
            elif field.name == "end":
                value = _at_least_zero("end", _check.real("end", value))
            elif field.name != "then":
                value = _check.real(field.name, value, positive=True)
            object.__setattr__(self, field.name, value)

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        raise NotImplementedError

    def __repr__(self) -> str:
        items = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))  # type: ignore[arg-type]
        return f"schedules.{type(self).__name__}({items})"


def _at_least_zero(name: str, value: float) -> float:
    if value < 0:
        raise ValueError(f"`{name}` must not be negative, got {value}")
    return value


@dataclass(frozen=True, repr=False)
class constant(_Schedule):  # noqa: N801
    """constant(rate): the same rate at every step.

    Parameters
    ----------
    rate : float
        Positive.

    Examples
    --------
    >>> from stochcore import schedules
    >>> schedules.constant(0.01)(500)
    0.01
    """

    rate: float

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        return self.rate


@dataclass(frozen=True, repr=False)
class linear_decay(_Schedule):  # noqa: N801
    """linear_decay(rate, n_steps, end=0.0): from `rate` to `end` along a straight line, then `end`.

    Parameters
    ----------
    rate : float
        At step 0; positive.
    n_steps : int
        The step at which `end` is reached.
    end : float
        Not negative; it may be above `rate`.

    Examples
    --------
    >>> from stochcore import schedules
    >>> [schedules.linear_decay(1.0, 4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    rate: float
    n_steps: int
    end: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        left = max(0.0, 1.0 - step / self.n_steps)
        return self.end + (self.rate - self.end) * left


@dataclass(frozen=True, repr=False)
class cosine_decay(_Schedule):  # noqa: N801
    """cosine_decay(rate, n_steps, end=0.0): half a period of a cosine from `rate` to `end`, then `end`.

    rate(t) = end + (rate - end) (1 + cos(pi t / n_steps)) / 2 (Loshchilov and Hutter 2017, eq. 5).

    Parameters
    ----------
    rate : float
        At step 0; positive.
    n_steps : int
        The step at which `end` is reached.
    end : float
        Not negative.

    Examples
    --------
    >>> from stochcore import schedules
    >>> rate = schedules.cosine_decay(0.01, 1000)
    >>> rate(0), round(rate(500), 12), rate(1000)
    (0.01, 0.005, 0.0)
    """

    rate: float
    n_steps: int
    end: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        if step >= self.n_steps:
            return self.end
        return self.end + (self.rate - self.end) * 0.5 * (1.0 + math.cos(math.pi * step / self.n_steps))


@dataclass(frozen=True, repr=False)
class exponential_decay(_Schedule):  # noqa: N801
    """exponential_decay(rate, n_steps, factor): times `factor` for every `n_steps` steps, smoothly.

    rate(t) = rate factor^(t / n_steps).

    Parameters
    ----------
    rate : float
        At step 0; positive.
    n_steps : int
        Steps in which the rate changes by `factor`.
    factor : float
        Positive; below 1 for a decay.

    Examples
    --------
    >>> from stochcore import schedules
    >>> rate = schedules.exponential_decay(0.5, 10, 0.5)
    >>> rate(0), rate(10), rate(20)
    (0.5, 0.25, 0.125)
    """

    rate: float
    n_steps: int
    factor: float

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        return self.rate * math.pow(self.factor, step / self.n_steps)


@dataclass(frozen=True, repr=False)
class warmup(_Schedule):  # noqa: N801
    """warmup(n_steps, then): climb to the first rate of `then` along a straight line, then follow `then`.

    Parameters
    ----------
    n_steps : int
        Steps of the climb: step t of it has (t + 1) / (n_steps + 1) of the rate that `then` begins with.
    then : float or schedule
        What follows, with its own steps counted from 0.

    Examples
    --------
    >>> from stochcore import schedules
    >>> rate = schedules.warmup(3, schedules.linear_decay(1.0, 4))
    >>> [rate(step) for step in range(7)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]
    """

    n_steps: int
    then: float | Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.then):
            object.__setattr__(self, "then", _check.real("then", self.then, positive=True))

    def __call__(self, step: int) -> float:
        """Return the rate of a step."""
        if step >= self.n_steps:
            return self._rest(step - self.n_steps)
        return self._rest(0) * (step + 1) / (self.n_steps + 1)

    def _rest(self, step: int) -> float:
        return float(self.then(step)) if callable(self.then) else self.then
