"""sc.Network: gradients against enumeration, training, value semantics, files, refusals."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from stacks import estimates, exact_gradient, expected, largest_z

import stochcore as sc

X = np.array([[0.5, -1.0, 0.25], [-0.75, 0.5, 1.0]])
LABELS = np.array([0, 2])
TARGETS = np.array([[0.25, 0.75], [1.0, 0.0]])
ONE = sc.costs.CrossEntropy()


def net(*layers, cost, seed=3, size=0.8):
    """With biases and weights far enough from 0 for every term to matter."""
    made = sc.Network(*layers, cost=cost, seed=seed)
    noise = np.random.default_rng(seed)
    return made.with_parameters({name: noise.normal(0, size, a.shape) for name, a in made.parameters.items()})


class Plain:
    """A cost of one's own with a gradient."""

    def __call__(self, output, target):
        return ((output - target) ** 2).sum(axis=1) * (1 + output[:, 0] ** 2)

    def grad(self, output, target):
        first = np.zeros(output.shape)
        first[:, 0] = 2 * output[:, 0] * ((output - target) ** 2).sum(axis=1)
        return 2 * (output - target) * (1 + output[:, :1] ** 2) + first


def hard(output, target):
    """A cost of hard decisions, without a gradient."""
    return (output.sum(axis=1) - 1.2) ** 2 + output[:, 0] * target[:, 0]


NETS = {
    "units": (net(sc.Linear(3, 4), sc.BernoulliUnits(), sc.Linear(4, 3), cost=ONE), LABELS),
    "deep in front": (
        net(sc.Linear(3, 3), sc.LeakyReLU(0.3), sc.Linear(3, 3), sc.BernoulliUnits(3), sc.Linear(3, 3), sc.Tanh(),
            sc.Linear(3, 2), cost=sc.costs.BernoulliLikelihood()),
        TARGETS,
    ),
    "two layers of units": (
        net(sc.Linear(3, 3), sc.BernoulliUnits(), sc.Linear(3, 3), sc.BernoulliUnits(), sc.Linear(3, 2),
            cost=sc.costs.SquaredError()),
        TARGETS,
    ),
    "two with a map between": (
        net(sc.Linear(3, 2), sc.Tanh(), sc.Linear(2, 2), sc.BernoulliUnits(), sc.Linear(2, 3), sc.LeakyReLU(0.1),
            sc.Linear(3, 2), sc.BernoulliUnits(), sc.Linear(2, 3), cost=ONE),
        LABELS,
    ),
    "classes": (
        net(sc.Linear(3, 6), sc.CategoricalUnits(2, 3), sc.Linear(6, 3), cost=ONE),
        LABELS,
    ),
    "classes, then units": (
        net(sc.Linear(3, 4), sc.CategoricalUnits(2, 2), sc.Linear(4, 2), sc.BernoulliUnits(), sc.Linear(2, 2),
            cost=sc.costs.SquaredError()),
        TARGETS,
    ),
    "normal": (
        net(sc.Linear(3, 4), sc.NormalUnits(2), sc.Tanh(), sc.Linear(2, 2), cost=sc.costs.SquaredError(), size=0.4),
        TARGETS,
    ),
    "normal, then units": (
        net(sc.Linear(3, 2), sc.NormalUnits(1), sc.Linear(1, 3), sc.BernoulliUnits(), sc.Linear(3, 2),
            cost=sc.costs.SquaredError(), size=0.4),
        TARGETS,
    ),
    "units, then normal": (
        net(sc.Linear(3, 2), sc.BernoulliUnits(), sc.Linear(2, 2), sc.NormalUnits(2, 0.5), sc.Linear(2, 2),
            cost=sc.costs.BernoulliLikelihood()),
        TARGETS,
    ),
    "dropout": (
        net(sc.Dropout(0.3), sc.Linear(3, 2), sc.BernoulliUnits(), sc.Linear(2, 3), sc.Dropout(0.5), sc.Linear(3, 3),
            cost=ONE),
        LABELS,
    ),
    "a cost of one's own": (net(sc.Linear(3, 3), sc.BernoulliUnits(), sc.Linear(3, 2), cost=Plain()), TARGETS),
    "no gradient": (net(sc.Linear(3, 3), sc.BernoulliUnits(), cost=hard), TARGETS),
    "no gradient, two layers": (
        net(sc.Linear(3, 2), sc.BernoulliUnits(), sc.Linear(2, 4), sc.CategoricalUnits(2, 2), cost=hard),
        TARGETS,
    ),
}  # fmt: skip
RULES = [
    ("score_function", 1), ("score_function", 3), ("leave_one_out", 2), ("leave_one_out", 3), ("leave_one_out", 8),
    (sc.estimators.ScoreFunction(1.5), 2), (sc.estimators.MovingAverage(initial=0.5), 2), ("disarm", None),
    ("disarm", 2), ("nvil", 2), ("arm", None), ("arm", 2), ("local_expectation", 1), ("local_expectation", 2),
    ("double_cv", 2), ("double_cv", 3), (sc.estimators.DoubleCV(0.4), 2),
    ("rodeo", 2), ("rodeo", 3),
]  # fmt: skip


@pytest.fixture(scope="module")
def truth():
    return {name: exact_gradient(model, X, target) for name, (model, target) in NETS.items()}


def samples_for(model, rule, K):
    """Samples, or None where a rule is not for this network: K of disarm and arm counts groups."""
    units = [layer for layer in model.layers if layer.units]
    bits = [isinstance(layer, sc.BernoulliUnits) for layer in units]
    if rule in ("disarm", "arm"):
        return (len(units) + 1) * (K or 1) if bits and all(bits) else None
    if rule in ("double_cv", "rodeo") or isinstance(rule, sc.estimators.DoubleCV):
        return K if bits and bits[-1] and model.cost is not hard else None
    return K


CASES = {
    f"{name}-{rule[0]}-{rule[1]}": (name, rule[0], K)
    for name, (model, _) in NETS.items()
    for rule in RULES
    if (K := samples_for(model, *rule)) is not None
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_against_enumeration(truth, case):
    name, estimator, K = CASES[case]
    model, target = NETS[name]
    found = estimates(model, X, target, 100, 200, n_samples=K, estimator=estimator)
    assert largest_z(found, truth[name]) < 4


def test_a_baseline_that_includes_the_sample_is_caught(truth):
    """Its weights are (K - 1)/K of those of leave-one-out: half at K = 2."""
    model, target = NETS["units"]
    found = estimates(model, X, target, 100, 200, n_samples=2)
    found["linear0.weight"] /= 2
    assert largest_z(found, truth["units"]) > 10


def test_straight_through_is_biased_and_says_so(truth):
    model, target = NETS["two with a map between"]
    found = estimates(model, X, target, 100, 200, n_samples=2, estimator="straight_through")
    assert largest_z(found, truth["two with a map between"]) > 10
    assert sc.estimators.StraightThrough().unbiased is False
    # by hand: one unit, cost linear in it, so that it has no bias
    linear = net(sc.Linear(2, 1), sc.BernoulliUnits(), sc.Linear(1, 1), cost=sc.costs.BernoulliLikelihood())
    x, zero = np.array([[0.5, 1.0]]), np.array([[0.0]])
    W, b = linear.parameters["linear0.weight"], linear.parameters["linear0.bias"]
    V, c = linear.parameters["linear1.weight"][0, 0], linear.parameters["linear1.bias"][0]
    q = 1 / (1 + np.exp(-(x @ W + b)))[0, 0]
    for seed in range(4):
        _, _, grad = linear.gradient(x, zero, n_samples=1, seed=seed, estimator="straight_through")
        y = round((np.log(1 / (1 / (grad["linear1.bias"][0]) - 1)) - c) / V)  # sigmoid(V y + c) is its gradient
        assert grad["linear0.bias"][0] == pytest.approx(q * (1 - q) * V / (1 + np.exp(-(V * y + c))), rel=1e-4)


def test_deterministic_networks_are_differentiated_exactly():
    x = np.random.default_rng(0).normal(size=(7, 3))
    for cost, target in [
        (ONE, np.arange(7) % 4),
        (sc.costs.SquaredError(), np.random.default_rng(1).normal(size=(7, 4))),
        (sc.costs.BernoulliLikelihood(), np.random.default_rng(2).random((7, 4))),
    ]:
        model = net(sc.Linear(3, 5), sc.Tanh(), sc.Linear(5, 6), sc.LeakyReLU(0.3), sc.Tanh(), sc.Linear(6, 4),
                    cost=cost)  # fmt: skip
        value, se, grad = model.gradient(x, target, n_samples=1)
        exact = exact_gradient(model, x, target)
        for name in grad:
            np.testing.assert_allclose(grad[name], exact[name], rtol=2e-4, atol=2e-6)
        costs = cost(model.predict(x), target) if isinstance(cost, sc.costs.SquaredError) else None
        if costs is not None:
            assert value == pytest.approx(costs.mean(), rel=1e-5)
            assert se == pytest.approx(costs.std(ddof=1) / np.sqrt(7), rel=1e-5)
        assert model.loss((x, target))[0] == pytest.approx(value, rel=1e-6)
        assert model.loss((x, target))[1] == 0
        again = model.gradient(x, target, n_samples=5, estimator="score_function")
        assert all(again[2][name].tobytes() == grad[name].tobytes() for name in grad)  # one sample tells all


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("name", NETS)
def test_threads_leave_the_bits_alone(name):
    model, target = NETS[name]
    wide = sc.Network(sc.Linear(3, 300), sc.Tanh(), sc.Linear(300, model.sizes[0]), *rows_of(model), cost=model.cost)
    x, targets = np.tile(X, (150, 1)), np.concatenate([target] * 150)
    one = wide.gradient(x, targets, n_samples=4, n_threads=1)
    two = wide.gradient(x, targets, n_samples=4, n_threads=2)
    assert one[:2] == two[:2]
    for key in one[2]:
        assert one[2][key].tobytes() == two[2][key].tobytes()
    fits = [
        sc.minimize(wide, data=(x, targets), batch_size=130, n_samples=4, n_steps=5, n_threads=n).model._flat.tobytes()
        for n in (1, 2)
    ]
    assert fits[0] == fits[1]


def rows_of(model):
    """The layers of a network again, as they were given."""
    values = iter(model.parameters.values())
    return [
        sc.Linear(*(next(values).copy() for _ in range(2))) if type(layer).__name__ == "Affine" else layer
        for layer in model.layers
    ]


@pytest.mark.usefixtures("teams")
def test_loss_and_predict_are_expectations():
    model, target = NETS["units"]
    parameters = {name: a.astype(float) for name, a in model.parameters.items()}
    mean, se = model.loss((X, target), n_draws=4000)
    assert abs(mean - expected(model, parameters, X, target)) < 4 * se
    assert 0 < se < 0.05
    again, other = model.loss((X, target), n_draws=4000), model.loss((X, target), n_draws=4000, seed=1)
    assert again == (mean, se) != other
    p = model.predict(X, n_samples=4000)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for row in range(2):
        wanted = [
            expected(_with_cost(model, lambda o, t, c=c: np.exp(-ONE(o, np.full(len(o), c)))), parameters,
                     X[row : row + 1], [0])
            for c in range(3)
        ]  # fmt: skip
        np.testing.assert_allclose(p[row], wanted, atol=0.03)
    assert model.predict(X, n_samples=70, n_threads=1).tobytes() == model.predict(X, n_samples=70).tobytes()


def _with_cost(model, cost):
    made = sc.Network(*rows_of(model), cost=cost)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(made.parameters.values(), model.parameters.values(),
                                                          strict=True))  # fmt: skip
    return made


def test_training_moves_by_the_gradient():
    """A step of plain descent is the gradient of the batch, in its order."""
    model, target = NETS["units"]
    fit = sc.minimize(model, data=(X, target), batch_size=2, n_samples=3, n_steps=1, optimizer=sc.SGD(0.5), seed=4)
    for order in ([0, 1], [1, 0]):
        cost, se, grad = model.gradient(X[order], target[order], n_samples=3, seed=4)
        if (cost, se) == (fit.history.cost[0], fit.history.cost_se[0]):
            break
    else:
        pytest.fail("no order of the batch has this cost")
    for name, g in grad.items():
        moved = model.parameters[name] - np.float32(0.5) * g
        np.testing.assert_array_equal(fit.model.parameters[name], moved)
    flat = np.concatenate([g.reshape(-1) for g in grad.values()]).astype(float)
    assert fit.history.grad_norm[0] == pytest.approx(np.linalg.norm(flat), rel=1e-6)


@pytest.mark.parametrize("rule", ["leave_one_out", "moving_average", "disarm", sc.estimators.MovingAverage(0.5, 1.0)])
def test_an_interrupted_fit_has_the_bits_of_a_whole_one(tmp_path, rule):
    model, target = NETS["two layers of units"]
    x, targets = np.tile(X, (10, 1)), np.concatenate([target] * 10)
    options = {"data": (x, targets), "batch_size": 7, "n_samples": 3, "estimator": rule, "seed": 5}
    whole = sc.minimize(model, n_steps=23, **options)
    half = sc.minimize(model, n_steps=9, **options)
    half.save(tmp_path / "fit.npz")
    loaded = sc.optimize.Fit.load(tmp_path / "fit.npz", model, data=(x, targets))
    for fit in (half.resume(14), loaded.resume(6).resume(8)):
        assert fit.model._flat.tobytes() == whole.model._flat.tobytes()
        assert fit.history.cost.tobytes() == whole.history.cost.tobytes()
    assert half.n_steps == 9


def test_a_moving_average_knows_completed_steps_only():
    """Without a past its baseline is 0; in the second step it is the first one's cost, and no other's."""
    model, target = NETS["no gradient"]
    options = {"data": (X[:1], target[:1]), "batch_size": 1, "n_samples": 2, "optimizer": sc.SGD(0.1)}
    one = sc.minimize(model, n_steps=1, estimator="moving_average", **options)
    plain = sc.minimize(model, n_steps=1, estimator="score_function", **options)
    assert one.model._flat.tobytes() == plain.model._flat.tobytes()
    constant = sc.estimators.ScoreFunction(float(one.history.cost[0]))
    second = sc.optimize.Fit(replace(one._plan, estimator=constant))  # step 1 from the same place
    second._put(one._trainer.parameters, one._moments, one._records[:1], 0.0)
    second._descend(1, False)
    assert second.model._flat.tobytes() == one.resume(1).model._flat.tobytes()
    assert second.model._flat.tobytes() != plain.resume(1).model._flat.tobytes()


def test_it_learns_and_is_a_value(tmp_path):
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    start = sc.Network(sc.Linear(2, 8), sc.BernoulliUnits(), sc.Linear(8, 2), cost=ONE, seed=1)
    before = start._flat.tobytes()
    for rule in (
        "leave_one_out", "score_function", "moving_average", "nvil", "disarm", "arm", "local_expectation", "double_cv",
        "rodeo", "straight_through", "gumbel_softmax",
    ):  # fmt: skip
        fit = sc.minimize(start, data=(x, [0, 1, 1, 0]), batch_size=4, n_samples=8, n_steps=1500, estimator=rule,
                          optimizer=sc.Adam(0.03))  # fmt: skip
        assert fit.model.loss((x, [0, 1, 1, 0]))[0] < 0.1
    assert start._flat.tobytes() == before
    for array in start.parameters.values():
        assert not array.flags.writeable
    fit.model.save(tmp_path / "net.npz")
    for again in (sc.Network.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(fit.model))):
        assert repr(again) == repr(fit.model)
        assert again._flat.tobytes() == fit.model._flat.tobytes()
        assert again.predict(x).tobytes() == fit.model.predict(x).tobytes()


def test_denoising_is_dropout_in_front():
    x = (np.random.default_rng(0).random((40, 6)) < 0.5).astype(np.float32)
    x[:, 3:] = x[:, :3]  # each number stands there twice, so a lost one can be found
    model = sc.Network(sc.Dropout(0.3), sc.Linear(6, 12), sc.Tanh(), sc.Linear(12, 6),
                       cost=sc.costs.BernoulliLikelihood())  # fmt: skip
    fit = sc.minimize(model, data=x, batch_size=20, n_samples=4, n_steps=600, optimizer=sc.Adam(0.02))
    assert fit.model.loss(x)[0] < 0.6 * model.loss(x)[0]


@pytest.mark.slow
def test_estimators_agree_on_a_network_as_large_as_mnist():
    """Means along 20 directions of each parameter's gradient, and along what a pilot takes for the gradient."""
    x = (np.random.default_rng(0).random((50, 784)) < 0.2).astype(np.float32)
    model = sc.Network(
        sc.Linear(784, 200), sc.LeakyReLU(0.3), sc.Linear(200, 50), sc.BernoulliUnits(), sc.Linear(50, 50),
        sc.BernoulliUnits(), sc.Linear(50, 784), cost=sc.costs.BernoulliLikelihood(),
    )  # fmt: skip
    pilot = model.gradient(x, n_samples=600, seed=99)[2]
    rng = np.random.default_rng(1)
    directions = {
        name: np.column_stack([rng.normal(size=(a.size, 20)) / np.sqrt(a.size), a.reshape(-1) / np.linalg.norm(a)])
        for name, a in pilot.items()
    }
    height = model.loss(x, n_draws=10)[0]
    found = []
    for rule, K in [("leave_one_out", 4), ("disarm", 3), (sc.estimators.ScoreFunction(height), 2)]:
        grads = [model.gradient(x, n_samples=K, estimator=rule, seed=seed)[2] for seed in range(40)]
        found.append({name: np.array([g[name].reshape(-1) @ d for g in grads]) for name, d in directions.items()})

    def apart(one, other):
        gap = one.mean(axis=0) - other.mean(axis=0)
        return np.abs(gap / np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / len(one))).max()

    for name in directions:
        assert max(apart(found[0][name], other[name]) for other in found[1:]) < 4.5, name
    for name in ("linear0.weight", "linear1.weight", "linear2.weight"):  # scores of half the weight
        assert apart(0.5 * found[0][name], found[1][name]) > 6, name


def test_odd_stacks():
    """Units at the very end; no parameters at all; a list of two rows is no pair."""
    model = net(sc.Linear(2, 3), sc.BernoulliUnits(), cost=sc.costs.SquaredError())
    target = np.array([[1.0, 0.0, 1.0]])
    found = estimates(model, np.array([[0.5, -1.0]]), target, 100, 200, n_samples=2)
    assert largest_z(found, exact_gradient(model, [[0.5, -1.0]], target)) < 4
    bare = sc.Network(sc.CategoricalUnits(1, 2), cost=sc.costs.SquaredError())
    assert bare.gradient([[0.0, 1.0]])[2] == {}
    assert sc.minimize(bare, data=[[0.0, 1.0], [1.0, 0.0]], batch_size=2, n_samples=2, n_steps=3).n_steps == 3
    p = bare.predict([[0.0, 1.0]], n_samples=20_000)[0]
    np.testing.assert_allclose(p, [1 / (1 + np.e), np.e / (1 + np.e)], atol=0.02)


def test_ctrl_c_leaves_the_fit_at_a_completed_step():
    """Raised by a cost of one's own in the middle of a step, as a signal would be."""
    calls = []

    def cost(output, target):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return hard(output, target)

    model = sc.Network(sc.Linear(3, 3), sc.BernoulliUnits(), cost=cost, seed=2)
    options = {"data": (X, TARGETS), "batch_size": 2, "n_samples": 2, "estimator": "moving_average"}
    with pytest.raises(KeyboardInterrupt) as raised:
        sc.minimize(model, n_steps=9, **options)
    fit = raised.value.fit
    assert fit.n_steps == 4
    assert fit.resume(5).model._flat.tobytes() == sc.minimize(model, n_steps=9, **options).model._flat.tobytes()


def refuses(error, message, call, *args, **kwargs):
    with pytest.raises(error, match=re.escape(message)):
        call(*args, **kwargs)


def test_layers_that_do_not_fit():
    refuses(ValueError, "`layers` must fit each other: layer 2, Linear(5, 2), takes 5 numbers and gets 4 in the chain "
            "3 -> Linear(3, 4) -> 4 -> BernoulliUnits(n=None) -> 4 -> Linear(5, 2)",
            sc.Network, sc.Linear(3, 4), sc.BernoulliUnits(), sc.Linear(5, 2), cost=ONE)  # fmt: skip
    refuses(ValueError, "takes 8 numbers and gets 4", sc.Network, sc.Linear(3, 4), sc.NormalUnits(4), cost=ONE)
    refuses(ValueError, "`layers` must hold at least one layer, got none", sc.Network, cost=ONE)
    refuses(ValueError, "`layers` must hold one that says its size", sc.Network, sc.Tanh(), cost=ONE)
    refuses(ValueError, "`layers` must be at most 240, got 241", sc.Network, *[sc.Linear(1, 1)] * 241, cost=ONE)
    refuses(TypeError, "`layers` must be Linear, LeakyReLU, Tanh, Dropout, BernoulliUnits, CategoricalUnits, "
            "NormalUnits, got 3 as number 1", sc.Network, sc.Linear(3, 4), 3, cost=ONE)  # fmt: skip
    refuses(ValueError, "`weight` of layer 0 must have shape (inputs, outputs), got (3,)",
            sc.Network, sc.Linear(np.ones(3)), cost=ONE)  # fmt: skip
    refuses(TypeError, "`cost` must be one of CrossEntropy", sc.Network, sc.Linear(3, 4), cost=3)


def test_bad_data_and_options():
    model, _ = NETS["units"]
    deep, _ = NETS["two layers of units"]
    classes, _ = NETS["classes"]
    bad = X.copy()
    bad[1, 2] = np.nan

    def train(data, model=model, **options):
        return sc.minimize(model, data=data, n_steps=1, **{"n_samples": 2, "batch_size": 2} | options)

    refuses(ValueError, "`data` must have shape (n, 3), n at least 1, got (2, 2)", train, (X[:, :2], LABELS))
    refuses(ValueError, "`data` must be finite in float32, got nan at index (1, 2)", train, (bad, LABELS))
    refuses(ValueError, "`data` must be finite in float32, got 1e+39 at index (0, 0)", train, (X * 0 + 1e39, LABELS))
    refuses(TypeError, "`data` must be floats or bool (divide bytes of images by 255), got dtype uint8", train,
            (X.astype(np.uint8), LABELS))  # fmt: skip
    refuses(ValueError, "`target` must lie in 0 .. 2, got 3 at index 1", train, (X, [0, 3]))
    refuses(TypeError, "`target` must hold integers, got dtype float64", train, (X, [0.0, 1.0]))
    refuses(ValueError, "`target` must have shape (n,), a label for each input, got (2, 1)", train, (X, [[0], [1]]))
    refuses(ValueError, "`target` must be given for CrossEntropy(): a label for each input", train, X)
    refuses(ValueError, "`target` must have 2 rows, as the inputs, got shape (1,)", train, (X, [0]))
    refuses(ValueError, "`target` must have shape (n, 2), as the output has, got (2, 3)", train, X, deep, n_samples=2)
    likely, _ = NETS["deep in front"]
    refuses(ValueError, "`target` must lie in [0, 1], got 1.5", train, (X, [[1.5, 0], [0, 0]]), likely)
    refuses(ValueError, "`batch_size` must be at most the number of inputs, 2, got 3", train, (X, LABELS),
            batch_size=3)  # fmt: skip
    refuses(ValueError, "`n_samples` must be at least 2 for leave_one_out, got 1", train, (X, LABELS), n_samples=1)
    refuses(ValueError, "`n_samples` must be a multiple of 2 for disarm (a pair), got 3", train, (X, LABELS),
            n_samples=3, estimator="disarm")  # fmt: skip
    refuses(ValueError, "`n_samples` must be a multiple of 3 for disarm (a trunk and a branch for each of 2 layers of "
            "units), got 2", train, (X, TARGETS), deep, estimator="disarm")  # fmt: skip
    refuses(ValueError, "`estimator` disarm is for networks whose units are BernoulliUnits, got CategoricalUnits(n=2, "
            "n_classes=3)", train, (X, LABELS), classes, estimator="disarm")  # fmt: skip
    refuses(ValueError, "`estimator` must be score_function, moving_average, nvil, leave_one_out, disarm, arm, "
            "local_expectation, double_cv, rodeo, straight_through or gumbel_softmax for a Network, got "
            "OptimalBaseline()", train, (X, LABELS), estimator="optimal_baseline")  # fmt: skip
    refuses(TypeError, "`cost` must be left out for a Network", train, (X, LABELS), cost=sc.costs.Linear([1.0]))
    refuses(ValueError, "`maximize` must be False for a Network: it brings a cost", train, (X, LABELS), maximize=True)
    refuses(ValueError, "the descent diverged", sc.minimize, deep, data=(X, TARGETS), n_steps=50, n_samples=2,
            batch_size=2, optimizer=sc.SGD(1e30))  # fmt: skip
    refuses(ValueError, "'straight_through' is for the units of an sc.Network or sc.BernoulliVAE", sc.estimate,
            sc.Bernoulli(logits=[0.0]), sc.costs.Linear([1.0]), n_samples=2, estimator="straight_through")  # fmt: skip


def test_bad_costs():
    def train(model):
        return model.gradient(X, TARGETS)

    parts = sc.Linear(3, 3), sc.BernoulliUnits()
    refuses(ValueError, "`cost` must have a `grad(output, target)`, or the layers above the last units no parameters",
            train, sc.Network(*parts, sc.Linear(3, 2), cost=hard))  # fmt: skip
    refuses(ValueError, "`cost` must return 4 numbers, one for each row, got shape () of dtype float64",
            train, sc.Network(*parts, cost=lambda o, t: o.sum() * 1.0 + 0.0 * np.float64(1)))  # fmt: skip
    refuses(
        ValueError, "the cost is not finite: nan", train, sc.Network(*parts, cost=lambda o, t: np.full(len(o), np.nan))
    )

    class Wide(Plain):
        def grad(self, output, target):
            return output[:, :1]

    refuses(ValueError, "`cost.grad` must return numbers of shape (4, 2), got (4, 1)",
            train, sc.Network(*parts, sc.Linear(3, 2), cost=Wide()))  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        train(sc.Network(*parts, cost=lambda o, t: 1 / 0))


def test_bad_parameters_and_files(tmp_path):
    model, _ = NETS["units"]
    given = dict(model.parameters)
    refuses(ValueError, "`parameters` must hold linear0.weight, linear0.bias, linear1.weight, linear1.bias, got ",
            model.with_parameters, {})  # fmt: skip
    refuses(ValueError, "`linear0.bias` must have shape (4,), got (3,)", model.with_parameters,
            given | {"linear0.bias": np.zeros(3)})  # fmt: skip
    refuses(ValueError, "`linear0.bias` must fit in float32, got 1e+39", model.with_parameters,
            given | {"linear0.bias": np.full(4, 1e39)})  # fmt: skip
    path = tmp_path / "net.npz"
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses(ValueError, "`path` must be a whole .npz file", sc.Network.load, path)
    sc.BernoulliVAE(4, 2).save(path)
    refuses(ValueError, "`path` must be a 'stochcore.Network 1' file", sc.Network.load, path)
    own, _ = NETS["no gradient"]
    own.save(path)
    refuses(TypeError, "`cost` must be given: no file can hold the one that was used", sc.Network.load, path)
    assert sc.Network.load(path, cost=hard)._flat.tobytes() == own._flat.tobytes()
    refuses(FileNotFoundError, "nothing.npz", sc.Network.load, tmp_path / "nothing.npz")
