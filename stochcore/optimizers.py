"""Optimisers: SGD, Momentum, RMSProp and Adam as values; csrc/kernels/optimize.h is what they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import _check, schedules

__all__ = ["SGD", "Adam", "Momentum", "Natural", "Optimizer", "RMSProp"]

Rate = float | Callable[[int], float]


class Optimizer:
    """What all optimisers share. An optimiser is a value: it keeps no state, `Fit` does.

    Attributes
    ----------
    kind : int
        Its number in csrc/optimizer.h.
    n_slots : int
        How many numbers it remembers for each parameter.
    """

    kind: ClassVar[int]
    n_slots: ClassVar[int]
    learning_rate: Rate

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name)))

    def scalars(self, first_step: int, n_steps: int) -> NDArray[np.float64]:
        """Return what steps first_step .. first_step + n_steps need, besides the gradient.

        Parameters
        ----------
        first_step : int
            Number of the first of them; the very first step is 0.
        n_steps : int
            How many.

        Returns
        -------
        ndarray of shape (n_steps, 6)
            Rate, decay1, decay2, correction1, correction2, epsilon (sc_step_scalars). A row depends on the
            number of its step alone.
        """
        table = np.empty((n_steps, 6))
        table[:, 0] = self._rates(first_step, n_steps)
        decay1, decay2, epsilon = self._constants()
        table[:, 1], table[:, 2], table[:, 3:5], table[:, 5] = decay1, decay2, 1.0, epsilon
        if isinstance(self, Adam):
            t = np.arange(first_step + 1, first_step + n_steps + 1)
            table[:, 3] = 1.0 / (1.0 - _power(decay1, t))
            table[:, 4] = 1.0 / (1.0 - _power(decay2, t))
        return table

    def _rates(self, first_step: int, n_steps: int) -> float | list[float]:
        if not callable(self.learning_rate):
            return self.learning_rate
        rates = [float(self.learning_rate(step)) for step in range(first_step, first_step + n_steps)]
        for step, rate in enumerate(rates, first_step):
            if not 0.0 <= rate < math.inf:
                raise ValueError(f"`learning_rate` must be finite and not negative, got {rate} at step {step}")
        return rates

    def _constants(self) -> tuple[float, float, float]:
        """decay1, decay2, epsilon; 0 where there is none."""
        return 0.0, 0.0, 0.0


@dataclass(frozen=True)
class SGD(Optimizer):
    """SGD(learning_rate): stochastic gradient descent, p -= a g.

    Parameters
    ----------
    learning_rate : float or schedule
        a: positive, or a function of the number of the step (`stochcore.schedules`).

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.SGD(0.1)
    SGD(learning_rate=0.1)
    """

    kind: ClassVar[int] = 0
    n_slots: ClassVar[int] = 0

    learning_rate: Rate


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum(learning_rate, momentum=0.9): m = d m + g, p -= a m (Polyak 1964).

    Parameters
    ----------
    learning_rate : float or schedule
        a: positive, or a function of the number of the step.
    momentum : float
        d, in [0, 1). A long run of equal gradients moves as far as SGD with a / (1 - d).
    """

    kind: ClassVar[int] = 1
    n_slots: ClassVar[int] = 1

    learning_rate: Rate
    momentum: float = 0.9

    def _constants(self) -> tuple[float, float, float]:
        return self.momentum, 0.0, 0.0


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp(learning_rate, decay=0.9, epsilon=1e-8): v = d v + (1 - d) g^2, p -= a g / (sqrt(v) + epsilon).

    Tieleman and Hinton, "Lecture 6.5", 2012. v begins at 0, so the first step is about a / sqrt(1 - d) long.

    Parameters
    ----------
    learning_rate : float or schedule
        a: positive, or a function of the number of the step.
    decay : float
        d, in [0, 1).
    epsilon : float
        At least 1e-30 (which float32 holds).
    """

    kind: ClassVar[int] = 2
    n_slots: ClassVar[int] = 1

    learning_rate: Rate
    decay: float = 0.9
    epsilon: float = 1e-8

    def _constants(self) -> tuple[float, float, float]:
        return 0.0, self.decay, self.epsilon


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam(learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8): Kingma and Ba 2015, algorithm 1.

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    p -= a (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), t = 1 at the first step.

    Parameters
    ----------
    learning_rate : float or schedule
        a: positive, or a function of the number of the step.
    beta1, beta2 : float
        In [0, 1).
    epsilon : float
        At least 1e-30 (which float32 holds).

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.Adam(sc.schedules.cosine_decay(0.01, 1000))
    Adam(learning_rate=schedules.cosine_decay(rate=0.01, n_steps=1000, end=0.0),
         beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    kind: ClassVar[int] = 3
    n_slots: ClassVar[int] = 2

    learning_rate: Rate
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def _constants(self) -> tuple[float, float, float]:
        return self.beta1, self.beta2, self.epsilon


@dataclass(frozen=True)
class Natural(Optimizer):
    """Natural(optimizer): the natural gradient of independent bits, handed to another optimiser.

    Each entry of the gradient by a logit is divided by the Fisher information of that logit, p (1 - p) (Amari, "Natural
    gradient works efficiently in learning", Neural Computation 10, 1998). Logits of bits that are nearly decided go on
    moving, where plain gradients die away: with few samples, large steps and an annealed entropy this is what finds the
    best cuts (`examples/maxcut.py`). For `Bernoulli` models by logits or probs, without a `Linear`.

    Parameters
    ----------
    optimizer : SGD, Momentum, RMSProp or Adam
        What is done with it.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.Natural(sc.SGD(0.2))
    Natural(optimizer=SGD(learning_rate=0.2))
    """

    optimizer: Optimizer

    def __post_init__(self) -> None:
        if isinstance(checked(self.optimizer), Natural):
            raise ValueError(f"`optimizer` of a Natural must be a plain one, got {self.optimizer!r}")

    @property
    def kind(self) -> int:  # type: ignore[override]
        """The number of the other one."""
        return self.optimizer.kind

    @property
    def n_slots(self) -> int:  # type: ignore[override]
        """As many as the other one remembers."""
        return self.optimizer.n_slots

    @property
    def learning_rate(self) -> Rate:  # type: ignore[override]
        """That of the other one."""
        return self.optimizer.learning_rate

    def scalars(self, first_step: int, n_steps: int) -> NDArray[np.float64]:
        """Return what the other one needs."""
        return self.optimizer.scalars(first_step, n_steps)


def checked(optimizer: Any) -> Optimizer:
    """Return `optimizer` if it is one."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    came = f"the class {optimizer.__name__}" if isinstance(optimizer, type) else _check._short(optimizer)
    raise TypeError(f"`optimizer` must be an SGD, Momentum, RMSProp or Adam, got {came}")


def as_plain(value: Any) -> Any:
    """Return an optimiser or schedule as numbers and dicts; TypeError for a function of one's own."""
    if isinstance(value, (int, float)):
        return value
    if _BY_NAME.get(type(value).__name__) is not type(value):
        raise TypeError(f"{value!r} cannot be kept in a file")
    plain = {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    return {"name": type(value).__name__, **plain}


def from_plain(plain: Any) -> Any:
    """Undo `as_plain`."""
    if not isinstance(plain, dict):
        return plain
    options = {key: from_plain(value) for key, value in plain.items() if key != "name"}
    return _BY_NAME[plain["name"]](**options)


_BY_NAME: dict[str, Any] = {
    **{kind.__name__: kind for kind in (SGD, Momentum, RMSProp, Adam, Natural)},
    **{name: getattr(schedules, name) for name in schedules.__all__},
}


def _checked(name: str, value: Any) -> Any:
    """Return a field of an optimiser as it is kept."""
    if name == "learning_rate":
        return value if callable(value) else _check.real(name, value, positive=True)
    number = _check.real(name, value)
    if name == "epsilon":
        if number < 1e-30:
            raise ValueError(f"`epsilon` must be at least 1e-30, got {value}")
    elif not 0.0 <= number < 1.0:
        raise ValueError(f"`{name}` must lie in [0, 1), got {value}")
    return number


def _power(base: float, t: NDArray[np.int64]) -> NDArray[np.float64]:
    """base^t by squaring: multiplications alone, so that the bits are those of any machine."""
    result, square = np.ones(t.shape), base
    for bit in range(int(t.max(initial=0)).bit_length()):
        result[(t >> bit) & 1 == 1] *= square
        square *= square
    return result
