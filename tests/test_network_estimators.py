"""Estimators of networks' layers of units beyond the first few: against enumeration, by hand, bits, files, refusals."""

import re

import numpy as np
import pytest
from stacks import estimates, exact_gradient, expected, largest_z
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


OTHERS = [("arm", 4), ("local_expectation", 2), ("double_cv", 3), (sc.estimators.DoubleCV(0.5, None), 2),
          ("rodeo", 3), (sc.estimators.Rodeo(0.5, decay=None), 2),
          ("gumbel_softmax", 2)]  # fmt: skip


@pytest.mark.parametrize(("estimator", "K"), OTHERS)
def test_interrupted_fits_without_a_past(tmp_path, estimator, K):
    interrupted(tmp_path, *NETS["units"], estimator, K)


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("estimator", [NVIL, *(rule for rule, _ in OTHERS)], ids=lambda e: getattr(e, "name", e))
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


def test_wide_layers_of_bits():
    """Maps of 64 units and more are sums by tables, but for relaxed units: the gradient by the last map, by hand."""
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(70, 8)), rng.random((70, 20))
    model = sc.Network(sc.Linear(8, 80), sc.BernoulliUnits(), sc.Linear(80, 20), cost=sc.costs.BernoulliLikelihood())
    W, b = model.parameters["linear1.weight"], model.parameters["linear1.bias"]
    for rule, K in [
        ("arm", 4), ("local_expectation", 2), ("double_cv", 3), ("rodeo", 3), ("gumbel_softmax", 2), ("nvil", 2),
    ]:  # fmt: skip
        trainer = model.trainer((x, target), batch_size=70, n_samples=K, estimator=rule)
        grad = model._named(trainer.gradient()[1])["linear1.weight"]
        y, every = trainer._work.values(1)[0], trainer._work.every
        rows = y[::every].astype(float)
        wanted = np.repeat(target, len(rows) // 70, axis=0)
        error = 1 / (1 + np.exp(-(rows @ W + b))) - wanted
        np.testing.assert_allclose(grad, rows.T @ error / len(rows), rtol=1e-3, atol=1e-5)
        assert every == (81 if rule == "local_expectation" else 1)
        assert bool(((y == 0) | (y == 1)).all()) == (rule != "gumbel_softmax")
        if every > 1:  # each branch differs from its trunk in one unit
            assert (np.abs(y.reshape(-1, every, 80) - y[::every, None]).sum(axis=2) == [0, *[1] * 80]).all()


def test_the_norm_is_that_of_the_models_gradient():
    model, target = NETS["units"]
    options = {"data": (X, target), "batch_size": 2, "n_samples": 2, "n_steps": 1}
    fits = [sc.minimize(model, estimator=rule, **options) for rule in ("nvil", "score_function")]
    assert fits[0].history.grad_norm[0] == pytest.approx(fits[1].history.grad_norm[0], rel=1e-12)
    assert fits[0].model._flat.tobytes() == fits[1].model._flat.tobytes()  # c is 0 in the first step


# ---- by hand: units that are the output, so that the gradient by the bias is that by the logits ---------------------

W, B = np.array([[0.5, -0.3, 0.8], [0.2, 0.7, -0.4]]), np.array([0.4, -1.0, 0.2])
INPUTS, WANTED = np.array([[1.0, -0.5]]), np.array([[1.0, 0.0, 0.5]])
Q = 1 / (1 + np.exp(-(INPUTS @ W + B)))[0]


class Own:
    """A cost that is not linear in y."""

    def __call__(self, y, target):
        return ((y @ [1.0, -2.0, 1.5]) - 0.3) ** 2 + y @ [0.5, 1.0, -1.0]

    def grad(self, y, target):
        return 2 * ((y @ [1.0, -2.0, 1.5]) - 0.3)[:, None] * [1.0, -2.0, 1.5] + [0.5, 1.0, -1.0]


PLAIN = sc.Network(sc.Linear(W, B), sc.BernoulliUnits(), cost=Own())


def drawn(copies, K, seed):
    """Uniforms of the units: (inputs, samples that share none, units)."""
    stream = sc.Stream(seed)._replace(purpose=sc.noise.LAYERS + 1)
    return stream.uniform((copies, K, 3))


def arm_by_hand(u, apart=False):
    """(J' - J) (u - 1/2). The mutant: y' from noise of its own."""
    other = np.roll(u, 1, axis=0) if apart else u
    J = [Own()(1.0 * (v < Q).reshape(-1, 3), None).reshape(u.shape[:2]) for v in (u, 1 - other)]
    return ((J[1] - J[0])[..., None] * (u - 0.5)).mean(axis=(0, 1))


def local_by_hand(u, turned=True):
    """q (1 - q) (J(y = 1) - J(y = 0)). The mutant: the branch less the trunk, whichever has 1."""
    y = 1.0 * (u < Q).reshape(-1, 3)
    found = []
    for h in range(3):
        other = y.copy()
        other[:, h] = 1 - y[:, h]
        gap = Own()(other, None) - Own()(y, None)
        found.append((Q * (1 - Q))[h] * (gap * (1 - 2 * y[:, h]) if turned else gap).mean())
    return np.array(found)


def double_by_hand(u, c=1.0, corrected=True, itself=False):
    """As the docstring says. Mutants: without the correction; with the sample's own gradient among the others'."""
    y, K = 1.0 * (u < Q), u.shape[1]
    J, d = (f(y.reshape(-1, 3), None).reshape(*u.shape[:2], -1) for f in (Own(), Own().grad))
    g = (d.sum(axis=1, keepdims=True) - (not itself) * d) / (K - (not itself))
    signal = J[..., 0] - c * (g * (y - Q)).sum(axis=2)
    weight = (signal - signal.mean(axis=1, keepdims=True)) * K / (K - 1)
    found = weight[..., None] * (y - Q) + (c * Q * (1 - Q) * g if corrected else 0)
    return found.mean(axis=(0, 1))


BY_HAND = {
    "arm": (arm_by_hand, 2, [{"apart": True}]),
    "local_expectation": (local_by_hand, 1, [{"turned": False}]),
    "double_cv": (double_by_hand, 1, [{"corrected": False}, {"itself": True}]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand_and_mutants(name):
    formula, rows, mutants = BY_HAND[name]
    K = 2
    for seed in range(3):
        found = PLAIN.gradient(np.tile(INPUTS, (50, 1)), np.tile(WANTED, (50, 1)), n_samples=K * rows, estimator=name,
                               seed=seed)[2]["linear0.bias"]  # fmt: skip
        np.testing.assert_allclose(found, formula(drawn(50, K, seed)), rtol=2e-5, atol=2e-6)
    exact = {"bias": exact_gradient(PLAIN, INPUTS, WANTED)["linear0.bias"]}
    noise = [drawn(500, K, seed) for seed in range(200)]
    assert largest_z({"bias": np.array([formula(u) for u in noise])}, exact) < 4
    for mutant in mutants:
        assert largest_z({"bias": np.array([formula(u, **mutant) for u in noise])}, exact) > 10


def test_double_cv_is_exact_for_a_linear_cost():
    """Of a linear J nothing is left but the correction: no variance; and without the coefficient leave-one-out."""

    class Linear:
        def __call__(self, y, target):
            return y @ [1.0, -2.0, 1.5]

        def grad(self, y, target):
            return np.tile([1.0, -2.0, 1.5], (len(y), 1))

    model = sc.Network(sc.Linear(W, B), sc.BernoulliUnits(), cost=Linear())
    for seed in range(5):
        grad = model.gradient(INPUTS, WANTED, estimator="double_cv", seed=seed)[2]["linear0.bias"]
        np.testing.assert_allclose(grad, Q * (1 - Q) * [1.0, -2.0, 1.5], rtol=1e-5, atol=1e-6)
    for name in ("units", "two layers of units"):
        model, target = NETS[name]
        one = model.gradient(X, target, estimator=sc.estimators.DoubleCV(0.0), n_samples=3)[2]
        two = model.gradient(X, target, n_samples=3)[2]
        for key in one:
            np.testing.assert_allclose(one[key], two[key], rtol=1e-5, atol=1e-7)


def test_the_coefficient_is_that_of_completed_steps():
    """-sum g . h / sum h . h over the inputs of the first step is c of the second one."""
    model = PLAIN
    options = {"batch_size": 40, "n_samples": 3, "seed": 2}
    trainer = model.trainer((np.tile(INPUTS, (40, 1)), np.tile(WANTED, (40, 1))), estimator="double_cv", **options)
    still, moments = np.array([[0.0, 0, 0, 0, 0, 0]]), np.zeros((2, trainer.parameters.size), np.float32)
    trainer.run(0, still, 0, moments)
    u = drawn(40, 3, 2)
    g = np.array([double_by_hand(v[None], 0.0) for v in u])
    h = np.array([double_by_hand(v[None], 1.0) for v in u]) - g
    c = -(g * h).sum() / (h * h).sum()
    assert trainer.average[4] > 0
    assert -trainer.average[3] / trainer.average[4] == pytest.approx(c, rel=1e-4)
    assert abs(c - 1) > 0.02
    trainer.run(0, still, 1, moments)
    second = np.array(trainer._work.gradient[-3:])
    noise = sc.Stream(2)._replace(purpose=sc.noise.LAYERS + 1).at(40 * 3 * 3).uniform((40, 3, 3))
    np.testing.assert_allclose(second, double_by_hand(noise, c), rtol=1e-4, atol=1e-5)
    assert np.abs(second - double_by_hand(noise, 1.0)).max() > 1e-3
    constant = model.trainer((np.tile(INPUTS, (40, 1)), np.tile(WANTED, (40, 1))),
                             estimator=sc.estimators.DoubleCV(1.0, None), **options)  # fmt: skip
    assert constant.average is None
    constant.run(0, still, 1, moments)
    np.testing.assert_allclose(constant._work.gradient[-3:], double_by_hand(noise, 1.0), rtol=1e-4, atol=1e-5)


def test_branches_are_no_samples():
    """The cost and the gradient above the units are means over trunks; over all rows they would be biased."""
    model, target = NETS["two layers of units"]
    x, targets = np.tile(X, (100, 1)), np.concatenate([target] * 100)
    parameters = {name: a.astype(float) for name, a in model.parameters.items()}
    exact = {"cost": np.array(expected(model, parameters, X, target))}
    own, every = [], []
    for seed in range(200):
        trainer = model.trainer((x, targets), batch_size=200, n_samples=1, estimator="local_expectation", seed=seed)
        own.append(trainer.gradient()[0][0])
        every.append(trainer._work.cost.mean())
        assert trainer._work.cost.size == 200 * (1 + 3 + 3)
    assert largest_z({"cost": np.array(own)}, exact) < 4
    assert largest_z({"cost": np.array(every)}, exact) > 10


@pytest.mark.parametrize(
    "name", ["units", "classes", "classes, then units", "two with a map between", "a cost of one's own"]
)
def test_gumbel_softmax_differentiates_the_relaxed_network(name):
    """With its noise fixed the relaxed cost is smooth: central differences of it are the gradient. And it is biased."""
    model, target = NETS[name]
    options = {"n_samples": 5, "estimator": sc.estimators.GumbelSoftmax(0.7), "seed": 3}
    grad = model.gradient(X, target, **options)[2]
    for key, values in model.parameters.items():
        for at in list(np.ndindex(values.shape))[:4]:
            ends = []
            for sign in (1, -1):
                moved_by = {k: a.astype(float) for k, a in model.parameters.items()}
                moved_by[key][at] += sign * 0.01
                ends.append(model.with_parameters(moved_by).gradient(X, target, **options)[0])
            assert grad[key][at] == pytest.approx((ends[0] - ends[1]) / 0.02, rel=0.01, abs=2e-3)
    found = estimates(model, X, target, 100, 200, n_samples=2, estimator="gumbel_softmax")
    assert largest_z(found, exact_gradient(model, X, target)) > 10
    assert sc.estimators.GumbelSoftmax.unbiased is False


def test_relaxed_units_are_bits_when_it_is_cold():
    """Of the same noise: y > 1/2 where the unit would be 1; sites lie in the simplex and have the classes' chances."""
    model, target = NETS["units"]
    x, targets = np.tile(X, (500, 1)), np.tile(target, 500)
    works = []
    for rule in (sc.estimators.GumbelSoftmax(0.01), "score_function"):
        trainer = model.trainer((x, targets), batch_size=1000, n_samples=2, estimator=rule)
        trainer.gradient()
        works.append(trainer._work.values(1))
    (soft, _), (hard_units, q) = works
    assert ((soft > 0.5) == hard_units).all()
    assert 0.001 < (np.abs(soft - 0.5) < 0.49).mean() < 0.1
    model, target = NETS["classes"]
    trainer = model.trainer((x, np.tile(target, 500)), batch_size=1000, n_samples=2,
                            estimator=sc.estimators.GumbelSoftmax(0.5))  # fmt: skip
    trainer.gradient()
    y, p = trainer._work.values(1)
    np.testing.assert_allclose(y.reshape(-1, 2, 3).sum(axis=2), 1, rtol=1e-6)
    most = (y.reshape(500, 2, 2, 2, 3) == y.reshape(500, 2, 2, 2, 3).max(axis=4, keepdims=True)).mean(axis=(0, 2))
    np.testing.assert_allclose(most, p.reshape(500, 2, 2, 3)[0], atol=0.08)
    assert q.shape == (1000, 4)


def refuses(error, message, call, *args, **kwargs):
    with pytest.raises(error, match=re.escape(message)):
        call(*args, **kwargs)


def test_refusals():
    refuses(ValueError, "`decay` must lie in [0, 1), got 1.0", sc.estimators.Nvil, decay=1.0)
    refuses(ValueError, "`hidden` must be", sc.estimators.Nvil, hidden=0)
    refuses(TypeError, "`normalise` must be True or False, got 1", sc.estimators.Nvil, normalise=1)
    refuses(ValueError, "'nvil' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="nvil")  # fmt: skip
    refuses(ValueError, "'double_cv' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="double_cv")  # fmt: skip
    refuses(ValueError, "'gumbel_softmax' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="gumbel_softmax")  # fmt: skip
    refuses(ValueError, "`temperature` must be above 0, got 0.0", sc.estimators.GumbelSoftmax, 0.0)
    refuses(ValueError, "'rodeo' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="rodeo")  # fmt: skip
    refuses(ValueError, "`scale` must be above 0, got 0.0", sc.estimators.Rodeo, 0.0)
    refuses(TypeError, "`coefficient` must be", sc.estimators.Rodeo, 1.0, "a")
    refuses(ValueError, "`decay` must lie in [0, 1) or be None, got 1", sc.estimators.Rodeo, decay=1)
    refuses(TypeError, "`coefficient` must be", sc.estimators.DoubleCV, "a")
    refuses(ValueError, "`decay` must lie in [0, 1) or be None, got 1.5", sc.estimators.DoubleCV, decay=1.5)


def test_networks_that_do_not_fit():
    (units, labels), (bare, _), (classes, _) = NETS["units"], NETS["no gradient"], NETS["classes"]
    wide = sc.Network(sc.Linear(3, 4097), sc.BernoulliUnits(), sc.Linear(4097, 3), cost=units.cost)
    refuses(ValueError, "`estimator` local_expectation is for small layers (a sample has a branch for each other "
            "outcome of each unit): at most 4,096, got 4,097", wide.gradient, X, labels,
            estimator="local_expectation")  # fmt: skip
    few = sc.estimators.LocalExpectation(max_outcomes=2)
    refuses(ValueError, "`max_outcomes` must be at least the 3 classes of a site, got 2", classes.gradient, X, labels,
            estimator=few)  # fmt: skip
    refuses(ValueError, "`n_samples` must be a multiple of 2 for arm (a pair), got 3", units.gradient, X, labels,
            n_samples=3, estimator="arm")  # fmt: skip
    refuses(ValueError, "`n_samples` must be at least 2 for double_cv, got 1", units.gradient, X, labels, n_samples=1,
            estimator="double_cv")  # fmt: skip
    refuses(ValueError, "`n_samples` must be at least 2 for rodeo, got 1", units.gradient, X, labels, n_samples=1,
            estimator="rodeo")  # fmt: skip
    for name in ("arm", "double_cv", "rodeo"):
        refuses(ValueError, f"`estimator` {name} is for networks whose units are BernoulliUnits, got CategoricalUnits",
                classes.gradient, X, labels, estimator=name)  # fmt: skip
    for name in ("double_cv", "rodeo", "gumbel_softmax", "straight_through"):
        refuses(ValueError, "`cost` must have a `grad(output, target)`, got <function hard", bare.gradient, X,
                WANTED[[0, 0]], estimator=name)  # fmt: skip
