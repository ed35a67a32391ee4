"""The oracle against sums written out, and the messages of `exact` and `check_unbiased`."""

import itertools
import math
import re

import numpy as np
import pytest

import stochcore as sc


def test_bits_written_out():
    logits = np.array([0.3, -1.0, 2.0])
    p = 1 / (1 + np.exp(-logits))
    cost, grad = 0.0, np.zeros(3)
    for y in itertools.product((0, 1), repeat=3):
        y = np.array(y)
        weight, j = np.prod(np.where(y, p, 1 - p)), (y[0] - 0.4) * (y[1] + 2 * y[2]) ** 2
        cost += weight * j
        grad += weight * j * (y - p)
    e = sc.exact(sc.Bernoulli(logits=logits), lambda y: (y[:, 0] - 0.4) * (y[:, 1] + 2.0 * y[:, 2]) ** 2)
    assert e.cost == pytest.approx(cost, rel=1e-14)
    np.testing.assert_allclose(e.grad, grad, rtol=1e-13)
    assert e.n_evals == 8
    assert e.cost_se == 0
    assert not e.grad_se.any()


def test_gradient_is_the_derivative_of_the_cost():
    """Central differences of the exact cost, for every family and way to give it."""
    rng = np.random.default_rng(2)
    table = rng.normal(size=(3, 4))

    def cost(y):
        return table[0][y[:, 0]] * table[1][y[:, 1]] + table[2][y[:, 0]]

    for family, kind, start in (
        (sc.Bernoulli, "logits", rng.normal(size=2)),
        (sc.Bernoulli, "probs", rng.uniform(0.2, 0.8, size=2)),
        (sc.Categorical, "logits", rng.normal(size=(2, 4))),
        (sc.Categorical, "probs", rng.dirichlet(np.full(4, 5.0), size=2)),
    ):
        grad = sc.exact(family(**{kind: start}), cost).grad
        for at in np.ndindex(start.shape):
            step = np.zeros(start.shape)
            step[at] = 1e-6
            if family is sc.Categorical and kind == "probs":  # stay on the simplex
                step[at[0], :] -= 1e-6 / 4
            up = sc.exact(family(**{kind: start + step}), cost).cost
            down = sc.exact(family(**{kind: start - step}), cost).cost
            assert (up - down) / 2e-6 == pytest.approx((grad * step).sum() / 1e-6, abs=1e-8)


def test_toy_of_the_papers():
    for t, want in ((0.45, 0.025), (0.49, 0.005), (0.499, 5e-4)):
        e = sc.exact(sc.Bernoulli(logits=[0.0]), lambda y, t=t: (y[:, 0] - t) ** 2)
        assert e.grad[0] == pytest.approx(want, rel=1e-12)
    e = sc.exact(sc.Bernoulli(logits=np.zeros(16)), lambda y: ((y - 0.499) ** 2).mean(axis=1))
    np.testing.assert_allclose(e.grad, 0.25 * 0.002 / 16, rtol=1e-10)


def test_extreme_logits():
    e = sc.exact(sc.Bernoulli(logits=[800.0, -800.0]), sc.costs.Linear([1.0, 1.0]))
    assert e.cost == 1.0
    assert np.abs(e.grad).max() < 1e-300


def test_a_quadratic_cost_over_sites_in_two_axes():
    model = sc.Bernoulli(logits=np.linspace(-1, 1, 6).reshape(2, 3))
    q = np.arange(36.0).reshape(6, 6)
    flat = sc.exact(sc.Bernoulli(logits=np.linspace(-1, 1, 6)), sc.costs.Quadratic(q))
    e = sc.exact(model, sc.costs.Quadratic(q))
    assert e.cost == flat.cost
    np.testing.assert_array_equal(e.grad.ravel(), flat.grad)
    sampled = sc.estimate(model, sc.costs.Quadratic(q), 100_000)
    assert np.abs((sampled.grad - e.grad) / sampled.grad_se).max() < 4


def test_messages():
    def check(error, message, call):
        with pytest.raises(error, match=re.escape(message)):
            call()

    cost = sc.costs.Linear(np.ones(21))
    big = sc.Bernoulli(logits=np.zeros(21))
    check(
        ValueError,
        "enumeration must have at most 2^20 outcomes, got some 2^21 on 21 sites",
        lambda: sc.exact(big, cost),
    )
    small = sc.Bernoulli(logits=[0.0])
    check(
        ValueError,
        "`cost` must be finite, got nan for outcome [1]",
        lambda: sc.exact(small, lambda y: np.where(y[:, 0], np.nan, 1)),
    )
    check(
        ValueError,
        "`cost` must return shape (2,) for y of shape (2, 1), got (2, 1)",
        lambda: sc.exact(small, lambda y: y),
    )
    check(TypeError, "`model` must be a family", lambda: sc.exact(3, cost))
    one = sc.costs.Linear([1.0])
    check(
        ValueError,
        "`n_replicates` must be at least 2, got 1",
        lambda: sc.check_unbiased(small, one, n_replicates=1),
    )
    check(
        ValueError,
        "`n_samples` must be at least 1, got 0",
        lambda: sc.check_unbiased(small, one, n_samples=0),
    )
    check(
        ValueError,
        "`n_samples` must be at least 2 for leave_one_out, got 1",
        lambda: sc.check_unbiased(small, one, n_samples=1, n_replicates=10),
    )


def test_p_value_counts_how_many_were_looked_at():
    z = np.zeros((1, 500))
    z[0, 7] = 4.2
    many = sc.Unbiasedness("x", (2,), 10, np.zeros((1,)), z, np.ones(1), np.ones(1), 0.95)
    assert many.max_abs_z == 4.2
    assert many.p_value == pytest.approx(1 - (1 - 2.669e-5) ** 501, rel=1e-3)
    assert many.passed
    few = sc.Unbiasedness("x", (2,), 10, np.zeros((1,)), z[:, 5:8], np.ones(1), np.ones(1), 0.95)
    assert few.p_value == pytest.approx(4 * 2.669e-5, rel=1e-3)
    z[0, 8] = 6.0
    bad = sc.Unbiasedness("x", (2,), 10, np.zeros((1,)), z, np.ones(1), np.ones(1), 0.95)
    assert not bad.passed
    assert math.isclose(bad.max_abs_z, 6)
