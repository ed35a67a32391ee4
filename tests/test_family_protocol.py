"""Families of one's own: `sc.Family` with arrays and dicts of parameters goes wherever the package's families go."""

import copy
import pickle

import numpy as np
import pytest
from families import begins, cost_of, every, made, refuses, same

import stochcore as sc


class Dice(sc.Family):
    """Classes 1 .. C by softmax of the weights, on several dice."""

    def __init__(self, weights):
        self.parameters = np.asarray(weights, dtype=float)

    @property
    def probs(self):
        e = np.exp(self.parameters - self.parameters.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def noise_shape(self, n):
        return (n, len(self.parameters))

    def step(self, z):
        return 1 + (z[..., None] >= np.cumsum(self.probs, axis=-1)[:, :-1]).sum(axis=-1)

    def log_prob(self, y):
        each = np.log(self.probs)[np.arange(len(self.parameters)), y - 1]
        return each.sum(axis=-1)

    def score(self, y):
        hit = np.asarray(y)[..., None] - 1 == np.arange(self.parameters.shape[1])
        return hit - self.probs

    def enumerate(self):
        dice, sides = self.parameters.shape
        return 1 + np.stack(np.unravel_index(np.arange(sides**dice), (sides,) * dice), axis=-1)


class Coins(sc.Family):
    """Three coins on logistic noise: the parameters are a dict, one of them a scalar."""

    noise_kind = "logistic"

    def __init__(self, parameters):
        self.parameters = parameters

    @property
    def logits(self):
        return np.append(self.parameters["first"], self.parameters["last"])

    def noise_shape(self, n):
        return (n, 3)

    def step(self, z):
        return (z + self.logits > 0).astype(np.uint8)

    def log_prob(self, y):
        return -np.logaddexp(0, np.where(y, -self.logits, self.logits)).sum(axis=1)

    def score(self, y):
        each = y - 1 / (1 + np.exp(-self.logits))
        return {"first": each[:, :2], "last": each[:, 2]}

    def enumerate(self):
        return np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=-1).astype(np.uint8)


def dice():
    return Dice(np.random.default_rng(0).normal(size=(2, 3)))


def twin_of(q):
    return sc.Categorical(logits=q.parameters)


def total(y):
    return np.abs(y @ np.array([1.0, 2.0]) - 4.3) ** 1.5


def total_of_twin(y):
    return total(y + 1)


# Against the same model of the package


def test_samples_are_those_of_the_twin():
    q, s = dice(), sc.Stream(4).at(9)
    assert np.array_equal(q.sample(500, s), twin_of(q).sample(500, s) + 1)
    assert same(q.sample(500, s, n_threads=2), q.step(q.noise(500, s)))
    assert q.n_elements == 2
    with refuses(TypeError, "`stream` must be a stochcore.Stream, got int"):
        q.sample(2, 3)
    with refuses(ValueError, "`n` must be at least 0, got -1"):
        q.sample(-1, s)


@pytest.mark.parametrize("estimator", ["leave_one_out", "score_function"])
@pytest.mark.parametrize("n", [2, 3, 100, 3000, 70_000])
def test_estimates_are_those_of_the_twin(estimator, n):
    q = dice()
    a = sc.estimate(q, total, n, estimator=estimator, seed=5)
    b = sc.estimate(twin_of(q), total_of_twin, n, estimator=estimator, seed=5)
    for field in ("cost", "cost_se", "best_cost"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-12)
    np.testing.assert_allclose(a.grad, b.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.grad_se, b.grad_se, rtol=1e-7, atol=1e-10)
    assert np.array_equal(a.best_y, b.best_y + 1)
    assert a.unbiased


def test_exact_is_that_of_the_twin():
    q = dice()
    a, b = sc.exact(q, total), sc.exact(twin_of(q), total_of_twin)
    assert a.cost == pytest.approx(b.cost, rel=1e-13)
    np.testing.assert_allclose(a.grad, b.grad, rtol=1e-11, atol=1e-13)


def test_descent_is_that_of_the_twin():
    q = dice()
    a = sc.minimize(q, total, n_steps=50, n_samples=16, seed=1, optimizer=sc.Adam(0.05))
    b = sc.minimize(twin_of(q), total_of_twin, n_steps=50, n_samples=16, seed=1, optimizer=sc.Adam(0.05))
    assert isinstance(a.model, Dice)
    np.testing.assert_allclose(a.model.parameters, b.model.parameters, rtol=1e-8)
    np.testing.assert_allclose(a.history.cost, b.history.cost, rtol=1e-9)
    assert np.array_equal(a.best_y, b.best_y + 1)


def test_descent_is_resumed():
    q = dice()
    straight = sc.minimize(q, total, n_steps=6, n_samples=8)
    half = sc.minimize(q, total, n_steps=2, n_samples=8)
    assert same(half.resume(4).model.parameters, straight.model.parameters)


def test_a_family_without_an_address_in_its_repr_is_saved(tmp_path):
    class Named(Dice):
        def __repr__(self):
            return "Named()"

    q = Named(dice().parameters)
    straight = sc.minimize(q, total, n_steps=6, n_samples=8)
    sc.minimize(q, total, n_steps=2, n_samples=8).save(tmp_path / "fit.npz")
    again = sc.Fit.load(tmp_path / "fit.npz", Named(dice().parameters), total).resume(4)
    assert same(again.model.parameters, straight.model.parameters)


def test_no_bias():
    assert sc.check_unbiased(dice(), total, n_samples=(2, 5), n_replicates=400).passed
    assert sc.check_unbiased(dice(), total, "score_function", baseline=2.0, n_samples=(1, 2), n_replicates=400).passed
    assert sc.check_unbiased(coins(), cost_of_coins, n_samples=(2, 5), n_replicates=400).passed


def test_a_wrong_score_is_caught():
    class Wrong(Dice):
        def score(self, y):
            return super().score(y) * np.array([1.0, 1.0, 1.2])

    class Uncentred(Dice):
        def score(self, y):
            return super().score(y) + self.probs

    q = dice()
    truth = sc.exact(q, total).grad
    for mutant in (Wrong, Uncentred):
        e = sc.estimate(mutant(q.parameters), total, 50_000, estimator="score_function")
        assert np.abs((e.grad - truth) / e.grad_se).max() > 6


def test_any_number_of_threads_and_merging():
    q = dice()
    n = 64 * 1024 + 300
    whole = sc.estimate(q, total, n, seed=3, n_threads=1)
    assert same(sc.estimate(q, total, n, seed=3, n_threads=2).grad, whole.grad)
    parts = sc.estimate(q, total, 64 * 1024, seed=3), sc.estimate(q, total, 300, seed=3, first_sample=64 * 1024)
    merged = parts[0].merge(parts[1])
    assert same(merged.grad, whole.grad)
    assert same(merged.grad_se, whole.grad_se)
    y = q.sample(5000, sc.Stream(1))
    w = np.random.default_rng(0).normal(size=5000)
    one = q.weighted_score(y, w, n_threads=1)
    assert same(one, q.weighted_score(y, w, n_threads=2))
    np.testing.assert_allclose(one, np.tensordot(w, q.score(y), axes=1), rtol=1e-11, atol=1e-11)


# Parameters in a dict


def coins():
    return Coins({"first": np.array([0.3, -0.8]), "last": np.array(0.5)})


def cost_of_coins(y):
    return (y[:, :2] @ np.array([1.0, 2.0]) - 1.2) ** 2 * (1.0 + y[:, 2])


def test_a_dict_of_parameters():
    q = coins()
    truth = sc.exact(q, cost_of_coins)
    twin = sc.exact(sc.Bernoulli(logits=[0.3, -0.8, 0.5]), cost_of_coins)
    assert truth.cost == pytest.approx(twin.cost, rel=1e-13)
    np.testing.assert_allclose([*truth.grad["first"], truth.grad["last"]], twin.grad, rtol=1e-12)
    e = sc.estimate(q, cost_of_coins, 40_000)
    assert list(e.grad) == ["first", "last"]
    assert e.grad["last"].shape == ()
    for name in e.grad:
        assert np.abs((e.grad[name] - truth.grad[name]) / e.grad_se[name]).max() < 4
    low, high = e.ci()
    assert np.all(low["first"] < high["first"])
    assert e.best_y.shape == (3,)
    fit = sc.minimize(q, cost_of_coins, n_steps=100, n_samples=16, optimizer=sc.Adam(0.05))
    assert sc.exact(fit.model, cost_of_coins).cost < truth.cost
    b = {"first": [0.5, 1.0], "last": 2.0}
    assert sc.check_unbiased(q, cost_of_coins, "score_function", baseline=b, n_samples=2, n_replicates=400).passed


# What is refused


def test_wrong_scores():
    class Short(Dice):
        def score(self, y):
            return super().score(y)[:, :1]

    class Summed(Dice):
        def score(self, y):
            return super().score(y).sum(axis=0)

    class Words(Dice):
        def score(self, y):
            return super().score(y).astype(str)

    weights = dice().parameters
    for broken, error, message in (
        (Short, ValueError, "`Short.score` must return shape (4, 2, 3) for 4 samples, got (4, 1, 3)"),
        (Summed, ValueError, "`Summed.score` must return shape (4, 2, 3) for 4 samples, got (2, 3)"),
        (Words, TypeError, "`Words.score` must return real numbers, got dtype <U32"),
    ):
        with refuses(error, message) if error is ValueError else pytest.raises(error, match=begins(message[:-5])):
            sc.estimate(broken(weights), total, 4)
        with refuses(error, message) if error is ValueError else pytest.raises(error, match=begins(message[:-5])):
            broken(weights).weighted_score(dice().sample(4, sc.Stream(0)), np.ones(4))


def test_what_a_family_lacks():
    class Bare(sc.Family):
        parameters = np.zeros(1)

        def noise_shape(self, n):
            return (n, 1)

        def step(self, z):
            return (z > 0.5) * 1

        def log_prob(self, y):
            return np.zeros(len(y))

        def score(self, y):
            return y - 0.5

    with refuses(NotImplementedError, "Bare has no `enumerate`: its outcomes cannot be listed"):
        sc.exact(Bare(), lambda y: y[:, 0])
    assert sc.estimate(Bare(), lambda y: y[:, 0], 10).grad.shape == (1,)

    class Nothing(sc.Family):
        parameters = np.zeros(1)

    with pytest.raises(TypeError, match=r"abstract methods? '?log_prob"):
        Nothing()
    with pytest.raises(TypeError, match=begins("`a` must be a family of this package, got ")):
        sc.Joint(a=Bare())
    with pytest.raises(TypeError, match=begins("`model` must be a family ")):
        sc.estimate(Bare, lambda y: y[:, 0], 10)


def test_what_the_methods_raise_comes_out_unchanged():
    class Broken(Dice):
        def step(self, z):
            raise RuntimeError("out of dice")

    with pytest.raises(RuntimeError, match=begins("out of dice")):
        sc.estimate(Broken(dice().parameters), total, 4)


def test_structures():
    q = dice()
    with refuses(ValueError, "`parameters` must have shape (2, 3), got (3,)"):
        q.with_parameters([1.0, 2.0, 3.0])
    with refuses(ValueError, "`parameters` must have the names 'first', 'last', got 'first'"):
        coins().with_parameters({"first": [0.0, 0.0]})
    with refuses(ValueError, "`parameters['last']` must have shape (), got (2,)"):
        coins().with_parameters({"first": [0.0, 0.0], "last": [0.0, 0.0]})
    moved = coins().with_parameters({"last": 1.0, "first": [0.0, 2.0]})
    assert moved.parameters["last"] == 1.0
    assert isinstance(moved, Coins)


def test_built_in_costs_price_families_of_ones_own():
    q = dice()
    w = np.array([1.0, -2.0])
    a, b = sc.estimate(q, sc.costs.Linear(w), 100), sc.estimate(q, lambda y: y @ w, 100)
    assert same(a.grad, b.grad)
    assert sc.exact(q, sc.costs.Linear(w)).cost == pytest.approx(sc.exact(q, lambda y: y @ w).cost)


def test_values():
    q = dice()
    for other in (pickle.loads(pickle.dumps(q)), copy.copy(q), copy.deepcopy(q)):
        assert same(other.parameters, q.parameters)
        assert same(other.sample(9, sc.Stream(1)), q.sample(9, sc.Stream(1)))
    a = sc.estimate(q, total, 64 * 1024)
    b = sc.estimate(pickle.loads(pickle.dumps(q)), total, 64, first_sample=64 * 1024)
    assert a.merge(b).n_samples == 64 * 1024 + 64


# repr


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: sc.Poisson(rate=[1.0, 2.0]), "Poisson(rate=<2>)"),
        (lambda: sc.Poisson(log_rate=0.0), "Poisson(log_rate=<scalar>)"),
        (lambda: sc.Binomial(3, probs=0.5), "Binomial(probs=<scalar>, total_count=3)"),
        (lambda: sc.Binomial([[3], [4]], logits=[0.5], batch_ndims=1),
         "Binomial(logits=<1>, total_count=<2 x 1>, batch_ndims=1)"),
        (lambda: sc.NegativeBinomial(2.5, probs=[0.5]), "NegativeBinomial(probs=<1>, total_count=2.5)"),
        (lambda: sc.Geometric(logits=[[0.0]]), "Geometric(logits=<1 x 1>)"),
        (lambda: sc.Ordinal(0.0, [1.0]), "Ordinal(location=<scalar>, cutpoints=<1>, noise='logistic')"),
        (lambda: sc.RoundedNormal([0.0], 1.0), "RoundedNormal(mean=<1>, scale=<scalar>, step=1.0)"),
        (lambda: sc.Normal([0.0], log_scale=1.0), "Normal(mean=<1>, log_scale=<scalar>)"),
        (lambda: sc.PlackettLuce(np.zeros((4, 3)), batch_ndims=1), "PlackettLuce(logits=<4 x 3>, batch_ndims=1)"),
        (lambda: sc.TopK(np.zeros(3), 2, ordered=False), "TopK(logits=<3>, k=2, ordered=False)"),
        (lambda: sc.MarkovChain(np.zeros(2), np.zeros((2, 2)), n_steps=4),
         "MarkovChain(initial=<2>, transitions=<2 x 2>, n_steps=4)"),
        (lambda: sc.MarkovChain(np.zeros(2), np.zeros((3, 2, 2))), "MarkovChain(initial=<2>, transitions=<3 x 2 x 2>)"),
        (lambda: sc.Joint(a=sc.Poisson(rate=1.0), b=sc.TopK(np.zeros(3), 2)),
         "Joint(a=Poisson(rate=<scalar>), b=TopK(logits=<3>, k=2, ordered=True))"),
        (lambda: sc.Linear(np.zeros((2, 3)), np.zeros(3)), "Linear(<2 x 3>, bias)"),
        (lambda: sc.Linear(np.zeros(2)), "Linear(<2>)"),
    ],
)  # fmt: skip
def test_repr(build, expected):
    assert repr(build()) == expected


def test_costs_of_joints_are_functions():
    q = sc.Joint(a=sc.Bernoulli(logits=[0.0, 0.1]))
    for call in (
        lambda: sc.estimate(q, sc.costs.Linear([1.0, 2.0]), 4),
        lambda: sc.exact(q, sc.costs.Linear([1.0, 2.0])),
    ):
        with refuses(TypeError, "`cost` must be a function of the dict that a Joint draws, got costs.Linear(<2>)"):
            call()
    assert cost_of(q)(q.sample(3, sc.Stream(0))).shape == (3,)


def filled(tree):
    """Arrays to write into, like those of a tree."""
    return {name: filled(part) for name, part in tree.items()} if isinstance(tree, dict) else np.full_like(tree, 77)


@every
def test_every_result_into_out(name):
    q, s = made(name), sc.Stream(3)
    y, z = q.sample(3, s), q.noise(3, s)
    weights = np.linspace(-1, 2, 3 * int(np.prod(q.batch_shape))).reshape(3, *q.batch_shape)
    latent = [lambda **more: q.latent_step(z, **more)] if hasattr(q, "latent_step") else []
    for call in (
        lambda **more: q.sample(3, s, **more),
        lambda **more: q.noise(3, s, **more),
        lambda **more: q.step(z, **more),
        lambda **more: q.log_prob(y, **more),
        lambda **more: q.outcome_probs(y, **more),
        lambda **more: q.score(y, **more),
        lambda **more: q.weighted_score(y, weights, **more),
        *latent,
    ):
        wanted = call()
        out = filled(wanted)
        assert call(out=out) is out
        assert same(out, wanted)
        if isinstance(out, dict):
            with pytest.raises(TypeError, match=begins("`out` must be a dict of ")):
                call(out=np.zeros(3))
            with pytest.raises(ValueError, match=begins("`out` must have the names ")):
                call(out={**out, "other": np.zeros(3)})
        else:
            with pytest.raises(ValueError, match=begins("`out` must have shape ")):
                call(out=np.zeros((4, 7), out.dtype))
            with pytest.raises(TypeError, match=begins("`out` must have dtype ")):
                call(out=out.astype(np.complex64))
            with refuses(TypeError, "`out` must be a NumPy array, got 'x'"):
                call(out="x")


def test_nothing_is_written_where_a_part_of_out_does_not_fit():
    q = sc.Joint(bits=sc.Bernoulli(logits=[0.1, 0.2]), at=sc.Normal([0.0], 1.0))
    y, s = q.sample(3, sc.Stream(0)), sc.Stream(3)
    for call in (
        lambda out: q.sample(3, s, out=out),
        lambda out: q.noise(3, s, out=out),
        lambda out: q.score(y, out=out),
        lambda out: q.weighted_score(y, np.ones(3), out=out),
    ):
        out = filled(call(None))
        bits = out["bits"].copy()
        if isinstance(out["at"], dict):
            out["at"]["scale"] = None
            message = "`out` must be a NumPy array, got None"
        else:
            out["at"] = np.zeros(5)
            message = "`out` must have shape (3, 1), got (5,)"
        with pytest.raises((TypeError, ValueError), match=begins(message)):
            call(out)
        assert same(out["bits"], bits)


def test_latent_steps_stop_at_the_ends_of_the_type():
    assert sc.RoundedNormal(0.0, 1.0).latent_step([1e300, -1e300]).tolist() == [2**31 - 1, 1 - 2**31]
