"""compiled: what the families that the kernels know have in common."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _check, _functions, _views
from .._distributions import Tables, row_sums
from ..noise import Stream
from .family import Family, _inside, _kept, _stream
from .parameters import Argument, Linear, Mapped, parameters_of, table_map, with_parameters

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

MAX_OUTCOMES = 1 << 20  # that `enumerate` lists


class Compiled(Family):
    """A family whose steps and scores are kernels. The shape of its sites is one joint sample.

    ``batch_ndims=k`` makes the first k axes independent problems: then log-probabilities, costs and baselines have the
    shape of those axes.

    Attributes
    ----------
    parameters : ndarray or dict
        Theta: the argument as it was given; of several arguments a dict, of a `Linear` its weight and bias.
    site_shape, batch_shape, event_shape : tuple of int
        Shape of the outcomes of one sample: that of the independent problems, and then that of one of them.
    dtype
        Of outcomes.
    """

    dtype: Any
    site_shape: tuple[int, ...]
    event_shape: tuple[int, ...]
    batch_ndims: int
    _arguments: dict[str, Argument]
    _tables: Tables
    _form: tuple[Any, ...] | None = None  # models of one form differ in numbers alone, and all of these will do

    def _take(
        self, batch_ndims: int, arguments: dict[str, Argument], last: tuple[int, ...] = (), **shapes: tuple[int, ...]
    ) -> None:
        """Keep the arguments. The sites have the shape that `shapes`, told by name, broadcast to, and then `last`."""
        self._arguments, self.parameters = arguments, parameters_of(arguments)
        self._options: dict[str, Any] = {"batch_ndims": batch_ndims}
        shape = _broadcast(shapes) if len(set(shapes.values())) > 1 else next(iter(shapes.values()))
        if 0 in shape:
            raise ValueError(f"`{self.given}` must have at least one site, got shape {shape}")
        self.batch_ndims = ndims = _check.integer("batch_ndims", batch_ndims, 0, len(shape))
        self.site_shape = sites = shape + last
        self.batch_shape, self.event_shape = sites[:ndims], sites[ndims:]

    @property
    def given(self) -> str:
        """The name of the first argument."""
        return next(iter(self._arguments))

    def with_parameters(self, parameters: Any) -> Self:
        """Return the same family with other parameters of the same kind.

        Parameters
        ----------
        parameters : array_like, or dict of array_like
            In the structure of the attribute.

        Returns
        -------
        Family
        """
        built = self._structure.checked(parameters, self._told)
        return type(self)(**with_parameters(self._arguments, built), **self._options)

    @property
    def _told(self) -> str:
        return self.given if len(self._arguments) == 1 else "parameters"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), dict(self._arguments), self._options)

    def __repr__(self) -> str:
        told = [f"{name}=<{_by(a.shape)}>" for name, a in self._arguments.items()]
        told += [
            f"{name}={_brief(value)}"
            for name, value in self._options.items()
            if value is not None and name != "batch_ndims"
        ]
        told += [f"batch_ndims={self.batch_ndims}"] if self.batch_ndims else []
        return f"{type(self).__name__}({', '.join(told)})"

    # Shapes

    @property
    def n_elements(self) -> int:
        """Elements of noise that one sample takes."""
        return self._tables.n_elements

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the noise of n samples: (n, *sites)."""
        return (_check.integer("n", n, 0), *self._noise_sites)

    @property
    def _noise_sites(self) -> tuple[int, ...]:
        return self.site_shape

    @staticmethod
    def _argument(name: str, value: Any, rule: Any = _check.reals) -> Argument:
        """Check an argument's numbers by a rule (name, numbers) -> numbers; keep them where nobody changes them."""
        if isinstance(value, Linear):
            raise TypeError(
                f"`{name}` must be numbers or a Linear of inputs, Linear(weight)(x), got {value!r} without any"
            )
        if isinstance(value, Mapped):
            rule(name, value.value)
            return value
        array: Array = rule(name, value)
        if not _views.may_keep(array, value):
            return _arrays.frozen(array)
        array.flags.writeable = False
        return array

    def _map(self, *index: Array) -> None:
        """Tell the tables where scores belong: positions in each argument, problem by problem; none: in order."""
        if not index and not any(isinstance(a, Mapped) for a in self._arguments.values()):
            return
        rows = table_map(self._arguments)
        problems = math.prod(self.batch_shape)
        flat = np.concatenate([i.reshape(problems, -1) for i in index], axis=1).reshape(-1) if index else None
        self._tables.set_map(flat, rows)

    def _places(self, *last: int) -> list[Array]:
        """For each argument, where its number at each site stands among all arguments; broadcast to the sites."""
        places, at = [], 0
        for a in self._arguments.values():
            own = np.arange(at, at + math.prod(a.shape)).reshape(a.shape)
            places.append(own if a.shape == self.site_shape + last else np.broadcast_to(own, self.site_shape + last))
            at += own.size
        return places

    # Samples

    def sample(self, n: int, stream: Stream, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Draw n samples: the bits of ``step(noise(n, stream))``, without storing the noise.

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
            uint8 for bits (mind its arithmetic: ``1 - 2 * y`` wraps), int32 for classes and counts (int64 where they
            need it), float64 for `Normal`.
        """
        _stream(stream)
        threads = _check.threads(n_threads)
        n = _check.integer("n", n, 0)
        _check.addresses(stream.offset, n * self.n_elements)
        y = _check.output(out, (n, *self.site_shape), self.dtype)
        if y.size:
            self._tables.sample(stream, n, y, threads)
        return y

    def _lead(self, y: Array) -> tuple[int, ...]:
        """Return the axes of samples."""
        return y.shape[: y.ndim - len(self.site_shape)]

    def _sample_into(self, n: int, out: Array | None) -> Array:
        return _check.output(out, (n, *self.site_shape), self.dtype)

    def _sample_apart(self, n: int, stream: Stream, stride: int, out: Array) -> None:
        """Draw n samples whose noise begins every `stride` elements."""
        if out.size:
            self._tables.sample_apart(stream, n, stride, out.reshape(-1))

    def step(self, z: ArrayLike, *, out: Array | None = None) -> Array:
        """Return y = f(z; w): the outcomes of given noise.

        Parameters
        ----------
        z : array_like of shape (..., *noise_shape(1)[1:])
            float64 noise of the family's `noise_kind`. Uniform noise lies in [0, 1), or is given by the integers k
            in 0 .. 2^53 - 1 behind it (u = k 2^-53); a number that is no multiple of 2^-53 counts as the multiple below
            it.
        out : ndarray, optional
            Of the outcomes' shape and type. Returned.

        Returns
        -------
        ndarray of shape (..., *sites)
        """
        sites = self._noise_sites
        noise = _check.noise("z", z, sites, uniform=self.noise_kind == "uniform")
        lead = noise.shape[: noise.ndim - len(sites)]
        y = _check.output(out, (*lead, *self.site_shape), self.dtype, ("z", noise))
        if noise.dtype.kind != "f":
            noise = noise.astype(np.uint64)
        elif self.noise_kind == "uniform":
            noise = np.ldexp(noise, 53).astype(np.uint64)
        if y.size:
            self._tables.step(np.ascontiguousarray(noise).reshape(-1), y.reshape(-1))
        return y

    # Probabilities

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
        lead = array.shape[: array.ndim - len(self.event_shape)]
        result = _check.output(out, lead, np.float64, ("y", array))
        _check.threads(n_threads)
        each = np.ascontiguousarray(self._site_log_probs(array))
        if result.size:
            result[...] = row_sums(each.reshape(result.size, -1)).reshape(lead)
        return result

    def _site_log_probs(self, y: Array) -> Array:
        """Return log p of each site's outcome."""
        raise NotImplementedError

    def score(self, y: ArrayLike, *, out: Any = None) -> Any:
        """Return grad log p(y; w) by the parameters as they were given, one gradient a sample.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)
        out : ndarray, or a dict of them, optional
            float64, in the structure of what is returned. Returned.

        Returns
        -------
        ndarray of shape (..., *parameters), or a dict of these
        """
        array = self._outcomes(y)
        lead = self._lead(array)
        each = np.zeros((math.prod(lead), self._structure.size))
        self._tables.scores(array.reshape(-1), len(each), each)
        return self._structure.write(self._structure.build(each.reshape((*lead, -1)), lead), out)

    @property
    def entropy(self) -> Any:
        """H = -E[log p(y)], in nats, shape (*batch): in closed form, or summed over all outcomes that are drawn."""
        sites = self._entropies()[0]
        return row_sums(sites.reshape(math.prod(self.batch_shape), -1)).reshape(self.batch_shape)[()]

    @property
    def entropy_grad(self) -> Any:
        """The gradient of `entropy` (of its sum over problems) by the parameters, in their structure."""
        scores, out = self._entropies()[1], np.empty((1, self._structure.size))
        self._tables.pull(np.ascontiguousarray(scores).reshape(1, -1), out)
        return self._structure.build(out[0])

    def _entropies(self) -> tuple[Array, Array]:
        """Return H of the sites (or chains), and its derivatives by what scores are by, problem by problem."""
        raise self._no_entropy

    def outcome_probs(self, y: ArrayLike, *, out: Array | None = None) -> Array:
        """Return p(y; w) of each sample: the product over its sites, in their order.

        Parameters
        ----------
        y : array_like of int, shape (..., *sites)
        out : ndarray, optional
            float64, shape (..., *batch). Returned.

        Returns
        -------
        ndarray of shape (..., *batch)
        """
        return _kept(self._probs_of(self._outcomes(y)), out)

    def _probs_of(self, array: Array) -> Array:
        lead = array.shape[: array.ndim - len(self.event_shape)]
        each = self._site_probs(array).reshape(*lead, -1)
        product = np.ones(lead)
        for site in range(each.shape[-1]):
            product = product * each[..., site]
        return product

    def _site_probs(self, y: Array) -> Array:
        """Return the probability of each site's outcome."""
        return np.asarray(_functions.exp(np.ascontiguousarray(self._site_log_probs(y))))

    def _outcomes(self, y: ArrayLike) -> Array:
        """Check outcomes of samples."""
        raise NotImplementedError

    def _ranges(self) -> list[range]:
        """Return which outcomes each site of a problem has, for `enumerate`."""
        raise NotImplementedError

    def enumerate(self) -> Array:
        """Return every outcome of one problem, in counting order (the last site runs fastest).

        Counts without end are listed as far as they are drawn: all but 2^-60 of each tail of a site.

        Returns
        -------
        ndarray of shape (outcomes, *event_shape)

        Raises
        ------
        ValueError
            More than 2^20 outcomes.
        """
        ranges = self._ranges()
        total = math.prod(map(len, ranges))
        if total > MAX_OUTCOMES:
            about = f"some 2^{math.log2(total):.0f} on {len(ranges)} sites"
            raise ValueError(f"enumeration must have at most 2^20 outcomes, got {about}")
        count = np.arange(total)
        y = np.empty((total, len(ranges)), dtype=self.dtype)
        for site in range(len(ranges) - 1, -1, -1):
            count, digit = np.divmod(count, len(ranges[site]))
            y[:, site] = ranges[site].start + digit
        return y.reshape(-1, *self.event_shape)

    def _parts(self) -> list[tuple[Tables, int]]:
        return [(self._tables, self._structure.size)]

    def _samples(self, y: Any) -> Any:
        array = self._outcomes(y)
        if array.ndim != 1 + len(self.site_shape):
            raise ValueError(f"`y` must have shape (n, {_inside(self.site_shape)}), got {array.shape}")
        return array

    def _flat(self, y: Any) -> list[Array]:
        array = y if isinstance(y, np.ndarray) and y.dtype == self.dtype else self._outcomes(y)
        return [np.ascontiguousarray(array).reshape(-1)]


def must_be_free(argument: Argument, name: str, free: str) -> Array:
    """Return the numbers of a bounded argument that is to move; inputs cannot map to those."""
    if isinstance(argument, Mapped):
        raise ValueError(f"`model` must give `{free}`, which may be any numbers, where a Linear moves, got `{name}`")
    return argument


def _broadcast(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        told = " and ".join(f"`{name}` {own}" for name, own in shapes.items())
        raise ValueError(f"shapes must broadcast, got {told}") from None


def _remake(family: type[Compiled], arguments: dict[str, Any], options: dict[str, Any]) -> Compiled:
    """Build a family again, for pickle."""
    return family(**arguments, **options)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{_by(value.shape)}>" if value.ndim else repr(value.item())
    return repr(value)
