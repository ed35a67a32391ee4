"""distributions: step functions y = f(z; w), with their samples, log-probabilities and scores."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check
from ._distributions import Sites
from .noise import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]
F = TypeVar("F", bound="IndependentSites")

MAX_OUTCOMES = 1 << 20


class IndependentSites:
    """A family of independent sites: what Bernoulli and Categorical share.

    The whole shape of sites is one joint sample with one cost, unless ``batch_ndims=k`` makes the first k axes
    independent problems: then log-probabilities, costs and baselines have the shape of those axes.
    """

    kind: ClassVar[str]
    dtype: ClassVar[DTypeLike]
    noise_kind: ClassVar[str] = "uniform"

    given: str
    parameters: Array
    batch_ndims: int
    site_shape: tuple[int, ...]
    n_classes: int

    def __init__(self, logits: ArrayLike | None, probs: ArrayLike | None, batch_ndims: int) -> None:
        self.given = _check.exactly_one(logits=logits, probs=probs)
        if logits is not None:
            self.parameters = _check.reals("logits", logits).copy()
        elif probs is not None:
            self.parameters = _check.probabilities("probs", probs).copy()
        self._take_shape()
        if self.parameters.size == 0:
            raise ValueError(f"`{self.given}` must have at least one site, got shape {self.parameters.shape}")
        self.parameters.flags.writeable = False
        self.batch_ndims = _check.integer("batch_ndims", batch_ndims, 0, len(self.site_shape))
        self._tables = Sites(
            self.kind,
            self.given == "probs",
            self.parameters.reshape(-1).copy(),
            math.prod(self.batch_shape),
            math.prod(self.event_shape),
            self.n_classes,
        )

    def _take_shape(self) -> None:
        """Set site_shape and n_classes from the parameters."""
        raise NotImplementedError

    @cached_property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the independent problems."""
        return self.site_shape[: self.batch_ndims]

    @cached_property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the sites of one problem."""
        return self.site_shape[self.batch_ndims :]

    @cached_property
    def n_elements(self) -> int:
        """Elements of noise that one sample takes: one uniform a site."""
        return math.prod(self.site_shape)

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the noise of n samples: (n, *sites)."""
        return (_check.integer("n", n, 0), *self.site_shape)

    @property
    def probs(self) -> Array:
        """Probabilities, in the shape of the parameters."""
        return np.asarray(self._tables.probs).reshape(self.parameters.shape)

    @property
    def logits(self) -> Array:
        """Logits, in the shape of the parameters; infinite where a probability is 0 or 1."""
        raise NotImplementedError

    def with_parameters(self, parameters: ArrayLike) -> Self:
        """Return the same family with other parameters of the same kind (logits or probs)."""
        return _make(type(self), self.given, parameters, self.batch_ndims)

    def sample(self, n: int, stream: Stream, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Draw n samples: the bits of ``step(stream.uniform(noise_shape(n)))``, without storing the noise.

        Parameters
        ----------
        n : int
            Number of samples, at least 0.
        stream : Stream
            Sample i takes the elements i * n_elements and on.
        out : ndarray, optional
            Shape (n, *sites), of the family's outcome type, C-contiguous, writable. Returned.
        n_threads : int, optional
            At most so many threads; the bits do not depend on it.

        Returns
        -------
        ndarray of shape (n, *sites)
            uint8 for Bernoulli (mind its arithmetic: ``1 - 2 * y`` wraps), int32 for Categorical.
        """
        if not isinstance(stream, Stream):
            raise TypeError(f"`stream` must be a stochcore.Stream, got {type(stream).__name__}")
        shape, threads = self.noise_shape(n), _check.threads(n_threads)
        _check.addresses(stream.offset, math.prod(shape))
        y = _check.output(out, shape, self.dtype)
        if y.size:
            self._tables.sample(stream, y.shape[0], y.reshape(-1), threads)
        return y

    def step(self, z: ArrayLike, *, out: Array | None = None) -> Array:
        """Return y = f(z; w): the outcomes of given noise.

        Parameters
        ----------
        z : array_like of shape (..., *sites)
            float64 uniform noise in [0, 1), or the integers k in 0 .. 2^53 - 1 behind it (u = k 2^-53). A number that
            is no multiple of 2^-53 counts as the multiple below it.
        out : ndarray, optional
            Of z's shape and the outcome type. Returned.

        Returns
        -------
        ndarray of z's shape
        """
        u = np.asarray(z)
        if u.dtype.kind not in "iu" and u.dtype != np.float64:
            raise TypeError(f"`z` must be float64 noise or integers k, got dtype {u.dtype}")
        sites = len(self.site_shape)
        if u.ndim < sites or u.shape[u.ndim - sites :] != self.site_shape:
            raise ValueError(f"`z` must have the sites {self.site_shape} as its last axes, got shape {u.shape}")
        low_high = (0, 1) if u.dtype.kind == "f" else (0, 2**53)
        bad = ~((u >= low_high[0]) & (u < low_high[1]))
        if bad.any():
            rule = "[0, 1)" if u.dtype.kind == "f" else "0 .. 2^53 - 1"
            raise ValueError(f"`z` must lie in {rule}, got {_check._first(u, bad)}")
        y = _check.output(out, u.shape, self.dtype, ("z", u))
        k = np.ldexp(u, 53).astype(np.uint64) if u.dtype.kind == "f" else u.astype(np.uint64)
        self._tables.step(k.reshape(-1), y.reshape(-1))
        return y

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

    def score(self, y: ArrayLike) -> Array:
        """Return grad log p(y; w) by the parameters as they were given, one gradient a sample.

        Returns
        -------
        ndarray of shape (..., *parameters)
        """
        raise NotImplementedError

    def enumerate(self) -> Array:
        """Return every outcome of one problem, in counting order (the last site runs fastest).

        Returns
        -------
        ndarray of shape (n_classes ** sites, *event_shape)

        Raises
        ------
        ValueError
            More than 2^20 outcomes.
        """
        sites = math.prod(self.event_shape)
        if sites * math.log2(self.n_classes) > math.log2(MAX_OUTCOMES) + 1e-9:
            raise ValueError(
                f"enumeration must have at most 2^20 outcomes, got {self.n_classes} classes on {sites} sites"
            )
        count = np.arange(self.n_classes**sites)
        y = np.empty((count.size, sites), dtype=self.dtype)
        for site in range(sites - 1, -1, -1):
            count, y[:, site] = np.divmod(count, self.n_classes)
        return y.reshape(-1, *self.event_shape)

    def outcome_probs(self, y: ArrayLike) -> Array:
        """Return p(y; w) of each sample: the product over its sites, in their order.

        Returns
        -------
        ndarray of shape (..., *batch)
        """
        array = self._outcomes(y)
        lead = array.shape[: array.ndim - len(self.event_shape)]
        each = self._site_probs(array).reshape(*lead, -1)
        product = np.ones(lead)
        for site in range(each.shape[-1]):
            product = product * each[..., site]
        return product

    def _site_probs(self, y: Array) -> Array:
        """Return the probability of each site's outcome."""
        raise NotImplementedError

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.outcomes("y", y, self.site_shape, self.n_classes, self.dtype)

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 0 or 1 given? Then a gradient by probs misses what is never drawn."""
        return self.given == "probs" and bool(np.any((self.parameters == 0) | (self.parameters == 1)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self.given, self.parameters, self.batch_ndims)

    def __repr__(self) -> str:
        batch = f", batch_ndims={self.batch_ndims}" if self.batch_ndims else ""
        return f"{type(self).__name__}({self.given}=<{_by(self.parameters.shape)}>{batch})"


def _make(family: type[F], given: str, parameters: ArrayLike, batch_ndims: int) -> F:
    """Build a family from parameters of one kind."""
    by_logits = given == "logits"
    return family(
        logits=parameters if by_logits else None, probs=None if by_logits else parameters, batch_ndims=batch_ndims
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


class Bernoulli(IndependentSites):
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
    dtype = np.uint8

    def __init__(
        self, *, logits: ArrayLike | None = None, probs: ArrayLike | None = None, batch_ndims: int = 0
    ) -> None:
        super().__init__(logits, probs, batch_ndims)

    def _take_shape(self) -> None:
        self.site_shape, self.n_classes = self.parameters.shape, 2

    @property
    def logits(self) -> Array:
        """log p - log(1 - p)."""
        if self.given == "logits":
            return self.parameters
        log_q, log_p = self._tables.log_probs
        return np.asarray(log_p - log_q).reshape(self.parameters.shape)

    @property
    def mean(self) -> Array:
        """E[y] = p, shape (*sites)."""
        return self.probs

    @property
    def variance(self) -> Array:
        """p (1 - p), shape (*sites)."""
        return self.probs * self._complement

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(2)

    @property
    def _complement(self) -> Array:
        return np.asarray(self._tables.complement).reshape(self.parameters.shape)

    def score(self, y: ArrayLike) -> Array:
        """Return grad log p(y; w): y - p by logits, y/p - (1 - y)/(1 - p) by probs.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)

        Returns
        -------
        ndarray of y's shape
        """
        array = self._outcomes(y)
        if self.given == "logits":
            return np.where(array == 1, self._complement, -self.probs)
        with np.errstate(divide="ignore", over="ignore"):
            return np.where(array == 1, 1.0 / self.probs, -1.0 / (1.0 - self.probs))

    def _site_probs(self, y: Array) -> Array:
        return np.where(y == 1, self.probs, self._complement)


class Categorical(IndependentSites):
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
    dtype = np.int32

    def __init__(
        self, *, logits: ArrayLike | None = None, probs: ArrayLike | None = None, batch_ndims: int = 0
    ) -> None:
        super().__init__(logits, probs, batch_ndims)

    def _take_shape(self) -> None:
        shape = self.parameters.shape
        if not shape or shape[-1] < 1:
            raise ValueError(f"`{self.given}` must have its classes on the last axis, got shape {shape}")
        self.site_shape, self.n_classes = shape[:-1], shape[-1]
        if self.given == "probs":
            total = self.parameters.sum(axis=-1)
            bad = abs(total - 1.0) > 1e-9
            if bad.any():
                raise ValueError(f"`probs` must sum to 1 over the last axis, got {_check._first(total, bad)}")

    @property
    def logits(self) -> Array:
        """Log-probabilities where probs were given."""
        if self.given == "logits":
            return self.parameters
        return np.asarray(self._tables.log_probs).reshape(self.parameters.shape)

    @property
    def mean(self) -> Array:
        """E[y] of the class number, shape (*sites)."""
        return np.asarray((self.probs * np.arange(self.n_classes)).sum(axis=-1))

    @property
    def variance(self) -> Array:
        """Variance of the class number, shape (*sites)."""
        away = np.arange(self.n_classes) - self.mean[..., None]
        return np.asarray((self.probs * away * away).sum(axis=-1))

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(self.n_classes)

    def score(self, y: ArrayLike) -> Array:
        """Return grad log p(y; w) by logits, or by probs tangent to the simplex.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)

        Returns
        -------
        ndarray of shape (..., *sites, C)
        """
        chosen = self._outcomes(y)[..., None] == np.arange(self.n_classes)
        if self.given == "logits":
            return np.asarray(chosen - self.probs)
        with np.errstate(divide="ignore", over="ignore"):
            inverse = 1.0 / np.where(chosen, self.probs, 0.0).sum(axis=-1, keepdims=True)  # 1 / p_y
        return np.asarray(np.where(chosen, inverse * (1.0 - 1.0 / self.n_classes), -inverse / self.n_classes))

    def _site_probs(self, y: Array) -> Array:
        each = np.broadcast_to(self.probs, (*y.shape, self.n_classes))
        return np.asarray(np.take_along_axis(each, y[..., None].astype(np.int64), axis=-1)[..., 0])
