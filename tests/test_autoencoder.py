"""Deep and nonlinear autoencoders: bounds and gradients against enumeration, bits, values, files, refusals."""

import itertools
import pickle
import re

import numpy as np
import pytest
from stacks import largest_z

import stochcore as sc
from stochcore import _graph, _network
from stochcore._graph import INPUT

X = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
MEAN = np.array([0.3, 0.2, 0.9])
SHAPES = {
    "linear": {"n_latents": 3},
    "nonlinear": {"n_latents": 3, "hidden": (4, 2)},
    "two layers": {"n_latents": (2, 2)},
    "two nonlinear layers": {"n_latents": (2, 3), "hidden": (3,), "slope": 0.1},
    "three layers": {"n_latents": (2, 1, 2)},
}


def model_of(name, size=0.7):
    """With biases and weights far enough from 0 for every term to matter."""
    made = sc.BernoulliVAE(3, **SHAPES[name], mean=MEAN, seed=1)
    noise = np.random.default_rng(5)
    return made.with_parameters({key: noise.normal(0, size, a.shape) for key, a in made.parameters.items()})


MODELS = {name: model_of(name) for name in SHAPES}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_bernoulli(y, logits):
    return (y * logits - np.logaddexp(0, logits)).sum(axis=-1)


def net(parameters, name, x, slope):
    """A net of linear maps with leaky units between."""
    k = 0
    while f"{name}.linear{k}.weight" in parameters:
        x = np.where(x > 0, x, slope * x) if k else x
        x = x @ parameters[f"{name}.linear{k}.weight"] + parameters[f"{name}.linear{k}.bias"]
        k += 1
    return x


def outcomes(latents):
    """All of all layers of units, an array (outcomes, units) for each layer."""
    layers = [np.array(list(itertools.product((0.0, 1.0), repeat=n))) for n in latents]
    found = [np.concatenate(z) for z in itertools.product(*layers)]
    return np.split(np.array(found), np.cumsum(latents)[:-1], axis=1)


def costs(model, parameters, x, z=None):
    """Minus the bound, and log q, of units z (of all there are), for one image: written down from the docs."""
    latents, slope = model._shape.latents, model._shape.slope
    z = outcomes(latents) if z is None else z
    below, log_q, log_p = [np.broadcast_to(x, (len(z[0]), len(x))), *z], 0.0, 0.0
    for level in range(len(latents)):
        if "W" in parameters:
            up = 2 * (below[0] - model.mean) @ parameters["W"] + parameters["b"]
            down = z[0] @ parameters["V"] + parameters["c"]
        else:
            centre = 0.5 if level else model.mean
            up = net(parameters, f"encoder{level}", 2 * (below[level] - centre), slope)
            down = net(parameters, f"decoder{level}", 2 * z[level] - 1, slope)
        log_q = log_q + log_bernoulli(z[level], up)
        log_p = log_p + log_bernoulli(below[level], down)
    return log_q - log_p - log_bernoulli(z[-1], parameters["prior"]), log_q


def expected(model, parameters, images, K):
    """Minus the bound with K samples, its mean over images."""
    total = 0.0
    for x in images:
        J, log_q = costs(model, parameters, x)
        if K == 1:
            total += np.exp(log_q) @ J
            continue
        chance = np.exp(np.add.reduce(np.meshgrid(*[log_q] * K, indexing="ij")))
        inside = np.add.reduce([np.exp(-j) for j in np.meshgrid(*[J] * K, indexing="ij")]) / K
        total -= (chance * np.log(inside)).sum()
    return total / len(images)


def exact_gradient(model, images, K=1, step=1e-5):
    start = {name: a.astype(float) for name, a in model.parameters.items()}
    found = {}
    for name, values in start.items():
        found[name] = np.zeros(values.shape)
        for at in np.ndindex(values.shape):
            moved = {key: a.copy() for key, a in start.items()}
            moved[name][at] += step
            up = expected(model, moved, images, K)
            moved[name][at] -= 2 * step
            found[name][at] = (up - expected(model, moved, images, K)) / (2 * step)
    return found


def estimates(model, images, copies, seeds, **options):
    many = np.tile(images, (copies, 1))
    found = [model.gradient(many, seed=seed, **options)[1] for seed in range(seeds)]
    return {name: np.array([g[name] for g in found], dtype=float) for name in found[0]}


@pytest.fixture(scope="module")
def truth():
    return {name: exact_gradient(model, X) for name, model in MODELS.items()}


RULES = [
    ("leave_one_out", 2), ("leave_one_out", 3), ("score_function", 1), (sc.estimators.ScoreFunction(2.0), 3),
    (sc.estimators.MovingAverage(initial=2.0), 2), ("disarm", 1), ("disarm", 2),
    ("arm", 1), ("arm", 2), ("local_expectation", 1), ("local_expectation", 2), ("double_cv", 2), ("double_cv", 3),
    ("rodeo", 2), ("rodeo", 3), ("nvil", 2),
]  # fmt: skip


CASES = {
    f"{name}-{getattr(rule, 'name', rule)}-{K}": (name, rule, K)
    for name, model in MODELS.items()
    for rule, K in RULES
    if rule not in ("double_cv", "rodeo") or len(model._shape.latents) == 1  # they are for one layer of units
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_against_enumeration(truth, case):
    name, estimator, K = CASES[case]
    model = MODELS[name]
    if estimator in ("disarm", "arm"):
        K *= len(model._shape.latents) + 1  # groups of a trunk and its branches
    found = estimates(model, X, 100, 200, n_samples=K, estimator=estimator)
    assert largest_z(found, truth[name]) < 4


ONE_LAYER = [name for name, model in MODELS.items() if len(model._shape.latents) == 1]


def logits(model, parameters, x):
    """Of the one layer of units."""
    if "W" in parameters:
        return 2 * (x - model.mean) @ parameters["W"] + parameters["b"]
    return net(parameters, "encoder0", 2 * (x - model.mean), model._shape.slope)


@pytest.mark.parametrize("name", ONE_LAYER)
def test_straight_through_is_what_it_says(truth, name):
    """E[dJ/dz] q (1 - q) by enumeration is what comes to the logits; and it is biased."""
    model = MODELS[name]
    start = {key: a.astype(float) for key, a in model.parameters.items()}
    z, n = outcomes(model._shape.latents)[0], model._shape.latents[0]
    exact = {key: a.copy() for key, a in truth[name].items()}
    for key in exact:
        if key in ("W", "b") or key.startswith("encoder"):
            exact[key][:] = 0.0
    for x in X:
        _, log_q = costs(model, start, x)
        by_z = [
            (costs(model, start, x, [z + e])[0] - costs(model, start, x, [z - e])[0]) / 2e-4 for e in 1e-4 * np.eye(n)
        ]
        q = sigmoid(logits(model, start, x))
        by_logits = np.array([np.exp(log_q) @ each for each in by_z]) * q * (1 - q)
        for key in exact:
            if not (key in ("W", "b") or key.startswith("encoder")):
                continue
            for at in np.ndindex(start[key].shape):
                ends = []
                for sign in (1, -1):
                    moved = {k: a.copy() for k, a in start.items()}
                    moved[key][at] += sign * 1e-5
                    ends.append(logits(model, moved, x) @ by_logits)
                exact[key][at] += (ends[0] - ends[1]) / 2e-5 / len(X)
    found = estimates(model, X, 100, 200, n_samples=2, estimator="straight_through")
    assert largest_z(found, exact) < 4
    assert largest_z(found, truth[name]) > 10
    assert sc.estimators.StraightThrough.unbiased is False


@pytest.mark.parametrize("name", ONE_LAYER)
def test_gumbel_softmax_differentiates_the_relaxed_bound(truth, name):
    """With its noise fixed the relaxed cost is smooth: central differences of it are the gradient. And it is biased."""
    model, options = MODELS[name], {"n_samples": 5, "estimator": sc.estimators.GumbelSoftmax(0.7), "seed": 3}
    grad = model.gradient(X, **options)[1]
    for key, values in model.parameters.items():
        for at in np.ndindex(values.shape):
            ends = []
            for sign in (1, -1):
                moved = {k: a.astype(float) for k, a in model.parameters.items()}
                moved[key][at] += sign * 0.01
                ends.append(model.with_parameters(moved).gradient(X, **options)[0])
            assert grad[key][at] == pytest.approx((ends[0] - ends[1]) / 0.02, rel=0.01, abs=2e-3)
    found = estimates(model, X, 100, 200, n_samples=2, estimator="gumbel_softmax")
    assert largest_z(found, truth[name]) > 10


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("name", ["linear", "nonlinear", "two layers"])
def test_vimco_against_enumeration(name, K):
    model = MODELS[name]
    found = estimates(model, X, 100, 200, n_samples=K, estimator="vimco")
    assert largest_z(found, exact_gradient(model, X, K)) < 4
    assert largest_z(found, exact_gradient(model, X, 1)) > 10  # which it is not the gradient of


@pytest.mark.parametrize("name", MODELS)
def test_bounds_against_enumeration(name):
    model = MODELS[name]
    parameters = {key: a.astype(float) for key, a in model.parameters.items()}
    last = -np.inf
    for K in (1, 2) if name == "three layers" else (1, 2, 3):
        mean, se = model.bound(X, n_draws=4000, n_samples=K)
        assert abs(mean + expected(model, parameters, X, K)) < 4 * se
        assert 0 < se < 0.02
        assert mean > last  # more samples, a tighter bound
        last = mean
    assert model.bound(X, n_draws=50, n_samples=2, n_threads=1) == model.bound(X, n_draws=50, n_samples=2, n_threads=2)


def test_vimco_in_a_tail(truth):
    """One sample that outweighs all others by e^60 leaves its baseline finite."""
    model = MODELS["linear"]
    wide = model.with_parameters({key: a * (60 if key in "Vc" else 1) for key, a in model.parameters.items()})
    cost, grad = wide.gradient(X, n_samples=5, estimator="vimco")
    assert np.isfinite(cost)
    assert all(np.isfinite(g).all() for g in grad.values())


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("estimator", ["leave_one_out", "disarm", "vimco", "moving_average", "arm", "nvil"])
@pytest.mark.parametrize("shape", [{"n_latents": (70, 40)}, {"n_latents": 60, "hidden": (50, 40)}])
def test_threads_leave_the_bits_alone(tmp_path, shape, estimator):
    images = np.random.default_rng(0).uniform(size=(150, 90)) ** 3
    model = sc.BernoulliVAE(90, **shape, mean=images.mean(axis=0))
    K = 6
    options = {"data": images, "batch_size": 130, "n_samples": K, "estimator": estimator, "seed": 3}
    fits = [sc.minimize(model, n_steps=8, n_threads=n, **options) for n in (1, 2, 3)]
    assert len({fit.model._flat.tobytes() for fit in fits}) == 1
    assert len({fits[0].model.bound(images, n_draws=3, n_samples=2, n_threads=n) for n in (1, 2, 3)}) == 1
    half = sc.minimize(model, n_steps=3, **options)
    half.save(tmp_path / "fit.npz")
    loaded = sc.optimize.Fit.load(tmp_path / "fit.npz", model, data=images)
    assert loaded.resume(5).model._flat.tobytes() == fits[0].model._flat.tobytes()


def test_both_engines_of_one_linear_layer_agree():
    """The kernels of bits and those of a graph sum up in another order, over the same noise of pixels and of orders."""
    rng = np.random.default_rng(2)
    images = (rng.random((40, 30)) < 0.4).astype(float)
    model = sc.BernoulliVAE(30, 8, mean=images.mean(axis=0))
    pilot = model.gradient(images, n_samples=400, seed=9)[1]
    ahead = {name: a / np.linalg.norm(a) for name, a in pilot.items()}
    found = {}
    for rule in ("leave_one_out", sc.estimators.MovingAverage(initial=0.0)):  # the second one is a graph's alone
        grads = [model.gradient(images, n_samples=4, seed=seed, estimator=rule)[1] for seed in range(300)]
        found[str(rule)] = {name: np.array([(g[name] * d).sum() for g in grads]) for name, d in ahead.items()}
    one, other = found.values()
    for name in ahead:
        error = np.sqrt((one[name].var(ddof=1) + other[name].var(ddof=1)) / 300)
        assert abs(one[name].mean() - other[name].mean()) < 4 * error


def test_encode_decode_and_sample():
    model = MODELS["two nonlinear layers"]
    parameters = {key: a.astype(float) for key, a in model.parameters.items()}
    q = sigmoid(net(parameters, "encoder0", 2 * (X - model.mean), 0.1))
    np.testing.assert_allclose(model.encode(X), q, rtol=1e-5)
    z = np.array([[0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(model.decode(z), sigmoid(net(parameters, "decoder0", 2 * z - 1, 0.1)), rtol=1e-5)
    drawn = model.sample(20000)
    wanted = np.zeros(3)
    prior = sigmoid(parameters["prior"])
    for top in itertools.product((0, 1), repeat=3):
        chance = np.prod(np.where(top, prior, 1 - prior))
        p = sigmoid(net(parameters, "decoder1", 2 * np.array(top) - 1, 0.1))
        for z in itertools.product((0, 1), repeat=2):
            wanted += (
                chance * np.prod(np.where(z, p, 1 - p)) * sigmoid(net(parameters, "decoder0", 2 * np.array(z) - 1, 0.1))
            )
    np.testing.assert_allclose(drawn.mean(axis=0), wanted, atol=4 * drawn.std(axis=0).max() / np.sqrt(20000))
    assert model.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_value(tmp_path, name):
    model = MODELS[name]
    before = model._flat.tobytes()
    sc.minimize(model, data=X, batch_size=2, n_samples=12, n_steps=20)
    assert model._flat.tobytes() == before
    model.save(tmp_path / "model.npz")
    for again in (sc.BernoulliVAE.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert repr(again) == repr(model)
        assert again._flat.tobytes() == before
        assert again.mean.tobytes() == model.mean.tobytes()
        assert again.bound(X) == model.bound(X)
    for array in model.parameters.values():
        assert not array.flags.writeable
    assert [node.source for node in model._graph.nodes if node.layer.units] != []
    assert model._graph.nodes[0].source == INPUT


def test_it_learns():
    rng = np.random.default_rng(0)
    images = (rng.random((300, 1)) < 0.5) * np.ones((1, 12))
    images = np.abs(images - (rng.random(images.shape) < 0.05))  # all on or all off, but for a few
    for shape in ({"n_latents": (4, 2)}, {"n_latents": 3, "hidden": (8,)}):
        start = sc.BernoulliVAE(12, **shape, mean=images.mean(axis=0))
        for rule in ("disarm", "leave_one_out", "vimco"):
            fit = sc.minimize(start, data=images, batch_size=50, n_samples=6, n_steps=500, estimator=rule,
                              optimizer=sc.Adam(0.02))  # fmt: skip
            assert fit.model.bound(images, n_draws=20)[0] > start.bound(images, n_draws=20)[0] + 3


def test_refusals():
    with pytest.raises(ValueError, match=re.escape("`n_latents` must hold the units of at least one layer, got none")):
        sc.BernoulliVAE(3, ())
    for name, given in (("n_latents", "32,16"), ("n_latents", None), ("n_latents", 8.0), ("hidden", None)):
        rule = f"`{name}` must be an integer or a sequence of them, such as (200, 100), got {given!r}"
        with pytest.raises(TypeError, match=f"^{re.escape(rule)}$"):
            sc.BernoulliVAE(4, **{name: given})
    with pytest.raises(TypeError, match=r"^`data` must be an array of numbers, got 'digits'$"):
        sc.BernoulliVAE(4, (3, 2)).bound("digits")
    with pytest.raises(TypeError, match=r", which brings its own: `data` is what it learns from$"):
        sc.minimize(sc.BernoulliVAE(4, (3, 2)), X, n_steps=1, n_samples=3)
    with pytest.raises(ValueError, match=r"`n_latents` must be in .*, got 0"):
        sc.BernoulliVAE(3, (2, 0))
    with pytest.raises(TypeError, match="`hidden` must be"):
        sc.BernoulliVAE(3, 2, hidden=(2.5,))
    with pytest.raises(ValueError, match="`slope` must be at least 0, got -1"):
        sc.BernoulliVAE(3, 2, slope=-1)
    model = MODELS["two layers"]
    with pytest.raises(ValueError, match=r"`n_samples` must be a multiple of 3 for disarm .*, got 4"):
        model.gradient(X, n_samples=4, estimator="disarm")
    with pytest.raises(ValueError, match="`n_samples` must be at least 2 for vimco, got 1"):
        model.gradient(X, n_samples=1, estimator="vimco")
    with pytest.raises(
        ValueError, match=r"`estimator` must be score_function, .*gumbel_softmax or vimco for a BernoulliVAE, got Auto"
    ):
        model.gradient(X, estimator="auto")
    for name in ("double_cv", "rodeo", "straight_through", "gumbel_softmax"):
        with pytest.raises(
            ValueError, match=f"`estimator` {name} is for a BernoulliVAE with one layer of units, got 2"
        ):
            model.gradient(X, estimator=name)
    with pytest.raises(ValueError, match=r"`n_samples` must be a multiple of 3 for arm .*, got 4"):
        model.gradient(X, n_samples=4, estimator="arm")
    with pytest.raises(ValueError, match=r"`parameters` must hold encoder0\.linear0\.weight, "):
        model.with_parameters({"W": np.zeros((3, 2))})
    with pytest.raises(ValueError, match=r"`z` must have the shape \(n, n_latents = 2\)"):
        model.decode(np.zeros((1, 3)))
    net_ = sc.Network(sc.Linear(3, 2), sc.BernoulliUnits(), sc.Linear(2, 3), cost=sc.costs.BernoulliLikelihood())
    with pytest.raises(ValueError, match=r"`estimator` must be .*gumbel_softmax for a Network, got Vimco"):
        net_.gradient(X, estimator="vimco")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{"n_latents": (200, 100)}, {"n_latents": 200, "hidden": (200, 200)}])
def test_estimators_agree_on_a_model_as_large_as_mnist(shape):
    """Means along 20 directions of each parameter's gradient, and along what a pilot takes for the gradient."""
    x = (np.random.default_rng(0).random((50, 784)) < 0.2).astype(np.float32)
    model = sc.BernoulliVAE(784, **shape, mean=x.mean(axis=0))
    pilot = model.gradient(x, n_samples=300, seed=99)[1]
    rng = np.random.default_rng(1)
    directions = {
        name: np.column_stack([rng.normal(size=(a.size, 20)) / np.sqrt(a.size), a.reshape(-1) / np.linalg.norm(a)])
        for name, a in pilot.items()
    }
    height = -model.bound(x, n_draws=10)[0]
    found = []
    for rule, K in [("leave_one_out", 4), ("disarm", 6), (sc.estimators.ScoreFunction(height), 4)]:
        grads = [model.gradient(x, n_samples=K, estimator=rule, seed=seed)[1] for seed in range(30)]
        found.append({name: np.array([g[name].reshape(-1) @ d for g in grads]) for name, d in directions.items()})
    for name in directions:
        for one, other in itertools.combinations((of[name] for of in found), 2):
            gap = one.mean(axis=0) - other.mean(axis=0)
            error = np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / 30)
            assert np.abs(gap / error).max() < 5  # of some 1,300, with 58 degrees of freedom


@pytest.mark.parametrize("shape", [{"n_latents": (70, 40)}, {"n_latents": 66, "hidden": (33, 20)}])
@pytest.mark.parametrize("estimator", ["disarm", "leave_one_out"])
def test_tables_of_subsets_are_products(monkeypatch, shape, estimator):
    """Widths that are no multiples of 16 or 32, and again where memory holds the gradient of another step."""
    x = (np.random.default_rng(0).random((150, 90)) < 0.3).astype(float)
    model = sc.BernoulliVAE(90, **shape, mean=x.mean(axis=0))
    rule = _network.DISARM if estimator == "disarm" else _network.LEAVE_ONE_OUT
    rows = model._graph.rows(2, rule)
    assert any(model._graph.by_bits(rows, 150, rule))
    fast = [model.gradient(x, n_samples=6, estimator=estimator, seed=seed) for seed in range(2)]
    trainer = model.trainer(x, batch_size=150, n_samples=6, estimator=estimator)
    again = [trainer.gradient()[1].copy() for _ in range(3)]
    assert all(grad.tobytes() == again[0].tobytes() for grad in again)
    monkeypatch.setattr(_graph, "LEAST", 1 << 30)
    assert not any(model._graph.by_bits(rows, 150, rule))
    for seed, (cost, grad) in enumerate(fast):
        other_cost, other = model.gradient(x, n_samples=6, estimator=estimator, seed=seed)
        assert cost == pytest.approx(other_cost, rel=1e-6)
        for name in grad:
            np.testing.assert_allclose(grad[name], other[name], rtol=1e-3, atol=2e-6 * np.abs(other[name]).max() + 1e-7)
