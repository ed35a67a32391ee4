"""Every check of an argument: what it is called, what rule it has, what came.

TypeError for a wrong type, ValueError for a wrong value; one line each. All of it before any loop runs.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _arrays, _dispatch, _views

Array = NDArray[Any]
T = TypeVar("T")
Dtypes = tuple[np.dtype[Any], ...]

OUTCOME_LIMIT = 1 << 64  # addresses a stream has
TINY = 2.0**-1022  # the least float64 whose reciprocal is finite to full precision
LARGEST = sys.float_info.max


def integer(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """Return `value` as an int in low .. high (both included); None is no limit."""
    number: int = value if type(value) is int else _index(name, value)
    if (low is not None and number < low) or (high is not None and number > high):
        rule = f"at least {low}" if high is None else f"in [{low}, {_power(high)}]"
        raise ValueError(f"`{name}` must be {rule}, got {_short(number)}")
    return number


def _index(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer, got {_short(value)}") from None


def real(name: str, value: Any, *, positive: bool = False) -> float:
    """Return `value` as a finite float."""
    number: float | None = None
    if not isinstance(value, (bool, np.bool_, str, bytes)):
        try:
            number = float(value) if np.ndim(value) == 0 and not np.iscomplexobj(value) else None
        except OverflowError:
            number = np.inf
        except (TypeError, ValueError):
            pass
    if number is None:
        raise TypeError(f"`{name}` must be a number, got {_short(value)}")
    if not np.isfinite(number) or (positive and number <= 0):
        kind = "positive finite" if positive else "finite"
        came = _short(value) if isinstance(value, int) else value
        raise ValueError(f"`{name}` must be a {kind} number, got {came}")
    return number


def threads(value: Any) -> int | None:
    """Return a number of threads, or None for all."""
    return None if value is None else integer("n_threads", value, 1, _dispatch.MAX_THREADS)


def choice(name: str, value: Any, options: dict[str, T]) -> T:
    """Return the option that `value` names."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string, got {_short(value)}")
    if value not in options:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, options))}, got {value!r}")
    return options[value]


def shape(name: str, value: Any) -> tuple[int, ...]:
    """Return a shape: an integer or a sequence of them, none negative."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(integer(name, item, 0) for item in items)


def reals(name: str, value: ArrayLike, *, ndim: int | None = None) -> Array:
    """Return a finite C-contiguous float64 array of real numbers (integers, float16, float32, float64)."""
    array = value if _arrays.plain(value) else _plain(name, value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"`{name}` must have {ndim} axes, got shape {array.shape}")
    if not _arrays.within(array, -LARGEST, LARGEST):
        raise ValueError(f"`{name}` must be finite, got {_first(array, ~np.isfinite(array))}")
    return array


def kept(name: str, value: ArrayLike) -> Array:
    """Return what `reals` does, in memory that nobody else writes to: a copy only where somebody could."""
    array = reals(name, value)
    return array if _views.may_keep(array, value) else array.copy()


def _plain(name: str, value: ArrayLike) -> Array:
    """Return real numbers as a C-contiguous float64 array."""
    array = _array(name, value)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise TypeError(f"`{name}` must hold real numbers (float64 or what converts to it), got dtype {array.dtype}")
    return np.require(array, np.float64, ["C", "A"]).reshape(array.shape)


def probabilities(name: str, value: ArrayLike) -> Array:
    """Return a float64 array of numbers in [0, 1]."""
    array = reals(name, value)
    if not _arrays.within(array, 0.0, 1.0):
        raise ValueError(f"`{name}` must lie in [0, 1], got {_first(array, (array < 0) | (array > 1))}")
    return array


def success(name: str, value: ArrayLike) -> Array:
    """Return a float64 array of numbers in (0, 1]."""
    array = reals(name, value)
    if not _arrays.within(array, 0.0, 1.0) or not array.all():
        raise ValueError(f"`{name}` must lie in (0, 1], got {_first(array, (array <= 0) | (array > 1))}")
    return array


def positive(name: str, value: ArrayLike) -> Array:
    """Return a float64 array of positive numbers."""
    array = reals(name, value)
    if not _arrays.within(array, TINY, LARGEST):
        rule = "positive" if np.any(array <= 0) else f"at least {TINY:.2g}"
        raise ValueError(f"`{name}` must be {rule}, got {_first(array, array < TINY)}")
    return array


def classes(name: str, value: ArrayLike) -> Array:
    """Return finite float64 numbers, at least one on the last axis."""
    array = reals(name, value)
    if not array.ndim or not array.shape[-1]:
        raise ValueError(f"`{name}` must have at least one number on the last axis, got shape {array.shape}")
    return array


def increasing(name: str, value: ArrayLike) -> Array:
    """Return finite float64 numbers that increase along the last axis."""
    array = classes(name, value)
    bad = array[..., 1:] <= array[..., :-1]
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        pair = f"{array[where]} before {array[(*where[:-1], where[-1] + 1)]}"
        at = where if len(where) > 1 else where[0]
        raise ValueError(f"`{name}` must increase along the last axis, got {pair} at index {at}")
    return array


def integers(name: str, value: ArrayLike, low: int, high: int) -> Array:
    """Return an int64 array of whole numbers in low .. high."""
    array = _array(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers, got dtype {array.dtype}")
    bad = (array < low) | (array > high)
    if bad.any():
        raise ValueError(f"`{name}` must lie in {low} .. {_power_of(high)}, got {_first(array, bad)}")
    return array.astype(np.int64)


def probability(name: str, value: Any) -> float:
    """Return a number in [0, 1]."""
    number = value if type(value) is float else real(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"`{name}` must lie in [0, 1], got {value}")
    return number


def exactly_one(**given: Any) -> str:
    """Return the name of the one argument that is not None."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        both = " and ".join(f"`{name}`" for name in given)
        came = ", ".join(f"{name}={_short(value)}" for name, value in given.items())
        raise ValueError(f"exactly one of {both} must be given, got {came}")
    return names[0]


def output(out: Array | None, want: tuple[int, ...], dtype: DTypeLike, *inputs: tuple[str, Array]) -> Array:
    """Return `out` where it fits, or a new array where it is None."""
    return np.empty(want, dtype=dtype) if out is None else given_output(out, want, dtype, *inputs)


def given_output(out: Any, want: tuple[int, ...], dtype: DTypeLike, *inputs: tuple[str, Array]) -> Array:
    """Return `out` where it fits."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"`out` must be a NumPy array, got {_short(out)}")
    if out.dtype != np.dtype(dtype):
        raise TypeError(f"`out` must have dtype {np.dtype(dtype)}, got {out.dtype}")
    if out.shape != want:
        raise ValueError(f"`out` must have shape {want}, got {out.shape}")
    if not out.flags.c_contiguous:
        raise ValueError(f"`out` must be C-contiguous, got strides {out.strides} for shape {out.shape}")
    if not out.flags.aligned:
        raise ValueError("`out` must be aligned in memory to its dtype, got an array that is not")
    if not out.flags.writeable:
        raise ValueError("`out` must be writable, got a read-only array")
    for name, array in inputs:
        if np.may_share_memory(out, array):
            raise ValueError(f"`out` must not overlap `{name}`, got arrays that share memory")
    return out


def outcomes(name: str, y: ArrayLike, sites: tuple[int, ...], n_classes: int, dtype: DTypeLike) -> Array:
    """Return integer outcomes in 0 .. n_classes - 1 as a `dtype` array whose last axes are `sites`."""
    array = _array(name, y)
    if array.dtype.kind not in "iub":
        raise TypeError(f"`{name}` must hold integers, got dtype {array.dtype}")
    if array.ndim < len(sites) or array.shape[array.ndim - len(sites) :] != sites:
        raise ValueError(f"`{name}` must have the sites {sites} as its last axes, got shape {array.shape}")
    if array.dtype.kind != "b" or n_classes < 2:
        bad = (array < 0) | (array >= n_classes)
        if bad.any():
            raise ValueError(f"`{name}` must lie in 0 .. {n_classes - 1}, got {_first(array, bad)}")
    return np.require(array, dtype, ["C", "A"]).reshape(array.shape)


def numbers(name: str, y: ArrayLike, sites: tuple[int, ...]) -> Array:
    """Return finite float64 outcomes whose last axes are `sites`."""
    array = reals(name, y)
    if array.ndim < len(sites) or array.shape[array.ndim - len(sites) :] != sites:
        raise ValueError(f"`{name}` must have the sites {sites} as its last axes, got shape {array.shape}")
    return array


def counts(name: str, y: ArrayLike, sites: tuple[int, ...], limits: tuple[Any, Any], dtype: DTypeLike) -> Array:
    """Return integer outcomes within limits, which may differ from site to site."""
    array = _array(name, y)
    if array.dtype.kind not in "iub":
        raise TypeError(f"`{name}` must hold integers, got dtype {array.dtype}")
    if array.ndim < len(sites) or array.shape[array.ndim - len(sites) :] != sites:
        raise ValueError(f"`{name}` must have the sites {sites} as its last axes, got shape {array.shape}")
    low, high = limits
    bad = (array < low) | (array > high)
    if bad.any():
        most = np.broadcast_to(high, array.shape)[bad][0]
        rule = f"in {low} .. {most}" if np.all(array >= low) else f"at least {low}"
        raise ValueError(f"`{name}` must be {rule}, got {_first(array, bad)}")
    return np.require(array, dtype, ["C", "A"]).reshape(array.shape)


def noise(name: str, z: ArrayLike, sites: tuple[int, ...], *, uniform: bool) -> Array:
    """Return noise whose last axes are `sites`: uniform in [0, 1) or integers k; other noise as finite float64."""
    u = _array(name, z)
    if u.dtype != np.float64 and not (uniform and u.dtype.kind in "iu"):
        wanted = "float64 noise or integers k" if uniform else "float64 noise"
        raise TypeError(f"`{name}` must be {wanted}, got dtype {u.dtype}")
    if u.ndim < len(sites) or u.shape[u.ndim - len(sites) :] != sites:
        raise ValueError(f"`{name}` must have the sites {sites} as its last axes, got shape {u.shape}")
    if not uniform:
        bad, rule = ~np.isfinite(u), "be finite"
    else:
        bad = ~((u >= 0) & (u < (1 if u.dtype.kind == "f" else 2**53)))
        rule = "lie in [0, 1)" if u.dtype.kind == "f" else "lie in 0 .. 2^53 - 1"
    if bad.any():
        raise ValueError(f"`{name}` must {rule}, got {_first(u, bad)}")
    return u


def addresses(offset: int, count: int) -> None:
    """Refuse to run past the end of a stream."""
    if offset + count > OUTCOME_LIMIT:
        raise ValueError(f"a stream has 2^64 elements: {count} from element {offset} on do not fit")


def children(offset: int, count: int) -> None:
    """Refuse children that a stream does not have."""
    if offset + count > OUTCOME_LIMIT // 4:
        raise ValueError(f"a stream has 2^62 children: {count} from element {offset} on do not fit")


def seed(value: Any) -> int:
    """Return a seed of 64 bits; None is fresh entropy, and a NumPy generator is drawn from."""
    name = "seed"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.bool_) or hasattr(value, "__index__"):
        return integer(name, value, 0, 2**64 - 1)
    if isinstance(value, np.random.BitGenerator):
        value = np.random.Generator(value)
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**64 - 1, dtype=np.uint64, endpoint=True))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if not len(value):
            raise ValueError(f"`{name}` must hold at least one integer, got {_short(value)}")
        value = np.random.SeedSequence([integer(f"{name}[{i}]", item, 0) for i, item in enumerate(value)])
    if value is None:
        value = np.random.SeedSequence()
    if not isinstance(value, np.random.SeedSequence):
        kinds = "an integer, a sequence of integers, None or a NumPy SeedSequence, Generator or BitGenerator"
        raise TypeError(f"`{name}` must be {kinds}, got {_short(value)}")
    return int(value.generate_state(1, np.uint64)[0])


def noise_dtype(shape: Any, dtype: DTypeLike, out: Any, options: Dtypes) -> np.dtype[Any]:
    """Return which of the dtypes is meant, the first by default; where `out` stands for the shape, then `out`'s."""
    if shape is None and isinstance(out, np.ndarray) and out.dtype in options:
        return np.dtype(out.dtype)
    try:
        wanted = options[0] if dtype is None else np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted not in options:
        *most, last = map(str, options)
        raise TypeError(f"`dtype` must be {', '.join(most)}{' or ' if most else ''}{last}, got {dtype!r}")
    return wanted


def noise_array(given: Any, dtype: DTypeLike, out: Array | None, options: Dtypes, offset: int) -> Array:
    """Return the array for noise of that shape: `out`, or a new one."""
    if given is None and out is None:
        raise TypeError("`shape` must be given where `out` is not")
    want = getattr(out, "shape", ()) if given is None else shape("shape", given)
    wanted = noise_dtype(given, dtype, out, options)
    addresses(offset, math.prod(want))
    return output(out, want, wanted)


def span(low: Any, high: Any, endpoint: Any, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the least integer of a range of that dtype and how many there are; one number alone is `high`."""
    if not isinstance(endpoint, (bool, np.bool_)):
        raise TypeError(f"`endpoint` must be a bool, got {_short(endpoint)}")
    first, end = (0, integer("high", low)) if high is None else (integer("low", low), integer("high", high))
    last = end if endpoint else end - 1
    came = f"got low={_short(first)}, high={_short(end)}"
    least, most = 0, 2 ** (8 * dtype.itemsize) - 1
    if dtype.kind == "i":
        least, most = -(most // 2) - 1, most // 2
    if last < first:
        rule = "at most" if endpoint else "below"
        raise ValueError(f"`low` must be {rule} `high`, {came}")
    if last - first >= 2**64:
        raise ValueError(
            f"`low` .. `high` must hold at most 2^64 integers, got low={_short(first)}, high={_short(end)}"
        )
    if first < least:
        raise ValueError(f"`low` must be at least {least} for {dtype}, got {_short(first)}")
    if last > most:
        raise ValueError(f"`high` must be at most {most + (not endpoint)} for {dtype}, got {_short(end)}")
    return first, last - first + 1


def _array(name: str, value: ArrayLike) -> Array:
    """Return `value` as an array of any dtype; its rows must be of one length."""
    try:
        return _views.viewed(value)
    except ValueError:
        raise ValueError(f"`{name}` must be a rectangular array, got {_short(value)}") from None
    except (TypeError, RuntimeError, BufferError) as error:  # what arrays of others say
        why = str(error).partition("\n")[0]
        raise TypeError(
            f"`{name}` must be an array that NumPy can view, got a {type(value).__name__}: {why}"
        ) from error


def _first(array: Array, bad: Array) -> str:
    """Say which is the first bad number, and where."""
    if array.ndim == 0:
        return f"{array[()]}"
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{array[where]} at index {where if len(where) > 1 else where[0]}"


def _power_of(number: int) -> str:
    """Write 2^53 as people do."""
    return f"2^{number.bit_length() - 1}" if number >= 2**31 and number & (number - 1) == 0 else f"{number}"


def _power(number: int) -> str:
    """Write 2^64 - 1 as people do."""
    return (
        f"2^{(number + 1).bit_length() - 1} - 1"
        if number >= 2**31 - 1 and (number & (number + 1)) == 0
        else f"{number}"
    )


def _short(value: Any) -> str:
    """Describe a value in a few words."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 40 and "\n" not in text else f"a {type(value).__name__}"
