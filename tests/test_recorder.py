"""A binary decision is y = 1 iff k < 2^53 p, whichever way the recorder has found it; its score waits for others."""

import math

import numpy as np
import pytest

import stochcore as sc


def uniforms(n, seed=0):
    """The first n draws of sample 0."""
    seen = []

    @sc.simulator
    def look(draw, theta, x):
        for _ in range(n):
            seen.append(draw.uniform())
        draw.cost(0.0)

    look([0.0]).sample(1, sc.Stream(seed))
    return np.array(seen)


def decisions(logits, seed=0):
    """What draws 0, 1, ... of sample 0 decide by these logits."""
    seen = []

    @sc.simulator
    def decide(draw, theta, x):
        for logit in x:
            seen.append(draw.bernoulli(0, (logit,)))
        draw.cost(0.0)

    decide([1.0], np.asarray(logits).tolist()).sample(1, sc.Stream(seed))
    return np.array(seen)


def by_definition(logits, u):
    """K < 2^53 p, p = 1/(1 + e^-logit) as the recorder rounds it."""
    draw = {}

    @sc.simulator
    def keep(draw_, theta, x):
        draw["exp"] = draw_.exp
        p = []
        for logit in x:
            t = draw_.exp(-abs(logit))
            larger = 1.0 / (1.0 + t)
            p.append(t * larger if logit < 0.0 else larger)
        draw["p"] = p
        draw_.cost(0.0)

    keep([0.0], np.asarray(logits).tolist()).sample(1, sc.Stream(0))
    return np.array([uu * 2.0**53 < p * 2.0**53 for uu, p in zip(u, draw["p"], strict=True)])


def logit_of(u):
    return math.log(u / (1 - u)) if u > 0.0 else -750.0


@pytest.mark.parametrize("apart", [0.0, 1e-16, 1e-9, 2.0**-19, 2.0**-17, 2.0**-16, 2.0**-15, 0.01, 1.0])
def test_close_calls_are_the_definition(apart):
    u = uniforms(4000)
    border = np.array([logit_of(each) for each in u])
    for sign in (-1.0, 1.0):
        logits = border + sign * apart
        np.testing.assert_array_equal(decisions(logits), by_definition(logits, u))
    if apart > 1e-9:
        assert (decisions(border + apart) == 1).all()
        assert (decisions(border - apart) == 0).all()


@pytest.mark.parametrize("logit", [0.0, 9.4999, 9.5, -9.5, 9.6, 20.0, -36.0, 37.0, 700.0, -750.0, 1e300])
def test_large_logits_are_the_definition(logit):
    u = uniforms(2000, seed=5)
    np.testing.assert_array_equal(decisions(np.full(2000, logit), seed=5), by_definition(np.full(2000, logit), u))


def test_the_ends_of_the_unit_interval_are_close_calls():
    """Where u is below 2^-14 its first 32 bits do not say its logit well enough: a million draws have some."""
    pytest.importorskip("numba")

    @sc.simulator(compile="numba")
    def look(draw, theta, x):
        draw.cost(draw.uniform())

    @sc.simulator(compile="numba")
    def decide(draw, theta, x):
        draw.cost(float(draw.bernoulli(0)))

    n = 1 << 20
    u = look([0.0]).sample(n, sc.Stream(1))
    for logit in (-10.0, -13.0, -15.5, 10.0, 13.0, 15.5):
        y = decide([logit]).sample(n, sc.Stream(1))
        p = 1 / (1 + math.exp(-logit))
        near = np.abs(u - p) < 1e-12
        np.testing.assert_array_equal(y[~near], (u < p)[~near].astype(float))


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("features", [0, 1, 4, 16, 17, 40])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_scores_that_wait_are_all_counted(features, count, turns):
    """S and R of one sample, beside a sum in Python; decisions by turns of two parameters as well."""
    width = max(features, 1)
    theta = np.linspace(-0.5, 0.7, 2 * width)
    rows = np.random.default_rng(features + 100 * count).normal(size=(count, width))
    expected, seen = np.zeros(2 * width), []

    @sc.simulator
    def program(draw, theta, x):
        for t in range(count):
            i = (t % turns) * width
            f = tuple(rows[t]) if features else (1.0,)
            y = draw.bernoulli(i, f if features else None)
            seen.append((i, f, y, t))
            draw.cost(float(t))

    e = sc.estimate(program(theta), n_samples=1, estimator="score_function")
    for i, f, y, t in seen:
        logit = sum(a * b for a, b in zip(f, theta[i:], strict=False))
        expected[i : i + width] += sum(range(t, count)) * (y - 1 / (1 + math.exp(-logit))) * np.array(f)
    np.testing.assert_allclose(e.grad, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("rate", [50.0, 60.0, 300.0])
def test_enumerated_counts_have_all_their_mass(rate):
    """Poisson from 56 on and binomial from 80 trials on were once listed by their first outcome alone."""

    @sc.simulator
    def count(draw, theta, x):
        draw.cost(float(draw.poisson(0)))

    e = sc.exact(count([math.log(rate)]))
    np.testing.assert_allclose([e.cost, e.grad[0]], rate, rtol=1e-10)


@pytest.mark.parametrize("trials", [50, 100, 256, 300])
def test_enumerated_successes_have_all_their_mass(trials):
    @sc.simulator
    def count(draw, theta, x):
        draw.cost(float(draw.binomial(0, trials)))

    e, p = sc.exact(count([0.1])), 1 / (1 + math.exp(-0.1))
    np.testing.assert_allclose([e.cost, e.grad[0]], [trials * p, trials * p * (1 - p)], rtol=1e-10)


def test_what_cannot_be_enumerated_whole_is_refused():
    @sc.simulator
    def wait(draw, theta, x):
        draw.cost(float(draw.geometric(0)))

    with pytest.raises(ValueError, match=r"`model` cannot be enumerated: .* have the probability 0\.70"):
        sc.exact(wait([-9.0]))


def test_enumeration_does_not_go_where_the_program_cannot():
    @sc.simulator
    def program(draw, theta, x):
        y = draw.bernoulli(0)
        while draw.bernoulli(p=0.0):
            pass
        assert draw.bernoulli(p=1.0)
        draw.cost(y + 1 / (draw.categorical(p=(0.0, 0.5, 0.0, 0.5, 0.0)) - 2))

    e = sc.exact(program([0.0]))
    assert (e.cost, e.grad[0], e.n_samples) == (0.5, 0.25, 4)


@pytest.mark.parametrize("kind", ["poisson", "geometric", "normal", "bernoulli"])
def test_features_that_are_infinite_are_refused(kind):
    @sc.simulator
    def program(draw, theta, x):
        getattr(draw, kind)(0, features=(-math.inf,))
        draw.cost(1.0)

    with pytest.raises(ValueError, match="logits, scores and derivatives must be finite, got -inf"):
        sc.estimate(program([1.0]), n_samples=64)


def test_states_that_are_not_finite_are_refused():
    @sc.simulator
    def program(draw, theta, x):
        draw.state((math.nan,))
        draw.cost(float(draw.bernoulli(0)))

    with pytest.raises(ValueError, match="must be finite, got nan"):
        sc.estimate(program([1.0]), n_samples=64, estimator=sc.estimators.ValueBaseline(1))


@pytest.mark.parametrize("how", [sc.exact, lambda m: sc.estimate(m, n_samples=8), lambda m: m.sample(3, sc.Stream(0))])
def test_a_draw_that_was_kept_has_no_memory_left(how):
    kept = []

    @sc.simulator
    def program(draw, theta, x):
        kept.append(draw)
        draw.cost(float(draw.bernoulli(0)))

    how(program([0.0]))
    for call in ("bernoulli(0)", "cost(1.0)", "add_grad(0, 1.0)", "add_score(0, 1.0)", "uniform()", "state((1.0,))"):
        with pytest.raises(RuntimeError, match="this Draw is over"):
            eval(f"draw.{call}", {"draw": kept[0]})


def test_a_limit_of_draws_has_a_limit():
    with pytest.raises(ValueError, match=r"`max_draws` must be in \[1, "):
        sc.simulator(lambda draw, theta, x: None, max_draws=2**70)
