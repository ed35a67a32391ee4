"""Every family's numbers: log-probabilities, scores, moments and quantiles against SciPy, mpmath and enumeration."""

import numpy as np
import pytest
import scipy
import scipy.special
import scipy.stats
from families import (
    TOP,
    WIDE,
    argument,
    begins,
    every,
    log_prob_of,
    made,
    outcomes,
    rows,
    same,
    small,
)

import stochcore as sc

mpmath = pytest.importorskip("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf


@pytest.fixture(autouse=True)
def _precision():
    with mp.workdps(50):
        yield


def leaves(tree):
    return [x for part in tree.values() for x in leaves(part)] if isinstance(tree, dict) else [np.asarray(tree)]


# log p


LARGE = {"poisson 1e6": 1e-9, "binomial of 1e9": 1e-5, "binomial of 2^40": 1e-2}  # SciPy's own errors; mpmath below
LARGE |= {"poisson 0.01 .. 300": 1e-13, "rounded wide": 1e-13}


@every
def test_log_probs(name):
    q = made(name)
    y = q.sample(3 if name in WIDE else 40, sc.Stream(1))
    expected = log_prob_of(q, y)
    got = q.log_prob(y)
    assert got.shape == expected.shape
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=LARGE.get(name, 3e-14), atol=1e-14)
    assert same(q.log_prob(y, n_threads=1), got)
    assert same(np.asarray(q.log_prob(rows(y, 1))), got[1])
    if not isinstance(q, sc.Joint):
        out = np.empty(got.shape)
        assert q.log_prob(y, out=out) is out
        assert same(out, got)


@small
def test_probabilities_sum_to_one(name):
    q = made(name)
    y = outcomes(q)
    p = q._probs_of(y)
    np.testing.assert_allclose(p.sum(axis=0), 1.0, rtol=0, atol=1e-14)
    if name == "binomial batch":  # problems of fewer trials refuse the outcomes that others have
        with pytest.raises(ValueError, match=begins("`y` must be in 0 .. 0, got 1 at index ")):
            q.outcome_probs(y)
        return
    assert same(q.outcome_probs(y), p)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.log(p), q.log_prob(y), rtol=1e-12, atol=1e-13)


def mp_log_poisson(y, rate):
    return y * mp.log(rate) - rate - mp.loggamma(mpf(y) + 1)


def mp_log_binomial(y, n, p):
    n, y = mpf(n), mpf(y)
    return mp.loggamma(n + 1) - mp.loggamma(y + 1) - mp.loggamma(n - y + 1) + y * mp.log(p) + (n - y) * mp.log(1 - p)


def mp_log_negative_binomial(y, r, p):
    r, y = mpf(r), mpf(y)
    return mp.loggamma(y + r) - mp.loggamma(y + 1) - mp.loggamma(r) + r * mp.log(p) + y * mp.log(1 - p)


def test_log_probs_of_large_counts():
    for rate in (1e-3, 0.7, 50.0, 1e4, 1e6):
        centre = int(rate)
        for y in {0, 1, centre, max(0, centre - int(7 * rate**0.5)), centre + 3 + int(8 * rate**0.5), 3 * centre + 40}:
            assert sc.Poisson(rate=rate).log_prob(y) == pytest.approx(float(mp_log_poisson(y, mpf(rate))), rel=2e-14)
    for p in (0.5, 0.001, 1e-9, 1 - 1e-6):
        n, sd = 10**9, (1e9 * p * (1 - p)) ** 0.5
        for y in {0, int(n * p), int(n * p - min(n * p, 6 * sd)), int(min(n, n * p + 9 * sd + 1)), n}:
            got = float(sc.Binomial(n, probs=p).log_prob(y))
            assert got == pytest.approx(float(mp_log_binomial(y, n, mpf(p))), rel=3e-14), (p, y)
    for r, p in ((0.01, 0.3), (2.5, 1e-4), (1e6, 0.9), (40.0, 1e-3)):
        mean = r * (1 - p) / p
        for y in {0, 1, int(mean), int(3 * mean) + 2}:
            got = float(sc.NegativeBinomial(r, probs=p).log_prob(y))
            assert got == pytest.approx(float(mp_log_negative_binomial(y, r, mpf(p))), rel=3e-14), (r, p, y)
    for p in (0.5, 1e-6, 1e-12, 1 - 1e-9):
        for y in (1, 2, 1000):
            expected = (y - 1) * mp.log(1 - mpf(p)) + mp.log(mpf(p))
            assert sc.Geometric(probs=p).log_prob(y) == pytest.approx(float(expected), rel=3e-14), (p, y)


@pytest.mark.parametrize("logit", [800.0, -800.0, 40.0, -40.0, 710.0, -745.0])
def test_log_probs_of_extreme_logits(logit):
    x = mpf(logit)
    success, failure = -mp.log1p(mp.exp(-x)), -mp.log1p(mp.exp(x))
    for y in (0, 1, 3):
        expected = mp.log(mp.binomial(3, y)) + y * success + (3 - y) * failure
        assert sc.Binomial(3, logits=logit).log_prob(y) == pytest.approx(float(expected), rel=1e-13)
    if logit > 0:
        for y in (0, 1, 5):
            expected = mp.log(mp.binomial(y + 2, y)) + 3 * success + y * failure
            assert sc.NegativeBinomial(3.0, logits=logit).log_prob(y) == pytest.approx(float(expected), rel=1e-13)
            assert sc.Geometric(logits=logit).log_prob(1 + y) == pytest.approx(float(success + y * failure), rel=1e-13)
    else:
        for y in (0, 1, 3):
            expected = mp_log_poisson(y, mp.exp(x))
            assert sc.Poisson(log_rate=logit).log_prob(y) == pytest.approx(float(expected), rel=1e-13)
            assert sc.Poisson(log_rate=logit).score(y) == pytest.approx(y - float(mp.exp(x)))


def test_log_probs_of_extreme_orders_and_chains():
    logits = [800.0, -800.0, 0.0]
    q = sc.PlackettLuce(logits)
    assert q.log_prob([[0, 2, 1], [1, 2, 0]]).tolist() == [0.0, -2400.0]
    assert np.isfinite(q.score(q.enumerate())).all()
    q = sc.TopK(logits, 2, ordered=False)
    np.testing.assert_allclose(q.log_prob([[0, 1], [0, 2], [1, 2]]), [-800.0, 0.0, np.log(2) - 2400.0], rtol=1e-14)
    assert np.isfinite(q.score(q.enumerate())).all()
    q = sc.MarkovChain([800.0, -800.0], [[800.0, -800.0], [-800.0, 800.0]], n_steps=3)
    assert q.log_prob([[0, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1]]).tolist() == [0.0, -1600.0, -3200.0, -4800.0]
    score = q.score(q.enumerate())
    assert all(np.isfinite(x).all() for x in leaves(score))


@pytest.mark.parametrize("noise", ["logistic", "normal"])
def test_log_probs_of_classes_far_out(noise):
    cdf = mp.ncdf if noise == "normal" else lambda x: 1 / (1 + mp.exp(-x))
    far = 30.0 if noise == "normal" else 700.0
    q = sc.Ordinal([0.0, far, -far], [-1.0, 0.5], noise=noise)
    for i, location in enumerate((0.0, far, -far)):
        a, b = mpf(-1.0) - mpf(location), mpf(0.5) - mpf(location)
        masses = [cdf(a), cdf(b) - cdf(a), cdf(-b)]
        if location == -far:  # from the side where it is small
            masses[1] = cdf(-a) - cdf(-b)
        for c, mass in enumerate(masses):
            y = np.ones(3, int)
            y[i] = c
            others = sum(float(q._log_probs[j, 1]) for j in range(3) if j != i)
            assert q.log_prob(y) - others == pytest.approx(float(mp.log(mass)), rel=1e-12, abs=1e-12)
    assert all(np.isfinite(x).all() for x in leaves(q.score(q.enumerate())))


def test_log_probs_of_roundings_far_out():
    for mean, scale, step, y in (
        (0.0, 1.0, 1.0, 30),
        (0.3, 0.1, 0.5, -20),
        (1e6, 3.0, 2.0, 500_040),
        (0.0, 1e-3, 1.0, 0),
    ):
        a, b = (((y + side) * mpf(step) - mpf(mean)) / mpf(scale) for side in (mpf(-0.5), mpf(0.5)))
        low, high = (a, b) if a < 0 else (-b, -a)
        with mp.workdps(400):
            expected = mp.log(mp.ncdf(high) - mp.ncdf(low))
        assert sc.RoundedNormal(mean, scale, step=step).log_prob(y) == pytest.approx(
            float(expected), rel=1e-12, abs=1e-300
        )


def test_probabilities_of_zero_and_one():
    for q, certain in (
        (sc.Binomial([0, 3, 3], probs=[0.5, 0.0, 1.0]), [0, 0, 3]),
        (sc.NegativeBinomial([2.0, 0.5], probs=1.0), [0, 0]),
        (sc.Geometric(probs=[1.0, 1.0]), [1, 1]),
        (sc.Binomial(4, logits=[800.0, -800.0]), [4, 0]),
        (sc.Geometric(logits=[800.0]), [1]),
        (sc.Poisson(log_rate=[-800.0]), [0]),
    ):
        assert np.all(q.sample(500, sc.Stream(0)) == certain)
        assert np.all(q.step(np.full(q.site_shape, TOP - 1, np.uint64)) == certain)
        assert q.log_prob(certain) == 0.0
        assert q.outcome_probs(certain) == 1.0
        np.testing.assert_allclose(q.mean, certain, atol=1e-300)
        np.testing.assert_allclose(q.variance, 0.0, atol=1e-300)
    q = sc.Binomial(3, probs=[0.0, 1.0, 0.5])
    assert q.log_prob([1, 3, 1]) == -np.inf
    assert q.log_prob([0, 2, 1]) == -np.inf
    assert q.score([0, 3, 2]).tolist() == [-3.0, 3.0, 2.0]


# Scores


@every
def test_scores_are_derivatives_of_log_probs(name):
    if name in ("poisson 1e6", "binomial of 1e9", "binomial of 2^40"):
        pytest.skip("log p is too large for differences: closed forms below")
    q = made(name)
    st = q._structure
    y = q.sample(6, sc.Stream(9))
    theta = st.flatten(q.parameters)
    score = np.concatenate([x.reshape(6, -1) for x in leaves(q.score(y))], axis=1)
    assert score.shape == (6, st.size)
    simplex = type(q) is sc.Categorical and q.given == "probs"
    which = np.random.default_rng(1).choice(theta.size, min(theta.size, 6), replace=False)
    for i in which:
        h = 1e-5 * max(1.0, abs(theta[i])) if name not in ("normal", "binomial of 2^40") else 1e-4 * abs(theta[i])
        if type(q) in (sc.Geometric, sc.Binomial) and q.given == "probs":
            h = 1e-4 * min(theta[i], 1 - theta[i])
        step = np.zeros(theta.size)
        step[i] = h
        if simplex:
            c = q.n_classes
            step[i // c * c : (i // c + 1) * c] -= h / c
        if h == 0:  # p = 1: one side only
            continue
        ways = [q.with_parameters(st.build(theta + sign * step)).log_prob(y) for sign in (1, -1)]
        numeric = (ways[0] - ways[1]).reshape(6, -1).sum(axis=1) / (2 * h)
        size = np.abs(score[:, i]) + np.abs(ways[0]).reshape(6, -1).sum(axis=1) * 1e-14 / h + 1.0
        np.testing.assert_array_less(np.abs(numeric - score @ step / h), 3e-6 * size)


@small
def test_scores_have_mean_zero(name):
    q = made(name)
    y = outcomes(q)
    p = q._probs_of(y)
    mean = q._structure.leaves(q._weigh(y, p))
    twice = q._structure.leaves(q._weigh(y, p * np.arange(len(p)).reshape(-1, *(1,) * (p.ndim - 1))))
    assert np.abs(mean).max() < 1e-11
    assert np.abs(twice).max() > 1e-3


def test_scores_against_closed_forms():
    y = 7
    assert sc.Poisson(rate=2.5).score(y) == pytest.approx(y / 2.5 - 1, rel=1e-15)
    assert sc.Poisson(log_rate=1.0).score(y) == pytest.approx(y - np.e, rel=1e-14)
    assert sc.Binomial(9, probs=0.3).score(y) == pytest.approx((y - 2.7) / 0.21, rel=1e-14)
    assert sc.Binomial(9, logits=0.3).score(y) == pytest.approx(y - 9 * scipy.special.expit(0.3), rel=1e-14)
    assert sc.NegativeBinomial(2.5, probs=0.3).score(y) == pytest.approx(2.5 / 0.3 - y / 0.7, rel=1e-13)
    assert sc.Geometric(probs=0.3).score(y) == pytest.approx(1 / 0.3 - 6 / 0.7, rel=1e-13)
    assert sc.Geometric(logits=0.3).score(y) == pytest.approx(1 - y * scipy.special.expit(0.3), rel=1e-13)
    assert sc.Poisson(rate=1e6).score(1_000_777) == pytest.approx(777e-6, rel=1e-9)
    assert sc.Binomial(10**9, probs=0.5).score(500_000_123) == pytest.approx(4 * 123, rel=1e-9)
    assert sc.Binomial(10**9, probs=1e-9).score(3) == pytest.approx(2 / (1e-9 * (1 - 1e-9)), rel=1e-9)
    score = sc.Normal(0.5, 2.0).score(1.5)
    assert (score["mean"], score["scale"]) == (pytest.approx(0.25), pytest.approx((0.25 - 1) / 2))


# Moments


@small
def test_moments_by_enumeration(name):
    q = made(name)
    y = outcomes(q)
    p = q._probs_of(y)
    for mean, variance, values in moments(q.mean, q.variance, y):
        weight = p.reshape(*p.shape, *(1,) * (values.ndim - p.ndim))
        first = (weight * values).sum(axis=0)
        np.testing.assert_allclose(mean, first, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(variance, (weight * (values - first) ** 2).sum(axis=0), rtol=1e-11, atol=1e-13)


def moments(mean, variance, values):
    """Mean, variance and values of each array."""
    if not isinstance(values, dict):
        return [(mean, variance, values.astype(float))]
    assert list(mean) == list(variance) == list(values)
    return [x for name in values for x in moments(mean[name], variance[name], values[name])]


def test_moments_of_scipy():
    p, r = np.array([0.02, 0.5, 0.97]), np.array([0.4, 3.0, 60.0])
    for q, twin in (
        (sc.Poisson(rate=r), scipy.stats.poisson(r)),
        (sc.Binomial([4, 10**9, 3], probs=p), scipy.stats.binom([4, 10**9, 3], p)),
        (sc.NegativeBinomial(r, probs=p), scipy.stats.nbinom(r, p)),
        (sc.Geometric(probs=p), scipy.stats.geom(p)),
        (sc.Normal(p, scale=r), scipy.stats.norm(p, r)),
    ):
        np.testing.assert_allclose(q.mean, twin.mean(), rtol=1e-13)
        np.testing.assert_allclose(q.variance, twin.var(), rtol=1e-12)
    q = sc.RoundedNormal([1e6, -3.0], scale=[500.0, 20.0])  # Sheppard: the variance grows by 1/12
    np.testing.assert_allclose(q.mean, [1e6, -3.0], rtol=1e-12)
    np.testing.assert_allclose(q.variance, np.square([500.0, 20.0]) + 1 / 12, rtol=1e-10)


@every
def test_moments_of_samples(name):
    if name in ("plackett-luce 100", "top 10 of 1000", "joint of all", "set of 4 of 60"):
        pytest.skip("no moments: too many outcomes to enumerate")
    q = made(name)
    n = 400
    z = [
        (values.mean(axis=0) - mean) / np.sqrt(np.maximum(variance, 1e-3) / n)
        for mean, variance, values in moments(q.mean, q.variance, q.sample(n, sc.Stream(21)))
    ]
    z = np.concatenate([x.reshape(-1) for x in z])
    assert np.abs(z).max() < 4 + np.sqrt(2 * np.log(z.size))


# Quantiles of counts


COUNTS = {
    "Poisson 0.5": (lambda: sc.Poisson(rate=0.5), scipy.stats.poisson(0.5)),
    "Poisson 50": (lambda: sc.Poisson(rate=50.0), scipy.stats.poisson(50.0)),
    "Poisson 1e6": (lambda: sc.Poisson(rate=1e6), scipy.stats.poisson(1e6)),
    "Binomial 10": (lambda: sc.Binomial(10, probs=0.3), scipy.stats.binom(10, 0.3)),
    "Binomial 1e9, .5": (lambda: sc.Binomial(10**9, probs=0.5), scipy.stats.binom(10**9, 0.5)),
    "Binomial 1e9, .001": (lambda: sc.Binomial(10**9, probs=0.001), scipy.stats.binom(10**9, 0.001)),
    "Binomial 1e9, 1e-9": (lambda: sc.Binomial(10**9, probs=1e-9), scipy.stats.binom(10**9, 1e-9)),
    "NegativeBinomial .5": (lambda: sc.NegativeBinomial(0.5, probs=0.1), scipy.stats.nbinom(0.5, 0.1)),
    "NegativeBinomial 1000": (lambda: sc.NegativeBinomial(1e3, probs=0.01), scipy.stats.nbinom(1e3, 0.01)),
    "Geometric .3": (lambda: sc.Geometric(probs=0.3), scipy.stats.geom(0.3)),
    "Geometric 1e-4": (lambda: sc.Geometric(probs=1e-4), scipy.stats.geom(1e-4)),
}
counts = pytest.mark.parametrize("name", COUNTS)


# SciPy 1.15 is off by up to 1e-8 at 10^9 trials; 1.17 and mpmath agree.
GOOD_SCIPY = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 17)


@counts
def test_steps_beside_the_distribution_function(name):
    """u a little below F(y) steps to y at most, a little above it beyond."""
    build, twin = COUNTS[name]
    q = build()
    y = np.unique(twin.ppf([1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 1 - 1e-9]))
    f = twin.cdf(y)
    gap = (1e-11 if GOOD_SCIPY else 1e-6) * np.minimum(f, 1.0) + 2.0**-52
    below, above = f - gap, f + gap
    keep = above < 1
    assert np.all(q.step(below) <= y)
    assert np.all(q.step(above[keep]) > y[keep])
    from_below = np.maximum(twin.cdf(y - 1), 0) + gap
    assert np.all(q.step(from_below[from_below < 1]) >= y[from_below < 1])


@counts
def test_masses(name):
    build, twin = COUNTS[name]
    q = build()
    y = np.unique(twin.ppf([1e-12, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-12])).astype(np.int64)
    np.testing.assert_allclose(
        q.outcome_probs(y), twin.pmf(y), rtol=1e-6 if "1e9" in name else 1e-8 if "1e6" in name else 1e-10
    )


@counts
def test_extreme_quantiles(name):
    build, twin = COUNTS[name]
    q = build()
    k = np.array([0, 1, 2, 1000, TOP - 1000, TOP - 3, TOP - 2, TOP - 1], dtype=np.uint64)
    y = q.step(k).astype(float)
    assert np.all(np.diff(y) >= 0)
    u, rest = np.ldexp(k.astype(float), -53), np.ldexp((TOP - k).astype(float), -53)
    slack, never = 1.0 + 1e-8, 2.0**-59.9  # what lies below is not drawn
    assert np.all(twin.cdf(y[1:4] - 1) <= u[1:4] * slack + never)
    assert np.all(twin.cdf(y[1:4]) * slack > u[1:4])
    assert twin.cdf(y[0] - 1) <= never
    assert twin.cdf(y[0]) > 2.0**-70
    assert np.all(twin.sf(y[4:]) <= rest[4:] + 2.0**-52)
    assert np.all(twin.sf(y[4:] - 1) >= rest[4:] - 2.0**-52)


@counts
def test_chi_square(name):
    build, twin = COUNTS[name]
    q = build()
    n = 200_000
    y = q.sample(n, sc.Stream(31))
    borders = np.unique(twin.ppf(np.linspace(0, 1, 81)[1:-1]))
    seen = np.bincount(np.searchsorted(borders, y, side="left"), minlength=len(borders) + 1)
    mass = np.diff(np.concatenate([[0.0], twin.cdf(borders), [1.0]]))
    seen, mass = (seen[:-1], mass[:-1]) if mass[-1] * n < 5 else (seen, mass)
    assert scipy.stats.chisquare(seen, mass / mass.sum() * seen.sum()).pvalue > 1e-3


@pytest.mark.parametrize("name", ["ordinal", "rounded log", "plackett-luce", "top k", "top k set", "chain",
                                  "binomial linear", "chain per step", "rounded linear"])  # fmt: skip
def test_chi_square_against_enumeration(name):
    q, n = made(name), 100_000
    y = outcomes(q)
    p = q.outcome_probs(y).reshape(len(y), -1)[:, 0]
    samples = q.sample(n, sc.Stream(33))

    def codes(x):  # of the first problem
        flat = x.reshape(len(x), *q.batch_shape, -1).reshape(len(x), -1, int(np.prod(q.event_shape)))[:, 0]
        return flat.astype(np.int64) @ (1009 ** np.arange(flat.shape[1]) % (2**31))

    order = np.argsort(codes(y))
    seen = np.bincount(order[np.searchsorted(codes(y)[order], codes(samples))], minlength=len(y))
    often = p * n > 5
    seen = np.append(seen[often], seen[~often].sum())
    mass = np.append(p[often], p[~often].sum())
    seen, mass = (seen, mass) if mass[-1] * n > 5 else (seen[:-1], mass[:-1])
    assert scipy.stats.chisquare(seen, mass / mass.sum() * seen.sum()).pvalue > 1e-3


def test_table_of_a_chain():
    q = made("chain per step")
    np.testing.assert_allclose(q.initial_probs, scipy.special.softmax(argument(q, "initial"), axis=-1), rtol=1e-14)
    moves = scipy.special.softmax(argument(q, "transitions"), axis=-1)
    np.testing.assert_allclose(q.transition_probs, moves, rtol=1e-14)
    q = made("top k set")
    y = q.enumerate()
    each = [(q.outcome_probs(y) * (y == i).any(axis=1)).sum() for i in range(5)]
    np.testing.assert_allclose(q.inclusion_probs, each, rtol=1e-13)
    assert q.inclusion_probs.sum() == pytest.approx(2.0)
