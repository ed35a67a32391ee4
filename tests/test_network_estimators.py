"""Estimators of networks' layers of units beyond the first few: against enumeration, by hand, bits, files, refusals."""

import re

import numpy as np
import pytest
from stacks import exact_gradient, largest_z
from test_autoencoder import MODELS
from test_autoencoder import X as PIXELS
from test_autoencoder import exact_gradient as exact_of_autoencoder
from test_network import NETS, X, net

import stochcore as sc

NVIL = sc.estimators.Nvil(4)


def moved(trainer, seed, average):
    """Let the nets of baselines be somewhere, and the averages too."""
    own = trainer._own
    trainer.parameters[own:] = np.random.default_rng(seed).normal(0, 0.7, trainer.parameters.size - own)
    trainer.average[:] = average
    return trainer


def with_a_past(model, data, K, estimator, average, seeds=200):
    """Estimates by nets that are not fresh, in the shapes of the parameters."""
    x = data[0] if isinstance(data, tuple) else data
    found = []
    for seed in range(seeds):
        trainer = model.trainer(data, batch_size=len(x), n_samples=K, estimator=estimator, seed=seed)
        found.append(moved(trainer, 1, average).gradient()[1].copy())
    named = getattr(model, "_named", None) or model._shape.named
    return {name: np.array([named(g)[name] for g in found], dtype=float) for name in named(found[0])}


@pytest.mark.parametrize("name", ["units", "two with a map between", "classes, then units", "normal, then units",
                                  "dropout", "no gradient, two layers"])  # fmt: skip
def test_nvil_against_enumeration(name):
    model, target = NETS[name]
    data, levels = (np.tile(X, (100, 1)), np.concatenate([target] * 100)), sum(layer.units for layer in model.layers)
    exact = exact_gradient(model, X, target)
    average = [*[0.0, 0.8, 0.6, 0.5][: levels + 1], 0.5]
    assert largest_z(with_a_past(model, data, 2, NVIL, average), exact) < 4
    scaled = with_a_past(model, data, 2, sc.estimators.Nvil(4, normalise=True), [*average, *[2.0] * (levels + 1)])
    assert largest_z({"linear0.weight": scaled["linear0.weight"]}, exact) > 10  # half as long
    assert largest_z({"linear0.weight": 2 * scaled["linear0.weight"]}, exact) < 4
    assert (NVIL.unbiased, sc.estimators.Nvil(normalise=True).unbiased) == (True, False)


@pytest.mark.parametrize("name", ["linear", "two nonlinear layers", "three layers"])
def test_nvil_of_autoencoders_against_enumeration(name):
    model = MODELS[name]
    average = [0.0, *np.linspace(0.5, 1.5, len(model._shape.latents)), 0.5]
    found = with_a_past(model, np.tile(PIXELS, (100, 1)), 2, NVIL, average)
    assert largest_z(found, exact_of_autoencoder(model, PIXELS)) < 4


def test_a_net_that_has_seen_the_sample_is_caught():
    """The same noise before and after a step of the nets alone: what they learned of it biases the gradient."""
    model, target = NETS["units"]
    x, targets, found = np.tile(X[:1], (4, 1)), np.repeat(target[:1], 4, axis=0), {False: [], True: []}
    for seed in range(3000):
        trainer = model.trainer((x, targets), batch_size=4, n_samples=1, estimator=sc.estimators.Nvil(3), seed=seed)
        own = trainer._own
        for cheats in found:
            trainer.average[:] = 0
            found[cheats].append(trainer.gradient()[1].copy())
            trainer.average[:] = 0
            trainer.run(0, np.array([[0.5, 0, 0, 0, 0, 0]]), 0, np.zeros((2, trainer.parameters.size), np.float32))
            trainer.parameters[:own] = model._flat
    exact = exact_gradient(model, X[:1], target[:1])
    for cheats, grads in found.items():
        grads = {name: np.array([model._named(g)[name] for g in grads], dtype=float) for name in exact}
        z = largest_z(grads, exact)
        assert z > 10 if cheats else z < 4


def test_nvil_learns_by_hand():
    """A step of descent from c = 0: the last bias moves by the mean cost, level by level; and then less the average."""
    model = MODELS["two layers"]
    trainer = model.trainer(PIXELS, batch_size=2, n_samples=3, estimator=sc.estimators.Nvil(5, decay=0.5), seed=3)
    step, moments = np.array([[0.1, 0, 0, 0, 0, 0]]), np.zeros((2, trainer.parameters.size), np.float32)
    first = np.array(trainer.run(0, step, 0, moments))[0, 0]
    costs = trainer.average[1:3] / trainer.average[3]
    assert costs[0] == pytest.approx(first, rel=1e-6)  # the first level is to blame for all
    graph = model._graph.with_baselines(5)
    biases = [graph.places[0][node][1] for node in graph.baselines]
    np.testing.assert_allclose(trainer.parameters[biases], 0.1 * costs, rtol=1e-5)
    assert abs(costs[1] - costs[0]) > 0.1
    before, weight = trainer.parameters[biases], trainer.average[3]
    c = before.copy()  # weights moved too: what the nets foretell now is asked of them
    trainer.run(0, step, 1, moments)
    after = (trainer.average[1:3] - 0.5 * costs * weight) / 0.5  # the second step's mean costs
    again = model.trainer(PIXELS, batch_size=2, n_samples=3, estimator=sc.estimators.Nvil(5, decay=0.5), seed=3)
    again.run(0, step, 0, moments)
    nets = [again._work.values(node)[0].mean() for node in graph.baselines]
    assert nets == [0.0, 0.0]
    again._work.forward(np.arange(2), 6, None)
    nets = [again._work.values(node)[0].mean() for node in graph.baselines]
    assert np.abs(nets).min() > 0.01
    np.testing.assert_allclose(trainer.parameters[biases] - c, 0.1 * (after - costs - nets), atol=0.02)


def test_nvil_foretells_what_inputs_cost():
    """Two inputs whose costs, 30 and -30 and up to 3 more, are far apart: what one average cannot tell."""
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    model = net(sc.Linear(2, 3), sc.BernoulliUnits(), cost=lambda o, t: 10 * t[:, 0] + o.sum(axis=1))
    target = np.array([[3.0], [-3.0]])
    options = {"data": (x, target), "batch_size": 2, "n_samples": 1, "optimizer": sc.SGD(0.01)}
    fit = sc.minimize(model, n_steps=3000, estimator=sc.estimators.Nvil(5), **options)
    trainer = fit._trainer
    trainer._work.forward(np.arange(2), 0, None)
    c = trainer._work.values(4)[0][:, 0] + trainer.average[1] / trainer.average[2]
    np.testing.assert_allclose(c, [31.5, -28.5], atol=2)


@pytest.mark.parametrize("estimator", [NVIL, sc.estimators.Nvil(4, 0.5, True), sc.estimators.Nvil(3, 0.0)])
def test_interrupted_fits_have_the_bits_of_whole_ones(tmp_path, estimator):
    interrupted(tmp_path, *NETS["two layers of units"], estimator, 3)
    interrupted(tmp_path, *NETS["a cost of one's own"], estimator, 3)
    interrupted(tmp_path, MODELS["two layers"], None, estimator, 3)


def interrupted(tmp_path, model, target, estimator, K):
    data = np.tile(PIXELS, (10, 1)) if target is None else (np.tile(X, (10, 1)), np.concatenate([target] * 10))
    options = {"data": data, "batch_size": 7, "n_samples": K, "estimator": estimator, "seed": 5}
    whole = sc.minimize(model, n_steps=23, **options)
    half = sc.minimize(model, n_steps=9, **options)
    half.save(tmp_path / "fit.npz")
    loaded = sc.optimize.Fit.load(tmp_path / "fit.npz", model, data=data)
    for fit in (half.resume(14), loaded.resume(6).resume(8)):
        assert fit._trainer.parameters.tobytes() == whole._trainer.parameters.tobytes()
        assert fit.model._flat.tobytes() == whole.model._flat.tobytes()
        assert fit.history.cost.tobytes() == whole.history.cost.tobytes()
    assert half.model._flat.size == model._flat.size
    return whole


@pytest.mark.parametrize("estimator", [NVIL], ids=lambda e: e.name)
def test_threads_leave_the_bits_alone(estimator):
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(130, 30)), rng.random((130, 20))
    model = sc.Network(sc.Linear(30, 200), sc.Tanh(), sc.Linear(200, 60), sc.BernoulliUnits(), sc.Linear(60, 20),
                       cost=sc.costs.BernoulliLikelihood())  # fmt: skip
    fits = [
        sc.minimize(model, data=(x, target), batch_size=100, n_samples=4, n_steps=4, n_threads=n, estimator=estimator)
        for n in (1, 2, 3)
    ]
    assert len({fit._trainer.parameters.tobytes() for fit in fits}) == 1
    assert len({fit.history.cost.tobytes() for fit in fits}) == 1
    assert np.isfinite(fits[0].history.grad_norm).all()


def test_the_norm_is_that_of_the_models_gradient():
    model, target = NETS["units"]
    options = {"data": (X, target), "batch_size": 2, "n_samples": 2, "n_steps": 1}
    fits = [sc.minimize(model, estimator=rule, **options) for rule in ("nvil", "score_function")]
    assert fits[0].history.grad_norm[0] == pytest.approx(fits[1].history.grad_norm[0], rel=1e-12)
    assert fits[0].model._flat.tobytes() == fits[1].model._flat.tobytes()  # c is 0 in the first step


def refuses(error, message, call, *args, **kwargs):
    with pytest.raises(error, match=re.escape(message)):
        call(*args, **kwargs)


def test_refusals():
    refuses(ValueError, "`decay` must lie in [0, 1), got 1.0", sc.estimators.Nvil, decay=1.0)
    refuses(ValueError, "`hidden` must be", sc.estimators.Nvil, hidden=0)
    refuses(TypeError, "`normalise` must be True or False, got 1", sc.estimators.Nvil, normalise=1)
    refuses(ValueError, "'nvil' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="nvil")  # fmt: skip
