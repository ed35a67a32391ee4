"""Value baselines: what they learn, that they are unbiased, and that they help."""

import math

import numpy as np
import pytest

import stochcore as sc
from stochcore.estimators import ValueBaseline, prepared, sample_estimate

FEATURES = 3


def walk(draw, theta, x):
    """Three decisions at most, with costs between, a discount, and a state of three features."""
    place = 0.0
    for step in range(3):
        draw.state((1.0, place, float(step)))
        y = draw.bernoulli(0, (1.0, place))
        draw.cost(0.5 + y * (1.0 + step))
        place += 2.0 * y - 1.0
        draw.discount(0.9)
        if place < -1.0:
            return


simple = sc.simulator(walk)
THETA = [0.3, -0.4]
WEIGHTS = [0.7, -0.3, 0.2]


def by_features(**options):
    return ValueBaseline(FEATURES, **options)


def sums_in_python(n):
    """What samples 0 .. n say, told by a program that keeps its own diary."""
    diary = []

    @sc.simulator
    def told(draw, theta, x):
        steps, paid, weight, place = [], 0.0, 1.0, 0.0
        for step in range(3):
            steps.append((step, (1.0, place, float(step)), paid, weight))
            y = draw.bernoulli(0, (1.0, place))
            c = 0.5 + y * (1.0 + step)
            draw.cost(c)
            paid += weight * c
            place += 2.0 * y - 1.0
            draw.discount(0.9)
            weight *= 0.9
            if place < -1.0:
                break
        diary.append((steps, paid))

    told(THETA).sample(n, sc.Stream(0))
    return diary


def learned(estimator, n, theta=THETA):
    model = simple(theta)
    run = prepared(model, None, n, estimator, sc.Stream(0), errors=False)
    sums = run.weights.value.learns()
    run.tree(model, sc.Stream(0), None)
    return run.weights.value, sums


def test_features_are_fitted_by_least_squares():
    n = 100
    value, sums = learned(by_features(), n)
    rows, goals = [], []
    for steps, total in sums_in_python(n):
        for _, f, paid, weight in steps:
            rows.append(weight * np.array(f))
            goals.append(total - paid)
    best = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    np.testing.assert_allclose(value.fit(sums), best, rtol=1e-4)


def test_stages_are_fitted_by_their_means():
    n = 100
    value, sums = learned(ValueBaseline(n_stages=6), n)
    later = {}
    for steps, total in sums_in_python(n):
        for stage, _, paid, _ in steps:
            later.setdefault(stage, []).append(total - paid)
        later.setdefault(len(steps), []).append(0.0)
    fitted = value.fit(sums)
    for stage, goals in later.items():
        assert fitted[stage] == pytest.approx(np.mean(goals), abs=1e-12)
    assert (fitted[4:] == fitted[3]).all()  # nobody came so far


def test_nothing_known_is_a_value_of_nothing():
    for estimator in (by_features(), ValueBaseline()):
        value = estimator.weighing(simple(THETA), None, 1).value
        assert (value.fit(np.zeros_like(value.learns())) == 0.0).all()
    value = by_features().weighing(simple(THETA), None, 1).value
    sums = value.learns()
    sums[0], sums[9] = 4.0, 8.0  # two of three features have told nothing
    np.testing.assert_allclose(value.fit(sums), [2.0, 0.0, 0.0], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 40])
@pytest.mark.parametrize(
    "estimator",
    [
        by_features(weights=WEIGHTS),
        by_features(weights=[50.0, -20.0, 9.0]),
        ValueBaseline(weights=[3.0, -1.0, 2.0, 40.0], n_stages=4),
        ValueBaseline(weights=[3.0, -1.0], n_stages=2),
        by_features(n_pilot=8),
        ValueBaseline(n_pilot=8, n_stages=3),
    ],
    ids=["features", "wild", "stages", "few-stages", "pilot", "stage-pilot"],
)
def test_any_value_is_unbiased(estimator, n):
    truth = np.asarray(sc.exact(simple(THETA)).grad)
    found = np.array([sample_estimate(simple(THETA), None, n, estimator, sc.Stream(seed)).grad for seed in range(800)])
    z = (found.mean(axis=0) - truth) / (found.std(axis=0, ddof=1) / math.sqrt(len(found)))
    assert (abs(z) < 4).all(), z


def test_a_value_that_has_seen_its_own_samples_would_be_biased():
    """The check above can fail: the value fitted to the one sample that it is the baseline of leaves nothing."""
    truth = np.asarray(sc.exact(simple(THETA)).grad)
    found = []
    for seed in range(400):
        pilot = ValueBaseline(n_stages=4, n_pilot=2).fitted(simple(THETA), None, sc.Stream(seed), prepared)
        found.append(sample_estimate(simple(THETA), None, 2, pilot, sc.Stream(seed)).grad)
    found = np.array(found)
    z = (found.mean(axis=0) - truth) / (found.std(axis=0, ddof=1) / math.sqrt(len(found)))
    assert abs(z).max() > 6


def test_all_ways_have_the_same_bits():
    pytest.importorskip("numba")
    compiled = sc.simulator(walk, compile="numba")
    for estimator in (by_features(), ValueBaseline(n_stages=5), by_features(weights=WEIGHTS)):
        slow = sc.estimate(simple(THETA), n_samples=300, estimator=estimator)
        for threads in (1, 2):
            fast = sc.estimate(compiled(THETA), n_samples=300, estimator=estimator, n_threads=threads)
            assert fast.grad.tobytes() == slow.grad.tobytes()
            assert fast.grad_se.tobytes() == slow.grad_se.tobytes()


def test_error_bars_are_those_of_repetitions():
    estimator = by_features(weights=WEIGHTS)
    found = [sc.estimate(simple(THETA), n_samples=400, estimator=estimator, seed=seed) for seed in range(200)]
    spread = np.std([e.grad for e in found], axis=0, ddof=1)
    told = np.mean([e.grad_se for e in found], axis=0)
    np.testing.assert_allclose(told, spread, rtol=0.2)


def test_variance_is_the_closed_form():
    """Twenty fair coins e_t = y_t - 1/2, each costs what it shows: with the true values coin t has the weight
    sum_{k >= t} e_k, so that g = sum_{t <= k} e_t e_k = (S^2 + 5)/2, S = sum_t e_t."""

    @sc.simulator
    def coins(draw, theta, x):
        for _ in range(20):
            draw.cost(float(draw.bernoulli(0)))

    p = np.array([math.comb(20, k) for k in range(21)]) / 2.0**20
    s = np.arange(21) - 10.0
    g = (s**2 + 5.0) / 2.0
    variance = (p * g**2).sum() - (p * g).sum() ** 2
    exact_values = 0.5 * np.arange(20, 0, -1)
    e = sc.estimate(coins([0.0]), n_samples=20_000, estimator=ValueBaseline(weights=exact_values, n_stages=20), seed=1)
    assert (p * g).sum() == pytest.approx(5.0)
    assert abs(e.grad[0] - 5.0) < 4 * e.grad_se[0]
    assert e.grad_se[0] == pytest.approx(math.sqrt(variance / 20_000), rel=0.05)


def fit(estimator, steps):
    return sc.minimize(simple(THETA), n_steps=steps, n_samples=16, optimizer=sc.SGD(0.05), estimator=estimator, seed=3)


@pytest.mark.parametrize("make", [by_features, lambda: ValueBaseline(n_stages=5)], ids=["features", "stages"])
def test_minimize_learns_from_completed_steps(make, tmp_path):
    whole = fit(make(), 12)
    first = fit(make(), 5)
    first.save(tmp_path / "fit")
    again = sc.Fit.load(tmp_path / "fit", simple(THETA)).resume(7)
    assert again.model.parameters.tobytes() == whole.model.parameters.tobytes()
    # by hand: step t has the value that the steps before it say
    theta, sums, estimator = np.array(THETA), 0.0, make()
    for step in range(12):
        stream = sc.Stream(3).at(16 * step)
        value = estimator.weighing(simple(theta), None, 16).value
        weights = value.fit(np.zeros_like(value.learns()) + sums)
        known = type(estimator)(estimator.features, weights=weights, n_stages=estimator.n_stages)
        e = sc.estimate(simple(theta), n_samples=16, estimator=known, seed=stream)
        _, latest = learned_at(estimator, theta, stream)
        sums = 0.9 * sums + 0.1 * latest
        theta = theta - 0.05 * e.grad
    np.testing.assert_allclose(whole.model.parameters, theta, rtol=1e-10)


def learned_at(estimator, theta, stream):
    model = simple(theta)
    run = prepared(model, None, 16, estimator, stream, errors=False)
    sums = run.weights.value.learns()
    run.tree(model, stream, None)
    return run.weights.value, sums


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"features": 0}, ValueError, "`features` must be"),
        ({"features": 65}, ValueError, "`features` must be"),
        ({"decay": 1.0}, ValueError, r"`decay` must lie in \[0, 1\), got 1.0"),
        ({"n_stages": 0}, ValueError, "`n_stages` must be"),
        ({"n_pilot": 1}, ValueError, "`n_pilot` must be"),
        ({"features": 2, "weights": [1.0]}, ValueError, r"`weights` must have shape \(2,\), got \(1,\)"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        ValueBaseline(**options)


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"ValueBaseline\(features=...\) has, got 3"):
        sc.estimate(simple(THETA), n_samples=4, estimator=ValueBaseline(2))


def test_it_is_for_simulators():
    with pytest.raises(ValueError, match="is for simulators"):
        sc.estimate(sc.Bernoulli(logits=[0.0]), lambda y: y[:, 0], estimator="value_baseline")
