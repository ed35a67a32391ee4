"""protocol: what may be a cost, and how one that is a Python callable is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _check
from ..distributions import Compiled, Joint
from ..distributions.family import Simulated
from .built_in import BuiltIn

Array = NDArray[Any]
Cost = Callable[[Array], ArrayLike]


def as_cost(cost: object) -> BuiltIn | Cost:
    """Check that `cost` can be called."""
    if isinstance(cost, BuiltIn):
        return cost
    if cost is None or not callable(cost):
        raise TypeError(f"`cost` must be one of stochcore.costs or a callable J(y), got {_check._short(cost)}")
    return cost


def own_cost(y: Array) -> Array:
    """Stand where a cost would: the samples of a simulator are its costs."""
    return y


def fitting(model: Any, cost: object) -> BuiltIn | Cost:
    """Check that `cost` can be called on what the model draws."""
    if isinstance(model, Simulated):
        if cost is not None and cost is not own_cost:
            raise TypeError(f"`cost` must be left out for a simulator, which tells its own, got {_check._short(cost)}")
        return own_cost
    if cost is None and callable(model):
        raise TypeError(f"`model` must be a simulator with its theta, such as sim([0.0]), got {_check._short(model)}")
    price = as_cost(cost)
    if isinstance(price, BuiltIn):
        if isinstance(model, Compiled):
            price.fits(model)
        elif isinstance(model, Joint):
            raise TypeError(f"`cost` must be a function of the dict that a Joint draws, got {price!r}")
    return price


def evaluate(cost: BuiltIn | Cost, y: Any, batch_shape: tuple[int, ...], n_threads: int | None = None) -> Array:
    """Call a cost on a chunk y (read-only from here on); return float64 of shape (n, *batch)."""
    if isinstance(cost, BuiltIn):
        return cost.values(y, batch_shape, n_threads)
    _freeze(y)
    values, want = cost(y), (length(y), *batch_shape)
    return values if _arrays.plain(values) and values.shape == want else _priced(values, y, want)


def _priced(found: ArrayLike, y: Any, want: tuple[int, ...]) -> Array:
    """Return what a cost has said of y as float64 of this shape."""
    values = np.asarray(found)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"`cost` must return real numbers, got dtype {values.dtype}")
    if values.shape != want:
        came = "" if isinstance(y, dict) else f" for y of shape {y.shape}"
        raise ValueError(f"`cost` must return shape {want}{came}, got {values.shape}")
    return np.require(values, np.float64, ["C", "A"])


def length(y: Any) -> int:
    """Return how many samples there are."""
    return length(next(iter(y.values()))) if isinstance(y, dict) else len(y)


def _freeze(y: Any) -> None:
    if isinstance(y, np.ndarray):
        y.flags.writeable = False
    elif isinstance(y, dict):
        for part in y.values():
            _freeze(part)
