"""Elementary functions in lanes: equal bits on every instruction set, and errors against exact references.

functions_probe.c, compiled for each instruction set, runs one function over raw numbers. float64 results are
held against mpmath (and, in the slow tests, against 80-bit long double on many more points), float32 results
against float64. The bounds are those that csrc/kernels/functions.h states.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from c_programs import ISA, STRICT, TESTS, build

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf
mp.dps = 40

BOUND = {"exp": 0.78, "log": 0.95, "log1p": 1.5, "sigmoid": 2.3, "softplus": 1.65}
BOUND32 = {"exp32": 1.05, "log32": 1.05, "log1p32": 1.6, "sigmoid32": 2.4, "softplus32": 1.8}

Array = np.ndarray[Any, Any]
Run = Callable[..., Array]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """run(name, x, isa="scalar"): the function's results, bit for bit."""
    directory = tmp_path_factory.mktemp("functions")

    @functools.cache
    def program(isa: str) -> list[str]:
        return build(TESTS / "functions_probe.c", directory / isa, isa, "-O2", *STRICT)

    def call(name: str, x: Array, isa: str = "scalar") -> Array:
        out = subprocess.run([*program(isa), name], input=x.tobytes(), stdout=subprocess.PIPE, check=True).stdout
        return np.frombuffer(out, x.dtype)

    return call


def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


def around(x: Array, steps: int = 3) -> Array:
    """Each number and its nearest neighbours on both sides."""
    rows = [x]
    for direction in (-np.inf, np.inf):
        y = x
        for _ in range(steps):
            y = np.nextafter(y, x.dtype.type(direction))
            rows.append(y)
    return np.concatenate(rows)


def inputs(name: str, n: int, dtype: type[Any]) -> Array:
    """About n numbers: dense, random, at every branch border, extreme; results are finite and not zero."""
    if name in ("log", "log1p"):
        return inputs_of_log(n, dtype, plus_one=name == "log1p")
    g = rng()
    low, high = (745.1, 709.7) if dtype == np.float64 else (103.2, 88.7)
    borders = around(((np.arange(-1060, 1000) + 0.5) * np.log(2.0)).astype(dtype), 1)
    dense = np.linspace(-low, high, n // 4).astype(dtype)
    near = g.uniform(-3, 3, n // 3).astype(dtype)
    small = (g.normal(size=n // 6) * 2.0 ** g.uniform(-60, 0, n // 6)).astype(dtype)
    x = np.concatenate([dense, near, small, borders[(borders > -low) & (borders < high)]])
    return x if name == "exp" else np.concatenate([x, -dense])


def inputs_of_log(n: int, dtype: type[Any], plus_one: bool) -> Array:
    g, double = rng(), dtype == np.float64
    bits, largest = (np.uint64, 0x7FEFFFFFFFFFFFFF) if double else (np.uint32, 0x7F7FFFFF)
    powers = 2.0 ** np.arange(-1020 if double else -125, 1023 if double else 127)
    borders = around((np.sqrt(0.5) * powers).astype(dtype), 2)
    anything = g.integers(1, largest, n // 4, dtype=bits).view(dtype)
    ordinary = np.exp(g.uniform(-3, 3, n // 4)).astype(dtype)
    denormal = g.integers(1, 2**52 if double else 2**23, n // 20, dtype=bits).view(dtype)
    x: Array = np.concatenate([anything, ordinary, borders, denormal, np.linspace(0.5, 2, n // 4, dtype=dtype)])
    if not plus_one:
        return np.extract(x != 1, x)
    small = (g.uniform(-1, 1, n // 4) * 2.0 ** g.uniform(-60, 0, n // 4)).astype(dtype)
    below = np.linspace(-0.999, 0, n // 8, dtype=dtype)[:-1]
    x = np.concatenate([x, small, borders[borders < 4] - dtype(1), below])
    return np.extract(x > -1, x)


def exact(name: str, x: float) -> Any:
    if name in ("exp", "log", "log1p"):
        return getattr(mp, name)(mpf(x))
    t = mp.exp(-abs(mpf(x)))
    if name == "softplus":
        return max(mpf(x), 0) + mp.log1p(t)
    return (t if x < 0 else 1) / (1 + t)


def wide(name: str, x: Array) -> Array:
    """The function in the wider type of x."""
    t = np.exp(-np.abs(x))
    if name == "sigmoid":
        return np.asarray(np.where(x < 0, t, 1) / (1 + t))
    if name == "softplus":
        return np.asarray(np.maximum(x, 0) + np.log1p(t))
    return np.asarray(getattr(np, name)(x))


def worst(got: Array, near: Array, rest: Array) -> float:
    """The largest error in units in the last place (ulp) of the true values, near + rest ulp."""
    return float(np.max(np.abs((got - near) / np.spacing(np.abs(near)) - rest)))


def worst_against(got: Array, true: Array) -> float:
    """The same, for true values of a wider type."""
    near = true.astype(got.dtype)
    return worst(got, near, (true - near) / np.spacing(np.abs(near)))


@pytest.mark.parametrize("isa", [isa for isa in ISA if isa != "scalar"])
@pytest.mark.parametrize("name", [*BOUND, *BOUND32])
def test_the_same_bits_everywhere_and_lanes_do_not_mix(run: Run, name: str, isa: str) -> None:
    g = rng()
    dtype, bits = (np.float32, np.uint32) if name.endswith("32") else (np.float64, np.uint64)
    anything = g.integers(0, np.iinfo(bits).max, 100_000, dtype=bits).view(dtype)
    useful = inputs(name.removesuffix("32"), 50_000, dtype)
    x = g.permutation(np.concatenate([anything, useful, SPECIAL.astype(dtype)]))
    order = g.permutation(x.size)
    a, b = run(name, x), run(name, x[order], isa)
    word = np.uint64 if a.dtype == np.float64 else np.uint32
    nan = np.isnan(a)
    np.testing.assert_array_equal(nan[order], np.isnan(b))
    np.testing.assert_array_equal(a[order].view(word)[~nan[order]], b.view(word)[~nan[order]])


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -1.5, 800.0, -800.0, 1e30, -1e30])


@pytest.mark.parametrize("suffix", ["", "32"])
@pytest.mark.parametrize("name", BOUND)
def test_special_values(run: Run, name: str, suffix: str) -> None:
    x = SPECIAL.astype(np.float32 if suffix else np.float64)
    got = run(name + suffix, x)
    with np.errstate(all="ignore"):
        expected = wide(name, x.astype(np.float64)).astype(x.dtype)
    np.testing.assert_array_equal(np.signbit(got)[expected == 0], np.signbit(expected)[expected == 0])
    odd = ~np.isfinite(expected) | (expected == 0) | (x == 0) & (name != "softplus") | (np.abs(x) >= 800)
    exactly = odd & (name not in ("log", "log1p")) | ~np.isfinite(expected)
    np.testing.assert_array_equal(got[exactly], expected[exactly])
    np.testing.assert_allclose(got, expected, rtol=1e-6 if suffix else 1e-15)


def test_the_ends_of_exp(run: Run) -> None:
    x = np.array([709.782712893384, 709.7827128933841, -745.1332191019411, -745.1332191019412, -708.5])
    y = run("exp", x)
    np.testing.assert_array_equal(y[1:4], [np.inf, 5e-324, 0])
    np.testing.assert_allclose(y[[0, 4]], np.exp(x[[0, 4]]), rtol=1e-12)
    x32 = np.array([88.72283, 88.72284, -103.97207, -103.97209, -87.5], np.float32)
    y = run("exp32", x32)
    np.testing.assert_array_equal(y[1:4], np.array([np.inf, 1e-45, 0], np.float32))
    np.testing.assert_allclose(y[[0, 4]], np.exp(x32[[0, 4]].astype(float)), rtol=1e-6)


def test_log_of_denormals(run: Run) -> None:
    x = np.array([5e-324, 2.2250738585072014e-308, np.finfo(float).max, -5e-324])
    y = run("log", x)
    np.testing.assert_allclose(y[:3], np.log(x[:3]), rtol=1e-15)
    assert np.isnan(y[3])


@pytest.mark.parametrize("name", BOUND)
def test_float64_against_mpmath(run: Run, name: str) -> None:
    x = inputs(name, 8000, np.float64)
    x = x[:: max(1, x.size // 12_000)] if name == "log1p" else x
    values = [exact(name, float(v)) for v in x]
    near = np.array([float(v) for v in values])
    ulp = np.spacing(np.abs(near))
    triples = zip(values, near.tolist(), ulp.tolist(), strict=True)
    rest = np.array([float((v - mpf(w)) / mpf(u)) for v, w, u in triples])
    assert worst(run(name, x), near, rest) <= BOUND[name]


@pytest.mark.slow
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double")
@pytest.mark.parametrize("name", BOUND)
def test_float64_against_long_double(run: Run, name: str) -> None:
    x = inputs(name, 4_000_000, np.float64)
    assert worst_against(run(name, x), wide(name, x.astype(np.longdouble))) <= BOUND[name]


@pytest.mark.parametrize("name", BOUND32)
@pytest.mark.parametrize("n", [200_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_float32_against_float64(run: Run, name: str, n: int) -> None:
    x = inputs(name.removesuffix("32"), n, np.float32)
    true = wide(name.removesuffix("32"), x.astype(np.float64))
    assert worst_against(run(name, x), true) <= BOUND32[name]


def test_sigmoid_and_softplus_at_once(run: Run) -> None:
    x = inputs("sigmoid", 20_000, np.float32)
    x = x[: x.size // 16 * 16]
    both = run("sigmoid_softplus32", x).reshape(-1, 2, 16)
    np.testing.assert_array_equal(both[:, 0].ravel(), run("sigmoid32", x))
    np.testing.assert_array_equal(both[:, 1].ravel(), run("softplus32", x))
