"""Noise: the address layout, known answers, the same bits however they are asked for."""

import copy
import ctypes
import hashlib
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import stochcore as sc
from stochcore import Stream, noise

# Philox4x32-10: counter, key, expected words; from Random123's kat_vectors.
KNOWN_ANSWERS = [
    "00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
]
KINDS = ["uniform", "normal"]
DTYPES = [np.float64, np.float32]
BORDER = 2**34  # the element whose block is number 2^32
LAST = 2**64

seeds = st.integers(0, 2**64 - 1)
streams = st.integers(0, 2**32 - 1)
offsets = st.one_of(
    st.integers(0, 200),
    st.integers(BORDER - 70, BORDER + 70),
    st.integers(0, LAST - 200),
    st.integers(LAST - 600, LAST - 200),
)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def begins(text):
    return "^" + re.escape(text)


def exactly(text):
    return begins(text) + "$"


# A plain twin of stochcore.h, in integers of NumPy alone.


def philox(counter, key):
    """Ten rounds of Philox4x32 on columns of counters (uint64 arrays that hold 32-bit words)."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint64) for c in counter)
    for i in range(10):
        k0, k1 = (np.uint64((k + i * w) % 2**32) for k, w in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True))
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & low, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & low
    return np.stack([c0, c1, c2, c3])


def twin_words(seed, stream, purpose, elements, plane):
    """The words of these elements (a list of int) on one plane."""
    block = np.array([e >> 2 for e in elements], dtype=np.uint64)
    counter = (
        block & np.uint64(0xFFFFFFFF),
        block >> np.uint64(32),
        np.full(len(block), stream),
        np.full(len(block), purpose << 24 | plane << 16),
    )
    words = philox(counter, (seed % 2**32, seed >> 32))
    return words[[e & 3 for e in elements], np.arange(len(elements))]


def twin_k(seed, stream, purpose, elements):
    high, low = (twin_words(seed, stream, purpose, elements, plane) for plane in (0, 1))
    return high << np.uint64(21) | low >> np.uint64(11)


def known(line):
    words = [int(word, 16) for word in line.split()]
    return words[:4], words[4:6], words[6:]


@pytest.mark.parametrize("line", KNOWN_ANSWERS)
def test_known_answers_of_the_twin(line):
    counter, key, expected = known(line)
    assert philox(counter, key).tolist() == expected


def test_known_answers_of_the_stream():
    # Of the three counters, the one that is all zeros is an address: seed 0, stream 0, block 0, plane 0.
    words = known(KNOWN_ANSWERS[0])[2]
    assert (Stream(0)._k53(4) >> np.uint64(21)).tolist() == words
    assert (Stream(0).uniform(4, dtype=np.float32) * 2.0**24).tolist() == [word >> 8 for word in words]


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    """The functions of stochcore.h in a library of their own."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler `cc`")
    folder = tmp_path_factory.mktemp("header")
    source = folder / "header.c"
    source.write_text(
        """
        #include "stochcore.h"
        uint64_t k(const sc_stream *s, uint64_t e);
        double uniform(const sc_stream *s, uint64_t e);
        void block(const uint32_t *c, const uint32_t *key, uint32_t *out);
        uint64_t k(const sc_stream *s, uint64_t e) { return sc_k(s, e); }
        double uniform(const sc_stream *s, uint64_t e) { return sc_uniform(s, e); }
        void block(const uint32_t *c, const uint32_t *key, uint32_t *out) { sc_philox4x32_10(c, key, out); }
        """
    )
    flags = ["-std=c99", "-O1", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    target = folder / "header.so"
    command = ["cc", *flags, f"-I{sc.get_include()}", "-shared", "-fPIC", source, "-o", target]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    library = ctypes.CDLL(str(target))
    library.k.restype, library.uniform.restype = ctypes.c_uint64, ctypes.c_double
    return library


class CStream(ctypes.Structure):
    _fields_ = [
        ("seed", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("stream", ctypes.c_uint32),
        ("purpose", ctypes.c_uint32),
        ("engine", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


@pytest.mark.parametrize("line", KNOWN_ANSWERS)
def test_known_answers_of_the_header(header, line):
    counter, key, expected = known(line)
    out = (ctypes.c_uint32 * 4)()
    header.block((ctypes.c_uint32 * 4)(*counter), (ctypes.c_uint32 * 2)(*key), out)
    assert list(out) == expected


@given(seeds, streams, offsets)
def test_header_has_the_bits_of_the_stream(header, seed, stream, offset):
    s = Stream(seed, stream=stream).at(offset)
    c = ctypes.byref(CStream(seed, offset, stream, 0, 0, 0))
    assert [header.k(c, ctypes.c_uint64(e)) for e in range(70)] == s._k53(70).tolist()
    assert [header.uniform(c, ctypes.c_uint64(e)) for e in range(9)] == s.uniform(9).tolist()


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler `c++`")
def test_header_is_cplusplus(tmp_path):
    source = tmp_path / "header.cpp"
    source.write_text('#include "stochcore.h"\ndouble f(const sc_stream *s) { return sc_uniform(s, 1); }\n')
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{sc.get_include()}", "-fsyntax-only"]
    command = ["c++", *flags, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


@given(seeds, streams, st.sampled_from([0, 1, 2, 16, 17, 255]), offsets, st.integers(0, 150))
def test_address_layout(seed, stream, purpose, offset, n):
    s = Stream(seed, stream=stream).at(offset)._replace(purpose=purpose)
    elements = [offset + i for i in range(n)]
    k = twin_k(seed, stream, purpose, elements)
    assert same(s._k53(n), k)
    assert same(s.uniform(n), np.ldexp(k.astype(np.float64), -53))  # exact: k has 53 bits
    high = k >> np.uint64(29)
    assert same(s.uniform(n, dtype=np.float32), np.ldexp(high.astype(np.float32), -24))


@pytest.mark.parametrize("start", [BORDER, 4 * 2**31, LAST - 137])
def test_borders_of_the_counter_words(start):
    s, elements = Stream(11, stream=3), [start - 67 + i for i in range(134)]
    assert same(s.at(start - 67)._k53(134), twin_k(11, 3, 0, elements))


def test_the_last_element():
    assert same(Stream(5).at(LAST - 9)._k53(9), twin_k(5, 0, 0, [LAST - 9 + i for i in range(9)]))
    assert Stream(5).at(LAST).uniform(0).shape == (0,)


def test_large_arrays_cross_blocks_in_order():
    n = 3 * 2**14 + 41
    elements = [0, 1, 2**14 - 1, 2**14, 2**14 + 1, 2**15 - 1, 2**15, 3 * 2**14 - 1, 3 * 2**14, n - 1]
    for offset in (0, 3):
        k = Stream(9).at(offset)._k53(n)
        assert same(k[elements], twin_k(9, 0, 0, [e + offset for e in elements]))
        assert np.unique(k).size == n


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_slice_is_another_address(kind, dtype, data):
    n, d = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    a = data.draw(st.integers(0, n))
    b = data.draw(st.integers(a, n))
    s = Stream(data.draw(seeds)).at(data.draw(st.integers(0, 9)))
    whole = getattr(s, kind)((n, d), dtype=dtype)
    part = getattr(s.at(a * d), kind)((b - a, d), dtype=dtype)
    assert same(whole[a:b], part)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_on_any_number_of_threads(kind, dtype):
    n = 200_003
    one, two, three, every = (getattr(Stream(3).at(5), kind)(n, dtype=dtype, n_threads=t) for t in (1, 2, 3, None))
    assert same(one, two)
    assert same(one, three)
    assert same(one, every)
    assert same(one[99_999:100_099], getattr(Stream(3).at(5 + 99_999), kind)(100, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_filled_in_c_order(kind, dtype):
    s = Stream(21)
    flat = getattr(s, kind)(60, dtype=dtype)
    for shape in (60, (60,), [60], (3, 20), (3, 4, 5), (1, 60, 1), np.int64(60)):
        array = getattr(s, kind)(shape, dtype=dtype)
        assert array.dtype == dtype
        assert array.shape == np.empty(shape).shape
        assert same(array.reshape(-1), flat)
    for shape in (0, (0,), (3, 0), (0, 5)):
        assert getattr(s, kind)(shape, dtype=dtype).shape == np.empty(shape).shape
    scalar = getattr(s, kind)((), dtype=dtype)
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()
    assert scalar == flat[0]


def test_a_stream_is_asked_again():
    s = Stream(4)
    assert same(s.uniform(100), s.uniform(100))
    assert same(s.at(7).at(8).uniform(10), s.at(15).uniform(10))
    k = s._k53(100).astype(np.float64)
    assert np.array_equal(np.argsort(k), np.argsort(s.normal(100)))  # the same noise as the uniform's


def test_seeds_streams_and_purposes_differ():
    s = Stream(1)
    others = [
        Stream(2), Stream(1 + 2**32), Stream(1, stream=1), Stream(1, stream=2**31), s.at(1000),
        s._replace(purpose=1), s._replace(purpose=noise.LAYERS),
    ]  # fmt: skip
    rows = np.array([stream._k53(1000) for stream in [s, *others]])
    assert np.unique(rows).size == rows.size


# Normal noise.


@pytest.fixture(scope="module")
def sample():
    """k, u and z of two million elements, ordered by k."""
    s = Stream(2024)
    k = s._k53(2_000_000)
    order = np.argsort(k)
    return k[order], s.uniform(k.size)[order], s.normal(k.size)[order]


def folded(k):
    """(2k + 1) 2^-54 on the side of the median where it is at most 1/2, and the sign; exact."""
    low = np.minimum(k, np.uint64(2**53 - 1) - k)
    return np.ldexp((2 * low + 1).astype(np.float64), -54), np.where(k < 2**52, -1.0, 1.0)


def test_uniform_is_k_over_two_to_53(sample):
    k, u, _ = sample
    assert same(u, k.astype(np.float64) * 2.0**-53)
    assert u[0] >= 0
    assert u[-1] < 1


def test_normal_is_the_quantile_of_k(sample):
    k, _, z = sample
    tail, sign = folded(k)
    expected = -sign * scipy.special.ndtri(tail)
    assert np.all(np.sign(z) == sign)  # never 0
    # ndtri itself is within a few ulp; mpmath below is the judge
    np.testing.assert_allclose(z, expected, rtol=4e-15, atol=2.0**-53)


def test_normal_is_monotone_up_to_its_error(sample):
    _, _, z = sample
    assert np.all(np.diff(z) >= -np.maximum(8 * np.spacing(abs(z[1:])), 2.0**-52))
    assert abs(z[0]) > 4.5
    assert z[-1] > 4.5


def test_normal_within_four_ulp(sample):
    k, _, z = sample
    middle = int(np.searchsorted(k, np.uint64(2**52)))
    places = [*range(15), *range(middle - 15, middle + 15), *range(k.size - 15, k.size)]
    places += list(range(1, k.size, k.size // 60))
    with mpmath.workdps(40):
        for i in places:
            p = mpmath.mpf(2 * int(k[i]) + 1) / mpmath.mpf(2) ** 54
            guess = mpmath.mpf(float(z[i]))
            # one step of Newton from the answer itself shows its error, to the square of that error
            error = float((mpmath.ncdf(guess) - p) / mpmath.npdf(guess))
            assert abs(error) <= max(4 * np.spacing(abs(z[i])), 2.0**-53), (int(k[i]), z[i])


def test_normal32_is_the_quantile_of_the_high_word(sample):
    s = Stream(2024)
    word = s._k53(200_000) >> np.uint64(21)
    z = s.normal(200_000, dtype=np.float32)
    tail = np.ldexp((2.0 * np.minimum(word, np.uint64(2**32 - 1) - word) + 1), -33)
    expected = np.where(word < 2**31, 1.0, -1.0) * scipy.special.ndtri(tail)
    error = abs(z - expected)
    assert np.all(error <= np.maximum(4 * np.spacing(abs(expected).astype(np.float32)), 2.0**-24))
    assert np.all((z < 0) == (word < 2**31))


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments(dtype):
    n = 1_000_000
    u, z = (getattr(Stream(77), kind)(n, dtype=dtype).astype(np.float64) for kind in KINDS)
    assert u.min() >= 0
    assert u.max() < 1
    for x, mean, variance, kurtosis in ((u, 0.5, 1 / 12, 1.8), (z, 0.0, 1.0, 3.0)):
        assert abs(x.mean() - mean) < 4 * np.sqrt(variance / n)
        assert abs(x.var() - variance) < 4 * variance * np.sqrt((kurtosis - 1) / n)
        neighbours = np.mean((x[1:] - mean) * (x[:-1] - mean)) / variance
        assert abs(neighbours) < 4 / np.sqrt(n)
    for x in (u, scipy.stats.norm.cdf(z)):
        assert scipy.stats.chisquare(np.histogram(x, bins=1000, range=(0, 1))[0]).pvalue > 1e-3


def test_every_bit_of_k_is_fair():
    n = 200_000
    bits = np.unpackbits(Stream(6)._k53(n).view(np.uint8).reshape(n, 8), axis=1, bitorder="little")
    assert not bits[:, 53:].any()
    z = (bits[:, :53].mean(axis=0) - 0.5) * 2 * np.sqrt(n)
    assert abs(z).max() < 4.5


# out=


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_out_is_filled_and_returned(kind, dtype):
    s = Stream(8)
    fill = getattr(s, kind)
    out = np.full((5, 7), np.nan, dtype=dtype)
    assert fill((5, 7), dtype=dtype, out=out) is out
    assert same(out, fill((5, 7), dtype=dtype))
    again = np.full((5, 7), np.nan, dtype=dtype)
    assert fill(out=again) is again
    assert same(again, out)
    buffer = np.full(40, np.nan, dtype=dtype)
    fill(out=buffer[3:38])
    assert same(buffer[3:38], out.reshape(-1))
    assert np.isnan(buffer[[0, 1, 2, 38, 39]]).all()  # and nothing beside it


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([0.0] * 4, TypeError, "`out` must be a NumPy array, got [0.0, 0.0, 0.0, 0.0]"),
        (np.empty(4, np.float32), TypeError, "`out` must have dtype float64, got float32"),
        (np.empty(4, np.int64), TypeError, "`out` must have dtype float64, got int64"),
        (np.empty(4, ">f8"), TypeError, "`out` must have dtype float64, got >f8"),
        (np.empty(5), ValueError, "`out` must have shape (4,), got (5,)"),
        (np.empty((4, 1)), ValueError, "`out` must have shape (4,), got (4, 1)"),
        (np.empty(8)[::2], ValueError, "`out` must be C-contiguous, got strides (16,) for shape (4,)"),
    ],
)
def test_out_that_does_not_fit(out, error, message):
    with pytest.raises(error, match=exactly(message)):
        Stream(0).uniform(4, out=out)


def test_out_that_cannot_be_written():
    frozen = np.zeros(4)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=exactly("`out` must be writable, got a read-only array")):
        Stream(0).normal(out=frozen)
    assert not frozen.any()
    crooked = np.frombuffer(bytearray(33), dtype=np.float64, offset=1)
    with pytest.raises(ValueError, match=begins("`out` must be aligned in memory")):
        Stream(0).normal(out=crooked)
    turned = np.empty((3, 4)).T
    with pytest.raises(ValueError, match=begins("`out` must be C-contiguous")):
        Stream(0).normal((4, 3), out=turned)


def test_out_without_a_shape_keeps_its_type():
    with pytest.raises(TypeError, match=exactly("`out` must have dtype float64, got int32")):
        Stream(0).uniform(out=np.empty(3, np.int32))
    with pytest.raises(TypeError, match=exactly("`shape` must be given where `out` is not")):
        Stream(0).uniform()


def test_memory_mapped_out(tmp_path):
    path = tmp_path / "noise.bin"
    out = np.memmap(path, dtype=np.float64, mode="w+", shape=(100, 701))
    assert Stream(12).normal(out=out, n_threads=2) is out
    out.flush()
    assert path.read_bytes() == Stream(12).normal((100, 701)).tobytes()
    frozen = np.memmap(path, dtype=np.float64, mode="r", shape=(100, 701))
    with pytest.raises(ValueError, match=begins("`out` must be writable")):
        Stream(12).normal(out=frozen)


# A Stream is a value.


def test_equality_and_hash():
    s = Stream(3, stream=2).at(10)
    assert s == Stream(3, stream=2).at(4).at(6)
    assert hash(s) == hash(Stream(3, stream=2).at(10))
    others = [Stream(4, stream=2).at(10), Stream(3).at(10), Stream(3, stream=2), s._replace(purpose=1)]
    assert all(s != other for other in others)
    assert len({s, *others, copy.copy(s)}) == 5
    assert s != 3
    assert Stream() == Stream(0)


def test_attributes_are_read_only():
    s = Stream(3, stream=2).at(10)
    assert (s.seed, s.stream, s.engine, s.offset) == (3, 2, "philox", 10)
    for name in ("seed", "stream", "engine", "offset", "_purpose", "anything"):
        message = f"a Stream is a value: make another one instead of setting `{name}`"
        with pytest.raises(AttributeError, match=exactly(message)):
            setattr(s, name, 1)
    assert s == Stream(3, stream=2).at(10)


def test_attributes_stay():
    s = Stream(3)
    with pytest.raises(AttributeError):
        del s.seed
    assert s.seed == 3


@given(seeds, streams, offsets)
def test_copies(seed, stream, offset):
    s = Stream(seed, stream=stream).at(offset)
    for other in (eval(repr(s)), pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
        assert other == s
        assert same(other.uniform(5), s.uniform(5))


def test_pickle_keeps_the_purpose():
    s = Stream(1)._replace(purpose=16)
    assert pickle.loads(pickle.dumps(s)) == s


def test_repr():
    assert repr(Stream(7)) == "Stream(7)"
    assert repr(Stream(7, stream=3).at(5)) == "Stream(7, stream=3).at(5)"


def test_as_stream():
    s = Stream(7).at(1)
    assert noise.as_stream(s) is s
    assert noise.as_stream(7) == Stream(7)
    with pytest.raises(TypeError, match=exactly("`seed` must be an integer, got '7'")):
        noise.as_stream("7")


# Bad input.

SEED_RANGE = "`seed` must be in [0, 2^64 - 1], got "
STREAM_RANGE = "`stream` must be in [0, 2^32 - 1], got "


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Stream(-1), ValueError, SEED_RANGE + "-1"),
        (lambda: Stream(2**64), ValueError, SEED_RANGE + "18446744073709551616"),
        (lambda: Stream(1 << 50_000), ValueError, SEED_RANGE + "an integer of 50001 bits"),
        (lambda: Stream(1.0), TypeError, "`seed` must be an integer, got 1.0"),
        (lambda: Stream(True), TypeError, "`seed` must be an integer, got True"),
        (lambda: Stream(np.True_), TypeError, "`seed` must be an integer, got np.True_"),
        (lambda: Stream("1"), TypeError, "`seed` must be an integer, got '1'"),
        (lambda: Stream(None), TypeError, "`seed` must be an integer, got None"),
        (lambda: Stream(np.arange(30)), TypeError, "`seed` must be an integer, got a ndarray"),
        (lambda: Stream(0, stream=-1), ValueError, STREAM_RANGE + "-1"),
        (lambda: Stream(0, stream=2**32), ValueError, STREAM_RANGE + "4294967296"),
        (lambda: Stream(0, stream=0.5), TypeError, "`stream` must be an integer, got 0.5"),
        (lambda: Stream(0, stream=False), TypeError, "`stream` must be an integer, got False"),
        (lambda: Stream(0, engine="mt19937"), ValueError, "`engine` must be one of 'philox', got 'mt19937'"),
        (lambda: Stream(0, engine=0), TypeError, "`engine` must be a string, got 0"),
        (lambda: Stream(0).at(-1), ValueError, "`offset` must be at least 0, got -1"),
        (lambda: Stream(0).at(1.0), TypeError, "`offset` must be an integer, got 1.0"),
        (lambda: Stream(0).at(True), TypeError, "`offset` must be an integer, got True"),
        (lambda: Stream(0).uniform(-1), ValueError, "`shape` must be at least 0, got -1"),
        (lambda: Stream(0).uniform((2, -3)), ValueError, "`shape` must be at least 0, got -3"),
        (lambda: Stream(0).uniform(2.0), TypeError, "`shape` must be an integer, got 2.0"),
        (lambda: Stream(0).uniform((2, "3")), TypeError, "`shape` must be an integer, got '3'"),
        (lambda: Stream(0).uniform(True), TypeError, "`shape` must be an integer, got True"),
        (lambda: Stream(0).uniform(2, n_threads=0), ValueError, "`n_threads` must be in [1, 1024], got 0"),
        (lambda: Stream(0).normal(2, n_threads=-2), ValueError, "`n_threads` must be in [1, 1024], got -2"),
        (lambda: Stream(0).uniform(0, n_threads=0), ValueError, "`n_threads` must be in [1, 1024], got 0"),
        (lambda: Stream(0).uniform(2, n_threads=1.0), TypeError, "`n_threads` must be an integer, got 1.0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=exactly(message)):
        call()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [int, np.int32, np.float16, complex, bool, object, "nonsense", 3, ">f8"])
def test_bad_dtype(kind, dtype):
    with pytest.raises(TypeError, match=exactly(f"`dtype` must be float64 or float32, got {dtype!r}")):
        getattr(Stream(0), kind)(2, dtype=dtype)


def test_the_end_of_a_stream():
    message = "a stream has 2^64 elements: {} from element {} on do not fit"
    near = Stream(0).at(LAST - 3)
    assert near.uniform(3).shape == (3,)
    for call, count, start in (
        (lambda: near.uniform(4), 4, LAST - 3),
        (lambda: near.normal((2, 2), dtype=np.float32), 4, LAST - 3),
        (lambda: near.uniform(out=np.empty(4)), 4, LAST - 3),
        (lambda: near.at(4), 4, LAST - 3),
        (lambda: near.at(3).uniform(1), 1, LAST),
        (lambda: Stream(0).at(LAST + 1), LAST + 1, 0),
        (lambda: Stream(0).uniform(2**70), 2**70, 0),
        (lambda: Stream(0).at(5).normal((2**40, 2**40)), 2**80, 5),
    ):
        with pytest.raises(ValueError, match=exactly(message.format(count, start))):
            call()


# Threads and processes.


def test_many_python_threads_at_once():
    def work(i):
        return hashlib.sha256(Stream(i % 3).normal(100_001, n_threads=1 + i % 3).tobytes()).digest()

    alone = [work(i) for i in range(3)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(24))) == alone * 8


FORK = """
import os, signal, sys, warnings
import stochcore as sc
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: what is tested here

def bits():
    return sc.Stream(1).normal(300_000, n_threads=2).tobytes() + sc.Bernoulli(logits=[0.5]).sample(
        100_000, sc.Stream(2), n_threads=2).tobytes()

before = bits()  # starts the threads that a child does not inherit
for depth in range(2):  # a child, and a child of it
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status) or bits() != before)
    signal.alarm(30)  # ends a child that hangs
    if bits() != before:
        os._exit(3)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_has_the_same_bits():
    command = [sys.executable, "-c", FORK]
    done = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_is_where_the_header_is():
    assert (Path(sc.get_include()) / "stochcore.h").is_file()
