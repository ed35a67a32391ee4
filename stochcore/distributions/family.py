"""family: the protocol of a model y = f(z; w), for the families of this package and for one's own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _functions
from .._distributions import Tables
from ..noise import Stream
from .parameters import Structure

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

CLOSED = (
    "Bernoulli, Categorical, Ordinal, Poisson, Binomial, NegativeBinomial, Geometric, RoundedNormal, Normal, "
    "MarkovChain and a Joint of these"
)


class Family(ABC):
    """A model y = f(z; w) of one's own: subclass it, and every estimator takes it.

    A subclass has `parameters` (an array of float64, or a dict of them) and the methods `noise_shape`, `step`,
    `log_prob` and `score`; they may be NumPy, or call compiled code. Samples are steps of addressed noise, so they have
    the same bits whatever the number of threads, if the methods are reproducible.

    Attributes
    ----------
    parameters : ndarray or dict of ndarray
        What gradients are taken by.
    noise_kind : {"uniform", "normal", "logistic", "exponential", "gumbel"}
        What `step` wants.

    Notes
    -----
    `sc.exact` and `sc.check_unbiased` also want `enumerate`; `sc.minimize` wants `with_parameters`, which takes
    parameters of the same shapes and, unless it is overridden, hands them to the class alone.

    Examples
    --------
    Signs: y = -1 or 1, with P(y = 1) = 1/(1 + e^-w).

    >>> import numpy as np
    >>> import stochcore as sc
    >>> class Signs(sc.Family):
    ...     def __init__(self, w):
    ...         self.parameters = np.asarray(w, dtype=float)
    ...
    ...     def noise_shape(self, n):
    ...         return (n, *self.parameters.shape)
    ...
    ...     def step(self, z):
    ...         return np.where(z < 1 / (1 + np.exp(-self.parameters)), 1, -1)
    ...
    ...     def log_prob(self, y):
    ...         return -np.log1p(np.exp(-y * self.parameters)).sum(axis=-1)
    ...
    ...     def score(self, y):
    ...         return y / (1 + np.exp(y * self.parameters))
    ...
    ...     def enumerate(self):
    ...         return np.array([[-1], [1]])
    >>> q = Signs([0.5])
    >>> e = sc.estimate(q, lambda y: y[:, 0] ** 3, n_samples=10_000)
    >>> abs(e.grad - sc.exact(q, lambda y: y[:, 0] ** 3).grad) < 4 * e.grad_se
    array([ True])
    """

    noise_kind: ClassVar[str] = "uniform"
    batch_shape: tuple[int, ...] = ()
    parameters: Any

    @abstractmethod
    def noise_shape(self, n: int) -> Any:
        """Return the shape of the noise of n samples: n on the first axis."""

    @abstractmethod
    def step(self, z: Any) -> Any:
        """Return y = f(z; w) of noise of shape ``noise_shape(n)``: n samples on the first axis."""

    @abstractmethod
    def log_prob(self, y: Any) -> Array:
        """Return log p(y; w) of each sample, shape (n,)."""

    @abstractmethod
    def score(self, y: Any) -> Any:
        """Return grad log p(y; w) by the parameters of each sample: (n, *parameters), or a dict of these."""

    def enumerate(self) -> Any:
        """Return every outcome, one on each row."""
        raise NotImplementedError(f"{type(self).__name__} has no `enumerate`: its outcomes cannot be listed")

    def with_parameters(self, parameters: Any) -> Self:
        """Return the same family with other parameters of the same shapes."""
        return type(self)(self._structure.build(self._structure.flatten(parameters)))  # type: ignore[call-arg]

    @property
    def numbers_per_sample(self) -> int:
        """How many numbers a block holds for a sample: blocks have the more samples the fewer these are."""
        return self.n_elements

    @cached_property
    def n_elements(self) -> int:
        """Elements of noise that one sample takes."""
        return math.prod(self.noise_shape(1))

    def noise(self, n: int, stream: Stream, *, out: Any = None) -> Any:
        """Return the noise of n samples: ``step(noise(n, stream))`` has the bits of ``sample(n, stream)``.

        Parameters
        ----------
        n : int
        stream : Stream
        out : ndarray, optional
            float64, of that shape. Returned.

        Returns
        -------
        ndarray of shape noise_shape(n)
            float64 of the family's `noise_kind`.
        """
        shape = self.noise_shape(_check.integer("n", n, 0))
        fill = getattr(_stream(stream), self.noise_kind)
        return fill(shape) if out is None else fill(shape, out=_check.given_output(out, shape, np.float64))

    def sample(self, n: int, stream: Stream, *, n_threads: int | None = None) -> Any:
        """Draw n samples. Sample i takes the elements i * n_elements and on of the stream."""
        _check.threads(n_threads)
        return self.step(self.noise(n, stream))

    def outcome_probs(self, y: Any, *, out: Array | None = None) -> Array:
        """Return p(y; w) of each sample."""
        return _kept(np.asarray(_functions.exp(np.asarray(self.log_prob(y), dtype=np.float64))), out)

    def weighted_score(self, y: Any, weights: ArrayLike, *, out: Any = None, n_threads: int | None = None) -> Any:
        """Return sum_n weights_n * score(y_n), in the structure of the parameters.

        Parameters
        ----------
        y : array_like of shape (n, *sites)
        weights : array_like of shape (n, *batch)
        out : ndarray, or a dict of them, optional
            float64, in the structure of what is returned. Returned.
        n_threads : int, optional

        Returns
        -------
        ndarray of the parameters' shape, or a dict of these
            The families of this package never store the scores.
        """
        w, y = _check.reals("weights", weights), self._samples(y)
        if w.ndim != 1 + len(self.batch_shape) or w.shape[1:] != self.batch_shape:
            raise ValueError(f"`weights` must have shape (n, {_inside(self.batch_shape)}), got {w.shape}")
        n = self._count(y)
        if len(w) != n:
            raise ValueError(f"`weights` must have one row for each of the {n} samples, got {len(w)}")
        return self._structure.write(self._weigh(y, w, _check.threads(n_threads)), out)

    def _weigh(self, y: Any, weights: Array, n_threads: int | None = None) -> Any:
        """Return the weighted score of samples and weights that were checked."""
        columns = weights.reshape(len(weights), math.prod(self.batch_shape))
        parts = list(zip(self._parts(), self._flat(y), strict=True))
        pieces = []
        for (tables, size), flat in parts:
            piece = np.zeros(size)
            if len(columns):
                tables.weigh(flat, columns, piece, n_threads)
            pieces.append(piece)
        return self._structure.build(np.concatenate(pieces))

    def _probs_of(self, y: Any) -> Array:
        """Return p(y; w) of outcomes that `enumerate` has listed."""
        return self.outcome_probs(y)

    def _samples(self, y: Any) -> Any:
        """Check samples, with n on the first axis."""
        return y

    def _count(self, y: Any) -> int:
        """Return how many samples there are."""
        return _length(y)

    # What estimators ask for.

    @cached_property
    def _structure(self) -> Structure:
        return Structure.of(self.parameters)

    def _parts(self) -> list[tuple[Tables, int]]:
        """Return tables, and how many parameters each has: theta is cut into such parts."""
        tables = Tables("given", np.float64, 1, self._structure.size, self.n_elements)
        tables.set_scores("rows", self._structure.size)
        return [(tables, self._structure.size)]

    def _flat(self, y: Any) -> list[Array]:
        """Return what each part's kernels take for the samples y, as a flat array."""
        score, n = self.score(y), _length(y)
        check, structure = _scores_of, self._structure
        pieces = structure.map(lambda s, p: check(type(self).__name__, s, n, np.shape(p)), score, self.parameters)
        flat: list[Array] = []
        _leaves(structure, pieces, flat)
        return [np.ascontiguousarray(np.concatenate(flat, axis=1)).reshape(-1)]

    @property
    def entropy(self) -> Any:
        """H = -E[log p(y)], in nats, shape (*batch)."""
        raise self._no_entropy

    @property
    def entropy_grad(self) -> Any:
        """The gradient of `entropy` (of its sum over problems) by the parameters, in their structure."""
        raise self._no_entropy

    @property
    def _no_entropy(self) -> NotImplementedError:
        return NotImplementedError(
            f"the entropy of a {type(self).__name__} has no closed form here, that of {CLOSED} has"
        )

    @property
    def has_certain_outcomes(self) -> bool:
        """Was a probability of exactly 0 or 1 given? Then a gradient by it misses what is never drawn."""
        return False

    def _unconstrained(self) -> Family:
        """Return the same model, given by parameters that may be any finite numbers."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._structure})"

    def _given_as(self, free: Family) -> Family:
        """Return what `_unconstrained` may have become, given as this one is."""
        return free


class Simulated(Family):
    """A family whose samples bring their cost: a simulator with its parameters and inputs (stochcore/simulators.py).

    A sample takes one address of the stream, whatever it draws.

    Attributes
    ----------
    kept : bool
        Does it keep what it needs for a second look at a sample, so that this is no second run?
    """

    kept: ClassVar[bool] = False

    @abstractmethod
    def maker(self, run: Any, weighing: Any, stream: Stream, n_threads: int | None) -> Any:
        """Return what makes the nodes, one a shard, of blocks first .. first + blocks, the last up to sample `stop`."""

    @abstractmethod
    def exact(self) -> tuple[Array, Array, Array, Array]:
        """Enumerate all ways to go: chances (n,), costs (n,), S (n, size) and R (n, size)."""


def _kept(result: Array, out: Array | None) -> Array:
    """Return `out`, with the result in it; the result where it is None."""
    if out is None:
        return result
    kept = _check.given_output(out, result.shape, np.float64)
    kept[...] = result
    return kept


def _length(y: Any) -> int:
    return _length(next(iter(y.values()))) if isinstance(y, dict) else len(y)


def _leaves(structure: Structure, tree: Any, out: list[Array]) -> None:
    if structure.shape is not None:
        out.append(tree)
    for name, field in structure.fields:
        _leaves(field, tree[name], out)


def _scores_of(name: str, score: Any, n: int, shape: tuple[int, ...]) -> Array:
    array = np.asarray(score)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}.score` must return real numbers, got dtype {array.dtype}")
    if array.shape != (n, *shape):
        raise ValueError(f"`{name}.score` must return shape {(n, *shape)} for {n} samples, got {array.shape}")
    return array.reshape(n, -1).astype(np.float64)


def _inside(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _stream(stream: Any) -> Stream:
    if not isinstance(stream, Stream):
        raise TypeError(f"`stream` must be a stochcore.Stream, got {type(stream).__name__}")
    return stream
