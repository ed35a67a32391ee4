"""sites: costs of sites, one by one and in all pairs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._costs import Weights
from ..distributions.compiled import Compiled
from .built_in import Formula, narrow

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]


class Linear(Formula):
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
        self.linear = _check.kept("w", w)
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0, self.linear.ndim)
        if self.linear.size == 0:
            raise ValueError(f"`w` must have at least one site, got shape {self.linear.shape}")

    def _make(self, packed: bool, flips: bool) -> Weights:
        flat = self.linear.reshape(-1)
        weights = Weights(self.kind, self._stride, flat)
        weights.set_slope(flat, None)
        if packed:
            weights.set_tables(np.stack([np.zeros_like(flat), flat], axis=-1).reshape(-1))
        return weights

    def _outcomes(self, y: ArrayLike) -> Array:
        return _numbers(y)

    def negated(self) -> Self:
        """Return minus this cost, exactly."""
        other = copy.copy(self)
        other.linear = -self.linear
        return other

    def grad_y(self, y: ArrayLike) -> Array:
        """Return the derivative by y, shape (..., *sites): the weights."""
        own = self._samples(y)
        return np.array(np.broadcast_to(self.linear, own.shape))

    def hess_y(self, y: ArrayLike) -> Array:
        """Return the second derivatives by each single y, shape (..., *sites): zero."""
        return np.zeros(self._samples(y).shape)


class Quadratic(Formula):
    """Quadratic(Q, b=None, *, batch_ndims=0)

    J(y) = y'Qy + b . y. A model whose sites have several axes is taken in C order; a call on samples of one's own
    wants the sites flat. For bits with few pairs, `QUBO` is the same and faster.

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
    _flat = True

    def __init__(self, Q: ArrayLike, b: ArrayLike | None = None, *, batch_ndims: int = 0) -> None:
        self.quadratic = _check.kept("Q", Q)
        shape = self.quadratic.shape
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0)
        if len(shape) != self.batch_ndims + 2 or shape[-1] != shape[-2] or self.quadratic.size == 0:
            raise ValueError(f"`Q` must have shape (D, D) after {self.batch_ndims} axes of problems, got {shape}")
        self.linear = np.zeros(shape[:-1]) if b is None else _check.kept("b", b)
        if self.linear.shape != shape[:-1]:
            raise ValueError(f"`b` must have shape {shape[:-1]}, got {self.linear.shape}")

    @property
    def _diagonal(self) -> Array:
        return np.diagonal(self.quadratic, axis1=-2, axis2=-1)

    @property
    def _symmetric(self) -> Array:
        """Q + Q' without its diagonal."""
        both = self.quadratic + np.swapaxes(self.quadratic, -1, -2)
        sites = np.arange(both.shape[-1])
        both[..., sites, sites] = 0.0
        return both

    def _make(self, packed: bool, flips: bool) -> Weights:
        weights = Weights(self.kind, self._stride, self.linear.reshape(-1), self.quadratic.reshape(-1))
        if flips:
            weights.set_slope((self.linear + self._diagonal).reshape(-1), self._symmetric.reshape(-1))
        return weights

    def _outcomes(self, y: ArrayLike) -> Array:
        return _numbers(y)

    def _bend(self, y: Array, jump: Array) -> Array:
        return jump * self._diagonal[..., None] * (2.0 * y[..., None].astype(np.float64) - 1.0 + jump)

    def negated(self) -> Self:
        """Return minus this cost, exactly."""
        other = copy.copy(self)
        other.linear, other.quadratic = -self.linear, -self.quadratic
        return other

    def grad_y(self, y: ArrayLike) -> Array:
        """Return the derivative by y, shape (..., *sites): b + (Q + Q')y."""
        own = self._samples(y)
        weights = Weights(self.kind, self._stride, self.linear.reshape(-1), self.quadratic.reshape(-1))
        weights.set_slope(self.linear.reshape(-1), self._symmetric.reshape(-1))
        return self._coupled(weights, own) + 2.0 * self._diagonal * own

    def hess_y(self, y: ArrayLike) -> Array:
        """Return the second derivatives by each single y, shape (..., *sites): 2 Q_dd."""
        return np.array(np.broadcast_to(2.0 * self._diagonal, self._samples(y).shape))


class Table(Formula):
    """Table(T, *, batch_ndims=0)

    J(y) = sum_d T[d, y_d]: any cost that is a sum over sites.

    Parameters
    ----------
    T : array_like of shape (*batch, *sites, classes)
        A number for each site and class; two classes for bits.
    batch_ndims : int
        How many first axes are independent problems.

    Examples
    --------
    >>> import stochcore as sc
    >>> sc.costs.Table([[0.0, 1.0, 4.0], [0.0, -1.0, -1.0]])([[0, 0], [2, 1]])
    array([0., 3.])
    """

    kind = "table"

    def __init__(self, T: ArrayLike, *, batch_ndims: int = 0) -> None:
        self.table = _check.kept("T", T)
        if not self.table.ndim or self.table.size == 0:
            raise ValueError(f"`T` must have its classes on the last axis, got shape {self.table.shape}")
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0, self.table.ndim - 1)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.table.shape[-1])

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the sites of one problem."""
        return self.table.shape[self.batch_ndims : -1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the problems with weights of their own."""
        return self.table.shape[: self.batch_ndims]

    @property
    def can_flip(self) -> bool:
        """Is it of bits?"""
        return self.n_classes == 2

    def _make(self, packed: bool, flips: bool) -> Weights:
        flat = self.table.reshape(-1)
        weights = Weights(self.kind, self._stride, table=flat, n_classes=self.n_classes)
        if self.can_flip:
            weights.set_slope((self.table[..., 1] - self.table[..., 0]).reshape(-1), None)
        if packed:
            weights.set_tables(flat)
        return weights

    def _take(self, model: Compiled) -> None:
        support = getattr(model, "support", None)
        if not isinstance(support, range) or support != range(self.n_classes):
            came = f"{support[0]} .. {support[-1]}" if isinstance(support, range) else repr(model)
            raise ValueError(f"`cost` has a table of {self.n_classes} classes: outcomes must be these, got {came}")

    def _outcomes(self, y: ArrayLike) -> Array:
        array = narrow(y)
        bad = (array < 0) | (array >= self.n_classes)
        if bad.any():
            raise ValueError(f"`y` must lie in 0 .. {self.n_classes - 1}, got {_check._first(array, bad)}")
        return array

    def negated(self) -> Self:
        """Return minus this cost, exactly."""
        other = copy.copy(self)
        other.table = -self.table
        return other

    def differences(self, y: ArrayLike, n_classes: int) -> Array:
        """Return J(y with this one site in class c) - J(y), shape (..., *sites, n_classes)."""
        if _check.integer("n_classes", n_classes, 1) != self.n_classes:
            raise ValueError(f"`n_classes` must be {self.n_classes}, those of the table, got {n_classes}")
        own = self._samples(y)
        table = np.broadcast_to(self.table, (*own.shape, self.n_classes))
        return np.asarray(table - np.take_along_axis(table, own[..., None].astype(np.intp), axis=-1))

    def __repr__(self) -> str:
        return f"costs.Table(<{' x '.join(map(str, self.table.shape))}>)"


def _numbers(y: ArrayLike) -> Array:
    """Integers as uint8 or int32, other real numbers as float64."""
    array = _check._array("y", y)
    return _check.reals("y", array) if array.dtype.kind == "f" else narrow(array)
