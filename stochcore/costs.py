"""costs: J(y), built in or any Python callable.

The protocol. A cost maps samples to one number each: y of shape (n, *sites) to J of shape (n,), or to (n, *batch) for a
family with ``batch_ndims``. Three kinds obey it:

- built in (`Linear`, `Quadratic`): evaluated inside the parallel loop, no samples stored;
- a Python callable ``cost(y)``: called on chunks of at most 2^20 outcomes (or one block, where that is more) and of
  constant length (only the last chunk of an estimate may differ), in order, on one thread; y is read-only. What it
  raises comes out unchanged. For the same bits on every run it must itself be reproducible;
- compiled functions are still to come.

J must be finite. It is taken not to depend on the parameters other than through y.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _costs
from .distributions import Joint

Array = NDArray[Any]
Cost = Callable[[Array], ArrayLike]


class BuiltIn:
    """A cost that the kernels know. Its weights belong to one problem, or to `batch_ndims` axes of problems."""

    kind: str
    linear: Array
    quadratic: Array | None = None
    batch_ndims: int

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the sites of one problem."""
        return self.linear.shape[self.batch_ndims :]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the problems with weights of their own."""
        return self.linear.shape[: self.batch_ndims]

    @cached_property
    def tables(self) -> Array:
        """Partial sums of the weights, for packed samples."""
        return _costs.linear_tables(self.linear.reshape(-1))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again: estimates compare costs by their pickles."""
        return {name: value for name, value in self.__dict__.items() if name != "tables"}

    def fit(self, batch_shape: tuple[int, ...], event_shape: tuple[int, ...]) -> int:
        """Check the cost against a family's shapes; return the stride from problem to problem (0: shared)."""
        flat = (math.prod(event_shape),)
        fits = self.event_shape == (event_shape if self.quadratic is None else flat)
        if not fits or self.batch_shape not in ((), batch_shape):
            raise ValueError(
                f"`cost` must fit the sites {batch_shape + event_shape} of the model (batch {batch_shape}), "
                f"got weights of shape {self.linear.shape} with batch_ndims={self.batch_ndims}"
            )
        return flat[0] if self.batch_shape else 0

    def __call__(self, y: ArrayLike) -> Array:
        """Return J of each sample.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)

        Returns
        -------
        ndarray of shape (...) or, with weights for a batch of problems, (..., *batch)
        """
        array = np.asarray(y)
        if array.dtype.kind not in "iub":
            raise TypeError(f"`y` must hold integers, got dtype {array.dtype}")
        shape = self.linear.shape
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim < len(shape):
            raise ValueError(f"`y` must have the sites {shape} as its last axes, got shape {array.shape}")
        narrow = np.uint8 if array.dtype.kind == "b" or array.dtype == np.uint8 else np.int32
        if array.size and not np.array_equal(array, array.astype(narrow)):
            raise ValueError(f"`y` must fit into int32, got values from {array.min()} to {array.max()}")
        out = np.empty(array.shape[: array.ndim - len(self.event_shape)])
        problems = math.prod(self.batch_shape)
        sites = math.prod(self.event_shape)
        if out.size:
            _costs.rows(
                self.kind,
                self.linear.reshape(-1),
                None if self.quadratic is None else self.quadratic.reshape(-1),
                sites,
                np.require(array, narrow, ["C", "A"]).reshape(-1),
                problems,
                sites,
                out.reshape(-1),
                None,
            )
        return out

    def __repr__(self) -> str:
        return f"costs.{type(self).__name__}(<{' x '.join(map(str, self.linear.shape)) or 'scalar'}>)"


class Linear(BuiltIn):
    """Linear(w, *, batch_ndims=0)

    J(y) = w . y = sum_d w_d y_d.

    Parameters
    ----------
    w : array_like
        One weight a site: the model's shape of sites, or that of one problem (then shared by all).
    batch_ndims : int
        How many first axes of w are independent problems.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.Linear([1.0, -2.0])([[1, 1], [1, 0]])
    array([-1.,  1.])
    """

    kind = "linear"

    def __init__(self, w: ArrayLike, *, batch_ndims: int = 0) -> None:
        self.linear = _check.reals("w", w).copy()
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0, self.linear.ndim)
        if self.linear.size == 0:
            raise ValueError(f"`w` must have at least one site, got shape {self.linear.shape}")


class Quadratic(BuiltIn):
    """Quadratic(Q, b=None, *, batch_ndims=0)

    J(y) = y'Qy + b . y. A model whose sites have several axes is taken in C order; a call on samples of one's own
    wants the sites flat.

    Parameters
    ----------
    Q : array_like of shape (*batch, D, D)
        Need not be symmetric.
    b : array_like of shape (*batch, D), optional
        Zero where it is left out.
    batch_ndims : int
        How many first axes are independent problems.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.Quadratic([[0.0, 1.0], [1.0, 0.0]], b=[-1.0, -1.0])([[0, 0], [0, 1], [1, 1]])
    array([ 0., -1.,  0.])
    """

    kind = "quadratic"

    def __init__(self, Q: ArrayLike, b: ArrayLike | None = None, *, batch_ndims: int = 0) -> None:
        self.quadratic = _check.reals("Q", Q).copy()
        shape = self.quadratic.shape
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0)
        if len(shape) != self.batch_ndims + 2 or shape[-1] != shape[-2] or self.quadratic.size == 0:
            raise ValueError(f"`Q` must have shape (D, D) after {self.batch_ndims} axes of problems, got {shape}")
        self.linear = np.zeros(shape[:-1]) if b is None else _check.reals("b", b).copy()
        if self.linear.shape != shape[:-1]:
            raise ValueError(f"`b` must have shape {shape[:-1]}, got {self.linear.shape}")


def as_cost(cost: object) -> BuiltIn | Cost:
    """Check that `cost` can be called."""
    if isinstance(cost, BuiltIn):
        return cost
    if cost is None or not callable(cost):
        raise TypeError(f"`cost` must be one of stochcore.costs or a callable J(y), got {_check._short(cost)}")
    return cost


def fitting(model: Any, cost: object) -> BuiltIn | Cost:
    """Check that `cost` can be called on what the model draws."""
    price = as_cost(cost)
    if isinstance(price, BuiltIn) and isinstance(model, Joint):
        raise TypeError(f"`cost` must be a function of the dict that a Joint draws, got {price!r}")
    return price


def evaluate(cost: Cost, y: Any, batch_shape: tuple[int, ...]) -> Array:
    """Call a Python cost on a chunk y (read-only from here on); return float64 of shape (n, *batch)."""
    _freeze(y)
    values = np.asarray(cost(y))
    want = (length(y), *batch_shape)
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
    for part in y.values() if isinstance(y, dict) else ():
        _freeze(part)
    if isinstance(y, np.ndarray):
        y.flags.writeable = False
