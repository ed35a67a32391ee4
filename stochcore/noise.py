"""noise: random numbers that are addressed by element, not consumed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _check, _noise

Array = NDArray[Any]

ENGINES = _noise.ENGINES

# What a number is for (stochcore.h). Two purposes never share a counter.
ARRAYS, SIMULATORS, BATCHING, BINARISING, EVALUATION, INITIALISING, LAYERS = 0, 1, 2, 3, 4, 5, 16

_FLOATS = {np.dtype(np.float64), np.dtype(np.float32)}


class Stream:
    """Stream(seed, *, stream=0, engine="ars")

    An endless row of noise whose element e is a pure function of (seed, stream, e).

    A Stream is a value. Asking twice gives the same numbers, and **the uniform and the normal of one element are the
    same noise**: both come from one 53-bit integer k(e). Other noise comes from another stretch of elements
    (`.at`), another `stream`, or another seed. Arrays are filled in C order, so rows are samples:
    ``Stream(s).uniform((N, D))[a:b]`` has the bits of ``Stream(s).at(a * D).uniform((b - a, D))``, and so it is for
    any number of threads and on any instruction set.

    Parameters
    ----------
    seed : int
        0 .. 2^64 - 1.
    stream : int
        0 .. 2^32 - 1; streams of one seed are independent.
    engine : {"ars", "ars10", "philox"}
        Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011). The address layout is in ``stochcore.h``.

    Raises
    ------
    TypeError, ValueError
        A seed or stream that is not an integer of that range; an unknown engine.

    Examples
    --------
    >>> import stochcore as sc
    >>> s = sc.Stream(7)
    >>> s.uniform(3)
    array([0.95459713, 0.75015222, 0.11417736])
    >>> s.at(1).uniform(2) == s.uniform(3)[1:]
    array([ True,  True])
    """

    __slots__ = ("_purpose", "engine", "offset", "seed", "stream")

    seed: int
    stream: int
    engine: str
    offset: int
    _purpose: int

    def __init__(self, seed: int = 0, *, stream: int = 0, engine: str = "ars") -> None:
        _check.choice("engine", engine, ENGINES)
        self._set(
            _check.integer("seed", seed, 0, 2**64 - 1),
            _check.integer("stream", stream, 0, 2**32 - 1),
            engine,
            0,
            0,
        )

    def _set(self, seed: int, stream: int, engine: str, offset: int, purpose: int) -> None:
        for name, value in zip(
            ("seed", "stream", "engine", "offset", "_purpose"),
            (seed, stream, engine, offset, purpose),
            strict=True,
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Stream is a value: make another one instead of setting `{name}`")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Stream is a value: `{name}` stays")

    def _replace(self, *, offset: int | None = None, purpose: int | None = None) -> Stream:
        other = object.__new__(Stream)
        other._set(
            self.seed,
            self.stream,
            self.engine,
            self.offset if offset is None else offset,
            self._purpose if purpose is None else purpose,
        )
        return other

    def _key(self) -> tuple[int, int, str, int, int]:
        return self.seed, self.stream, self.engine, self.offset, self._purpose

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, self._key()

    def __repr__(self) -> str:
        stream = f", stream={self.stream}" if self.stream else ""
        at = f".at({self.offset})" if self.offset else ""
        return f"Stream({self.seed}{stream}){at}"

    def at(self, offset: int) -> Stream:
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

    def uniform(
        self,
        shape: int | tuple[int, ...] | None = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return uniform noise on [0, 1): u = k 2^-53 for float64, the high 24 bits of k times 2^-24 for float32.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the result; with `out` it may be left out.
        dtype : {float64, float32}
            float32 has bits of its own: it is not the float64 rounded, which could be 1.
        out : ndarray, optional
            Where to put the result: of that shape and dtype, C-contiguous, writable. Returned.
        n_threads : int, optional
            At most so many threads; the bits do not depend on it.

        Returns
        -------
        ndarray
        """
        return self._fill("uniform", shape, dtype, out, n_threads)

    def normal(
        self,
        shape: int | tuple[int, ...] | None = None,
        *,
        dtype: DTypeLike = np.float64,
        out: Array | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Return standard normal noise, the quantile function of the same k that `uniform` shows.

        z = Phi^-1((2k + 1) 2^-54), within 4 ulp or 2^-53, whichever is larger; k -> 2^53 - 1 - k changes the sign of z
        and nothing else. float32: Phi^-1((2w + 1) 2^-33) of the high 32 bits w of k.

        Parameters
        ----------
        shape, dtype, out, n_threads
            As in `uniform`.

        Returns
        -------
        ndarray
        """
        return self._fill("normal", shape, dtype, out, n_threads)

    def _k53(self, shape: int | tuple[int, ...]) -> Array:
        """Return the integers k themselves, as uint64."""
        out = np.empty(shape, dtype=np.uint64)
        _check.addresses(self.offset, out.size)
        _noise.fill(self, "k53", out.reshape(-1), None)
        return out

    def _fill(
        self,
        kind: str,
        shape: int | tuple[int, ...] | None,
        dtype: DTypeLike,
        out: Array | None,
        n_threads: int | None,
    ) -> Array:
        if shape is None:
            if out is None:
                raise TypeError("`shape` must be given where `out` is not")
            dtype = out.dtype if isinstance(out, np.ndarray) and out.dtype in _FLOATS else dtype
            want = getattr(out, "shape", ())
        else:
            want = _check.shape("shape", shape)
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = np.dtype(object)
        if wanted not in _FLOATS:
            raise TypeError(f"`dtype` must be float64 or float32, got {dtype!r}")
        threads = _check.threads(n_threads)
        _check.addresses(self.offset, math.prod(want))
        array = _check.output(out, want, wanted)
        if array.size:
            _noise.fill(self, kind, array.reshape(-1), threads)
        return array


def _restore(seed: int, stream: int, engine: str, offset: int, purpose: int) -> Stream:
    return Stream(seed, stream=stream, engine=engine)._replace(offset=offset, purpose=purpose)


def as_stream(seed: int | Stream) -> Stream:
    """Return `seed` as a Stream: a Stream as it is, an integer as ``Stream(seed)``."""
    return seed if isinstance(seed, Stream) else Stream(seed)
