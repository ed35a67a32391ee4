"""Noise: the address layout, the same bits however they are asked for, and what the numbers mean."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from streams import BORDER, ENGINES, FLOATS, KINDS, LAST, REJECTING, draw, engines, numbers, offsets, same, seeds

import stochcore as sc
from stochcore import Stream, noise

CODES = {"philox": 0, "ars": 1, "ars10": 2}
purposes = st.sampled_from([0, 1, 2, 6, 16, 17, 255])


# A plain twin of stochcore.h for Philox, in integers of NumPy alone. (For ARS the twin is AES: test_engines.py.)


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


def twin_bits(seed, stream, purpose, elements):
    high, low = (twin_words(seed, stream, purpose, elements, plane) for plane in (0, 1))
    return high << np.uint64(32) | low


@given(seeds, numbers, purposes, offsets, st.integers(0, 150))
def test_address_layout(seed, stream, purpose, offset, n):
    s = Stream(seed, stream=stream, engine="philox").at(offset)._replace(purpose=purpose)
    assert same(s.bits(n), twin_bits(seed, stream, purpose, [offset + i for i in range(n)]))


@pytest.mark.parametrize("start", [BORDER, 4 * 2**31, LAST - 137])
def test_borders_of_the_counter_words(start):
    s, elements = Stream(11, stream=3, engine="philox"), [start - 67 + i for i in range(134)]
    assert same(s.at(start - 67).bits(134), twin_bits(11, 3, 0, elements))


# The public header.


class CStream(ctypes.Structure):
    _fields_ = [
        ("seed", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("stream", ctypes.c_uint32),
        ("purpose", ctypes.c_uint32),
        ("engine", ctypes.c_uint32),
        ("antithetic", ctypes.c_uint32),
    ]


def c_stream(s):
    return ctypes.byref(CStream(s.seed, s.offset, s.stream, s._purpose, CODES[s.engine], 0))


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
        uint64_t bits(const sc_stream *s, uint64_t e, uint32_t attempt);
        uint64_t k(const sc_stream *s, uint64_t e);
        double uniform(const sc_stream *s, uint64_t e);
        uint64_t bits(const sc_stream *s, uint64_t e, uint32_t attempt) { return sc_bits(s, e, attempt); }
        uint64_t k(const sc_stream *s, uint64_t e) { return sc_k(s, e); }
        double uniform(const sc_stream *s, uint64_t e) { return sc_uniform(s, e); }
        """
    )
    flags = ["-std=c99", "-O1", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    target = folder / "header.so"
    command = ["cc", *flags, f"-I{sc.get_include()}", "-shared", "-fPIC", source, "-o", target]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    library = ctypes.CDLL(str(target))
    library.bits.restype = library.k.restype = ctypes.c_uint64
    library.uniform.restype = ctypes.c_double
    return library


@given(seeds, numbers, engines, purposes, offsets)
def test_header_has_the_bits_of_the_stream(header, seed, number, engine, purpose, offset):
    s = Stream(seed, stream=number, engine=engine).at(offset)._replace(purpose=purpose)
    c = c_stream(s)
    assert [header.bits(c, ctypes.c_uint64(e), 0) for e in range(70)] == s.bits(70).tolist()
    assert [header.k(c, ctypes.c_uint64(e)) for e in range(9)] == s._k53(9).tolist()
    assert [header.uniform(c, ctypes.c_uint64(e)) for e in range(9)] == s.uniform(9).tolist()


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler `c++`")
def test_header_is_cplusplus(tmp_path):
    source = tmp_path / "header.cpp"
    source.write_text('#include "stochcore.h"\ndouble f(const sc_stream *s) { return sc_uniform(s, 1); }\n')
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{sc.get_include()}", "-fsyntax-only"]
    command = ["c++", *flags, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


def test_the_package_is_where_the_header_is():
    assert (Path(sc.get_include()) / "stochcore.h").is_file()


# The same bits however they are asked for.


@given(seeds, engines, offsets, st.integers(0, 150))
def test_all_bits_are_one_word(seed, engine, offset, n):
    s = Stream(seed, engine=engine).at(offset)
    bits = s.bits(n)
    assert same(s.bits(n, dtype=np.uint32), (bits >> np.uint64(32)).astype(np.uint32))
    assert same(s._k53(n), bits >> np.uint64(11))
    assert same(s.uniform(n), np.ldexp((bits >> np.uint64(11)).astype(np.float64), -53))  # exact: k has 53 bits
    assert same(s.uniform(n, dtype=np.float32), np.ldexp((bits >> np.uint64(40)).astype(np.float32), -24))


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_the_last_elements(kind, dtype):
    near = draw(Stream(5).at(LAST - 200), kind, 200, dtype=dtype)
    assert same(draw(Stream(5).at(LAST - 9), kind, 9, dtype=dtype), near[191:])
    assert draw(Stream(5).at(LAST), kind, 0, dtype=dtype).shape == (0,)


def test_no_two_elements_are_alike():
    assert np.unique(Stream(9).at(3).bits(100_000)).size == 100_000


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@given(data=st.data())
def test_a_slice_is_another_address(kind, dtype, data):
    n, d = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    a = data.draw(st.integers(0, n))
    b = data.draw(st.integers(a, n))
    s = Stream(data.draw(seeds), engine=data.draw(engines)).at(data.draw(st.integers(0, 9)))
    whole = draw(s, kind, (n, d), dtype=dtype)
    part = draw(s.at(a * d), kind, (b - a, d), dtype=dtype)
    assert same(whole[a:b], part)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_the_same_bits_on_any_number_of_threads(kind, dtype, engine):
    n, s = 200_003, Stream(3, engine=engine).at(5)
    one, two, three, every = (draw(s, kind, n, dtype=dtype, n_threads=t) for t in (1, 2, 3, None))
    assert same(one, two)
    assert same(one, three)
    assert same(one, every)
    for start in (0, 16_379, 99_999, n - 100):
        assert same(one[start : start + 100], draw(s.at(start), kind, 100, dtype=dtype))


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_large_arrays(kind, dtype, offset):
    n = (9 << 20) // np.dtype(dtype).itemsize + 77  # more than most caches hold
    buffer = np.zeros(n + 2, dtype=dtype)
    s, out = Stream(8).at(offset), buffer[1:-1]  # not at the beginning of a line
    draw(s, kind, dtype=dtype, out=out, n_threads=2)
    step = 400_000
    pieces = [draw(s.at(i), kind, min(step, n - i), dtype=dtype) for i in range(0, n, step)]
    assert same(out, np.concatenate(pieces))
    assert not buffer[[0, -1]].any()


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_shapes_are_filled_in_c_order(kind, dtype):
    s = Stream(21)
    flat = draw(s, kind, 60, dtype=dtype)
    for shape in (60, (60,), [60], (3, 20), (3, 4, 5), (1, 60, 1), np.int64(60), (np.int8(3), 20), (1,) * 12 + (60,)):
        array = draw(s, kind, shape, dtype=dtype)
        assert array.dtype == dtype
        assert array.shape == np.empty(shape).shape
        assert same(array.reshape(-1), flat)
    for shape in (0, (0,), (3, 0), (0, 5)):
        assert draw(s, kind, shape, dtype=dtype).shape == np.empty(shape).shape
    scalar = draw(s, kind, (), dtype=dtype)
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()
    assert scalar == flat[0]


@pytest.mark.parametrize(("kind", "dtype"), KINDS[:-1])
def test_dtypes_by_other_names(kind, dtype):
    s, name = Stream(2), np.dtype(dtype).name
    for other in (name, np.dtype(dtype), np.dtype(dtype).newbyteorder("=")):
        assert same(draw(s, kind, 9, dtype=other), draw(s, kind, 9, dtype=dtype))


def test_the_default_dtype():
    s = Stream(2)
    assert same(s.uniform(3, dtype=None), s.uniform(3))
    assert same(s.bits(3, dtype=None), s.bits(3))
    assert same(s.integers(9, shape=3, dtype=None), s.integers(9, shape=3))
    assert (s.uniform(3).dtype, s.bits(3).dtype, s.integers(9, shape=3).dtype) == (np.float64, np.uint64, np.int64)


def test_seeds_streams_purposes_and_engines_differ():
    s = Stream(1)
    others = [
        Stream(2), Stream(1 + 2**32), Stream(1, stream=1), Stream(1, stream=2**31), s.at(1000),
        Stream(1, engine="ars10"), Stream(1, engine="philox"), s._replace(purpose=1), s._replace(purpose=noise.LAYERS),
    ]  # fmt: skip
    rows = np.array([stream.bits(1000) for stream in [s, *others]])
    assert np.unique(rows).size == rows.size


# What the numbers mean. (How exact the quantile functions are: test_quantiles.py.)


def quantile(kind, n, bits):
    """The quantile function at (2n + 1) 2^-(bits + 1), n of `bits` bits, without cancellation."""
    top = 2**bits - 1
    p, q = ((2 * side.astype(np.float64) + 1) * 2.0 ** -(bits + 1) for side in (n, np.uint64(top) - n))
    half, log_p, log_q = n <= top // 2, np.log(p), np.log(q)
    odd = (2 * n.astype(np.int64) - top).astype(np.float64)  # exact
    return {
        "normal": lambda: np.where(half, 1.0, -1.0) * scipy.special.ndtri(np.minimum(p, q)),
        "logistic": lambda: 2 * np.arctanh(odd * 2.0**-bits),
        "exponential": lambda: -np.where(half, np.log1p(-p), log_q),
        "gumbel": lambda: -np.log(-np.where(half, log_p, np.log1p(-q))),
    }[kind]()


@pytest.mark.parametrize("kind", FLOATS[1:])
def test_quantiles_of_the_same_k(kind):
    s = Stream(2024)
    x, expected = getattr(s, kind)(200_000), quantile(kind, s._k53(200_000), 53)
    np.testing.assert_allclose(x, expected, rtol=4e-15, atol=2.0**-51)
    x, expected = getattr(s, kind)(200_000, dtype=np.float32), quantile(kind, s.bits(200_000) >> np.uint64(32), 32)
    assert np.all(abs(x - expected) <= np.maximum(4 * np.spacing(abs(expected).astype(np.float32)), 2.0**-32))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments(dtype):
    n = 1_000_000
    u, z = (getattr(Stream(77), kind)(n, dtype=dtype).astype(np.float64) for kind in ("uniform", "normal"))
    assert u.min() >= 0
    assert u.max() < 1
    for x, mean, variance, kurtosis in ((u, 0.5, 1 / 12, 1.8), (z, 0.0, 1.0, 3.0)):
        assert abs(x.mean() - mean) < 4 * np.sqrt(variance / n)
        assert abs(x.var() - variance) < 4 * variance * np.sqrt((kurtosis - 1) / n)
        neighbours = np.mean((x[1:] - mean) * (x[:-1] - mean)) / variance
        assert abs(neighbours) < 4 / np.sqrt(n)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("kind", "family"),
    [*zip(FLOATS, ["uniform", "norm", "logistic", "expon", "gumbel_r"], strict=True)],
)
def test_distribution_functions(kind, family, dtype):
    u = getattr(scipy.stats, family).cdf(getattr(Stream(78), kind)(300_000, dtype=dtype).astype(np.float64))
    assert scipy.stats.chisquare(np.histogram(u, bins=1000, range=(0, 1))[0]).pvalue > 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_every_bit_is_fair(engine):
    n = 200_000
    bits = np.unpackbits(Stream(6, engine=engine).bits(n).view(np.uint8).reshape(n, 8), axis=1)
    z = (bits.mean(axis=0) - 0.5) * 2 * np.sqrt(n)
    assert abs(z).max() < 4.5


# Masks.


@given(seeds, st.floats(0, 1), st.integers(0, 300))
def test_a_mask_is_a_comparison(seed, p, n):
    s = Stream(seed).at(2)
    assert same(s.bernoulli_mask(p, n), s.uniform(n) < p)


def test_masks_at_the_uniforms_themselves():
    s, n = Stream(3).at(1), 100
    u = s.uniform(n)
    for p in (*u, *np.nextafter(u, 0), *np.nextafter(u, 1), u.min() / 2, 5e-324, 0, 1, True * 1.0, np.float32(0.25)):
        assert same(s.bernoulli_mask(p, n), u < p)
    assert s.bernoulli_mask(1, n).all()
    assert not s.bernoulli_mask(0, n).any()


# Integers.


def lemire(header, s, n, low, count):
    """Integers by the paper's algorithm, from words of the header, in Python's integers."""
    b, c, drawn = (32 if count <= 2**32 else 64), c_stream(s), []
    for e in range(n):
        attempt = 0
        while True:
            product = (header.bits(c, ctypes.c_uint64(e), attempt) >> (64 - b)) * count
            if product % 2**b >= 2**b % count:
                break
            attempt += 1
        drawn.append(low + (product >> b))
    return drawn


RANGES = [
    (0, 1), (0, 10), (-5, 5), (7, 8), (0, 2**31 - 1), (-(2**31), 2**31), (0, 2**32 - 1), (0, 2**32), (3, 3 + REJECTING),
    (0, 2**64), (2**64 - 1, 2**64), (0, 2**32 + 1),
    (0, 3 << 61), (-(2**63), 2**62 + 1), (-(2**63), 2**63), (0, 2**64 - 1),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_integers_are_lemires(header, low, high, engine):
    s, n = Stream(12, stream=1, engine=engine).at(1), 300
    expected = lemire(header, s, n, low, high - low)
    tried = 0
    for dtype in (np.int64, np.int32, np.uint32, np.uint64):
        limits = np.iinfo(dtype)
        if limits.min <= low and high - 1 <= limits.max:
            assert same(s.integers(low, high, n, dtype=dtype), np.array(expected, dtype=dtype))
            assert same(s.integers(low, high - 1, n, dtype=dtype, endpoint=True), np.array(expected, dtype=dtype))
            tried += 1
    assert tried


def test_integers_from_zero():
    s = Stream(4)
    assert same(s.integers(10, shape=50), s.integers(0, 10, 50))
    assert same(s.integers(10, shape=50, endpoint=True), s.integers(0, 11, 50))
    assert same(s.integers(np.int8(10), shape=(5, 10)), s.integers(0, 10, (5, 10)))


@pytest.mark.parametrize("count", [2, 7, 1000, REJECTING, 2**32, 3 << 40, 3 << 62])
def test_integers_are_equally_likely(count):
    drawn = Stream(5).integers(count, shape=300_000, dtype=np.uint64)
    bins = np.arange(0, min(count, 60) + 1) / min(count, 60)
    counts = np.histogram((drawn + 0.5) / count, bins)[0]
    assert scipy.stats.chisquare(counts, 300_000 * np.diff(np.round(bins * count)) / count).pvalue > 1e-3
