"""Layers: what they draw beside families and compute beside NumPy, their sizes and refusals; costs at the end."""

import re

import numpy as np
import pytest
from scipy.special import expit, log_softmax

import stochcore as sc
from stochcore import _blas, _layered, _network
from stochcore._graph import Graph
from stochcore.layers import Affine, checked, from_plain, plain, sizes
from stochcore.noise import LAYERS

IDENTITY = sc.Linear(np.eye(6), np.zeros(6))
X = np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)
K = 3


def values(layer, x=X, K=K, group=1):
    """What one layer of a network puts out after a map that changes nothing, and what it keeps."""
    layers = tuple(checked(i, given) for i, given in enumerate((IDENTITY, layer)))
    widths = sizes(layers)
    flat = np.concatenate([np.eye(6).reshape(-1), np.zeros(6)]).astype(np.float32)
    rule = _layered.Rule(_network.DISARM if group > 1 else _network.CONSTANT, K, group=group)
    graph = Graph.chain(layers, widths, _network.GIVEN)
    made = _layered.work(graph, flat, len(x), rule, sc.Stream(5))
    made.look_at(x, None, None)
    with _blas.one_thread():
        made.forward(np.arange(len(x)), 4, None)
    return made.values(1)


def noise_of(layer=1, first=4, units=6):
    return sc.Stream(5)._replace(purpose=LAYERS + layer).at(first * units)


def test_bernoulli_units_have_the_bits_of_a_family():
    y, q = values(sc.BernoulliUnits())
    np.testing.assert_allclose(q, expit(X), rtol=3e-7)
    u = noise_of().uniform((len(X), K, 6))
    by_row = [sc.Bernoulli(probs=row.astype(np.float64)).step(of_row) for row, of_row in zip(q, u, strict=True)]
    np.testing.assert_array_equal(y.reshape(len(X), K, 6), by_row)


def test_the_branch_of_disarm_has_the_opposite_noise():
    y, q = values(sc.BernoulliUnits(), K=4, group=2)
    u = noise_of().uniform((len(X), 2, 6))
    other = noise_of().antithetic().uniform((len(X), 2, 6))
    for side, noise in enumerate((u, other)):
        by_row = [sc.Bernoulli(probs=row.astype(np.float64)).step(of_row) for row, of_row in zip(q, noise, strict=True)]
        np.testing.assert_array_equal(y.reshape(len(X), 2, 2, 6)[:, :, side], by_row)


@pytest.mark.parametrize(("n", "classes"), [(3, 2), (2, 3), (1, 6)])
def test_categorical_units_have_the_bits_of_a_family(n, classes):
    y, p = values(sc.CategoricalUnits(n, classes))
    logits = X.reshape(len(X), n, classes).astype(np.float64)
    np.testing.assert_allclose(p, np.exp(log_softmax(logits, axis=2)).reshape(len(X), -1), rtol=2e-7)
    u = noise_of(units=n).uniform((len(X), K, n))
    rounded = p.reshape(len(X), n, classes).astype(np.float64)
    for i in range(len(X)):
        below = np.minimum(np.add.accumulate(rounded[i], axis=1), 1.0)[:, :-1]
        drawn = (u[i][:, :, None] >= below).sum(axis=2)
        np.testing.assert_array_equal(y.reshape(len(X), K, n, classes)[i], np.eye(classes)[drawn])
        probs = rounded[i] / rounded[i].sum(axis=1, keepdims=True)
        np.testing.assert_array_equal(drawn, sc.Categorical(probs=probs).step(u[i]))


def test_normal_units():
    fixed, kept = values(sc.NormalUnits(6, 0.5))
    e = noise_of().normal((len(X), K, 6), dtype=np.float32)
    np.testing.assert_array_equal(kept.reshape(e.shape), np.float32(0.5) * e)
    np.testing.assert_array_equal(fixed.reshape(e.shape), X[:, None] + np.float32(0.5) * e)
    learned, _ = values(sc.NormalUnits(3))
    e = noise_of(units=3).normal((len(X), K, 3), dtype=np.float32)
    np.testing.assert_allclose(
        learned.reshape(e.shape), X[:, None, :3] + np.exp(X[:, None, 3:].astype(float)) * e, rtol=1e-6, atol=1e-6
    )


def test_dropout():
    y, kept = values(sc.Dropout(0.25))
    on = noise_of().uniform((len(X), K, 6)) < np.float32(0.75)
    scale = np.float32(1 / 0.75)
    np.testing.assert_array_equal(kept.reshape(on.shape), np.where(on, scale, np.float32(0)))
    np.testing.assert_array_equal(y.reshape(on.shape), X[:, None] * kept.reshape(on.shape))
    assert 0.6 < on.mean() < 0.9


def test_activations():
    x = np.concatenate([X.reshape(-1), [0, -0.0, 1e-30, -1e-3, 0.25, -0.2499, 3, -9, 20, 88, -1e4, 1e30]])
    x = np.resize(x, (11, 6)).astype(np.float32)
    y, _ = values(sc.Tanh(), x, K=1)
    exact = np.tanh(x.astype(float))
    assert np.abs((y - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(float)).max() < 4
    np.testing.assert_array_equal(values(sc.LeakyReLU(0.3), x, K=1)[0], np.where(x < 0, np.float32(0.3) * x, x))
    np.testing.assert_array_equal(values(sc.LeakyReLU(0), x, K=1)[0], np.maximum(x, 0))


def test_a_rectifier_with_slope_0_has_no_gradient_below():
    model = sc.Network(sc.Linear([[1.0]], [-2.0]), sc.LeakyReLU(0), sc.Linear([[1.0]], [0.5]),
                       cost=sc.costs.SquaredError())  # fmt: skip
    assert model.gradient([[1.0]], [[0.0]], n_samples=1)[2]["linear0.bias"][0] == 0
    assert model.gradient([[4.0]], [[0.0]], n_samples=1)[2]["linear0.bias"][0] == 5


@pytest.mark.usefixtures("teams")
def test_concurrent_products_have_the_bits_of_serial_ones():
    """BLAS called from our threads: many blocks, so that calls overlap."""
    model = sc.Network(sc.Linear(50, 333), sc.Tanh(), sc.Linear(333, 77), cost=sc.costs.SquaredError())
    x, t = (np.random.default_rng(2).normal(size=(700, n)) for n in (50, 77))
    for inputs in (x, x * (np.random.default_rng(3).random(x.shape) < 0.2)):  # the second ones are mostly 0
        serial = model.gradient(inputs, t, n_samples=1, n_threads=1)
        for _ in range(5):
            again = model.gradient(inputs, t, n_samples=1, n_threads=4)
            assert all(again[2][name].tobytes() == serial[2][name].tobytes() for name in serial[2])


def test_blas_gets_its_threads_back():
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with _blas.one_thread():
        with _blas.one_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_without_scipy_it_says_what_to_install(monkeypatch):
    import builtins

    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError("No module named 'scipy'")
        return real(name, *args, **kwargs)

    _blas.sgemm.cache_clear()
    monkeypatch.setattr(builtins, "__import__", missing)
    try:
        model = sc.Network(sc.Linear(2, 2), cost=sc.costs.SquaredError())
        with pytest.raises(ImportError, match=re.escape("pip install 'stochcore[networks]'")):
            model.gradient([[1.0, 2.0]], n_samples=1)
    finally:
        _blas.sgemm.cache_clear()


def test_sizes():
    layers = sc.Dropout(0.1), sc.Linear(5, 8), sc.NormalUnits(4), sc.Tanh(), sc.Linear(4, 6), sc.CategoricalUnits(2, 3)
    own = tuple(checked(i, layer) for i, layer in enumerate(layers))
    assert sizes(own) == [5, 5, 8, 4, 4, 6, 6]
    assert tuple(from_plain(plain(layer)) for layer in own) == own
    assert sc.Network(*layers, cost=sc.costs.SquaredError()).sizes == (5, 5, 8, 4, 4, 6, 6)
    assert repr(Affine(2, 3)) == "Linear(2, 3)"
    assert repr(Affine(2, 3, bias=False)) == "Linear(2, 3, no bias)"
    assert sc.Linear(3, 2).sizes_only
    assert not sc.Linear(np.ones((3, 2))).sizes_only
    np.testing.assert_array_equal(sc.Linear(3, 2)([[1.0, 2.0, 3.0]]).value, [[0, 0]])


def test_linear_layers_start_as_they_say():
    W, b = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])
    model = sc.Network(sc.Linear(W, b), sc.Linear(W.T), sc.Linear(2, 50), cost=sc.costs.SquaredError(), seed=4)
    np.testing.assert_array_equal(model.parameters["linear0.weight"], W)
    np.testing.assert_array_equal(model.parameters["linear0.bias"], b)
    assert "linear1.bias" not in model.parameters
    assert not model.parameters["linear2.bias"].any()
    drawn = model.parameters["linear2.weight"]
    assert 0.5 < drawn.std() * np.sqrt(2) < 1.5
    other = sc.Network(sc.Linear(W, b), sc.Linear(W.T), sc.Linear(2, 50), cost=sc.costs.SquaredError(), seed=5)
    assert not np.array_equal(drawn, other.parameters["linear2.weight"])
    np.testing.assert_allclose(model.predict([[1.0, -1.0]])[0],
                               ((np.array([[1.0, -1.0]]) @ W + b) @ W.T @ drawn)[0], rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sc.LeakyReLU(-1), ValueError, "`slope` must be at least 0, got -1.0"),
        (lambda: sc.LeakyReLU("a"), TypeError, "`slope`"),
        (lambda: sc.Dropout(1), ValueError, "`rate` must lie in [0, 1), got 1"),
        (lambda: sc.Dropout(-0.1), ValueError, "`rate` must lie in [0, 1], got -0.1"),
        (lambda: sc.BernoulliUnits(0), ValueError, "`n` must be in [1, 16777216], got 0"),
        (lambda: sc.CategoricalUnits(2, 1), ValueError, "`n_classes` must be "),
        (lambda: sc.NormalUnits(2, 0), ValueError, "`scale` must be a positive finite number, got 0"),
        (lambda: sc.Linear(0, 3), ValueError, "`inputs` must be in [1, 16777216], got 0"),
        (lambda: sc.Linear(3), ValueError, "`weight` must have shape (inputs, *outputs), got ()"),
    ],
)
def test_bad_layers(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize("cost", [sc.costs.SquaredError(), sc.costs.BernoulliLikelihood(), sc.costs.CrossEntropy()])
def test_costs_at_the_end(cost):
    rng = np.random.default_rng(3)
    o, t = rng.normal(size=(4, 19)) * 3, rng.random((4, 19))
    if cost.labels:
        t = rng.integers(19, size=4)
        wanted = -log_softmax(o, axis=1)[np.arange(4), t]
    elif isinstance(cost, sc.costs.SquaredError):
        wanted = ((o - t) ** 2).sum(axis=1)
    else:
        wanted = -(t * np.log(expit(o)) + (1 - t) * np.log(expit(-o))).sum(axis=1)
    np.testing.assert_allclose(cost(o, t), wanted, rtol=1e-12)
    step = np.zeros_like(o)
    for j in range(19):
        step[:, j] = 1e-6
        np.testing.assert_allclose(cost.grad(o, t)[:, j], (cost(o + step, t) - cost(o - step, t)) / 2e-6, atol=1e-7)
        step[:, j] = 0
    model = sc.Network(sc.Linear(np.eye(19), np.zeros(19)), cost=cost)  # the kernels' own
    value, _, grad = model.gradient(o, t, n_samples=1)
    assert value == pytest.approx(cost(o, t).mean(), rel=1e-6)
    np.testing.assert_allclose(grad["linear0.bias"], cost.grad(o, t).mean(axis=0), rtol=1e-5, atol=1e-7)
    assert model.loss((o, t))[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("outputs", [16, 24, 40, 100, 17])
def test_inputs_that_are_mostly_0_are_skipped(outputs, monkeypatch):
    """To the same sums, in another order; values and signs count, and so do columns of a last, partial tile."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(70, 131)) * (rng.random((70, 131)) < 0.2)
    t = rng.normal(size=(70, 3))
    cost = sc.costs.SquaredError()
    for first in (sc.Linear(131, outputs), sc.Linear(rng.normal(size=(131, outputs)) / 11)):
        model = sc.Network(first, sc.Tanh(), sc.Linear(outputs, 3), cost=cost)
        monkeypatch.setattr(_layered, "SPARSE", 0.0)
        dense = model.gradient(x, t, n_samples=1)
        monkeypatch.setattr(_layered, "SPARSE", 0.35)
        assert _layered.Data("x", x, t, list(model.sizes), cost).sparse
        for threads in (1, 2):
            sparse = model.gradient(x, t, n_samples=1, n_threads=threads)
            assert sparse[0] == pytest.approx(dense[0], rel=1e-6)
            for name in dense[2]:
                np.testing.assert_allclose(sparse[2][name], dense[2][name], rtol=1e-4, atol=1e-5)
            assert any(sparse[2][name].tobytes() != dense[2][name].tobytes() for name in dense[2])
        many = np.tile(x, (3, 1))
        fit = sc.minimize(model, data=(many, np.tile(t, (3, 1))), batch_size=210, n_samples=1, n_steps=3)
        assert fit.history.cost[0] == pytest.approx(dense[0], rel=1e-6)
        assert fit.history.cost[2] < fit.history.cost[0]


def test_a_wide_first_layer_is_cut_by_rows_where_inputs_are_mostly_0():
    rng = np.random.default_rng(7)
    x, t = rng.normal(size=(9, 70)) * (rng.random((9, 70)) < 0.2), rng.normal(size=(9, 2))
    model = sc.Network(sc.Linear(70, 2000), sc.LeakyReLU(0.3), sc.Linear(2000, 2), cost=sc.costs.SquaredError())
    grad = model.gradient(x, t, n_samples=1)[2]
    p = {name: a.astype(float) for name, a in model.parameters.items()}
    h = x @ p["linear0.weight"]
    back = 2 * (np.where(h > 0, h, 0.3 * h) @ p["linear1.weight"] - t) @ p["linear1.weight"].T * np.where(h > 0, 1, 0.3)
    np.testing.assert_allclose(grad["linear0.weight"], x.T @ back / 9, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(grad["linear0.bias"], back.mean(axis=0), rtol=1e-3, atol=1e-5)
