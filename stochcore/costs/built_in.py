"""built_in: what the costs that the kernels know have in common."""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._costs import Weights
from ..distributions import Bernoulli
from ..distributions.compiled import Compiled

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]


class BuiltIn(ABC):
    """A cost that the kernels know. Its weights belong to one problem, or to `batch_ndims` axes of problems."""

    kind: ClassVar[str]
    batch_ndims: int = 0
    _flat: ClassVar[bool] = False  # sites are one axis: those of a model in C order

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the sites of one problem."""

    @property
    @abstractmethod
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the problems with weights of their own."""

    @abstractmethod
    def _make(self, packed: bool, flips: bool) -> Weights:
        """Return what the kernels want: for packed samples too, for flips too."""

    @abstractmethod
    def negated(self) -> Self:
        """Return minus this cost, exactly."""

    @abstractmethod
    def _outcomes(self, y: ArrayLike) -> Array:
        """Check outcomes; return them in a type that the kernels know."""

    def _kernel(self, packed: bool = False, flips: bool = False) -> Weights:
        made: dict[tuple[bool, bool], Weights] = self.__dict__.setdefault("_made", {})
        if (packed, flips) not in made:
            made[packed, flips] = self._make(packed, flips)
        return made[packed, flips]

    def weights_of(self, model: Compiled, *, flips: bool = False) -> Weights:
        """Return what the kernels want to price the samples of a model, which it must fit."""
        self.fits(model)
        return self._kernel(isinstance(model, Bernoulli) and not model.batch_shape, flips)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again: estimates compare costs by their pickles."""
        again = ("_made", "_fitted", "_last_run", "_moving")
        return {name: value for name, value in self.__dict__.items() if name not in again}

    @property
    def _told(self) -> str:
        """What an error says of the weights."""
        return f"weights of shape {self.batch_shape + self.event_shape} with batch_ndims={self.batch_ndims}"

    def fit(self, batch_shape: tuple[int, ...], event_shape: tuple[int, ...]) -> int:
        """Check the cost against a family's shapes; return the stride from problem to problem (0: shared)."""
        own, problems = self.event_shape, self.batch_shape
        fits = own == ((math.prod(event_shape),) if self._flat else event_shape)
        if not fits or (problems and problems != batch_shape):
            raise ValueError(
                f"`cost` must fit the sites {batch_shape + event_shape} of the model (batch {batch_shape}), "
                f"got {self._told}"
            )
        return math.prod(own) if problems else 0

    def fits(self, model: Compiled) -> None:
        """Check the cost against a family: its shapes, and what its outcomes are."""
        last = self.__dict__.get("_fitted")
        if last is None or last() is not model:  # it does not change
            self.fit(model.batch_shape, model.event_shape)
            self._take(model)
            self.__dict__["_fitted"] = weakref.ref(model)

    def _take(self, model: Compiled) -> None:  # noqa: B027 (any will do, where nothing is said)
        """Check what the outcomes of a family of the right shapes are."""

    @property
    def _stride(self) -> int:
        return math.prod(self.event_shape) if self.batch_shape else 0

    def __call__(self, y: ArrayLike) -> Array:
        """Return J of each sample.

        Parameters
        ----------
        y : array_like, shape (..., *sites)
            Integers; for `Linear` and `Quadratic` also real numbers.

        Returns
        -------
        ndarray of shape (...) or, with weights for a batch of problems, (..., *batch)
        """
        return self._price(y)

    def _price(self, y: ArrayLike, n_threads: int | None = None) -> Array:
        array = self._samples(y)
        lead = array.shape[: array.ndim - len(self.event_shape)]
        return self._rows(array, math.prod(self.batch_shape), math.prod(self.event_shape), lead, n_threads)

    def values(self, y: Array, batch_shape: tuple[int, ...], n_threads: int | None = None) -> Array:
        """Return J of a model's samples y, shape (n, *batch); the bits do not depend on the number of threads."""
        n = len(y)
        return self._price(y.reshape(n, *batch_shape, -1) if self._flat else y, n_threads).reshape(n, *batch_shape)

    def _samples(self, y: ArrayLike) -> Array:
        """Check outcomes whose last axes are the sites."""
        array = self._outcomes(y)
        shape = self.batch_shape + self.event_shape
        if array.ndim < len(shape) or array.shape[array.ndim - len(shape) :] != shape:
            raise ValueError(f"`y` must have the sites {shape} as its last axes, got shape {array.shape}")
        return array

    def _rows(
        self, array: Array, problems: int, sites: int, lead: tuple[int, ...], n_threads: int | None = None
    ) -> Array:
        out = np.empty(lead)
        flat = np.require(array, requirements=["C", "A"]).reshape(-1)
        if out.size and not self._kernel().rows(flat, problems, sites, out.reshape(-1), n_threads):
            raise ValueError(f"`y` must hold bits, got {_check._first(array, array > 1)}")
        return out

    def __repr__(self) -> str:
        shape = self.batch_shape + self.event_shape
        return f"costs.{type(self).__name__}(<{' x '.join(map(str, shape)) or 'scalar'}>)"


class Formula(BuiltIn):
    """A cost whose change is known where one site changes."""

    linear: Array

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the sites of one problem."""
        return self.linear.shape[self.batch_ndims :]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the problems with weights of their own."""
        return self.linear.shape[: self.batch_ndims]

    @property
    def can_flip(self) -> bool:
        """Is it of bits, or can it be?"""
        return True

    def flip(self, y: ArrayLike) -> Array:
        """Return J(y with this one site flipped) - J(y), for each site.

        Parameters
        ----------
        y : array_like of bits, shape (..., *sites)

        Returns
        -------
        ndarray of shape (..., *sites)
        """
        bits = self._samples(_bits(y))
        slopes = self._slopes(bits)
        return np.where(bits, -slopes, slopes)

    def differences(self, y: ArrayLike, n_classes: int) -> Array:
        """Return J(y with this one site in class c) - J(y), for each site and class.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)
        n_classes : int

        Returns
        -------
        ndarray of shape (..., *sites, n_classes)
        """
        n_classes = _check.integer("n_classes", n_classes, 1)
        own = self._samples(y)
        jump = np.arange(n_classes) - own[..., None].astype(np.float64)
        return jump * self._slopes(own)[..., None] + self._bend(own, jump)

    def _bend(self, y: Array, jump: Array) -> Array | float:
        """Return what a jump of other than from 0 to 1 adds to the slope times the jump."""
        return 0.0

    def _slopes(self, y: Array) -> Array:
        """Return J(y_d = 1) - J(y_d = 0) at each site d, where the others are y."""
        if not self.can_flip:
            raise ValueError(f"`flip` is for bits, got {self!r}")
        return self._coupled(self._kernel(flips=True), y)

    def _coupled(self, weights: Weights, y: Array) -> Array:
        sites = math.prod(self.event_shape)
        own = np.ascontiguousarray(y, dtype=np.float64).reshape(-1, sites)
        out = np.empty_like(own)
        if own.size:
            weights.flips(own, math.prod(self.batch_shape), out, None)
        return out.reshape(y.shape)


def _bits(y: ArrayLike) -> Array:
    array = _integers(y)
    bad = (array != 0) & (array != 1)
    if bad.any():
        raise ValueError(f"`y` must hold bits, got {_check._first(array, bad)}")
    return array.astype(np.uint8)


def _integers(y: ArrayLike) -> Array:
    array = _check._array("y", y)
    if array.dtype.kind not in "iub":
        raise TypeError(f"`y` must hold integers, got dtype {array.dtype}")
    return array


def narrow(y: ArrayLike) -> Array:
    """Return integers as uint8 or int32."""
    array = _integers(y)
    if array.dtype in (np.uint8, np.int32):
        return array
    dtype = np.uint8 if array.dtype.kind == "b" else np.int32
    small = array.astype(dtype, copy=False)
    if array.size and not np.array_equal(array, small):
        raise ValueError(f"`y` must fit into int32, got values from {array.min()} to {array.max()}")
    return small
