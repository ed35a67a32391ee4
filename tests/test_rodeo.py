"""Control variates by a discrete Stein operator: by hand, against enumeration, and what they learn."""

import numpy as np
import pytest
from stacks import exact_gradient, largest_z
from test_autoencoder import MODELS
from test_autoencoder import X as PIXELS
from test_autoencoder import exact_gradient as exact_of_autoencoder
from test_network import NETS, X
from test_network_estimators import INPUTS, PLAIN, WANTED, Own, Q, drawn, with_a_past

import stochcore as sc


def stein(function, y, corrected=True):
    """A f for functions of all samples, (inputs, K, ...): the chance that a unit is turned times what that changes."""
    chance, here, total = np.where(y > 0, 1 - Q, Q), function(y), 0.0
    for h in range(3):
        there = y.copy()
        there[..., h] = 1 - y[..., h]
        gap = function(there) - corrected * here
        total = total + chance[..., h].reshape(chance.shape[:2] + (1,) * (gap.ndim - 2)) * gap
    return total


def rodeo_parts(u, scale=4.0, itself=False, corrected=True):
    """g and h_0 .. h_4 of each input. Mutants: samples have a part in their own functions; A without its -h(y)."""
    y, K = 1.0 * (u < Q), u.shape[1]
    J, d = (f(y.reshape(-1, 3), None).reshape(*u.shape[:2], -1) for f in (Own(), Own().grad))
    others = (np.ones((K, K)) - (not itself) * np.eye(K)) / (K - (not itself))
    t = lambda z: np.einsum("njh,nkjh->nkj", d, z[:, :, None] - y[:, None])  # noqa: E731
    line = lambda z: np.einsum("kj,njh,nkh->nk", others, d, z - Q)  # noqa: E731
    number = lambda z: np.einsum("kj,njh,njh->nk", others, d, Q - y)  # noqa: E731
    root = lambda z: np.einsum("kj,nkj->nk", others, np.sqrt(scale**2 + t(z) ** 2))  # noqa: E731
    plain = (J[..., 0] - J[..., 0].mean(axis=1, keepdims=True)) * K / (K - 1)
    found = [(plain[..., None] * (y - Q)).mean(axis=1)]
    for kind, function in (("b", line), ("s", line), ("s", number), ("b", root), ("s", root)):
        if kind == "b":
            A = stein(function, y, corrected)
            less = (A.sum(axis=1, keepdims=True) - A) / (K - 1)
            found.append((-less[..., None] * (y - Q)).mean(axis=1))
        else:
            found.append(stein(lambda z, f=function: f(z)[..., None] * (z - Q), y, corrected).mean(axis=1))
    return np.array(found)


def rodeo_by_hand(u, c=(1.0, 0.5, 0.0, 0.0, 0.0), **mutant):
    """As the docstring says."""
    return np.tensordot([1.0, *c], rodeo_parts(u, **mutant), 1).mean(axis=0)


@pytest.mark.parametrize("K", [2, 3])
def test_by_hand_and_mutants(K):
    x, target = np.tile(INPUTS, (50, 1)), np.tile(WANTED, (50, 1))
    for seed in range(3):
        found = PLAIN.gradient(x, target, n_samples=K, estimator="rodeo", seed=seed)[2]["linear0.bias"]
        np.testing.assert_allclose(found, rodeo_by_hand(drawn(50, K, seed)), rtol=2e-5, atol=2e-6)
    exact = {"bias": exact_gradient(PLAIN, INPUTS, WANTED)["linear0.bias"]}
    noise = [drawn(500, K, seed) for seed in range(100)]
    assert largest_z({"bias": np.array([rodeo_by_hand(u) for u in noise])}, exact) < 4
    for mutant in ({"itself": True}, {"corrected": False}):
        assert largest_z({"bias": np.array([rodeo_by_hand(u, **mutant) for u in noise])}, exact) > 10


def learned(parts):
    """The coefficients that make the sum of squares of g + c . h least over inputs."""
    g, h = parts[0].ravel(), parts[1:].reshape(5, -1)
    return np.linalg.solve(h @ h.T, -h @ g)


@pytest.mark.parametrize("K", [2, 3])
def test_rodeo_has_the_coefficients_of_completed_steps(K):
    """The second step's gradient is g + c . h by hand, all five c those that fit the first step."""
    data = (np.tile(INPUTS, (300, 1)), np.tile(WANTED, (300, 1)))
    options = {"batch_size": 300, "n_samples": K, "seed": 2}
    rule = sc.estimators.Rodeo(0.7)
    trainer = PLAIN.trainer(data, estimator=rule, **options)
    still, moments = np.array([[0.0, 0, 0, 0, 0, 0]]), np.zeros((2, trainer.parameters.size), np.float32)
    trainer.run(0, still, 0, moments)
    c = learned(rodeo_parts(drawn(300, K, 2), 0.7))
    trainer.run(0, still, 1, moments)
    second = np.array(trainer._work.gradient[-3:])
    noise = sc.Stream(2)._replace(purpose=sc.noise.LAYERS + 1).at(300 * K * 3).uniform((300, K, 3))
    np.testing.assert_allclose(second, rodeo_by_hand(noise, c, scale=0.7), rtol=2e-3, atol=2e-4)
    assert np.abs(second - rodeo_by_hand(noise, scale=0.7)).max() > 0.01
    assert np.abs(c[3:]).min() > 0.01
    constant = PLAIN.trainer(data, estimator=sc.estimators.Rodeo(0.7, 0.5, None), **options)
    assert constant.average is None
    constant.run(0, still, 1, moments)
    by_hand = rodeo_by_hand(noise, (0.5, 0.25, 0, 0, 0), scale=0.7)
    np.testing.assert_allclose(constant._work.gradient[-3:], by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("K", [2, 3])
def test_rodeo_with_a_past_against_enumeration(K):
    """With every coefficient far from 0 still unbiased; and mutants of each part are not."""
    c = np.array([0.8, -0.6, 0.7, 0.9, -0.5])
    average = np.zeros(23)
    average[2], average[3:8] = 1.0, -c
    average[8 + np.array([0, 2, 5, 9, 14])] = 1.0  # h . h of which products are 0: c is what was put in
    for name in ("units", "two layers of units", "a cost of one's own"):
        model, target = NETS[name]
        known = average if sum(layer.units for layer in model.layers) == 1 else np.insert(average, 0, 0.0)
        found = with_a_past(model, (np.tile(X, (100, 1)), np.concatenate([target] * 100)), K, "rodeo", known)
        assert largest_z(found, exact_gradient(model, X, target)) < 4
    model = MODELS["linear"]
    found = with_a_past(model, np.tile(PIXELS, (100, 1)), K, "rodeo", average)
    assert largest_z(found, exact_of_autoencoder(model, PIXELS)) < 4
    exact = {"bias": exact_gradient(PLAIN, INPUTS, WANTED)["linear0.bias"]}
    noise = [drawn(500, K, seed) for seed in range(100)]
    parts = np.array([rodeo_parts(u).mean(axis=1) for u in noise])
    assert largest_z({"bias": np.tensordot([1.0, *c], parts, (0, 1))}, exact) < 4
    for each in ({"itself": True}, {"corrected": False}):
        wrong = np.array([rodeo_parts(u, **each).mean(axis=1) for u in noise])
        assert largest_z({"bias": np.tensordot([1.0, *c], wrong, (0, 1))}, exact) > 10


def test_rodeo_without_coefficients_is_leave_one_out():
    for name in ("units", "two layers of units"):
        model, target = NETS[name]
        one = model.gradient(X, target, estimator=sc.estimators.Rodeo(coefficient=0.0), n_samples=3)[2]
        two = model.gradient(X, target, n_samples=3)[2]
        for key in one:
            np.testing.assert_allclose(one[key], two[key], rtol=1e-5, atol=1e-7)
