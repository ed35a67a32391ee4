"""Bits that are never stored as bytes: the same samples, costs and sums as of those that are."""

import numpy as np
import pytest

import stochcore as sc

SITES = [1, 2, 3, 7, 8, 9, 16, 31, 63, 64, 65, 100, 128, 255, 256, 257, 300, 1000, 4096, 4097, 5000]
SAMPLES = [2, 9, 33, 100, 1031, 3000]


def model_of(sites):
    return sc.Bernoulli(logits=np.random.default_rng(sites).normal(size=sites))


def whole_weights(sites):
    """Weights whose sums are exact, so that rounding tells nothing."""
    return np.random.default_rng(sites + 1).integers(-8, 9, size=sites).astype(float)


def numbers(e):
    return e.cost, e.cost_se, e.grad, e.grad_se, e.best_cost, e.best_y


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("sites", SITES)
def test_built_in_cost_is_the_callable(sites):
    model, w = model_of(sites), whole_weights(sites)
    for n in SAMPLES:
        if n * sites > 2e6 or n == sites:  # a baseline of that shape is refused
            continue
        for skip in range(4):  # only whole blocks of noise are drawn as bits
            stream = sc.Stream(sites).at(skip)
            for options in ({}, {"estimator": "score_function", "baseline": np.linspace(-1, 1, sites)}):
                if sites == 1 and options:
                    options = {"estimator": "score_function", "baseline": 0.25}
                packed, bytes_ = (
                    sc.estimate(model, cost, n, seed=stream, **options)
                    for cost in (sc.costs.Linear(w), lambda y: y @ w)
                )
                for a, b in zip(numbers(packed), numbers(bytes_), strict=True):
                    if sites > 8:
                        assert np.array_equal(a, b), (n, skip)
                    else:
                        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, err_msg=f"{n} {skip}")


@pytest.mark.parametrize("sites", SITES)
def test_sums_are_those_of_the_definition(sites):
    model, n = model_of(sites), 30  # one block
    w = np.random.default_rng(0).normal(size=sites)
    e = sc.estimate(model, sc.costs.Linear(w), n, estimator="score_function")
    y = model.sample(n, sc.Stream(0)).astype(float)
    j = y @ w
    terms = j[:, None] * (y - model.probs)
    np.testing.assert_allclose(e.cost, j.mean(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(e.cost_se, j.std(ddof=1) / np.sqrt(n), rtol=1e-12)
    np.testing.assert_allclose(e.grad, terms.mean(axis=0), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(e.grad_se, terms.std(axis=0, ddof=1) / np.sqrt(n), rtol=1e-9, atol=1e-13)
    assert e.best_cost == pytest.approx(j.min(), rel=1e-12)
    assert np.array_equal(e.best_y, y[j.argmin()])


@pytest.mark.parametrize("sites", [3, 8, 9, 70, 300])
def test_a_tie_of_31_bits_is_decided_by_the_rest(sites):
    """Thresholds one above and at the k of an element of the noise: y = 1 and y = 0 there."""
    n, at = 40, 17 * sites + sites // 2
    k = int(sc.Stream(4).at(at).uniform(1)[0] * 2.0**53)
    for more, wanted in ((0, 0), (1, 1)):
        p = np.full(sites, 0.5)
        p[sites // 2] = (k + more) * 2.0**-53
        model, w = sc.Bernoulli(probs=p), whole_weights(sites)
        y = model.sample(n, sc.Stream(4))
        assert y[17, sites // 2] == wanted
        assert np.array_equal(y, model.step(sc.Stream(4).uniform((n, sites))))
        packed, bytes_ = (sc.estimate(model, c, n, seed=4) for c in (sc.costs.Linear(w), lambda y, w=w: y @ w))
        np.testing.assert_allclose(packed.grad, bytes_.grad, rtol=1e-12, atol=1e-13)
        assert packed.cost == pytest.approx((y @ w).mean(), rel=1e-13)


@pytest.mark.parametrize("sites", [3, 64, 70, 300, 4100])
@pytest.mark.parametrize("skip", [0, 1, 4, 63])
def test_thresholds_near_the_noise(sites, skip):
    """Each site's threshold shares some of its first bits with an element of the noise, from none to all of them."""
    stream, rng = sc.Stream(6).at(skip), np.random.default_rng(sites)
    k = (stream.uniform((40, sites)) * 2.0**53).astype(np.int64)
    away = rng.integers(-1, 2, size=sites) << rng.integers(0, 53, size=sites)
    p = np.clip(k[rng.integers(40, size=sites), np.arange(sites)] + away, 0, 1 << 53) * 2.0**-53
    model, w = sc.Bernoulli(probs=p), whole_weights(sites)
    y = model.sample(40, stream)
    assert np.array_equal(y, k < p * 2.0**53)
    packed, bytes_ = (sc.estimate(model, c, 40, seed=stream) for c in (sc.costs.Linear(w), lambda y: y @ w))
    np.testing.assert_allclose(packed.grad, bytes_.grad, rtol=1e-12, atol=1e-9)
    assert packed.cost == pytest.approx((y @ w).mean(), rel=1e-13)


@pytest.mark.parametrize("sites", [2, 8, 9, 300])
def test_certain_outcomes(sites):
    p = np.where(np.arange(sites) % 2, 1.0, 0.0)
    with pytest.warns(RuntimeWarning, match="all 100 sampled costs are equal"):
        e = sc.estimate(sc.Bernoulli(probs=p), sc.costs.Linear(np.ones(sites)), 100)
    assert e.cost == p.sum()
    assert not e.cost_se
    assert np.array_equal(e.best_y, p)


@pytest.mark.parametrize("sites", [2, 5, 12])
def test_a_cost_that_overflows_is_named(sites):
    model = sc.Bernoulli(probs=np.full(sites, 0.5))
    y = model.sample(100, sc.Stream(0))
    first = np.argmax(y[:, 0] & y[:, 1])
    w = np.zeros(sites)
    w[:2] = 1.5e308
    with pytest.raises(ValueError, match=f"got NaN or infinity for sample {first}$"):
        sc.estimate(model, sc.costs.Linear(w), 100)


def test_parts_of_an_estimate_merge_to_the_bits_of_the_whole():
    for sites in (5, 40, 700):
        model, cost = model_of(sites), sc.costs.Linear(np.linspace(1, 2, sites))
        rows = 64 * sc.estimate(model, cost, 100)._tree.layout.block_rows
        whole = sc.estimate(model, cost, 3 * rows + 50)
        parts = [sc.estimate(model, cost, n, first_sample=i * rows) for i, n in enumerate((rows, rows, rows + 50))]
        merged = parts[0].merge(parts[1]).merge(parts[2])
        for a, b in zip(numbers(whole), numbers(merged), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("sites", [9, 48, 49, 64, 65, 300, 5000])
def test_whole_weights_have_exact_costs(sites):
    """Numbers that fit in 50 bits are summed without rounding, however large they are."""
    w = np.random.default_rng(sites).integers(-(2**49) // sites, 2**49 // sites, size=sites).astype(float)
    e = sc.estimate(model_of(sites), sc.costs.Linear(w), 100, seed=4)
    assert e.best_cost == sum(int(x) for x, on in zip(w, e.best_y, strict=True) if on)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-30, 1.0, 1e30, 1e300])
@pytest.mark.parametrize("sites", [9, 49, 65, 300])
def test_any_scale(sites, scale):
    """A unit is a power of two, so that costs of any size have the digits of those of size one, or nearly."""
    model, w = model_of(sites), np.random.default_rng(sites).normal(size=sites)
    one = sc.estimate(model, sc.costs.Linear(w), 1000, seed=4)
    other = sc.estimate(model, sc.costs.Linear(w * scale), 1000, seed=4)
    rounding = 1e-13 * sites * scale + sites * 5e-324
    np.testing.assert_allclose(other.grad, one.grad * scale, rtol=0, atol=rounding)
    np.testing.assert_allclose(other.cost, one.cost * scale, rtol=0, atol=rounding)


@pytest.mark.parametrize("sites", [49, 300])
def test_small_weights_beside_a_large_one(sites):
    """A weight is rounded to 2^-50 of the largest, as a sum of float64 would round it."""
    w = np.full(sites, 1e-10)
    w[3] = 1e3
    e = sc.estimate(model_of(sites), sc.costs.Linear(w), 2000, seed=4)
    want = sc.estimate(model_of(sites), lambda y: y @ w, 2000, seed=4)
    assert abs(e.cost - want.cost) < sites * 1e3 * 2.0**-50
    np.testing.assert_allclose(e.grad, want.grad, rtol=0, atol=1e3 * 2.0**-44)


@pytest.mark.parametrize("sites", [20, 100])
def test_units_of_more_samples_than_a_run(sites):
    """Groups of 3,000 samples: their weights have tables in several runs."""
    model, w = model_of(sites), np.random.default_rng(sites).normal(size=sites)
    own = sc.estimators.LeaveOneOut(k=3000)
    e = sc.estimate(model, sc.costs.Linear(w), 6000, seed=4, estimator=own)
    want = sc.estimate(model, lambda y: y @ w, 6000, seed=4, estimator=own)
    np.testing.assert_allclose(e.grad, want.grad, rtol=0, atol=1e-12 * sites)
