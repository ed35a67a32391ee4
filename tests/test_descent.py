"""optimize: steps of every family, entropy terms and moving averages, held against steps by hand."""

from __future__ import annotations

import copy
import math
import pickle
import re

import numpy as np
import pytest

import stochcore as sc
from stochcore import schedules
from stochcore.distributions.parameters import Structure

pytestmark = pytest.mark.filterwarnings("ignore:all [0-9]+ sampled costs are equal:RuntimeWarning")

WEIGHTS = np.linspace(-1.0, 1.0, 6)


def total(y):
    parts = [
        np.asarray(part, dtype=float).reshape(len(part), -1) for part in (y.values() if isinstance(y, dict) else [y])
    ]
    return sum(part @ np.linspace(1.0, 2.0, part.shape[1]) for part in parts)


class Signs(sc.Family):
    """A family of one's own, with an entropy."""

    def __init__(self, w):
        self.parameters = np.asarray(w, dtype=float)

    def noise_shape(self, n):
        return (n, *self.parameters.shape)

    def step(self, z):
        return np.where(z < 1 / (1 + np.exp(-self.parameters)), 1, -1)

    def log_prob(self, y):
        return -np.log1p(np.exp(-y * self.parameters)).sum(axis=-1)

    def score(self, y):
        return y / (1 + np.exp(y * self.parameters))

    @property
    def entropy(self):
        p = 1 / (1 + np.exp(-self.parameters))
        return -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()

    @property
    def entropy_grad(self):
        p = 1 / (1 + np.exp(-self.parameters))
        return -self.parameters * p * (1 - p)


FAMILIES = {
    "bits": sc.Bernoulli(logits=np.linspace(-1, 1, 6)),
    "bits by probs": sc.Bernoulli(probs=np.linspace(0.2, 0.7, 6)),
    "bits of a map": sc.Bernoulli(logits=sc.Linear([[0.3, -0.2], [1.0, 0.1]], [0.1, -0.5])(np.eye(3)[:, :2])),
    "classes": sc.Categorical(logits=np.linspace(-1, 1, 24).reshape(6, 4)),
    "many classes": sc.Categorical(logits=np.linspace(-1, 1, 120).reshape(2, 60)),
    "ordinal": sc.Ordinal(np.zeros(3), cutpoints=[-1.0, 0.0, 1.0]),
    "poisson": sc.Poisson(rate=[0.5, 2.0, 9.0]),
    "binomial": sc.Binomial([3, 5], logits=[0.4, -1.0]),
    "negative binomial": sc.NegativeBinomial(2.0, probs=[0.6, 0.8]),
    "geometric": sc.Geometric(logits=[0.4, 1.0]),
    "rounded": sc.RoundedNormal([0.3, -2.0], scale=1.0, step=0.5),
    "normal": sc.Normal([0.3, -2.0], scale=[1.0, 2.0]),
    "chain": sc.MarkovChain([0.3, -0.1, 0.0], np.linspace(-1, 1, 9).reshape(3, 3), n_steps=5),
    "joint": sc.Joint(a=sc.Bernoulli(logits=[0.3, -2.0]), b=sc.Poisson(rate=1.4)),
    "one's own": Signs([0.3, -0.4]),
}
WITHOUT = {"order": sc.PlackettLuce([0.1, 0.4, -0.2]), "set": sc.TopK([0.1, 0.4, -0.2, 0.0], 2)}


def by_hand(model, cost, n_samples, n_steps, rate, weight=0.0, estimator="leave_one_out", sign=1.0):
    """Steps of plain SGD, each an estimate of its own on a new model; entropy adds its exact gradient."""
    free = model._unconstrained()
    costs, entropies = [], []
    for t in range(n_steps):
        stream = sc.Stream(0).at(t * n_samples * model.n_elements)
        chosen = estimator(costs) if callable(estimator) else estimator
        found = sc.estimate(free, cost, n_samples, estimator=chosen, seed=stream)
        structure = Structure.of(free.parameters)
        grad = structure.leaves(found.grad)
        if weight:
            grad = grad - sign * weight * structure.leaves(free.entropy_grad)
            entropies.append(free.entropy)
        theta = structure.leaves(free.parameters) - sign * rate * grad
        free = free.with_parameters(structure.build(theta))
        costs.append(found.cost)
    return model._given_as(free), np.array(costs), np.array(entropies)


@pytest.mark.parametrize("name", [*FAMILIES, *WITHOUT])
@pytest.mark.parametrize("estimator", ["leave_one_out", "antithetic"])
def test_steps_are_those_by_hand(name, estimator):
    model = {**FAMILIES, **WITHOUT}[name]
    fit = sc.minimize(model, total, optimizer=sc.SGD(0.05), n_steps=7, n_samples=8, estimator=estimator)
    moved, costs, _ = by_hand(model, total, 8, 7, 0.05, estimator=estimator)
    leaves = Structure.of(model.parameters).leaves
    np.testing.assert_array_equal(leaves(fit.model.parameters), leaves(moved.parameters))
    np.testing.assert_array_equal(fit.history.cost, costs)


@pytest.mark.parametrize("name", ["bits", "bits by probs", "classes", "many classes", "poisson"])
@pytest.mark.parametrize("estimator", ["leave_one_out", "optimal_baseline"])
def test_steps_with_costs_inside_are_those_by_hand(name, estimator):
    model = FAMILIES[name]
    cost = sc.costs.Linear(np.linspace(1.0, 2.0, math.prod(model.site_shape)))
    fit = sc.minimize(model, cost, optimizer=sc.SGD(0.05), n_steps=7, n_samples=40, estimator=estimator)
    moved, costs, _ = by_hand(model, cost, 40, 7, 0.05, estimator=estimator)
    np.testing.assert_array_equal(fit.model.parameters, moved.parameters)
    np.testing.assert_array_equal(fit.history.cost, costs)


def test_factors_of_scores_follow_the_parameters():
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    for price in (cost, lambda y: y @ WEIGHTS):
        fit = sc.minimize(model, price, optimizer=sc.SGD(5.0), n_steps=7, n_samples=8, estimator="disarm")
        moved, costs, _ = by_hand(model, price, 8, 7, 5.0, estimator="disarm")
        np.testing.assert_array_equal(fit.model.parameters, moved.parameters)
        np.testing.assert_array_equal(fit.history.cost, costs)


@pytest.mark.parametrize(
    "name", ["local_expectation", "measure_valued", "arm", "unordered_set", "finite_difference", "exact"]
)
def test_steps_of_other_estimators_are_those_by_hand(name):
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    for price in (cost, lambda y: y @ WEIGHTS):
        estimator = sc.estimators.resolve(name) if name != "unordered_set" else sc.estimators.UnorderedSet(k=4)
        fit = sc.minimize(model, price, optimizer=sc.SGD(0.3), n_steps=4, n_samples=8, estimator=estimator)
        moved, costs, _ = by_hand(model, price, 8, 4, 0.3, estimator=estimator)
        np.testing.assert_array_equal(fit.model.parameters, moved.parameters)
        np.testing.assert_array_equal(fit.history.cost, costs)


def test_steps_with_a_control_variate_are_those_by_hand():
    model = FAMILIES["bits"]
    linear = sc.costs.Linear(WEIGHTS)
    variate = sc.estimators.ControlVariate(
        linear, mean=lambda q: linear.linear @ q.mean, grad=lambda q: linear.linear * q.variance, coefficient="pilot"
    )

    def cost(y):
        return (y @ WEIGHTS) ** 3 + y @ WEIGHTS

    fit = sc.minimize(model, cost, optimizer=sc.SGD(0.3), n_steps=4, n_samples=8, estimator=variate)
    moved, costs, _ = by_hand(model, cost, 8, 4, 0.3, estimator=variate)
    np.testing.assert_array_equal(fit.model.parameters, moved.parameters)
    np.testing.assert_array_equal(fit.history.cost, costs)


def test_many_samples_a_step_are_those_by_hand():
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)  # more than a shard of them
    n = 1024 * 64 + 5000
    fit = sc.minimize(model, cost, optimizer=sc.SGD(0.05), n_steps=2, n_samples=n)
    np.testing.assert_array_equal(fit.model.parameters, by_hand(model, cost, n, 2, 0.05)[0].parameters)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("maximize", [False, True])
def test_the_entropy_term_adds_its_gradient(name, maximize):
    model, sign = FAMILIES[name], -1.0 if maximize else 1.0
    options = {"entropy": 0.3, "maximize": maximize}
    fit = sc.minimize(model, total, optimizer=sc.SGD(0.01), n_steps=6, n_samples=8, **options)
    moved, costs, entropies = by_hand(model, total, 8, 6, 0.01, 0.3, sign=sign)
    leaves = Structure.of(model.parameters).leaves
    np.testing.assert_allclose(leaves(fit.model.parameters), leaves(moved.parameters), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fit.history.cost, costs, rtol=1e-12)
    np.testing.assert_allclose(fit.history.entropy, entropies, rtol=1e-12)
    np.testing.assert_array_equal(fit.history.entropy_weight, 0.3)


def test_with_a_cost_of_zero_entropy_alone_moves_the_model():
    model = sc.Bernoulli(logits=[3.0, -2.0])
    fit = sc.minimize(model, sc.costs.Linear(np.zeros(2)), optimizer=sc.SGD(1.0), n_steps=400, n_samples=2, entropy=1.0)
    np.testing.assert_allclose(fit.model.probs, 0.5, atol=1e-6)
    np.testing.assert_allclose(fit.history.entropy[-1], 2 * math.log(2), rtol=1e-9)
    assert fit.history.entropy[0] == model.entropy


def test_the_minimum_with_entropy_is_the_gibbs_distribution():
    """E[w.y] - T H is least at logits -w/T."""
    temperature = 0.7
    model, cost = sc.Bernoulli(logits=np.zeros(6)), sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(
        model, cost, optimizer=sc.SGD(schedules.exponential_decay(2.0, 300, 0.5)), n_steps=2000, n_samples=200,
        entropy=temperature,
    )  # fmt: skip
    np.testing.assert_allclose(fit.model.logits, -WEIGHTS / temperature, atol=0.03)


def test_problems_have_entropies_of_their_own():
    logits = np.linspace(-1, 1, 6).reshape(2, 3)
    model, cost = sc.Bernoulli(logits=logits, batch_ndims=1), sc.costs.Linear(WEIGHTS.reshape(2, 3), batch_ndims=1)
    fit = sc.minimize(model, cost, n_steps=3, n_samples=4, entropy=schedules.linear_decay(1.0, 2))
    assert fit.history.entropy.shape == (3, 2)
    np.testing.assert_array_equal(fit.history.entropy[0], model.entropy)
    np.testing.assert_array_equal(fit.history.entropy_weight, [1.0, 0.5, 0.0])
    assert list(fit.history) == ["cost", "cost_se", "grad_norm", "best_cost", "entropy_weight", "entropy"]


def test_without_entropy_the_history_has_none():
    fit = sc.minimize(FAMILIES["bits"], total, n_steps=2, n_samples=4)
    assert list(fit.history) == ["cost", "cost_se", "grad_norm", "best_cost"]
    with pytest.raises(KeyError):
        fit.history["entropy"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"entropy": "warm"}, TypeError, "`entropy` must be a number, got 'warm'"),
        ({"entropy": math.nan}, ValueError, "`entropy` must be a finite number, got nan"),
        ({"entropy": lambda t: math.inf}, ValueError, "`entropy` must be finite, got inf at step 0"),
        (
            {"model": WITHOUT["order"], "entropy": 1.0},
            ValueError,
            "`entropy` must be left out for this model: the entropy of a PlackettLuce has no closed form here, that of "
            "Bernoulli, Categorical, Ordinal, Poisson, Binomial, NegativeBinomial, Geometric, RoundedNormal, Normal, "
            "MarkovChain and a Joint of these has",
        ),
        (
            {"estimator": sc.estimators.MovingAverage(initial=[1.0, 2.0])},
            ValueError,
            "`initial` must be a number or have shape (), got (2,)",
        ),
    ],
)
def test_bad_input_says_so(options, error, message):
    arguments = {"model": FAMILIES["bits"], "cost": total, "n_steps": 2, "n_samples": 4, **options}
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        sc.minimize(**arguments)


def test_an_entropy_of_a_network_says_so():
    model = sc.BernoulliVAE(4, 2)
    with pytest.raises(
        TypeError, match=r"^`entropy` must be left out for a BernoulliVAE: its cost has the entropy of "
    ):
        sc.minimize(model, data=np.eye(4), batch_size=2, n_steps=1, n_samples=2, entropy=1.0)


# Natural gradients


@pytest.mark.parametrize("name", ["bits", "bits by probs"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_natural_step_divides_by_the_information(name, inside):
    model = FAMILIES[name]
    cost = sc.costs.Linear(WEIGHTS) if inside else lambda y: y @ WEIGHTS
    plain = sc.minimize(model, cost, optimizer=sc.SGD(0.1), n_steps=1, n_samples=8, entropy=0.3)
    fit = sc.minimize(model, cost, optimizer=sc.Natural(sc.SGD(0.1)), n_steps=1, n_samples=8, entropy=0.3)
    step, p = plain.model.logits - model.logits, model.probs
    np.testing.assert_allclose(fit.model.logits - model.logits, step / (p * (1 - p)), rtol=1e-12, atol=1e-14)
    natural = np.linalg.norm(step / (p * (1 - p))) / 0.1
    np.testing.assert_allclose(fit.history.grad_norm, natural, rtol=1e-12)


def test_natural_steps_of_the_entropy_shrink_logits_by_a_factor():
    """The natural gradient of H by a logit l is -l: with a cost of zero, l falls by 1 - rate, decided or not."""
    start = np.array([-200.0, -3.0, 0.5, 30.0, 600.0])
    zero = sc.costs.Linear(np.zeros(5))
    fit = sc.minimize(
        sc.Bernoulli(logits=start), zero, optimizer=sc.Natural(sc.SGD(0.25)), n_steps=4, n_samples=2, entropy=1.0
    )
    np.testing.assert_allclose(fit.model.logits, start * 0.75**4, rtol=1e-12)


@pytest.mark.parametrize("name", ["classes", "poisson", "bits of a map", "one's own"])
def test_natural_gradients_are_for_bits(name):
    model = FAMILIES[name]
    message = f"`optimizer` Natural is for Bernoulli models without a Linear, got {model!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sc.minimize(model, total, optimizer=sc.Natural(sc.SGD(0.1)), n_steps=1, n_samples=4)


def test_bad_natural_optimisers_say_so():
    with pytest.raises(ValueError, match=r"^`optimizer` of a Natural must be a plain one, got Natural\("):
        sc.Natural(sc.Natural(sc.SGD(0.1)))
    with pytest.raises(TypeError, match=r"^`optimizer` must be an SGD, Momentum, RMSProp or Adam, got 0\.1$"):
        sc.Natural(0.1)
    with pytest.raises(TypeError, match=r"^`optimizer` must be a plain one for a BernoulliVAE, got Natural\("):
        sc.minimize(
            sc.BernoulliVAE(4, 2),
            data=np.eye(4),
            batch_size=2,
            n_steps=1,
            n_samples=2,
            optimizer=sc.Natural(sc.SGD(1.0)),
        )


# Moving averages


def past_only(decay, initial=0.0):
    """The baseline by hand: the debiased average of the costs of the steps before."""

    def chosen(costs):
        average = weight = 0.0
        for cost in costs:
            average, weight = decay * average + (1 - decay) * cost, decay * weight + (1 - decay)
        return sc.estimators.ScoreFunction(average / weight if costs else initial)

    return chosen


@pytest.mark.parametrize("name", ["bits", "classes", "poisson", "joint", "one's own"])
@pytest.mark.parametrize(("decay", "initial"), [(0.9, 0.0), (0.0, 3.0), (0.5, -1.0)])
def test_the_moving_average_knows_completed_steps_only(name, decay, initial):
    model, estimator = FAMILIES[name], sc.estimators.MovingAverage(decay, initial)
    fit = sc.minimize(model, total, optimizer=sc.SGD(0.02), n_steps=9, n_samples=3, estimator=estimator)
    moved, costs, _ = by_hand(model, total, 3, 9, 0.02, estimator=past_only(decay, initial))
    leaves = Structure.of(model.parameters).leaves
    np.testing.assert_array_equal(leaves(fit.model.parameters), leaves(moved.parameters))
    np.testing.assert_array_equal(fit.history.cost, costs)


def test_the_moving_average_of_costs_inside_is_the_same():
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(model, cost, optimizer=sc.SGD(0.1), n_steps=9, n_samples=3, estimator="moving_average")
    moved, costs, _ = by_hand(model, cost, 3, 9, 0.1, estimator=past_only(0.9))
    np.testing.assert_array_equal(fit.model.parameters, moved.parameters)
    np.testing.assert_array_equal(fit.history.cost, costs)


def test_a_single_estimate_has_no_past():
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    found = sc.estimate(model, cost, 50, estimator=sc.estimators.MovingAverage(initial=0.25))
    want = sc.estimate(model, cost, 50, estimator="score_function", baseline=0.25)
    assert found.grad.tobytes() == want.grad.tobytes()
    plain = sc.estimate(model, cost, 50, estimator="moving_average")
    assert plain.grad.tobytes() == sc.estimate(model, cost, 50, estimator="score_function").grad.tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 1.0}, "`decay` must lie in [0, 1), got 1.0"),
        ({"decay": -0.1}, "`decay` must lie in [0, 1), got -0.1"),
        ({"initial": [math.inf]}, "`initial` must be finite, got inf at index 0"),
    ],
)
def test_bad_options_of_a_moving_average_say_so(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sc.estimators.MovingAverage(**options)


class Averaging:
    """Steps that never move, as replicates: each has the average of those before it as its baseline."""

    def __init__(self, sees_its_own):
        self.sees_its_own, self.average, self.weight, self.decay = sees_its_own, 0.0, 0.0, 0.9

    def estimate(self, model, cost, n_samples, stream):
        baseline = self.average / self.weight if self.weight else 0.0
        mean = sc.estimate(model, cost, n_samples, estimator="score_function", seed=stream).cost
        self.average = self.decay * self.average + (1 - self.decay) * mean
        self.weight = self.decay * self.weight + (1 - self.decay)
        if self.sees_its_own:
            baseline = self.average / self.weight
        return sc.estimate(model, cost, n_samples, estimator="score_function", baseline=baseline, seed=stream)


def test_a_moving_average_that_has_seen_the_batch_is_caught():
    model = sc.Bernoulli(logits=[0.3, -1.0, 0.5])
    cost = sc.costs.Linear([1.0, 2.0, -3.0])
    honest = sc.check_unbiased(model, cost, Averaging(False), n_samples=(2, 4), n_replicates=6000)
    assert honest.passed
    assert honest.max_abs_z < 4
    mutant = sc.check_unbiased(model, cost, Averaging(True), n_samples=(2, 4), n_replicates=6000)
    assert not mutant.passed
    assert np.abs(mutant.z_cost).max() < 4  # the cost is right, the gradient is not
    assert np.abs(mutant.z_grad).max() > 4


# Files


def test_pickled_fits_go_on_with_the_same_bits():
    model, cost = FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(model, cost, n_steps=5, n_samples=4, estimator="moving_average", entropy=0.1)
    again = pickle.loads(pickle.dumps(fit))
    assert again.best_y.tobytes() == fit.best_y.tobytes()
    for a, b in ((again, fit), (again.resume(5), fit.resume(5)), (copy.deepcopy(fit).resume(5), fit.resume(5))):
        assert a.model.parameters.tobytes() == b.model.parameters.tobytes()
        assert a.history.cost.tobytes() == b.history.cost.tobytes()


class Mine(sc.estimators.LeaveOneOut):
    """An estimator of one's own."""


def test_an_estimator_of_ones_own_must_be_given_to_load(tmp_path):
    path, model = tmp_path / "fit.npz", FAMILIES["bits"]
    cost = sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(model, cost, n_steps=3, n_samples=4, estimator=Mine(k=2))
    fit.save(path)
    with pytest.raises(TypeError, match=r"^`estimator` must be given: no file can hold the one that was used$"):
        sc.Fit.load(path, model, cost)
    again = sc.Fit.load(path, model, cost, estimator=Mine(k=2))
    assert again.resume(4).model.parameters.tobytes() == fit.resume(4).model.parameters.tobytes()


def test_a_schedule_of_ones_own_must_be_given_to_load(tmp_path):
    path, model, cost = tmp_path / "fit.npz", FAMILIES["bits"], sc.costs.Linear(WEIGHTS)

    def cooling(step):
        return 1.0 / (1 + step)

    fit = sc.minimize(model, cost, n_steps=3, n_samples=4, entropy=cooling)
    fit.save(path)
    with pytest.raises(TypeError, match=r"^`entropy` must be given: no file can hold the schedule that was used$"):
        sc.Fit.load(path, model, cost)
    again = sc.Fit.load(path, model, cost, entropy=cooling)
    assert again.resume(4).model.parameters.tobytes() == fit.resume(4).model.parameters.tobytes()
    sc.minimize(model, cost, n_steps=3, n_samples=4).save(path)
    with pytest.raises(ValueError, match=r"^`entropy` must be left out: there was none$"):
        sc.Fit.load(path, model, cost, entropy=cooling)


def test_estimators_keep_their_options_in_files(tmp_path):
    path, model, cost = tmp_path / "fit.npz", sc.Poisson(rate=[1.0, 2.0]), sc.costs.Linear([1.0, -1.0])
    for estimator in (
        sc.estimators.LeaveOneOut(k=2),
        sc.estimators.MovingAverage(0.25, initial=3.0),
        sc.estimators.Antithetic(),
    ):
        sc.minimize(model, cost, n_steps=2, n_samples=4, estimator=estimator).save(path)
        kept = sc.Fit.load(path, model, cost)._plan.estimator
        assert type(kept) is type(estimator)
        assert vars(kept) == vars(estimator)
    tree = {"mean": np.array([0.5, 1.0]), "scale": np.array([0.0, 2.0])}
    normal = sc.Normal([0.0, 1.0], scale=[1.0, 1.0])
    sc.minimize(normal, total, n_steps=2, n_samples=4, estimator=sc.estimators.ScoreFunction(
        {"mean": tree["mean"], "log_scale": tree["scale"]})).save(path)  # fmt: skip
    kept = sc.Fit.load(path, normal, total)._plan.estimator
    np.testing.assert_array_equal(kept.baseline["mean"], tree["mean"])
    np.testing.assert_array_equal(kept.baseline["log_scale"], tree["scale"])


def test_a_pilot_chooses_once_and_its_choice_is_kept(tmp_path):
    path, model, cost = tmp_path / "fit.npz", FAMILIES["bits"], sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(model, cost, n_steps=3, n_samples=8, estimator="auto", optimizer=sc.Adam(0.3))
    chosen = fit._plan.estimator
    assert chosen.name != "auto"
    fit.save(path)
    moved = sc.Bernoulli(logits=np.full(6, 3.0))  # load must not choose again
    again = sc.Fit.load(path, moved, cost)
    assert type(again._plan.estimator) is type(chosen)
    assert again.resume(5).model.parameters.tobytes() == fit.resume(5).model.parameters.tobytes()


def test_the_best_sample_is_the_one_with_the_best_cost():
    for name in ("bits", "classes", "poisson", "chain"):
        model = FAMILIES[name]
        fit = sc.minimize(model, total, n_steps=20, n_samples=4, optimizer=sc.SGD(0.1))
        assert total(fit.best_y[None])[0] == fit.best_cost == fit.history.best_cost.min()
    model = sc.Bernoulli(logits=np.zeros((3, 2)), batch_ndims=1)
    cost = sc.costs.Linear(WEIGHTS.reshape(3, 2), batch_ndims=1)
    fit = sc.minimize(model, cost, n_steps=20, n_samples=2, optimizer=sc.SGD(0.1))
    np.testing.assert_array_equal(cost(fit.best_y[None])[0], fit.best_cost)
    np.testing.assert_array_equal(fit.best_cost, fit.history.best_cost.min(axis=0))
