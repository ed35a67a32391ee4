"""Special functions in lanes: equal bits on every instruction set, errors against mpmath, and their arrays in Python.

special_probe.c, compiled for each instruction set, runs one function over columns of raw numbers. The bounds are those
that csrc/kernels/special.h states.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from c_programs import ISA, STRICT, TESTS, build

from stochcore import _functions

# Emulation takes half a minute to compile.
OTHERS = [pytest.param(isa, marks=pytest.mark.slow) if isa == "emulated" else isa for isa in ISA if isa != "scalar"]

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf

Array = np.ndarray[Any, Any]
Run = Callable[..., Array]

INF = np.inf
ULP = {"expm1": 1.2, "erfcx": 4.0, "ndtr": 4.5, "log_ndtr": 5.0}
COLUMNS = {
    **dict.fromkeys(["expm1", "erfcx", "ndtr", "log_ndtr", "stirling"], 1),
    **dict.fromkeys(["deviance", "log_poisson", "normal_interval", "logistic_interval"], 2),
    **dict.fromkeys(["log_binomial", "log_negative_binomial"], 4),
}
INTERVALS = ("normal_interval", "logistic_interval")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """run(name, *columns, isa="scalar"): the results, bit for bit; those of an interval as three rows."""
    directory = tmp_path_factory.mktemp("special")

    @functools.cache
    def program(isa: str) -> list[str]:
        return build(TESTS / "special_probe.c", directory / isa, isa, "-O2", *STRICT)

    def call(name: str, *columns: Any, isa: str = "scalar") -> Array:
        same = np.broadcast_arrays(*[np.asarray(c, np.float64) for c in columns])
        words = b"".join(c.tobytes() for c in same)
        out = subprocess.run([*program(isa), name], input=words, stdout=subprocess.PIPE, check=True).stdout
        results = np.frombuffer(out, np.float64)
        return results.reshape(3, -1) if name in INTERVALS else results

    return call


@pytest.fixture(autouse=True)
def digits() -> Any:
    with mp.workdps(80):
        yield


def rng() -> np.random.Generator:
    return np.random.default_rng(20240713)


def upper(z: Any) -> Any:
    """1 - Phi(z)."""
    return mpf(0) if z == INF else mp.erfc(z / mp.sqrt(2)) / 2


def density(z: Any) -> Any:
    return mpf(0) if abs(z) == INF else mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def erfcx(x: Any) -> Any:
    if x > 1e4:
        return mp.fsum(mp.fac2(2 * k - 1) * (-1 / (2 * x * x)) ** k for k in range(10)) / (x * mp.sqrt(mp.pi))
    return mp.exp(x * x) * mp.erfc(x)


def log_ndtr(x: Any) -> Any:
    if x > 0:
        return mp.log1p(-upper(x))
    return -x * x / 2 + mp.log(erfcx(-x / mp.sqrt(2)) / 2)


def stirling(x: Any) -> Any:
    return mp.loggamma(x + 1) - (x + mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2


EXACT = {"expm1": mp.expm1, "erfcx": erfcx, "ndtr": lambda x: upper(-x), "log_ndtr": log_ndtr}


def inputs(name: str) -> Array:
    g, n = rng(), 1500
    small = g.normal(size=n) * 2.0 ** g.uniform(-60, 0, n)
    near = g.uniform(-6, 6, n)
    if name == "expm1":
        borders = (np.arange(-60, 1023) + 0.5) * np.log(2)
        return np.concatenate([small, near / 2, borders, np.linspace(-45, 709.7, n)])
    if name == "erfcx":
        return np.concatenate([np.abs(small), np.abs(near), g.uniform(0, 50, n), 10 ** g.uniform(0, 300, 300)])
    far = -(10 ** g.uniform(0, 154, 300)) if name == "log_ndtr" else g.uniform(-37.5, -30, 300)
    return np.concatenate([small, near, g.uniform(-37.5, 8, n), far])


def in_ulp(got: Array, true: list[Any]) -> Array:
    units = np.spacing(np.abs(np.array([float(t) for t in true])))
    triples = zip(got.tolist(), true, units.tolist(), strict=True)
    return np.array([float(abs(mpf(x) - t) / mpf(u)) for x, t, u in triples])


def relative(got: Array, true: list[Any], least: float = 1e-300) -> Array:
    """Errors relative to the true values, or to `least` where they are smaller."""
    pairs = zip(got.tolist(), true, strict=True)
    return np.array([0.0 if x == t else float(abs(mpf(x) - t) / max(abs(t), mpf(least))) for x, t in pairs])


def over(f: Callable[..., Any], *columns: Any) -> list[Any]:
    same = np.broadcast_arrays(*[np.asarray(c, np.float64) for c in columns])
    return [f(*map(mpf, row)) for row in zip(*[c.tolist() for c in same], strict=True)]


@pytest.mark.parametrize("name", ULP)
def test_functions_of_one_argument(run: Run, name: str) -> None:
    x = inputs(name)
    assert np.max(in_ulp(run(name, x), over(EXACT[name], x))) <= ULP[name]


def test_their_ends(run: Run) -> None:
    nan, tiny = np.nan, 5e-324
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(
            run("expm1", [nan, INF, -INF, 0.0, tiny, -tiny, 710.0, -800.0]), [nan, INF, -1, 0, tiny, -tiny, INF, -1]
        )
    assert np.signbit(run("expm1", [-0.0]))[0]
    assert np.isfinite(run("expm1", [709.782712893384]))[0]
    np.testing.assert_array_equal(run("erfcx", [0.0, INF, nan]), [1, 0, nan])
    np.testing.assert_array_equal(run("ndtr", [-INF, -40, -0.0, 0.0, 40, INF, nan]), [0, 0, 0.5, 0.5, 1, 1, nan])
    np.testing.assert_array_equal(
        run("log_ndtr", [-INF, -1e200, -(2.0**500), INF, nan]), [-INF, -INF, -(2.0**999), 0, nan]
    )
    np.testing.assert_array_equal(run("stirling", [0.0, INF, nan]), [INF, 0, nan])


def test_stirling(run: Run) -> None:
    g = rng()
    x = np.concatenate([g.uniform(1, 20, 1000), np.arange(1.0, 200.0), 10 ** g.uniform(0, 12, 300)])
    assert np.max(in_ulp(run("stirling", x), over(stirling, x))) <= 3
    x = np.concatenate([g.uniform(0, 1, 1000), 10 ** g.uniform(-300, 0, 500), [5e-324, 1e-310]])
    got, true = run("stirling", x), over(stirling, x)
    absolute = np.array([float(abs(mpf(a) - b)) for a, b in zip(got.tolist(), true, strict=True)])
    assert np.all((absolute <= 4e-16) | (in_ulp(got, true) <= 3))


def test_deviance(run: Run) -> None:
    g = rng()
    x = 10 ** g.uniform(-3, 15, 3000)
    m = np.concatenate(
        [x[:2000] * np.exp(g.normal(size=2000) * 10 ** g.uniform(-9, 1, 2000)), 10 ** g.uniform(-320, 9, 1000)]
    )
    assert np.max(relative(run("deviance", x, m), over(lambda a, b: a * mp.log(a / b) + b - a, x, m))) <= 3e-15
    np.testing.assert_array_equal(run("deviance", [0.0, 0.0, 7.0], [3.0, 1e-300, 7.0]), [3.0, 1e-300, 0.0])


# ---- probabilities of counts -----------------------------------------------------------------------------------------


def log_poisson(y: Any, rate: Any) -> Any:
    if rate == 0:
        return mpf(0) if y == 0 else -mp.inf
    return y * mp.log(rate) - rate - mp.loggamma(y + 1)


def shares(p: Any, q: Any) -> tuple[Any, Any]:
    """log p and log(1 - p), the smaller one of p and q being exact."""
    log = [mp.log(s) if s else -mp.inf for s in (p, q)]
    return (mp.log1p(-q), log[1]) if q < p else (log[0], mp.log1p(-p))


def times(count: Any, log: Any) -> Any:
    return count * log if count else mpf(0)


def log_binomial(y: Any, n: Any, p: Any, q: Any) -> Any:
    log_p, log_q = shares(p, q)
    ways = mp.loggamma(n + 1) - mp.loggamma(y + 1) - mp.loggamma(n - y + 1) if 0 < y < n else mpf(0)
    return ways + times(y, log_p) + times(n - y, log_q)


def log_negative_binomial(y: Any, r: Any, p: Any, q: Any) -> Any:
    log_p, log_q = shares(p, q)
    ways = mp.loggamma(y + r) - mp.loggamma(r) - mp.loggamma(y + 1) if y else mpf(0)
    return ways + times(r, log_p) + times(y, log_q)


def probabilities(g: np.random.Generator, n: int) -> tuple[Array, Array]:
    """p and q = 1 - p; either may be the small one, down to 1e-16."""
    p = np.where(g.uniform(size=n) < 0.5, g.uniform(size=n), 10 ** g.uniform(-16, 0, n))
    swap = g.uniform(size=n) < 0.5
    return np.where(swap, 1 - p, p), np.where(swap, p, 1 - p)


def check_logs(got: Array, true: list[Any], bulk: float, tails: float = 2e-15) -> None:
    """Relative errors of the logarithm everywhere; of the probability where that is not below e^-20."""
    assert np.max(relative(got, true)) <= tails
    absolute = np.array([0.0 if x == t else float(abs(mpf(x) - t)) for x, t in zip(got.tolist(), true, strict=True)])
    assert np.max(absolute[got > -20]) <= bulk


def test_log_poisson(run: Run) -> None:
    g, n = rng(), 1000
    rate = 10 ** g.uniform(-8, 9, n)
    y = g.poisson(rate).astype(float)
    check_logs(run("log_poisson", y, rate), over(log_poisson, y, rate), 1e-14)
    y = np.floor(10 ** g.uniform(0, 15, n))
    rate = np.maximum(1, y + 4 * g.normal(size=n) * np.sqrt(y))
    check_logs(run("log_poisson", y, rate), over(log_poisson, y, rate), 3e-14)
    rate = 10 ** g.uniform(-300, 9, n)
    check_logs(run("log_poisson", y, rate), over(log_poisson, y, rate), 3e-14)
    np.testing.assert_array_equal(run("log_poisson", [0, 0, 1, 0], [0, 3, 0, 1e-300]), [0, -3, -INF, -1e-300])


def test_log_binomial(run: Run) -> None:
    g, count = rng(), 1000
    n = np.floor(10 ** g.uniform(0, 15.95, count))
    n[:50] = 2.0**53
    p, q = probabilities(g, count)
    y = np.clip(np.rint(n * p + g.normal(size=count) * np.sqrt(n * p * q)), 0, n)
    check_logs(run("log_binomial", y, n, p, q), over(log_binomial, y, n, p, q), 3e-14)
    y = np.floor(n * g.uniform(size=count))
    check_logs(run("log_binomial", y, n, p, q), over(log_binomial, y, n, p, q), 3e-14)
    n = np.floor(10 ** g.uniform(0, 4, count))
    y = np.minimum(n, np.floor(n * g.uniform(0, 1.2, size=count)))
    check_logs(run("log_binomial", y, n, p, q), over(log_binomial, y, n, p, q), 3e-14)


@pytest.mark.parametrize(
    ("y", "n", "p", "q", "expected"),
    [
        (0, 0, 0.5, 0.5, 0),
        (0, 0, 1, 0, 0),
        (0, 3, 0, 1, 0),
        (3, 3, 1, 0, 0),
        (0, 3, 1, 0, -INF),
        (2, 3, 1, 0, -INF),
        (1, 3, 0, 1, -INF),
        (3, 3, 0, 1, -INF),
        (0, 5, 1e-300, 1, -5e-300),
        (5, 5, 1, 1e-300, -5e-300),
        (1, 1, 1e-300, 1, np.log(1e-300)),
    ],
)
def test_log_binomial_at_its_ends(run: Run, y: float, n: float, p: float, q: float, expected: float) -> None:
    np.testing.assert_allclose(run("log_binomial", [y], n, p, q), expected, rtol=1e-15)


def test_log_negative_binomial(run: Run) -> None:
    g, count = rng(), 1000
    p, q = probabilities(g, count)
    r = 10 ** g.uniform(-10, 9, count)
    mean = r * q / p
    y = np.clip(np.rint(mean + g.normal(size=count) * np.sqrt(mean / p)), 0, 1e15)
    check_logs(run("log_negative_binomial", y, r, p, q), over(log_negative_binomial, y, r, p, q), 3e-14)
    y, r = np.floor(10 ** g.uniform(0, 15, count)), 10 ** g.uniform(-300, 15, count)
    check_logs(run("log_negative_binomial", y, r, p, q), over(log_negative_binomial, y, r, p, q), 3e-14)
    edges = [[0, 0, 0, 1, 1, 2], [1, 2.5, 0.1, 3, 3, 3], [1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 0, 0]]
    np.testing.assert_array_equal(run("log_negative_binomial", *edges), [0, -INF, 0, -INF, -INF, -INF])


def test_nan_stays(run: Run) -> None:
    nan = np.nan
    assert np.isnan(run("log_poisson", [nan, 2, 0], [3, nan, nan])).all()
    assert np.isnan(run("log_binomial", [nan, 2], [5, nan], 0.25, 0.75)).all()
    assert np.isnan(run("log_negative_binomial", [nan, 2, 0], [5, nan, nan], 0.25, 0.75)).all()
    assert np.isnan(run("deviance", [nan, 2], [3, nan])).all()


def test_probabilities_sum_to_one(run: Run) -> None:
    y = np.arange(400.0)
    for logs in (
        run("log_poisson", y, 111.5),
        run("log_binomial", y, 399, 0.7, 1 - 0.7),
        run("log_negative_binomial", y, 0.37, 0.125, 0.875),
    ):
        np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-13)


# ---- intervals -------------------------------------------------------------------------------------------------------


def normal_interval(a: Any, b: Any) -> tuple[Any, Any, Any]:
    if a + b < 0:
        log_p, m1, m2 = normal_interval(-b, -a)
        return log_p, -m1, m2
    outside = upper(-a) + upper(b) if a < 0 else None
    p = upper(a) - upper(b) if outside is None else 1 - outside
    first, second = density(a), density(b)
    moved = [mpf(0) if abs(z) == INF else z * d for z, d in ((a, first), (b, second))]
    log_p = mp.log(p) if outside is None else mp.log1p(-outside)
    return log_p, (first - second) / p, (moved[0] - moved[1]) / p


def pairs(kind: str, n: int = 600) -> tuple[Array, Array]:
    g = rng()
    a = g.normal(size=n)
    width = {
        "ordinary": 3 * g.exponential(size=n),
        "narrow": np.abs(a) * 10 ** g.uniform(-14, -1, n) + 10 ** g.uniform(-15, 0, n),
        "far": 10 ** g.uniform(-8, 2, n),
        "nearly even": -2 * -np.abs(a) * (1 + 10 ** g.uniform(-14, 0, n)),
        "borders of the three ways": np.where(np.arange(n) % 2, 1, 0.5 / np.maximum(np.abs(a), 0.1))
        * g.uniform(0.99, 1.01, n),
        "to the right": np.full(n, INF),
    }[kind]
    a = {"far": a * 10 ** g.uniform(-3, 5, n), "nearly even": -np.abs(a), "to the right": g.uniform(-37, 37, n)}.get(
        kind, a
    )
    return np.concatenate([a, -(a + width)]), np.concatenate([a + width, -a])  # and each one's mirror image


KINDS = ["ordinary", "narrow", "far", "nearly even", "borders of the three ways", "to the right"]


@pytest.mark.parametrize("kind", KINDS)
def test_normal_interval(run: Run, kind: str) -> None:
    a, b = pairs(kind)
    got, true = run("normal_interval", a, b), over(normal_interval, a, b)
    log_p = [t[0] for t in true]
    # a probability as small as e^-1e9 is known as well as its logarithm can be written
    absolute = np.array([float(abs(mpf(x) - t)) for x, t in zip(got[0].tolist(), log_p, strict=True)])
    assert np.all(absolute <= 3e-15 + 2 * np.spacing(np.abs(got[0])))
    assert np.max(relative(got[0], log_p)) <= 2e-15
    assert np.max(relative(got[1], [t[1] for t in true])) <= 2e-15
    assert np.max(relative(got[2], [t[2] for t in true], least=1.0)) <= 2e-15


def test_normal_interval_at_its_ends(run: Run) -> None:
    a = [-INF, 1e5, -1e160, 2.0, np.nan, 1.0]
    b = [INF, INF, -1e150, 2.0, 1.0, np.nan]
    log_p, m1, m2 = run("normal_interval", a, b)
    np.testing.assert_allclose(log_p, [0, -5e9 - 12.4318647, -5e299, -INF, np.nan, np.nan], rtol=1e-12)
    np.testing.assert_allclose(m1, [0, 1e5 + 1e-5, -1e150, 2, np.nan, np.nan], rtol=1e-14)
    np.testing.assert_allclose(m2, [0, 1e10 + 1, 1e300, 3, np.nan, np.nan], rtol=1e-14)


def logistic_interval(a: Any, b: Any) -> tuple[Any, Any, Any]:
    left = mpf(0) if a == -INF else 1 / (1 + mp.exp(-a))
    right = mpf(0) if b == INF else 1 / (1 + mp.exp(b))  # 1 - sigmoid(b)
    gap = mpf(0) if b - a == INF else 1 / mp.expm1(b - a)
    log_p = -mp.log1p(gap)
    if a > -INF:
        log_p -= mp.log1p(mp.exp(a))
    if b < INF:
        log_p -= mp.log1p(mp.exp(-b))
    return log_p, -(left + gap), right + gap


@pytest.mark.parametrize("kind", KINDS)
def test_logistic_interval(run: Run, kind: str) -> None:
    a, b = pairs(kind)
    if kind == "far":
        a, b = a / 300, b / 300
    got, true = run("logistic_interval", a, b), over(logistic_interval, a, b)
    assert np.max(relative(got[0], [t[0] for t in true])) <= 2e-15
    for i in (1, 2):
        assert np.max(relative(got[i], [t[i] for t in true])) <= 3e-14
        assert np.max(relative(got[i], [t[i] for t in true], least=0.01)) <= 2e-15


def test_logistic_interval_at_its_ends(run: Run) -> None:
    log_p, da, db = run("logistic_interval", [-INF, -800, 800, 1.0], [INF, 800, 801, np.nan])
    np.testing.assert_allclose(log_p, [0, 0, -800 + np.log1p(-np.exp(-1)), np.nan], rtol=1e-15)
    np.testing.assert_allclose(da, [0, 0, -1 - 1 / np.expm1(1), np.nan], rtol=1e-15, atol=1e-300)
    np.testing.assert_allclose(db, [0, 0, 1 / np.expm1(1), np.nan], rtol=1e-15, atol=1e-300)


# ---- bits, and arrays in Python --------------------------------------------------------------------------------------


def columns(name: str) -> list[Array]:
    """Ordinary arguments and odd ones, mixed."""
    g, n = rng(), 20_000
    odd = np.array([0.0, -0.0, INF, -INF, np.nan, 1.0, 5e-324, 1e300, 0.5, 2.0**53])
    useful = {
        "log_poisson": [g.poisson(9.0, n), g.uniform(0, 30, n)],
        "log_binomial": [g.integers(0, 20, n), np.full(n, 20.0), *probabilities(g, n)],
        "log_negative_binomial": [g.poisson(9.0, n), g.gamma(1.0, size=n), *probabilities(g, n)],
        "deviance": [g.gamma(3.0, size=n), g.gamma(3.0, size=n)],
    }.get(name, [g.normal(size=n) * 10, g.normal(size=n) * 10])[: COLUMNS[name]]
    if name == "normal_interval":
        useful[1] = useful[0] + g.exponential(size=n)
    mixed = [np.concatenate([u, g.choice(odd, 2000), np.abs(g.normal(size=2000))]) for u in useful]
    order = g.permutation(mixed[0].size)
    return [m[order] for m in mixed]


@pytest.mark.parametrize("isa", OTHERS)
@pytest.mark.parametrize("name", COLUMNS)
def test_the_same_bits_everywhere_and_lanes_do_not_mix(run: Run, name: str, isa: str) -> None:
    x = columns(name)
    order = np.arange(x[0].size)[::-1]
    a, b = run(name, *x)[..., order], run(name, *[c[order] for c in x], isa=isa)
    nan = np.isnan(a)
    np.testing.assert_array_equal(nan, np.isnan(b))
    np.testing.assert_array_equal(a[~nan].view(np.uint64), b[~nan].view(np.uint64))


@pytest.mark.parametrize("name", [*COLUMNS, "exp", "log", "log1p", "sigmoid", "softplus"])
def test_arrays_in_python_are_these_functions(run: Run, name: str) -> None:
    x = columns(name if name in COLUMNS else "expm1")
    expected, got = run(name, *x), np.stack([*getattr(_functions, name)(*x)])
    np.testing.assert_array_equal(got, expected)


def test_arrays_broadcast_and_may_have_any_layout() -> None:
    x = rng().normal(size=(3, 4, 5))
    np.testing.assert_array_equal(_functions.exp(x.T), _functions.exp(x).T)
    np.testing.assert_array_equal(_functions.exp(x[:, ::-2]), _functions.exp(x)[:, ::-2])
    y, n, p = np.arange(3)[:, None], np.arange(3, 7), 0.25
    logs = _functions.log_binomial(y, n, p, 1 - p)
    assert logs.shape == (3, 4)
    assert logs[2, 1] == _functions.log_binomial(2, 4, p, 1 - p)
    assert _functions.log(1.0).shape == ()
    assert _functions.ndtr(np.empty((0, 3))).shape == (0, 3)
    assert [r.shape for r in _functions.normal_interval(x[0], INF)] == [(4, 5)] * 3
    read_only = x.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(_functions.sigmoid(read_only), _functions.sigmoid(x))
    with pytest.raises(ValueError, match="broadcast"):
        _functions.deviance(np.ones(3), np.ones(4))
