"""views: arrays of others, seen without a copy; and which of them may be kept without one.

A model or a cost is a value: nobody may change its numbers later. So it keeps a copy of what others can write to, and
the memory itself where nobody can: arrays that are read-only down to their owner, JAX's arrays, which never change, and
what a conversion has just made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arrays

Array = NDArray[Any]

SMALL = 1 << 16  # bytes: below that a copy is cheaper than to ask


class Lent:
    """Stands under an array that is lent: whoever made it promises that nobody writes to it as long as it is in use."""

    __slots__ = ("owner",)

    def __init__(self, owner: object) -> None:
        self.owner = owner  # keeps the memory alive


def lent(address: int, shape: tuple[int, ...], owner: object) -> Array:
    """Return a read-only view of float64 numbers in C order, which models take as it is."""
    return _arrays.at(address, shape, Lent(owner))


def viewed(value: Any) -> Array:
    """Return `value` as an array: by NumPy's own ways, and by DLPack where it knows no other."""
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__") and not hasattr(value, "__array_interface__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def may_keep(array: Array, given: Any) -> bool:
    """May a plain array, which a check has made of what was given, be kept without a copy?"""
    if array.nbytes < SMALL:
        return False
    return _is_fresh(array, given) or _stays(array)


def _is_fresh(array: Array, given: Any) -> bool:
    """Was it made by the check, so that nobody else has it? Where in doubt, no."""
    if isinstance(given, np.ndarray):
        return not np.may_share_memory(array, given)
    if isinstance(given, (list, tuple)):
        return True
    return viewed(given).dtype != array.dtype


def _stays(array: Any) -> bool:
    """Is it read-only, and so is all that it is a view of, down to an owner that does not change?"""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    if isinstance(array, memoryview):
        array = array.obj if array.readonly else 0
    return array is None or isinstance(array, (bytes, Lent)) or type(array).__module__.partition(".")[0] == "jaxlib"
