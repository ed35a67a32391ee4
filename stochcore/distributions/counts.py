"""counts: Poisson, binomial, geometric and negative binomial sites, by inverting their distribution functions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _check, _functions
from .._distributions import Tables, count_masses
from . import entropies
from .compiled import Compiled, must_be_free
from .parameters import Mapped, value_of

Array = NDArray[Any]

MOST = 2**53  # float64 counts one by one up to here
ENDLESS = range(2**63 - 1)
LOG_2 = math.log(2)
FAR = 600.0  # logits and logarithms of rates beyond: e^-FAR is still a normal number
SMALLEST_RATE = 5e-15  # outcomes up to 60 log 2 / rate


class Counts(Compiled):
    """Sites whose score is affine in the outcome, and whose masses are of the Panjer class.

    One uniform a site: y = the smallest outcome with u < F(y), F the distribution function; exactly, an integer
    comparison of k with ceil(2^53 F). Tails below 2^-60 of a site are never drawn.
    """

    constrained: ClassVar[str]
    free: ClassVar[str]
    shift: ClassVar[int] = 0  # the least outcome
    total_count: Array

    def _build(self, batch_ndims: int, values: dict[str, Any], total_count: ArrayLike | None = None) -> None:
        """Check the arguments, exactly one of which is given, and make the tables."""
        given = _check.exactly_one(**{name: value for name, (value, _) in values.items()})
        value, rule = values[given]
        argument = self._argument(given, value, rule)
        shapes = {given: argument.shape}
        if total_count is not None:
            self.total_count = self._check_total(total_count)
            shapes["total_count"] = self.total_count.shape
        self._take(batch_ndims, {given: argument}, **shapes)
        if total_count is not None:
            self._options["total_count"] = self.total_count
        x = value_of(argument)
        self._take_moments(x if x.shape == self.site_shape else np.broadcast_to(x, self.site_shape))
        self._take_tables()
        if given == self.free and x is argument and total_count is None:
            self._form = type(self), argument.shape, self.dtype, batch_ndims

    def _check_total(self, value: ArrayLike) -> Array:
        raise NotImplementedError

    def _take_moments(self, x: Array) -> None:
        """Set what the tables need, from the argument's numbers at each site."""
        raise NotImplementedError

    def _panjer(self) -> tuple[Any, Any, Any]:
        """Return a, b, c of w(y + 1)/w(y) = (a + b y) c/(y + 1)."""
        raise NotImplementedError

    def _affine(self) -> tuple[Any, Any]:
        """Return centre and slope of the score, slope (y - centre)."""
        raise NotImplementedError

    def _take_tables(self) -> None:
        abc = np.empty((*self.site_shape, 3))
        abc[..., 0], abc[..., 1], abc[..., 2] = self._panjer()
        try:
            self._first, self._n, masses, end = count_masses(abc)
        except OverflowError:
            told = f"`{self.given}` of {type(self).__name__}"
            raise ValueError(f"{told} must spread over at most 2^27 outcomes in all, got wider ones") from None
        self._begin("ladders", end)
        self._tables.set_ladders(self._first, self._n, masses, False)

    def _begin(self, kind: str, most: int) -> None:
        """Make tables for outcomes up to `most`, with scores but no steps yet."""
        self.dtype = np.dtype(np.int32 if most < 2**31 else np.int64)
        sites = math.prod(self.event_shape)
        self._tables = Tables(kind, self.dtype, math.prod(self.batch_shape), sites, math.prod(self.site_shape))
        affine = np.empty((2, *self.site_shape))
        affine[0], affine[1] = self._affine()
        self._tables.set_scores("affine", sites, centre=affine[0], slope=affine[1])
        shared = self._arguments[self.given].shape != self.site_shape
        self._map(*self._places()) if shared else self._map()

    @property
    def mean(self) -> Array:
        """E[y], shape (*sites)."""
        raise NotImplementedError

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(self.shift, ENDLESS.stop)

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.counts("y", y, self.site_shape, self._limits(), self.dtype)

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.counts(self)

    def _limits(self) -> tuple[Any, Any]:
        return self.shift, MOST if self.dtype == np.int64 else 2**31 - 1

    def _ranges(self) -> list[range]:
        problems = math.prod(self.batch_shape)
        first, stop = self._first.reshape(problems, -1), (self._first + self._n).reshape(problems, -1)
        return [range(int(a), int(b)) for a, b in zip(first.min(axis=0), stop.max(axis=0), strict=True)]

    def _unconstrained(self) -> Compiled:
        if self.given == self.free:
            return self
        values = must_be_free(self._arguments[self.given], self.given, self.free)
        stuck = np.zeros(values.shape, dtype=bool) if self.constrained == "rate" else (values == 0) | (values == 1)
        if stuck.any():
            raise ValueError(
                f"`model` must have {self.constrained} between 0 and 1, where they can move, "
                f"got {_check._first(values, stuck)}"
            )
        return type(self)(**{self.free: self._to_free(values)}, **self._options)

    def _given_as(self, free: Any) -> Compiled:
        if self.given == self.free:
            return free  # type: ignore[no-any-return]
        return self.with_parameters(self._from_free(value_of(free._arguments[self.free])))

    def _to_free(self, p: Array) -> Array:
        return np.asarray(_functions.log(p) - _functions.log1p(-p))

    def _from_free(self, free: Array) -> Array:
        return np.asarray(_functions.sigmoid(free))

    def _log_probs_of_logits(self) -> tuple[Any, Array, Array]:
        """Where p or q is lost to underflow, and log p, log q from the logits."""
        x = np.broadcast_to(value_of(self._arguments[self.given]), self.site_shape)
        lost = (abs(x) > FAR) & (self.given == "logits")
        x = np.where(lost, x, 0.0)
        return lost, -_functions.softplus(-x), -_functions.softplus(x)

    def _take_probs(self, x: Array) -> None:
        """Set p and q = 1 - p, each accurate where it is small."""
        if self.given == "logits":
            self._p, self._q = _functions.sigmoid(x), _functions.sigmoid(-x)
        else:
            self._p, self._q = np.asarray(x), np.asarray(1.0 - x)

    @property
    def probs(self) -> Array:
        """Probabilities of success, shape (*sites)."""
        return self._p


class Poisson(Counts):
    """Poisson(*, rate=None, log_rate=None, batch_ndims=0)

    Counts 0, 1, 2, ... with p(y) = rate^y e^-rate / y!.

    Parameters
    ----------
    rate, log_rate : array_like
        Exactly one of them; rates are positive. Any shape with at least one site.
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    Mean and variance are the rate. Score by rate: y/rate - 1, by log_rate: y - rate. Outcomes are int32, or int64 where
    one could pass 2^31. All sites' tables together hold at most 2^27 outcomes, some 17 sqrt(rate) for each site.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Poisson(rate=[0.5, 3.0, 1e6])
    >>> q.sample(3, sc.Stream(0)).shape, q.mean.tolist()
    ((3, 3), [0.5, 3.0, 1000000.0])
    >>> q.score([1, 2, 1_000_010])
    array([ 1.00000000e+00, -3.33333333e-01,  1.00000000e-05])
    """

    constrained, free = "rate", "log_rate"

    def __init__(
        self,
        *,
        rate: ArrayLike | Mapped | None = None,
        log_rate: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        self._build(batch_ndims, {"rate": (rate, _check.positive), "log_rate": (log_rate, _check.reals)})

    def _take_moments(self, x: Array) -> None:
        self._rate = np.asarray(x if self.given == "rate" else _functions.exp(x))

    def _panjer(self) -> tuple[Any, Any, Any]:
        return np.minimum(self._rate, 2.0**60), 0.0, 1.0

    def _affine(self) -> tuple[Any, Any]:
        return self._rate, 1.0 / self._rate if self.given == "rate" else 1.0

    @property
    def rate(self) -> Array:
        """Rates, shape (*sites)."""
        return self._rate

    @property
    def mean(self) -> Array:
        """E[y] = rate, shape (*sites)."""
        return self._rate

    @property
    def variance(self) -> Array:
        """The rate, shape (*sites)."""
        return self._rate

    def _site_log_probs(self, y: Array) -> Array:
        x = y.astype(np.float64)
        log_p = _functions.log_poisson(x, self._rate)
        if self.given == "rate":
            return log_p
        log_rate = np.broadcast_to(value_of(self._arguments["log_rate"]), self.site_shape)
        factorial = -1.0 - _functions.log_poisson(x, 1.0)  # log y!
        return np.where(log_rate < -FAR, x * log_rate - factorial, log_p)

    def _to_free(self, p: Array) -> Array:
        return _functions.log(p)

    def _from_free(self, free: Array) -> Array:
        return _functions.exp(free)


class Binomial(Counts):
    """Binomial(total_count, *, logits=None, probs=None, batch_ndims=0)

    Successes among n trials: p(y) = C(n, y) p^y (1 - p)^(n - y).

    Parameters
    ----------
    total_count : array_like of int
        Trials n, at least 0, at most 2^53; a number, not a parameter. Broadcasts against logits or probs.
    logits, probs : array_like
        Exactly one of them. Logits are finite; probs lie in [0, 1].
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    Mean n p, variance n p (1 - p). Score by logits: y - n p; by probs: (y - n p)/(p (1 - p)). At probs of 0 or 1 what
    is never drawn is missing from the gradient, and estimates say ``unbiased=False``.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Binomial(10, probs=[0.5, 0.1])
    >>> q.mean, q.variance
    (array([5., 1.]), array([2.5, 0.9]))
    >>> q.score([5, 2])
    array([ 0.        , 11.11111111])
    """

    constrained, free = "probs", "logits"

    def __init__(
        self,
        total_count: ArrayLike,
        *,
        logits: ArrayLike | Mapped | None = None,
        probs: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        values = {"logits": (logits, _check.reals), "probs": (probs, _check.probabilities)}
        self._build(batch_ndims, values, _check._array("total_count", total_count))

    def _check_total(self, value: ArrayLike) -> Array:
        return _check.integers("total_count", value, 0, MOST)

    def _take_moments(self, x: Array) -> None:
        self._take_probs(x)
        self._trials = np.broadcast_to(self.total_count, self.site_shape).astype(np.float64)

    def _panjer(self) -> tuple[Any, Any, Any]:
        with np.errstate(divide="ignore", over="ignore"):
            return self._trials, -1.0, self._p / self._q

    def _affine(self) -> tuple[Any, Any]:
        if self.given == "logits":
            return self.mean, 1.0
        with np.errstate(divide="ignore", over="ignore"):
            centre, slope = self.mean, 1.0 / (self._p * self._q)
        n = self._trials  # at 0 and 1 the score of the one outcome that there is: -n, n
        centre = np.where(self._p == 0, 1.0, np.where(self._q == 0, n - 1.0, centre))
        return centre, np.where(np.isfinite(slope), slope, n)

    @property
    def mean(self) -> Array:
        """E[y] = n p, shape (*sites)."""
        return self._trials * self._p

    @property
    def variance(self) -> Array:
        """n p (1 - p), shape (*sites)."""
        return self._trials * self._p * self._q

    @property
    def support(self) -> range:
        """Values of one site, the one with most trials."""
        return range(int(self.total_count.max()) + 1)

    def _limits(self) -> tuple[Any, Any]:
        return 0, np.broadcast_to(self.total_count, self.site_shape)

    def _site_log_probs(self, y: Array) -> Array:
        x, n = y.astype(np.float64), self._trials
        log_p = _functions.log_binomial(x, n, self._p, self._q)
        lost, success, failure = self._log_probs_of_logits()
        choices = _functions.log_binomial(x, n, 0.5, 0.5) + n * LOG_2  # log C(n, y)
        return np.where(lost, choices + x * success + (n - x) * failure, log_p)

    def _site_probs(self, y: Array) -> Array:
        n = np.broadcast_to(self.total_count, self.site_shape)
        return np.where(y <= n, super()._site_probs(np.minimum(y, n)), 0.0)

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 0 or 1 given?"""
        return self.given == "probs" and bool(np.any((self._p == 0) | (self._p == 1)))


class NegativeBinomial(Counts):
    """NegativeBinomial(total_count, *, logits=None, probs=None, batch_ndims=0)

    Failures before the n-th success, as in NumPy and SciPy: p(y) = Gamma(y + n)/(y! Gamma(n)) p^n (1 - p)^y.

    Parameters
    ----------
    total_count : array_like
        Successes n, positive, not necessarily whole; a number, not a parameter. Broadcasts against logits or probs.
    logits, probs : array_like
        Exactly one of them: of success. Logits are finite; probs lie in (0, 1].
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    Mean n (1 - p)/p, variance n (1 - p)/p^2. Score by logits: n (1 - p) - p y; by probs: n/p - y/(1 - p). (torch calls
    the probability of what is counted `probs`: the other way round.)

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.NegativeBinomial([2.0, 0.5], probs=[0.5, 0.25])
    >>> q.mean, q.variance
    (array([2. , 1.5]), array([4., 6.]))
    """

    constrained, free = "probs", "logits"

    def __init__(
        self,
        total_count: ArrayLike,
        *,
        logits: ArrayLike | Mapped | None = None,
        probs: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        values = {"logits": (logits, _check.reals), "probs": (probs, _check.success)}
        self._build(batch_ndims, values, _check._array("total_count", total_count))

    def _check_total(self, value: ArrayLike) -> Array:
        return _check.positive("total_count", value).copy()

    def _take_moments(self, x: Array) -> None:
        self._take_probs(x)
        self._successes = np.broadcast_to(self.total_count, self.site_shape)

    def _panjer(self) -> tuple[Any, Any, Any]:
        return self._successes, 1.0, self._q

    def _affine(self) -> tuple[Any, Any]:
        if self.given == "logits":
            return self.mean, -self._p
        n, certain = self._successes, self._q == 0  # then the score of 0, the one outcome that there is, is n
        with np.errstate(divide="ignore"):
            return np.where(certain, -1.0, self.mean), np.where(certain, n, -1.0 / self._q)

    @property
    def mean(self) -> Array:
        """E[y] = n (1 - p)/p, shape (*sites)."""
        return self._successes * self._q / self._p

    @property
    def variance(self) -> Array:
        """n (1 - p)/p^2, shape (*sites)."""
        return self.mean / self._p

    def _site_log_probs(self, y: Array) -> Array:
        x, n = y.astype(np.float64), self._successes
        log_p = _functions.log_negative_binomial(x, n, self._p, self._q)
        lost, success, failure = self._log_probs_of_logits()
        orders = _functions.log_negative_binomial(x, n, 0.5, 0.5) + (x + n) * LOG_2
        return np.where(lost, orders + n * success + x * failure, log_p)

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 1 given?"""
        return self.given == "probs" and bool(np.any(self._p == 1))


class Geometric(Counts):
    """Geometric(*, logits=None, probs=None, batch_ndims=0)

    Trials up to and with the first success, 1, 2, ..., as in NumPy and SciPy: p(y) = (1 - p)^(y - 1) p.

    Parameters
    ----------
    logits, probs : array_like
        Exactly one of them: of success. Logits are finite; probs lie in (0, 1].
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    Mean 1/p, variance (1 - p)/p^2. Score by logits: 1 - p y; by probs: (1 - p y)/(p (1 - p)). There is no
    table. Outcomes are int32, or int64 where one could pass 2^31.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Geometric(probs=[0.5, 0.1])
    >>> q.mean, q.log_prob([1, 1])
    (array([ 2., 10.]), array(-2.99573227))
    """

    constrained, free = "probs", "logits"
    shift = 1
    _rate: Array  # -log(1 - p)

    def __init__(
        self,
        *,
        logits: ArrayLike | Mapped | None = None,
        probs: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        self._build(batch_ndims, {"logits": (logits, _check.reals), "probs": (probs, _check.success)})

    def _take_moments(self, x: Array) -> None:
        self._take_probs(x)
        self._rate = np.asarray(_functions.softplus(x) if self.given == "logits" else -_functions.log1p(-self._p))
        if not _arrays.within(self._rate, SMALLEST_RATE, math.inf):
            bad = self._rate < SMALLEST_RATE
            raise ValueError(f"`{self.given}` must make outcomes that stay below 2^53, got {_check._first(x, bad)}")

    def _take_tables(self) -> None:
        most = 1 + np.ceil(60 * math.log(2) / self._rate.reshape(-1)).astype(np.int64)
        self._first, self._n = np.ones_like(most), most
        self._begin("trials", int(most.max()))
        self._tables.set_trials(self._rate.reshape(-1))

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.geometric(self)

    def _affine(self) -> tuple[Any, Any]:
        if self.given == "logits":
            return self.mean, -self._p
        certain = self._q == 0  # then the score of 1, the one outcome that there is, is 1
        with np.errstate(divide="ignore"):
            return np.where(certain, 0.0, self.mean), np.where(certain, 1.0, -1.0 / self._q)

    @property
    def mean(self) -> Array:
        """E[y] = 1/p, shape (*sites)."""
        return 1.0 / self._p

    @property
    def variance(self) -> Array:
        """(1 - p)/p^2, shape (*sites)."""
        return self._q / self._p / self._p

    def _site_log_probs(self, y: Array) -> Array:
        failures = y.astype(np.float64) - 1.0
        log_p = _functions.log_negative_binomial(failures, 1.0, self._p, self._q)
        lost, success, failure = self._log_probs_of_logits()
        return np.where(lost, success + failures * failure, log_p)

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 1 given?"""
        return self.given == "probs" and bool(np.any(self._p == 1))
