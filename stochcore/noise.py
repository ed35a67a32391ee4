"""noise: random numbers that are addressed by element, not consumed."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _check, _noise

Array = NDArray[Any]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from .bit_generator import StreamBitGenerator

    Shape = int | tuple[int, ...] | None
    SeedLike = (
        int | Sequence[int] | Array | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None
    )

ENGINES = _noise.ENGINES
DEFAULT_ENGINE = "ars"
FORMAT = 1  # of a pickled Stream
# What a number is for (stochcore.h). Two purposes never share a counter.
ARRAYS, SIMULATORS, BATCHING, BINARISING, EVALUATION, INITIALISING, SPAWNING, LAYERS = 0, 1, 2, 3, 4, 5, 6, 16
ESTIMATORS = 7  # what estimators draw besides samples
ENVIRONMENTS = 8  # seeds of episodes


class Stream(_noise.Address):
    """Stream(seed, *, stream=0, engine="ars")

    An endless row of noise whose element e is a pure function of (seed, stream, e).

    A Stream is a value. Asking twice gives the same numbers, and **the uniform and the normal of one element are the
    same noise**, as are all other kinds: they come from one 64-bit word. Other noise comes from another stretch of
    elements (`at`), a child (`spawn`), another `stream`, or another seed. Arrays are filled in C order, so rows are
    samples: ``Stream(s).uniform((N, D))[a:b]`` has the bits of ``Stream(s).at(a * D).uniform((b - a, D))``, and so it
    is for any number of threads and on any instruction set.

    Parameters
    ----------
    seed : int, sequence of int, None, SeedSequence, BitGenerator or Generator
        An integer 0 .. 2^64 - 1 is the seed itself. A sequence or an array of integers, or a NumPy SeedSequence, is
        mixed down to 64 bits. None is fresh entropy; the `repr` shows it. From a NumPy BitGenerator or Generator 64
        bits are drawn, so it moves on.
    stream : int
        0 .. 2^32 - 1; streams of one seed are independent.
    engine : {"ars", "ars10", "philox"}
        ARS4x32 with 7 or 10 rounds of AES, or Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
        as easy as 1, 2, 3", SC 2011). The address layout is in ``stochcore.h``.

    Attributes
    ----------
    seed, stream, offset, engine
        What it is made of; `offset` counts the elements skipped by `at`. They cannot be set.

    Raises
    ------
    TypeError, ValueError
        A seed or stream that is none of these, or out of range; an unknown engine.

    Examples
    --------
    >>> import stochcore as sc
    >>> s = sc.Stream(7)
    >>> s.uniform(3)
    array([0.94826908, 0.21791566, 0.94908048])
    >>> s.at(1).uniform(2) == s.uniform(3)[1:]
    array([ True,  True])
    """

    __slots__ = ()

    def __new__(cls, seed: SeedLike, *, stream: int = 0, engine: str = DEFAULT_ENGINE) -> Self:  # noqa: D102
        _check.choice("engine", engine, ENGINES)
        number = _check.integer("stream", stream, 0, 2**32 - 1)
        return super().__new__(cls, _check.seed(seed), number, engine, 0, ARRAYS)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (FORMAT, *self._key())

    def __repr__(self) -> str:
        stream = f", stream={self.stream}" if self.stream else ""
        engine = f", engine={self.engine!r}" if self.engine != DEFAULT_ENGINE else ""
        at = f".at({self.offset})" if self.offset else ""
        purpose = f"._replace(purpose={self._purpose})" if self._purpose else ""
        mirror = ".antithetic()" if self.is_antithetic else ""
        return f"Stream({self.seed}{stream}{engine}){at}{purpose}{mirror}"

    def at(self, offset: int) -> Self:
        """Return the stream that begins `offset` elements further on.

        Parameters
        ----------
        offset : int
            How many elements to skip, at least 0. The end of a stream is element 2^64.

        Returns
        -------
        Stream

        Raises
        ------
        ValueError
            A negative offset, or one past the end.
        """
        offset = _check.integer("offset", offset, 0)
        _check.addresses(self.offset, offset)
        return self._replace(offset=self.offset + offset)

    def antithetic(self) -> Self:
        """Return the stream of the opposite noise: k becomes 2^53 - 1 - k, every bit is flipped; twice is once less.

        Uniform noise u becomes 1 - 2^-53 - u; normal and logistic noise change their sign, exactly. Noise and its
        antithetic are as negatively correlated as can be, so that errors of a mean over both cancel in part (Hammersley
        and Morton, "A new Monte Carlo technique: antithetic variates", 1956).

        Returns
        -------
        Stream

        Examples
        --------
        >>> import stochcore as sc
        >>> s = sc.Stream(7)
        >>> s.normal(3) + s.antithetic().normal(3)
        array([0., 0., 0.])
        """
        return self._replace(antithetic=not self.is_antithetic)

    def spawn(self, n: int) -> list[Self]:
        """Return `n` independent streams, the children of this one.

        A child is a value too, a function of this stream and the child's number: asking twice gives the same
        children, and ``s.spawn(7)[5:] == s.at(5).spawn(2)``; ``s.at(n).spawn(m)`` gives others than the first n.
        The children of an antithetic stream are antithetic to those of the stream.
        Child i has its seed and its stream, 96 bits, from block ``offset + i`` of a purpose that no other noise has,
        so two children of any streams are the same with a chance of 2^-96: below 2^48 children that is out of reach.

        Parameters
        ----------
        n : int
            At least 1; a stream has 2^62 children.

        Returns
        -------
        list of Stream

        Raises
        ------
        ValueError
            `n` below 1, or past the last child.
        """
        n = _check.integer("n", n, 1)
        _check.children(self.offset, n)
        parent = self._replace(offset=4 * self.offset, purpose=SPAWNING, antithetic=False)
        blocks = parent._fill(_noise.BITS, (n, 4), np.uint32, None, 1)
        return [self._replace(seed=b << 32 | a, stream=c, offset=0) for a, b, c, _ in blocks.tolist()]

    def bits(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.uint64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return uniform bits: the words that everything else is made of.

        uint64: the word of plane 0 above the word of plane 1, so that ``uniform = (bits >> 11) 2^-53``. uint32: the
        word of plane 0 alone, the high half of the uint64.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the result; with `out` it may be left out.
        dtype : {uint64, uint32}
            Without a shape: that of `out`.
        out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.BITS, shape, dtype, out, n_threads)

    def uniform(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return uniform noise on [0, 1): u = k 2^-53 for float64, the high 24 bits of k times 2^-24 for float32.

        Here and below k is an element's integer, 0 .. 2^53 - 1, and w its high 32 bits, those of `bits`.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the result; with `out` it may be left out.
        dtype : {float64, float32}
            float32 has bits of its own: it is not the float64 rounded, which could be 1. Without a shape: that of
            `out`.
        out : ndarray, optional
            Where to put the result: of that shape and dtype, C-contiguous, writable. Returned.
        n_threads : int, optional
            At most so many threads; the bits do not depend on it.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.UNIFORM, shape, dtype, out, n_threads)

    def normal(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return standard normal noise, the quantile function of the same k that `uniform` shows.

        z = Phi^-1(p) with p = (2k + 1) 2^-54, within 4 ulp or 2^-53, whichever is larger; k -> 2^53 - 1 - k changes
        the sign of z and nothing else. float32: p = (2w + 1) 2^-33, within 4 ulp of float32 or 2^-32.

        Parameters
        ----------
        shape, dtype, out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.NORMAL, shape, dtype, out, n_threads)

    def logistic(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return standard logistic noise, log(p / (1 - p)), with the p and the accuracy of `normal`.

        k -> 2^53 - 1 - k changes its sign and nothing else. ``logits + logistic > 0`` is a Bernoulli outcome.

        Parameters
        ----------
        shape, dtype, out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.LOGISTIC, shape, dtype, out, n_threads)

    def exponential(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return exponential noise of mean 1, -log(1 - p), with the p and the accuracy of `normal`.

        Parameters
        ----------
        shape, dtype, out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.EXPONENTIAL, shape, dtype, out, n_threads)

    def gumbel(
        self,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return standard Gumbel noise, -log(-log p), with the p and the accuracy of `normal`.

        ``argmax(logits + gumbel)`` is a categorical outcome (Gumbel, "Statistical theory of extreme values", 1954).

        Parameters
        ----------
        shape, dtype, out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill(_noise.GUMBEL, shape, dtype, out, n_threads)

    def integers(
        self,
        low: int,
        high: int | None = None,
        shape: Shape = None,
        *,
        dtype: DTypeLike = np.int64,
        endpoint: bool = False,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return integers of low .. high - 1, or of 0 .. low - 1 where `low` is given alone; all equally likely.

        low + floor(range x / 2^b), where x are the element's b bits: 32 where the range is at most 2^32, else 64. An x
        that would make some integers likelier is drawn again, at the next attempt of the same address (Lemire, "Fast
        random integer generation in an interval", TOMACS 29, 2019): so there is no bias, and element e still depends
        on nothing but its address.

        Parameters
        ----------
        low : int
            The least integer; given alone, `high`.
        high : int, optional
            One more than the largest.
        shape : int or tuple of int
            Shape of the result; with `out` it may be left out.
        dtype : {int64, int32, uint32, uint64}
            Without a shape: that of `out`.
        endpoint : bool
            Is `high` itself drawn too?
        out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError
            No integer in the range; more than 2^64; some that the dtype cannot hold.

        Examples
        --------
        >>> import stochcore as sc
        >>> sc.Stream(7).integers(1, 6, 10, endpoint=True)
        array([6, 2, 6, 6, 1, 6, 5, 4, 2, 4])
        """
        kind = _check.noise_dtype(shape, dtype, out, _noise.DTYPES[_noise.INTEGERS])
        least, count = _check.span(low, high, endpoint, kind)
        return self._fill(_noise.INTEGERS, shape, dtype, out, n_threads, least % 2**64, count % 2**64)

    def bernoulli_mask(
        self, p: float, shape: Shape = None, *, out: Array | None = None, n_threads: int | None = None
    ) -> Array:
        """Return a mask whose elements are True with probability `p`: for dropout, or to corrupt data.

        An element is True iff k < ceil(2^53 p), which is exactly ``uniform() < p``.

        Parameters
        ----------
        p : float
            In [0, 1].
        shape : int or tuple of int
            Shape of the result; with `out` it may be left out.
        out : ndarray of bool, optional
            Where to put the result. Returned.
        n_threads : int, optional
            As in `uniform`.

        Returns
        -------
        ndarray of bool
        """
        threshold = math.ceil(math.ldexp(_check.probability("p", p), 53))
        return self._fill(_noise.MASK, shape, np.bool_, out, n_threads, threshold)

    def bit_generator(self) -> StreamBitGenerator:
        """Return a NumPy BitGenerator that draws the elements of this stream one after another.

        ``np.random.Generator(stream.bit_generator())`` draws everything that NumPy can. See `StreamBitGenerator`.

        Returns
        -------
        StreamBitGenerator
        """
        from .bit_generator import StreamBitGenerator

        return StreamBitGenerator(self)

    def _k53(self, shape: Shape) -> Array:
        """Return the integers k themselves, as uint64."""
        return self._fill(_noise.K53, shape, np.uint64, None, None)


def _restore(seed: int, stream: int, engine: str, offset: int, purpose: int, antithetic: bool = False) -> Stream:
    return Stream(seed, stream=stream, engine=engine)._replace(offset=offset, purpose=purpose, antithetic=antithetic)


def _unpickle(version: int, *state: Any) -> Stream:
    if version > FORMAT:
        formats = f"format {version}, this one reads up to {FORMAT}"
        raise ValueError(f"this Stream was pickled by a newer stochcore ({formats})")
    return _restore(*state)


def as_stream(seed: SeedLike | Stream) -> Stream:
    """Return `seed` as a Stream: a Stream as it is, anything else as ``Stream(seed)``."""
    if type(seed) is int:
        return _of_seed(seed)
    return seed if isinstance(seed, Stream) else Stream(seed)


@lru_cache(maxsize=256)
def _of_seed(seed: int) -> Stream:
    return Stream(seed)
