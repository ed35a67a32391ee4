"""bit_generator: a Stream as a NumPy BitGenerator, so that everything NumPy can draw comes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import _check
from ._bit_generator import Source
from .noise import ENGINES, Stream, _restore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

T = TypeVar("T", bound="StreamBitGenerator")

NUMBERS = {"seed": 2**64, "stream": 2**32, "purpose": 256, "position": 2**64, "children": 2**64 + 1}
KEYS = ("seed", "stream", "engine", "purpose", "position", "children")


class StreamBitGenerator(np.random.BitGenerator):
    """StreamBitGenerator(stream)

    A NumPy BitGenerator that takes the elements of a stream one after another: `Stream.bit_generator` makes it.

    Each call for 64 bits, 32 bits or a double takes one element: its `bits`, their high half, its `uniform`. So
    ``np.random.Generator(stream.bit_generator()).random(n)`` has the bits of ``stream.uniform(n)``. A BitGenerator is
    consumed; the Stream it came from is not. After the last element of the stream comes the first: a C function that
    gives numbers cannot raise, and 2^64 elements are out of reach.

    Parameters
    ----------
    stream : Stream
        Its first element is the first one drawn.

    Raises
    ------
    TypeError
        `stream` is not a Stream.

    Notes
    -----
    `seed_seq` is a NumPy SeedSequence made of the stream's numbers, for code that spawns from it.

    Examples
    --------
    >>> import numpy as np, stochcore as sc
    >>> rng = np.random.Generator(sc.Stream(7).bit_generator())
    >>> rng.random(3) == sc.Stream(7).uniform(3)
    array([ True,  True,  True])
    >>> rng.bit_generator.stream
    Stream(7).at(3)
    """

    def __init__(self, stream: Stream) -> None:
        if not isinstance(stream, Stream):
            raise TypeError(f"`stream` must be a Stream, got {_check._short(stream)}")
        numbers = stream.seed, stream.stream, ENGINES[stream.engine], stream.offset, stream._purpose
        super().__init__(np.random.SeedSequence(numbers))
        self._origin, self._children = stream, stream.offset
        self._source = Source(stream)
        self._source.connect(self.capsule)

    @property
    def stream(self) -> Stream:
        """The Stream that begins with the next element."""
        return self._origin._replace(offset=self._source.position)

    @property
    def state(self) -> Mapping[str, Any]:
        """The state, a dict as NumPy's; it can be set. `children` is the number of the next child."""
        stream = self.stream
        numbers = stream.seed, stream.stream, stream.engine, stream._purpose, stream.offset, self._children
        return {"bit_generator": type(self).__name__, "state": dict(zip(KEYS, numbers, strict=True))}

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"`state` must be a dict, got {_check._short(value)}")
        came, name = value.get("bit_generator"), type(self).__name__
        if came != name:
            raise ValueError(f"`state` must be of a {name}, got one of {_check._short(came)}")
        state = value.get("state")
        if not isinstance(state, dict) or set(state) != set(KEYS):
            came = sorted(map(str, state)) if isinstance(state, dict) else _check._short(state)
            raise ValueError(f"`state['state']` must be a dict of {', '.join(KEYS)}, got {came}")
        n = {key: _check.integer(f"state['state']['{key}']", state[key], 0, top - 1) for key, top in NUMBERS.items()}
        _check.choice("state['state']['engine']", state["engine"], ENGINES)
        self._origin = _restore(n["seed"], n["stream"], state["engine"], n["position"], n["purpose"])
        self._children = n["children"]
        self._source.begin(self._origin)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self.stream, self._children)

    def jumped(self, jumps: int = 1) -> Self:
        """Return a new generator on another stream of the same seed, at the same element.

        Parameters
        ----------
        jumps : int
            What is added to the stream's number (modulo 2^32), at least 0: each is 2^64 elements further.

        Returns
        -------
        StreamBitGenerator
        """
        number = (self._origin.stream + _check.integer("jumps", jumps, 0)) % 2**32
        return _unpickle(type(self), self.stream._replace(stream=number), self._children)

    def spawn(self, n_children: int) -> list[Self]:
        """Return generators on the next children of the stream; the next call gives others.

        Parameters
        ----------
        n_children : int
            At least 1.

        Returns
        -------
        list of StreamBitGenerator
        """
        n = _check.integer("n_children", n_children, 1)
        children = self._origin._replace(offset=self._children).spawn(n)
        self._children += n
        return [type(self)(child) for child in children]


def _unpickle(cls: type[T], stream: Stream, children: int) -> T:
    made = cls(stream)
    made._children = children
    return made
