"""latent: outcomes that are thresholds of a Gaussian or logistic latent, and the Gaussian itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _check, _functions
from .._distributions import MAX_OUTCOMES, Tables
from . import entropies
from .compiled import Compiled, must_be_free
from .parameters import Argument, Mapped, value_of

Array = NDArray[Any]

REACH = 9.0  # standard deviations: beyond lies less than 2^-60
HALF_LOG_2PI = 0.9189385332046727


def _spread(argument: Argument, shape: tuple[int, ...]) -> Array:
    """Return a new array of an argument's number at each site."""
    own = np.empty(shape)
    own[...] = value_of(argument)
    return own


class WithScale(Compiled):
    """A family with a mean, and a scale or its logarithm."""

    def _take_mean_and_scale(self, mean: Any, scale: Any, log_scale: Any, batch_ndims: int) -> None:
        given = _check.exactly_one(scale=scale, log_scale=log_scale)
        second = self._argument(given, *((scale, _check.positive) if given == "scale" else (log_scale, _check.reals)))
        first = self._argument("mean", mean)
        self._take(batch_ndims, {"mean": first, given: second}, mean=first.shape, **{given: second.shape})
        self._mean = _spread(first, self.site_shape)
        spread = _spread(second, self.site_shape)
        self._scale = spread if given == "scale" else np.asarray(_functions.exp(spread))
        if not _arrays.within(self._scale, _check.TINY, _check.LARGEST):
            bad = ~((self._scale >= _check.TINY) & np.isfinite(self._scale))
            raise ValueError(f"`log_scale` must lie in -708 .. 709, got {_check._first(spread, bad)}")

    @property
    def _by_log(self) -> bool:
        return "log_scale" in self._arguments

    @property
    def scale(self) -> Array:
        """Scales, shape (*sites)."""
        return self._scale

    def _unconstrained(self) -> Compiled:
        if self._by_log:
            return self
        scale = _functions.log(must_be_free(self._arguments["scale"], "scale", "log_scale"))
        return type(self)(mean=self._arguments["mean"], log_scale=scale, **self._options)  # type: ignore[call-arg]

    def _given_as(self, free: Any) -> Compiled:
        if self._by_log:
            return free  # type: ignore[no-any-return]
        scale = _functions.exp(value_of(free._arguments["log_scale"]))
        return type(self)(mean=free._arguments["mean"], scale=scale, **self._options)  # type: ignore[call-arg]


class Normal(WithScale):
    """Normal(mean, scale=None, *, log_scale=None, batch_ndims=0)

    y = mean + scale z, z standard Gaussian: the continuous case, for pathwise gradients and for noise inside models.

    Parameters
    ----------
    mean : array_like
    scale, log_scale : array_like
        Exactly one of them; scales are positive. Broadcasts against the mean.
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    Score by mean: z/scale, by scale: (z^2 - 1)/scale, by log_scale: z^2 - 1, with z = (y - mean)/scale. The noise is
    Gaussian and samples are float64. `parameters`, and so gradients, are ``{"mean": ..., "scale": ...}``.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Normal([0.0, 10.0], scale=2.0)
    >>> q.step([1.0, -1.0]), q.score([2.0, 8.0])["mean"]
    (array([2., 8.]), array([ 0.5, -0.5]))
    """

    noise_kind = "normal"
    dtype = np.dtype(np.float64)

    def __init__(
        self,
        mean: ArrayLike | Mapped,
        scale: ArrayLike | Mapped | None = None,
        *,
        log_scale: ArrayLike | Mapped | None = None,
        batch_ndims: int = 0,
    ) -> None:
        self._take_mean_and_scale(mean, scale, log_scale, batch_ndims)
        sites = math.prod(self.event_shape)
        self._tables = Tables("normal", self.dtype, math.prod(self.batch_shape), sites, math.prod(self.site_shape))
        inverse = 1.0 / self._scale
        table = np.ones(self.site_shape) if self._by_log else inverse
        self._tables.set_scores("gaussian", 2 * sites, centre=self._mean, slope=inverse, scale=self._scale, table=table)
        self._map(*self._places())
        shapes = [a.shape for a in self._arguments.values() if not isinstance(a, Mapped)]
        if self._by_log and len(shapes) == 2:
            self._form = type(self), *shapes, batch_ndims

    @property
    def mean(self) -> Array:
        """E[y], shape (*sites)."""
        return self._mean

    @property
    def variance(self) -> Array:
        """scale^2, shape (*sites)."""
        return self._scale * self._scale

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the line."""
        return -math.inf, math.inf

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.normal(self)

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.numbers("y", y, self.site_shape)

    def _site_log_probs(self, y: Array) -> Array:
        z = (y - self._mean) / self._scale
        with np.errstate(over="ignore"):  # -inf, where no number is so small
            return np.asarray(-0.5 * z * z - _functions.log(self._scale) - HALF_LOG_2PI)

    def enumerate(self) -> Array:
        """Raise: there is no end of outcomes."""
        raise ValueError("`enumerate` must have outcomes that can be counted, got those of a Normal")


class RoundedNormal(WithScale):
    """RoundedNormal(mean, scale=None, *, log_scale=None, step=1.0, batch_ndims=0)

    A Gaussian through a quantiser: y = round(x / step) with x = mean + scale z, so that the quantised value is ``step *
    y``.

    Parameters
    ----------
    mean : array_like
    scale, log_scale : array_like
        Exactly one of them; scales are positive. Broadcasts against the mean.
    step : float
        Of the quantiser; positive. A number, not a parameter.
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    p(y) = Phi(b) - Phi(a), a and b the borders step (y -+ 1/2), standardised. `step(z)` takes uniform noise and inverts
    the distribution function; `latent_step(z)` takes Gaussian noise and rounds. The two have one distribution, not the
    same bits. Score by mean: (phi(a) - phi(b)) / (scale p); by scale: (a phi(a) - b phi(b)) / (scale p). Tails below
    2^-60 are never drawn. `parameters`, and so gradients, are ``{"mean": ..., "scale": ...}``.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.RoundedNormal([0.2, 3.0], scale=1.0, step=0.5)
    >>> q.latent_step([0.0, 0.3])
    array([0, 7], dtype=int32)
    """

    def __init__(
        self,
        mean: ArrayLike | Mapped,
        scale: ArrayLike | Mapped | None = None,
        *,
        log_scale: ArrayLike | Mapped | None = None,
        step: float = 1.0,
        batch_ndims: int = 0,
    ) -> None:
        self._take_mean_and_scale(mean, scale, log_scale, batch_ndims)
        self._step = _check.real("step", step, positive=True)
        self._options["step"] = self._step
        self._take_tables()

    def _borders(self, y: Array, mean: Array, scale: Array) -> tuple[Array, Array]:
        return ((y - 0.5) * self._step - mean) / scale, ((y + 0.5) * self._step - mean) / scale

    def _take_tables(self) -> None:
        mean, scale = self._mean.reshape(-1), self._scale.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            low = np.floor((mean - REACH * scale) / self._step + 0.5)
            high = np.floor((mean + REACH * scale) / self._step + 0.5)
            width = high - low + 1
        if not width.sum() <= MAX_OUTCOMES:
            told = f"`{list(self._arguments)[1]}` over `step`"
            raise ValueError(f"{told} must spread over at most 2^27 outcomes in all, got wider ones")
        if not np.all(np.abs([low, high]) < 2**53):
            raise ValueError(f"`mean` over `step` must stay below 2^53, got {np.abs(mean / self._step).max():.3g}")
        self._first, self._n = low.astype(np.int64), width.astype(np.int64)
        extreme = max(abs(self._first).max(), abs(self._first + self._n).max())
        self.dtype = np.dtype(np.int32 if extreme < 2**31 else np.int64)
        begin = np.cumsum(self._n) - self._n
        y = np.arange(self._n.sum()) - np.repeat(begin - self._first, self._n)
        means, scales = np.repeat(mean, self._n), np.repeat(scale, self._n)
        log_p, first, second = _functions.normal_interval(*self._borders(y, means, scales))
        sites = math.prod(self.event_shape)
        self._tables = Tables("ladders", self.dtype, math.prod(self.batch_shape), sites, math.prod(self.site_shape))
        self._tables.set_ladders(self._first, self._n, _functions.exp(log_p), False)
        table = np.stack([first / scales, second if self._by_log else second / scales], axis=-1)
        rows = 2 * (begin - self._first)
        self._tables.set_scores("tabled", 2 * sites, table=table, rows=rows, n_each=2)
        self._map(np.stack(self._places(), axis=-1))

    @property
    def _mass(self) -> tuple[Array, Array]:
        """Outcomes of each site and their probabilities, padded with zeros: (sites, most) each."""
        most = np.arange(self._n.max())
        y = self._first[:, None] + most
        log_p = self._site_log_probs(y.T.reshape(-1, *self.site_shape)).reshape(len(most), -1).T
        return y, np.where(most < self._n[:, None], _functions.exp(log_p), 0.0)

    @property
    def mean(self) -> Array:
        """E[y], shape (*sites), in steps: close to mean/step."""
        y, p = self._mass
        centre = np.floor(self._mean.reshape(-1, 1) / self._step)
        return np.asarray(((p * (y - centre)).sum(axis=1) + centre[:, 0]).reshape(self.site_shape))

    @property
    def variance(self) -> Array:
        """Variance of y, shape (*sites), in steps squared."""
        y, p = self._mass
        away = y - self.mean.reshape(-1, 1)
        return np.asarray((p * away * away).sum(axis=1).reshape(self.site_shape))

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(-(2**63), 2**63 - 1)

    def latent_step(self, z: ArrayLike, *, out: Array | None = None) -> Array:
        """Return round((mean + scale z) / step) for Gaussian noise z of shape (..., *sites), in `out` if given."""
        noise = _check.noise("z", z, self.site_shape, uniform=False)
        y = _check.output(out, noise.shape, self.dtype, ("z", noise))
        y[...] = np.clip(np.floor((self._mean + self._scale * noise) / self._step + 0.5), -self._limit, self._limit)
        return y

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.rounded(self)

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.counts("y", y, self.site_shape, (-self._limit, self._limit), self.dtype)

    @property
    def _limit(self) -> int:
        return 2**31 - 1 if self.dtype == np.int32 else 2**53

    def _site_log_probs(self, y: Array) -> Array:
        return _functions.normal_interval(*self._borders(y, self._mean, self._scale))[0]

    def score(self, y: ArrayLike, *, out: Any = None) -> Any:
        """Return grad log p(y; w) by mean and scale, one gradient a sample.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)
        out : dict of ndarray, optional
            float64, in the structure of what is returned. Returned.

        Returns
        -------
        dict of ndarray of shape (..., *parameters)
        """
        array = self._outcomes(y)
        lead = self._lead(array)
        _, first, second = _functions.normal_interval(*self._borders(array, self._mean, self._scale))
        if not self._by_log:
            second = second / self._scale
        each = np.stack([first / self._scale, second], axis=-1).reshape(*lead, -1)
        pulled = np.empty((*lead, self._structure.size))
        self._tables.pull(each.reshape(-1, each.shape[-1]), pulled.reshape(-1, pulled.shape[-1]))
        return self._structure.write(self._structure.build(pulled, lead), out)

    def _flat(self, y: Any) -> list[Array]:
        first = self._first.reshape(self.site_shape)
        inside = np.clip(y, first, first + self._n.reshape(self.site_shape) - 1)  # what is never drawn has no weight
        return [np.ascontiguousarray(inside, dtype=self.dtype).reshape(-1)]

    def _ranges(self) -> list[range]:
        problems = math.prod(self.batch_shape)
        first, stop = self._first.reshape(problems, -1), (self._first + self._n).reshape(problems, -1)
        return [range(int(a), int(b)) for a, b in zip(first.min(axis=0), stop.max(axis=0), strict=True)]


class Ordinal(Compiled):
    """Ordinal(location, cutpoints=None, *, free_cutpoints=None, noise="logistic", batch_ndims=0)

    Ordered classes: y = the number of cut points at or below the latent x = location + z.

    With logistic noise the ordered logit, with Gaussian noise the ordered probit; one cut point makes bits (and the
    probit Bernoulli), cut points at 0 the sign, evenly spaced ones a quantiser.

    Parameters
    ----------
    location : array_like
        Any shape: the sites, together with the cut points' first axes.
    cutpoints : array_like of shape (..., C - 1)
        Increasing along the last axis; the first axes broadcast against the location.
    free_cutpoints : array_like of shape (..., C - 1)
        Instead: the first cut point, and the logarithms of the gaps between them. Any numbers will do: `minimize` moves
        these.
    noise : {"logistic", "normal"}
        Of the latent.
    batch_ndims : int
        The first so many axes are independent problems.

    Notes
    -----
    p(y) = F(c_{y+1} - location) - F(c_y - location), with F the noise's distribution function and c_0, c_C infinite
    (McCullagh, "Regression models for ordinal data", JRSS B 42, 1980). `step(z)` takes uniform noise and inverts the
    distribution function; `latent_step(z)` takes the latent's own. The two have one distribution, not the same bits.
    `parameters`, and so gradients, are ``{"location": ..., "cutpoints": ...}``.

    Examples
    --------
    >>> import stochcore as sc
    >>> q = sc.Ordinal([0.0, 1.0], cutpoints=[-1.0, 0.0, 1.0])
    >>> q.probs.round(3)
    array([[0.269, 0.231, 0.231, 0.269],
           [0.119, 0.15 , 0.231, 0.5  ]])
    >>> q.latent_step([-2.0, 5.0])
    array([0, 3], dtype=int32)
    """

    dtype = np.dtype(np.int32)

    def __init__(
        self,
        location: ArrayLike | Mapped,
        cutpoints: ArrayLike | None = None,
        *,
        free_cutpoints: ArrayLike | None = None,
        noise: str = "logistic",
        batch_ndims: int = 0,
    ) -> None:
        given = _check.exactly_one(cutpoints=cutpoints, free_cutpoints=free_cutpoints)
        value, rule = (cutpoints, _check.increasing) if given == "cutpoints" else (free_cutpoints, _check.classes)
        self._noise = noise
        self._interval = _check.choice("noise", noise, {"logistic": _logistic_classes, "normal": _normal_classes})
        first, second = self._argument("location", location), self._argument(given, value, rule)
        shapes = {"location": first.shape, given: second.shape[:-1]}
        self._take(batch_ndims, {"location": first, given: second}, **shapes)
        self._options["noise"] = noise
        self.n_classes = second.shape[-1] + 1
        self._location = _spread(first, self.site_shape)
        cuts = _cut(value_of(second), given)
        bad = ~np.isfinite(cuts)
        bad[..., 1:] |= ~(cuts[..., 1:] > cuts[..., :-1])
        if bad.any():
            came = _check._first(value_of(second), bad)
            raise ValueError(f"`{given}` must give finite cut points that increase, got {came}")
        self._cuts = np.array(np.broadcast_to(cuts, (*self.site_shape, self.n_classes - 1)))
        self._take_tables(given)

    def _take_tables(self, given: str) -> None:
        classes, sites = self.n_classes, math.prod(self.event_shape)
        ends = self._cuts - self._location[..., None]
        if not np.all(ends[..., 1:] > ends[..., :-1]):
            raise ValueError(
                f"`location` must be so near the cut points that these stay apart, got {self._location.max()}"
            )
        outer = np.full((*self.site_shape, 1), np.inf)
        a, b = np.concatenate([-outer, ends], axis=-1), np.concatenate([ends, outer], axis=-1)
        self._log_probs, by_location, by_a, by_b = self._interval(a, b)
        self._probs = _functions.exp(self._log_probs)
        table = np.zeros((*self.site_shape, classes, classes))
        table[..., 0] = by_location  # then cut point j: the b of class j, the a of class j + 1
        inner = np.arange(classes - 1)
        table[..., inner, inner + 1] = by_b[..., :-1]
        table[..., inner + 1, inner + 1] = by_a[..., 1:]
        if given == "free_cutpoints":  # the first moves all cut points, the logarithm of a gap all from there on
            cuts = table[..., 1:]
            after = np.flip(np.cumsum(np.flip(cuts, axis=-1), axis=-1), axis=-1)
            after[..., 1:] *= np.diff(self._cuts, axis=-1)[..., None, :]
            table[..., 1:] = after
        self._score_table: Array = table
        width = math.prod(self.site_shape)
        self._tables = Tables("categorical", self.dtype, math.prod(self.batch_shape), sites, width, classes)
        self._tables.set_classes(self._probs.reshape(-1), False)
        rows = np.arange(width) * (classes * classes)
        self._tables.set_scores("tabled", sites * classes, table=table, rows=rows, n_each=classes)
        location, cut = self._arguments.values()
        own = np.arange(math.prod(location.shape)).reshape(location.shape)
        places = np.arange(math.prod(cut.shape)).reshape(cut.shape) + own.size
        self._map(
            np.concatenate(
                [
                    np.broadcast_to(own, self.site_shape)[..., None],
                    np.broadcast_to(places, (*self.site_shape, classes - 1)),
                ],
                axis=-1,
            )
        )

    @property
    def cutpoints(self) -> Array:
        """Cut points, shape (*sites, C - 1)."""
        return self._cuts

    @property
    def probs(self) -> Array:
        """Probabilities of the classes, shape (*sites, C)."""
        return np.asarray(self._probs)

    @property
    def mean(self) -> Array:
        """E[y] of the class number, shape (*sites)."""
        return np.asarray((self._probs * np.arange(self.n_classes)).sum(axis=-1))

    @property
    def variance(self) -> Array:
        """Variance of the class number, shape (*sites)."""
        away = np.arange(self.n_classes) - self.mean[..., None]
        return np.asarray((self._probs * away * away).sum(axis=-1))

    @property
    def support(self) -> range:
        """Values of one site."""
        return range(self.n_classes)

    def latent_step(self, z: ArrayLike, *, out: Array | None = None) -> Array:
        """Return how many cut points location + z has reached, for the latent's noise z of shape (..., *sites)."""
        noise = _check.noise("z", z, self.site_shape, uniform=False)
        y = _check.output(out, noise.shape, self.dtype, ("z", noise))
        x = self._location + noise
        y[...] = (x[..., None] >= self._cuts).sum(axis=-1)
        return y

    def _entropies(self) -> tuple[Array, Array]:
        return entropies.ordinal(self)

    def _outcomes(self, y: ArrayLike) -> Array:
        return _check.outcomes("y", y, self.site_shape, self.n_classes, self.dtype)

    def _ranges(self) -> list[range]:
        return [self.support] * math.prod(self.event_shape)

    def _site_log_probs(self, y: Array) -> Array:
        each = np.broadcast_to(self._log_probs, (*y.shape, self.n_classes))
        return np.take_along_axis(each, y[..., None].astype(np.int64), axis=-1)[..., 0]

    def _unconstrained(self) -> Compiled:
        location, (given, cut) = self._arguments["location"], list(self._arguments.items())[1]
        if given == "free_cutpoints":
            return self
        values = must_be_free(cut, given, "free_cutpoints")
        free = np.concatenate([values[..., :1], _functions.log(np.diff(values, axis=-1))], axis=-1)
        return Ordinal(location, free_cutpoints=free, **self._options)

    def _given_as(self, free: Any) -> Compiled:
        if "free_cutpoints" in self._arguments:
            return free  # type: ignore[no-any-return]
        cuts = _cut(value_of(free._arguments["free_cutpoints"]), "free_cutpoints")
        return Ordinal(free._arguments["location"], cuts, **self._options)


def _cut(values: Array, given: str) -> Array:
    """Return cut points from what was given."""
    if given == "cutpoints":
        return values
    gaps = np.concatenate([values[..., :1], _functions.exp(values[..., 1:])], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.cumsum(gaps, axis=-1)


def _logistic_classes(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """Return log(F(b) - F(a)) and its derivatives: by a location, by a, by b."""
    log_p, by_a, by_b = _functions.logistic_interval(a, b)
    return log_p, _functions.sigmoid(b) - _functions.sigmoid(-a), by_a, by_b  # F(a) + F(b) - 1


def _normal_classes(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    log_p, mean, _ = _functions.normal_interval(a, b)
    return log_p, mean, -_density_over(a, log_p), _density_over(b, log_p)


def _density_over(x: Array, log_p: Array) -> Array:
    """Return phi(x)/p, 0 at infinity."""
    finite = np.where(np.isfinite(x), x, 0.0)
    ratio = _functions.exp(-0.5 * finite * finite - HALF_LOG_2PI - log_p)
    return np.where(np.isfinite(x), ratio, 0.0)
