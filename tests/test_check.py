"""Checks of arguments: every message names the argument, the rule and what came."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stochcore import _check


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


class Odd:
    """What no check expects."""

    def __repr__(self):
        return "an odd\nthing"


# integer, threads, shape, choice


@given(st.integers(), st.integers(-10, 10), st.integers(0, 10))
def test_integers_of_a_range(value, low, width):
    if low <= value <= low + width:
        assert _check.integer("n", value, low, low + width) == value
    else:
        with refuses(ValueError, f"`n` must be in [{low}, {low + width}], got {value}"):
            _check.integer("n", value, low, low + width)
    if value >= low:
        assert _check.integer("n", value, low) == value
    else:
        with refuses(ValueError, f"`n` must be at least {low}, got {value}"):
            _check.integer("n", value, low)


def test_integers_become_int():
    for value in (np.int8(3), np.uint64(3), np.array(3)):
        assert type(_check.integer("n", value, 0)) is int
    assert _check.integer("n", np.uint64(2**64 - 1), 0) == 2**64 - 1


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (True, "True"),
        (np.False_, "np.False_"),
        (1.0, "1.0"),
        (np.float64(2), "np.float64(2.0)"),
        (None, "None"),
        ("3", "'3'"),
        ([3], "[3]"),
        (np.array([3]), "array([3])"),
        (np.array(True), "array(True)"),
        (Fraction(3), "Fraction(3, 1)"),
        (list(range(50)), "a list"),
        (Odd(), "a Odd"),
    ],
)
def test_no_integer(value, came):
    with refuses(TypeError, f"`n` must be an integer, got {came}"):
        _check.integer("n", value, 0, 9)


@pytest.mark.parametrize(
    ("high", "written"),
    [
        (100, "100"),
        (127, "127"),
        (2**31 - 1, "2^31 - 1"),
        (2**32 - 1, "2^32 - 1"),
        (2**53 - 1, "2^53 - 1"),
        (2**64 - 1, "2^64 - 1"),
        (2**64, "18446744073709551616"),
    ],
)
def test_powers_in_messages(high, written):
    assert _check.integer("n", high, 0, high) == high
    with refuses(ValueError, f"`n` must be in [0, {written}], got -1"):
        _check.integer("n", -1, 0, high)


def test_huge_integers_have_short_messages():
    # Python itself refuses to write more than 4300 digits
    with refuses(ValueError, "`n` must be in [0, 9], got an integer of 100001 bits"):
        _check.integer("n", 1 << 100_000, 0, 9)
    with refuses(ValueError, "`n` must be at least 0, got an integer of 100001 bits"):
        _check.integer("n", -(1 << 100_000), 0)
    with refuses(ValueError, "`x` must be a finite number, got an integer of 100001 bits"):
        _check.real("x", 1 << 100_000)


def test_threads():
    assert _check.threads(None) is None
    assert _check.threads(1) == 1
    assert _check.threads(np.int64(1024)) == 1024
    for value in (0, -1, 1025, 2**70):
        with refuses(ValueError, f"`n_threads` must be in [1, 1024], got {value}"):
            _check.threads(value)
    for value in (1.0, "2", True):
        with refuses(TypeError, f"`n_threads` must be an integer, got {value!r}"):
            _check.threads(value)


@given(st.lists(st.integers(-3, 10), max_size=5), st.sampled_from([tuple, list]))
def test_shapes(items, kind):
    if all(item >= 0 for item in items):
        assert _check.shape("shape", kind(items)) == tuple(items)
    else:
        first = next(item for item in items if item < 0)
        with refuses(ValueError, f"`shape` must be at least 0, got {first}"):
            _check.shape("shape", kind(items))


@given(
    st.one_of(st.floats(), st.text("1a "), st.none(), st.booleans(), st.binary(), st.complex_numbers()),
    st.lists(st.integers(0, 3), max_size=2),
)
def test_no_shapes(wrong, items):
    for value in (wrong, [*items, wrong], (wrong, *items)):
        with pytest.raises(TypeError, match=r"^`shape` must be an integer, got "):
            _check.shape("shape", value)


def test_one_number_is_a_shape():
    assert _check.shape("shape", 3) == (3,)
    assert _check.shape("shape", np.int32(3)) == (3,)
    assert _check.shape("shape", ()) == ()


def test_choices():
    options = {"one": 1, "two": 2}
    assert _check.choice("mode", "two", options) == 2
    with refuses(ValueError, "`mode` must be one of 'one', 'two', got 'three'"):
        _check.choice("mode", "three", options)
    for value, came in ((1, "1"), (None, "None"), (["one"], "['one']"), (b"one", "b'one'")):
        with refuses(TypeError, f"`mode` must be a string, got {came}"):
            _check.choice("mode", value, options)


# real


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_reals_are_finite(value, positive):
    if positive and value <= 0:
        with refuses(ValueError, f"`x` must be a positive finite number, got {value}"):
            _check.real("x", value, positive=True)
    else:
        result = _check.real("x", value, positive=positive)
        assert type(result) is float
        assert math.copysign(1, result) == math.copysign(1, value)
        assert result == value


def test_what_converts_to_a_real():
    for value in (2, np.int8(2), np.float32(2), np.array(2.0), np.array(2), Fraction(2), Decimal(2)):
        assert _check.real("x", value) == 2.0


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (True, "True"),
        (np.True_, "np.True_"),
        ("1.0", "'1.0'"),
        (b"1", "b'1'"),
        (None, "None"),
        (1j, "1j"),
        (np.complex128(1), "np.complex128(1+0j)"),
        ([1.0], "[1.0]"),
        (np.array([1.0]), "array([1.])"),
        ([[1], [1, 2]], "[[1], [1, 2]]"),
        (Odd(), "a Odd"),
    ],
)
def test_no_real(value, came):
    with refuses(TypeError, f"`x` must be a number, got {came}"):
        _check.real("x", value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float64(np.nan), np.float32(np.inf)])
def test_reals_that_are_not_finite(value):
    with refuses(ValueError, f"`x` must be a finite number, got {float(value)}"):
        _check.real("x", value)
    with refuses(ValueError, f"`x` must be a positive finite number, got {float(value)}"):
        _check.real("x", value, positive=True)


# arrays

real_arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.int64, np.uint32]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def first(array, bad):
    """What a message says of the first bad number in C order."""
    if array.ndim == 0:
        return f"{array[()]}"
    where = tuple(int(i[0]) for i in np.nonzero(bad))
    return f"{array[where]} at index {where[0] if len(where) == 1 else where}"


@given(real_arrays)
def test_arrays_of_reals(value):
    wide = value.astype(np.float64)
    bad = ~np.isfinite(wide)
    if bad.any():
        with refuses(ValueError, f"`w` must be finite, got {first(wide, bad)}"):
            _check.reals("w", value)
        return
    array = _check.reals("w", value)
    assert array.dtype == np.float64
    assert array.flags.c_contiguous
    assert array.shape == value.shape
    assert np.array_equal(array, wide)
    assert np.array_equal(_check.reals("w", value.T), wide.T)
    bad = (wide < 0) | (wide > 1)
    if bad.any():
        with refuses(ValueError, f"`p` must lie in [0, 1], got {first(wide, bad)}"):
            _check.probabilities("p", value)
    else:
        assert np.array_equal(_check.probabilities("p", value), wide)


def test_arrays_of_reals_are_aligned():
    crooked = np.frombuffer(bytearray(41), dtype=np.float64, offset=1)
    assert not crooked.flags.aligned
    array = _check.reals("w", crooked)
    assert array.flags.aligned
    assert array.tolist() == [0.0] * 5


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1j], "complex128"),
        (["a"], "<U1"),
        ([b"a"], "|S1"),
        ([None], "object"),
        (None, "object"),
        ([True], "bool"),
        (np.zeros(1, "M8[s]"), "datetime64[s]"),
        ([10**30], "object"),
        (Odd(), "object"),
    ],
)
def test_no_arrays_of_reals(value, dtype):
    with refuses(TypeError, f"`w` must hold real numbers (float64 or what converts to it), got dtype {dtype}"):
        _check.reals("w", value)


def test_arrays_of_a_rank():
    assert _check.reals("w", [[1.0]], ndim=2).shape == (1, 1)
    with refuses(ValueError, "`w` must have 1 axes, got shape (1, 1)"):
        _check.reals("w", [[1.0]], ndim=1)
    with refuses(ValueError, "`w` must be a rectangular array, got [[1], [1, 2]]"):
        _check.reals("w", [[1], [1, 2]])
    with refuses(ValueError, "`w` must be a rectangular array, got a list"):
        _check.reals("w", [[1] * 50, [2]])


def test_exactly_one():
    assert _check.exactly_one(a=None, b=0) == "b"
    assert _check.exactly_one(a=[], b=None) == "a"
    with refuses(ValueError, "exactly one of `a` and `b` must be given, got a=None, b=None"):
        _check.exactly_one(a=None, b=None)
    with refuses(ValueError, "exactly one of `a` and `b` must be given, got a=1, b=a ndarray"):
        _check.exactly_one(a=1, b=np.zeros(100))


# output


def test_a_new_output():
    out = _check.output(None, (2, 3), np.uint8)
    assert (out.shape, out.dtype, out.flags.c_contiguous) == ((2, 3), np.uint8, True)
    assert _check.output(None, (), np.float64).shape == ()


@given(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    st.sampled_from(["f8", "f4", "u1", "i4"]),
)
def test_an_output_that_fits_is_returned(shape, dtype):
    out = np.zeros(shape, dtype)
    assert _check.output(out, shape, dtype, ("y", np.zeros(shape))) is out
    wrong = (*shape, 1)
    with refuses(ValueError, f"`out` must have shape {wrong}, got {shape}"):
        _check.output(out, wrong, dtype)
    with refuses(TypeError, f"`out` must have dtype int64, got {np.dtype(dtype)}"):
        _check.output(out, shape, np.int64)


@pytest.mark.parametrize(
    ("out", "came"),
    [(3, "3"), ("f8", "'f8'"), ([0.0], "[0.0]"), ([0.0] * 50, "a list"), (Odd(), "a Odd")],
)
def test_no_output(out, came):
    with refuses(TypeError, f"`out` must be a NumPy array, got {came}"):
        _check.output(out, (1,), np.float64)


def test_outputs_that_cannot_be_used():
    whole = np.zeros((4, 6))
    for out, strides in ((whole[:, ::2], (48, 16)), (whole[:, :3], (48, 8)), (np.zeros((3, 4)).T, (8, 32))):
        message = f"`out` must be C-contiguous, got strides {strides} for shape (4, 3)"
        with refuses(ValueError, message):
            _check.output(out, (4, 3), np.float64)
    whole.flags.writeable = False
    with refuses(ValueError, "`out` must be writable, got a read-only array"):
        _check.output(whole, (4, 6), np.float64)
    crooked = np.frombuffer(bytearray(17), dtype=np.float64, offset=1)
    with refuses(ValueError, "`out` must be aligned in memory to its dtype, got an array that is not"):
        _check.output(crooked, (2,), np.float64)


def test_outputs_that_overlap_an_input():
    memory = np.zeros(10)
    beside, over = memory[:5], memory[4:9]
    assert _check.output(beside, (5,), np.float64, ("y", memory[5:])) is beside
    with refuses(ValueError, "`out` must not overlap `y`, got arrays that share memory"):
        _check.output(over, (5,), np.float64, ("x", np.zeros(5)), ("y", memory[:5]))


# outcomes


@given(
    hnp.arrays(st.sampled_from([np.int8, np.uint8, np.int64, np.uint64]), hnp.array_shapes(max_dims=3, max_side=3)),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.int32]),
)
def test_outcomes(y, n_classes, dtype):
    sites = y.shape[1:]
    bad = (y < 0) | (y >= n_classes)
    if bad.any():
        with refuses(ValueError, f"`y` must lie in 0 .. {n_classes - 1}, got {first(y, bad)}"):
            _check.outcomes("y", y, sites, n_classes, dtype)
        y = y % n_classes
    array = _check.outcomes("y", y, sites, n_classes, dtype)
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert np.array_equal(array, y)
    assert array.shape == y.shape


@given(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3),
)
def test_sites_of_outcomes(shape, sites):
    y = np.zeros(shape, int)
    if len(shape) >= len(sites) and shape[len(shape) - len(sites) :] == sites:
        assert _check.outcomes("y", y, sites, 2, np.uint8).shape == shape
    else:
        with refuses(ValueError, f"`y` must have the sites {sites} as its last axes, got shape {shape}"):
            _check.outcomes("y", y, sites, 2, np.uint8)


def test_outcomes_of_other_types():
    assert _check.outcomes("y", [True, False], (2,), 2, np.int32).tolist() == [1, 0]
    with refuses(ValueError, "`y` must lie in 0 .. 0, got True at index 0"):
        _check.outcomes("y", [True, False], (2,), 1, np.int32)
    for value, dtype in (
        ([0.0, 1.0], "float64"),
        ([None, 0], "object"),
        (["0", "1"], "<U1"),
        ([1j, 0], "complex128"),
    ):
        with refuses(TypeError, f"`y` must hold integers, got dtype {dtype}"):
            _check.outcomes("y", value, (2,), 2, np.uint8)
    with refuses(ValueError, "`y` must be a rectangular array, got [[0, 1], [1]]"):
        _check.outcomes("y", [[0, 1], [1]], (2,), 2, np.uint8)


# addresses


@given(st.integers(0, 2**64), st.integers(0, 2**65))
def test_addresses(offset, count):
    if offset + count <= 2**64:
        _check.addresses(offset, count)
    else:
        message = f"a stream has 2^64 elements: {count} from element {offset} on do not fit"
        with refuses(ValueError, message):
            _check.addresses(offset, count)


def test_the_last_address():
    _check.addresses(2**64 - 1, 1)
    _check.addresses(2**64, 0)
    with refuses(ValueError, "a stream has 2^64 elements: 1 from element 18446744073709551616 on do not fit"):
        _check.addresses(2**64, 1)
