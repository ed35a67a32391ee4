"""sites: bits and classes, each site on its own."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._distributions import Sites
from .compiled import Compiled, must_be_free
from .parameters import Mapped, value_of

Array = NDArray[Any]


class LogitsOrProbs(Compiled):
    """What Bernoulli and Categorical share: one argument, logits or probs."""

    kind: ClassVar[str]

    n_classes: int
    _tables: Sites

    def __init__(self, logits: ArrayLike | Mapped | None, probs: ArrayLike | Mapped | None, batch_ndims: int) -> None:
        if (logits is None) == (probs is None):
            _check.exactly_one(logits=logits, probs=probs)
        given, value, rule = ("probs", probs, _check.probabilities)
        if probs is None:
            given, value, rule = ("logits", logits, _check.reals)
        argument = self._argument(given, value, rule)
        values, bits = value_of(argument), self.kind == "bernoulli"
        if not bits:
            self._check_classes(given, values)
        if values.size == 0:
            raise ValueError(f"`{given}` must have at least one site, got shape {values.shape}")
        shape, classes = (values.shape, 2) if bits else (values.shape[:-1], values.shape[-1])
        self.n_classes = classes
        self._take(batch_ndims, {given: argument}, **{given: shape})
        problems, sites = math.prod(self.batch_shape), math.prod(self.event_shape)
        self._tables = Sites(self.kind, given == "probs", values, problems, sites, classes)
        if given == "logits" and argument is values:
            self._form = type(self), shape, classes, batch_ndims
        self._map()

    def _check_classes(self, given: str, values: Array) -> None:
        if not values.ndim or values.shape[-1] < 1:
            raise ValueError(f"`{given}` must have its classes on the last axis, got shape {values.shape}")
        if given == "probs":
            total = values.sum(axis=-1)
            bad = abs(total - 1.0) > 1e-9
            if bad.any():
                raise ValueError(f"`probs` must sum to 1 over the last axis, got {_check._first(total, bad)}")

    @property
    def _values(self) -> Array:
        return value_of(self._arguments[self.given])

    @property
    def logits(self) -> Array:
        """Logits, in the shape of the argument; infinite where a probability is 0 or 1."""
        raise NotImplementedError

    @property
    def probs(self) -> Array:
        """Probabilities, in the shape of the argument."""
        return np.asarray(self._tables.probs).reshape(self._values.shape)

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(self.n_classes)

    def log_prob(self, y: ArrayLike, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Return log p(y; w) of each sample, summed over its sites.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)
        out : ndarray, optional
            float64, shape (..., *batch). Returned.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (..., *batch)
            -inf where an outcome has probability 0.
        """
        array = self._outcomes(y)
        shape = array.shape[: array.ndim - len(self.event_shape)]
        result = _check.output(out, shape, np.float64, ("y", array))
        self._tables.log_prob(array.reshape(-1), result.reshape(-1), _check.threads(n_threads))
        return result

    def _entropies(self) -> tuple[Array, Array]:
        sites, scores = np.empty(math.prod(self.site_shape)), np.empty(self._values.size)
        self._tables.entropy(sites, scores)
        return sites, scores

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.outcomes("y", y, self.site_shape, self.n_classes, self.dtype)

    def _ranges(self) -> list[range]:
        return [self.support] * math.prod(self.event_shape)

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 0 or 1 given? Then a gradient by probs misses what is never drawn."""
        return self.given == "probs" and bool(np.any((self._values == 0) | (self._values == 1)))

    def _unconstrained(self) -> Compiled:
        """Return the same family by logits."""
        if self.given == "logits":
            return self
        must_be_free(self._arguments["probs"], "probs", "logits")
        stuck = (self._values == 0) | (self._values == 1)
        if stuck.any():
            where = _check._first(self._values, stuck)
            raise ValueError(f"`model` must have probs between 0 and 1, where they can move, got {where}")
        return type(self)(logits=self.logits, batch_ndims=self.batch_ndims)  # type: ignore[call-arg]

    def _given_as(self, free: Any) -> Compiled:
        return free if self.given == "logits" else self.with_parameters(free.probs)


class Bernoulli(LogitsOrProbs):
    """Bernoulli(*, logits=None, probs=None, batch_ndims=0)

    Bits: y = 1 where u < p, with u uniform on [0, 1) and p = sigmoid(logits).

    Exactly: y = 1 iff k < ceil(2^53 p), with u = k 2^-53; probabilities are quantised at 2^-53, and that is what
    "unbiased" means here.

    Parameters
    ----------
    logits, probs : array_like
        Exactly one of them. Logits are finite; probs lie in [0, 1]. Any shape with at least one site; the whole shape
        is one joint sample.
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    log p(y) = sum_d y_d log p_d + (1 - y_d) log(1 - p_d), as -softplus(-+ logits), so logits of +-800 are exact.
    Score by logits: y - p. By probs: y/p - (1 - y)/(1 - p); at p = 0 or 1 the outcome that is never drawn is
    missing from it, and estimates say ``unbiased=False``.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Bernoulli(logits=[0.0, 2.0, -2.0])
    >>> q.sample(4, sc.Stream(0))
    array([[0, 1, 1],
           [1, 1, 1],
           [1, 1, 0],
           [1, 1, 0]], dtype=uint8)
    >>> q.log_prob([[1, 1, 0]])
    array([-0.9470032])
    """

    kind = "bernoulli"
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        *,
        logits: ArrayLike | Mapped | None = None,
        probs: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        super().__init__(logits, probs, batch_ndims)

    @property
    def logits(self) -> Array:
        """log p - log(1 - p)."""
        if self.given == "logits":
            return self._values
        log_q, log_p = self._tables.log_probs
        return np.asarray(log_p - log_q).reshape(self._values.shape)

    @property
    def mean(self) -> Array:
        """E[y] = p, shape (*sites)."""
        return self.probs

    @property
    def variance(self) -> Array:
        """p (1 - p), shape (*sites)."""
        return self.probs * self._complement

    @property
    def _complement(self) -> Array:
        return np.asarray(self._tables.complement).reshape(self._values.shape)

    def _site_probs(self, y: Array) -> Array:
        return np.where(y == 1, self.probs, self._complement)


class Categorical(LogitsOrProbs):
    """Categorical(*, logits=None, probs=None, batch_ndims=0)

    Classes 0 .. C-1 by inverse CDF: y = the number of classes c with u >= p_0 + ... + p_c.

    Parameters
    ----------
    logits, probs : array_like of shape (*sites, C)
        Exactly one of them; the last axis holds the classes. Logits are finite; probs lie in [0, 1] and sum to 1
        within 1e-9 (they are used as they are).
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    p = softmax(logits). One uniform a site, compared with ceil(2^53 (p_0 + ... + p_c)). Score by logits:
    [y = c] - p_c. By probs it is taken tangent to the simplex: [y = c]/p_c - 1/(C p_y), whose classes sum to zero.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Categorical(probs=[[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])
    >>> q.sample(3, sc.Stream(0))
    array([[2, 1],
           [0, 1],
           [1, 1]], dtype=int32)
    """

    kind = "categorical"
    dtype = np.dtype(np.int32)

    def __init__(
        self,
        *,
        logits: ArrayLike | Mapped | None = None,
        probs: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        super().__init__(logits, probs, batch_ndims)

    @property
    def logits(self) -> Array:
        """Log-probabilities where probs were given."""
        if self.given == "logits":
            return self._values
        return np.asarray(self._tables.log_probs).reshape(self._values.shape)

    @property
    def mean(self) -> Array:
        """E[y] of the class number, shape (*sites)."""
        return np.asarray((self.probs * np.arange(self.n_classes)).sum(axis=-1))

    @property
    def variance(self) -> Array:
        """Variance of the class number, shape (*sites)."""
        away = np.arange(self.n_classes) - self.mean[..., None]
        return np.asarray((self.probs * away * away).sum(axis=-1))

    def _site_probs(self, y: Array) -> Array:
        each = np.broadcast_to(self.probs, (*y.shape, self.n_classes))
        return np.asarray(np.take_along_axis(each, y[..., None].astype(np.int64), axis=-1)[..., 0])
