"""simulators: programs against the enumeration of their decisions, closed forms, and themselves in numba."""

import math
import pickle

import numpy as np
import pytest
from programs import PROGRAMS, THETA, bits, discounted, inventory_by_hand, model_of, name, noisy, same, size_of

import stochcore as sc
from stochcore import environments, simulators
from stochcore.estimators import ahead


# ---- against enumeration -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_enumeration_is_the_derivative_of_the_expected_cost(program):
    theta, made = THETA[: size_of(program)], sc.simulator(program)
    truth = sc.exact(made(theta))
    for i in range(theta.size):
        step = np.zeros(theta.size)
        step[i] = 1e-5
        slope = (sc.exact(made(theta + step)).cost - sc.exact(made(theta - step)).cost) / 2e-5
        assert truth.grad[i] == pytest.approx(slope, abs=2e-8)
    assert truth.unbiased


@pytest.mark.parametrize(
    "estimator", ["leave_one_out", "score_function", "whole_return", "antithetic", "moving_average", 4]
)
@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_unbiased(program, estimator):
    model = model_of(program)
    own = sc.estimators.LeaveOneOut(k=estimator) if estimator == 4 else estimator
    truth, e = sc.exact(model), sc.estimate(model, n_samples=20_000, estimator=own, seed=3)
    assert abs(e.cost - truth.cost) < 4 * e.cost_se
    assert (abs(e.grad - truth.grad) <= 4 * e.grad_se + 1e-15).all()
    sizes = (4, 8) if estimator in (4, "antithetic") else (2, 4)
    assert sc.check_unbiased(model, None, own, n_samples=sizes, n_replicates=1500, seed=5).passed


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("program", [bits, discounted], ids=name)
def test_a_baseline_that_includes_the_sample_would_be_seen(program):
    """The mutant of leave-one-out: the check that passes above fails for it."""

    class Mutant:
        name, unbiased = "mutant", True

        def estimate(self, model, cost, n_samples, stream):
            e = sc.estimate(model, n_samples=n_samples, seed=stream)
            return sc.Estimate(
                cost=e.cost,
                cost_se=e.cost_se,
                grad=e.grad * (n_samples - 1) / n_samples,
                grad_se=e.grad_se,
                n_samples=n_samples,
                n_evals=n_samples,
                seconds=0.0,
                unbiased=True,
            )

    assert not sc.check_unbiased(model_of(program), None, Mutant(), n_samples=(2,), n_replicates=4000).passed


def test_coverage_of_error_bars():
    model = model_of(discounted)
    truth = sc.exact(model)
    many = [sc.estimate(model, n_samples=400, seed=s) for s in range(500)]
    inside = np.mean([abs(e.grad[0] - truth.grad[0]) < 1.96 * e.grad_se[0] for e in many])
    assert 0.92 < inside < 0.975


def test_costs_before_a_decision_are_not_blamed_on_it():
    """With cost-to-go the first cost adds nothing to the variance of the second decision's gradient."""

    def late(draw, theta, x):
        a = draw.bernoulli(0)
        draw.cost(100.0 * a)
        draw.cost(1.0 * draw.bernoulli(1))

    model = sc.simulator(late)([0.0, 0.0])
    for estimator in ("score_function", "leave_one_out"):
        e = sc.estimate(model, n_samples=10_000, estimator=estimator)
        assert e.grad_se[1] < 0.006
    assert sc.estimate(model, n_samples=10_000, estimator="whole_return").grad_se[1] > 0.2  # 50 / 2 / 100


def test_large_offsets_cost_no_digits():
    def plain(draw, theta, x):
        draw.cost(x)
        draw.cost(1.0 * draw.bernoulli(0))

    made = sc.simulator(plain)
    for estimator in ("leave_one_out", "whole_return", "antithetic"):
        near, far = (sc.estimate(made([0.4], x), n_samples=1000, estimator=estimator) for x in (0.0, 1e8))
        np.testing.assert_allclose(far.grad, near.grad, rtol=0, atol=1e-6)


def test_stages_have_the_least_variance():
    """Ten decisions that pay at once: what comes later, and what the others had paid, both count."""

    def ten(draw, theta, x):
        for i in range(10):
            draw.cost(1.0 + draw.bernoulli(i))

    model = sc.simulator(ten)(np.zeros(10))
    spread = {k: sc.estimate(model, n_samples=20_000, estimator=k).grad_se for k in ("leave_one_out", "whole_return")}
    plain = sc.estimate(model, n_samples=20_000, estimator="score_function").grad_se
    # Var of s times: own cost and the later ones (9 - t); all nine others; all that comes, whose mean is 1.5 each
    later = np.arange(9, -1, -1)
    np.testing.assert_allclose(spread["leave_one_out"] * 20_000**0.5, np.sqrt(0.25**2 * later), rtol=0.1, atol=0.1)
    np.testing.assert_allclose(spread["whole_return"] * 20_000**0.5, np.sqrt(0.25**2 * 9), rtol=0.1)
    assert (plain > spread["leave_one_out"]).all()


# ---- the same bits -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_numba_has_the_bits_of_python(program):
    pytest.importorskip("numba")
    ours, theirs = (sc.estimate(model_of(program, how), n_samples=500) for how in (None, "numba"))
    assert same(ours, theirs)
    assert same(sc.exact(model_of(program)), sc.exact(model_of(program, "numba")))


def test_continuous_draws_in_numba():
    pytest.importorskip("numba")
    theta = [0.5, 0.1, -0.3, 0.2, 0.4]
    ours, theirs = (sc.estimate(sc.simulator(noisy, compile=c)(theta), n_samples=300) for c in (None, "numba"))
    assert same(ours, theirs)


@pytest.mark.parametrize("kind", ["exponential", "log_exponential", "normal", "normal_features"])
def test_continuous_draws_have_their_gradients(kind):
    def program(draw, theta, x):
        if kind == "exponential":
            y = draw.exponential(0)
        elif kind == "log_exponential":
            y = draw.exponential(0, log=True)
        elif kind == "normal":
            y = draw.normal(0, 2.0)
        else:
            y = draw.normal(0, 2.0, (2.0,))
        draw.cost(y)

    e = sc.estimate(sc.simulator(program)([0.7]), n_samples=20_000)
    mean = {"exponential": 1 / 0.7, "log_exponential": math.exp(-0.7), "normal": 0.7, "normal_features": 1.4}[kind]
    slope = {"exponential": -1 / 0.49, "log_exponential": -math.exp(-0.7), "normal": 1.0, "normal_features": 2.0}[kind]
    assert abs(e.cost - mean) < 4 * e.cost_se
    assert abs(e.grad[0] - slope) < 4 * e.grad_se[0]


def test_large_counts():
    def program(draw, theta, x):
        draw.cost(draw.poisson(0) - 2.0 * draw.binomial(1, 3000))

    e = sc.estimate(sc.simulator(program)([7.0, -0.3]), n_samples=3000)
    p = 1 / (1 + math.exp(0.3))
    assert abs(e.cost - (math.exp(7.0) - 6000 * p)) < 4 * e.cost_se
    assert (abs(e.grad - [math.exp(7.0), -6000 * p * (1 - p)]) < 4 * e.grad_se).all()


@pytest.mark.parametrize("how", [None, "numba"])
def test_threads_shards_and_cuts_change_no_bits(how):
    if how:
        pytest.importorskip("numba")
    model, n = model_of(discounted, how), 5000
    whole = sc.estimate(model, n_samples=n, n_threads=1)
    assert same(whole, sc.estimate(model, n_samples=n, n_threads=3))
    first = sc.estimate(model, n_samples=2048)
    assert same(whole, first.merge(sc.estimate(model, n_samples=n - 2048, first_sample=2048)))


@pytest.mark.parametrize(
    "rule", [{"n_samples": 14_000}, {"n_samples": 9000, "first_sample": 4096}, {"target_se": {"grad": 0.003}}]
)
def test_shards_made_in_one_go_change_no_bits(monkeypatch, rule):
    """One after another or up to 64 at once; a run that may stop throws away what it made in vain."""
    model, calls, fold = model_of(bits), [], simulators.Simulation.maker

    def counted(*arguments):
        make = fold(*arguments)
        return lambda *those: calls.append(those) or make(*those)

    monkeypatch.setattr(simulators.Simulation, "maker", counted)
    several, few = sc.estimate(model, **rule), len(calls)
    monkeypatch.setattr(ahead, "MOST_SHARDS", 1)
    one, many = sc.estimate(model, **rule), len(calls) - few
    assert same(several, one)
    assert several.n_samples == one.n_samples
    assert few < many


def test_samples_are_addressed():
    """A sample is its cost, whatever was drawn before it; the streams of arrays have other noise."""
    model, stream = model_of(bits), sc.Stream(7)
    costs = model.sample(40, stream)
    assert (model.sample(10, stream.at(30)) == costs[30:]).all()
    e = sc.estimate(model, n_samples=40, seed=7)
    assert e.cost == pytest.approx(costs.mean(), abs=1e-15)
    assert e.best_cost == costs.min()
    assert e.best_y == costs.min()


@pytest.mark.parametrize("how", [None, "numba"])
@pytest.mark.parametrize("n", [0, 1, 31, 33, 1000])
def test_costs_of_samples_on_any_number_of_threads(how, n):
    if how:
        pytest.importorskip("numba")
    expected, model = model_of(discounted).sample(n, sc.Stream(4).at(3)), model_of(discounted, how)
    for threads in (None, 1, 2, 5):
        assert model.sample(n, sc.Stream(4).at(3), n_threads=threads).tobytes() == expected.tobytes()
    assert n < 31 or len(np.unique(expected)) > 3


def test_what_is_documented_is_there():
    assert (sc.Simulator, sc.Draw, sc.environments) == (simulators.Simulator, simulators.Draw, environments)
    assert isinstance(sc.simulator(bits), sc.Simulator)
    assert issubclass(sc.CSimulator, sc.Simulator)
    assert set(sc.__all__) >= {"Draw", "Simulator", "environments", "simulators"}


def test_antithetic_pairs():
    def program(draw, theta, x):
        draw.cost(draw.uniform())

    costs = sc.simulator(program)([0.0])
    a, b = costs.sample(5, sc.Stream(1)), costs.sample(5, sc.Stream(1).antithetic())
    assert (a + b == 1 - 2.0**-53).all()


def test_pickles():
    model = pickle.loads(pickle.dumps(model_of(bits)))
    assert same(sc.estimate(model, n_samples=50), sc.estimate(model_of(bits), n_samples=50))


# ---- descent -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("estimator", ["leave_one_out", "moving_average"])
def test_minimize(estimator):
    @sc.simulator
    def wrong_turns(draw, theta, x):
        for i in range(3):
            draw.cost(1.0 * draw.bernoulli(i))

    fit = sc.minimize(wrong_turns(np.zeros(3)), n_steps=200, n_samples=16, optimizer=sc.Adam(0.1), estimator=estimator)
    assert fit.history.cost[-1] < 0.1
    assert fit.best_cost == 0.0


def test_maximize_and_entropy_say_what_they_lack():
    model = model_of(bits)
    with pytest.raises(TypeError, match=r"`cost` must be left out for a simulator, which tells its own"):
        sc.estimate(model, lambda y: y)
    with pytest.raises(ValueError, match=r"`maximize` must be False for a simulator: let it tell minus its reward"):
        sc.minimize(model, n_steps=1, n_samples=4, maximize=True)


def test_estimators_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"'disarm' is not for simulators; Simulation has here 'score_function', "):
        sc.estimate(model_of(bits), n_samples=10, estimator="disarm")
    with pytest.raises(ValueError, match=r"`baseline` must be a number, or one for each sample, for a simulator"):
        sc.estimate(model_of(bits), n_samples=10, estimator="score_function", baseline=THETA)
    e = sc.estimate(model_of(bits), n_samples=10, estimator="score_function", baseline=np.arange(10.0))
    assert e.unbiased


def test_target_se():
    e = sc.estimate(model_of(bits), target_se={"grad": 0.01})
    assert e.grad_se.max() <= 0.01
    assert e.n_samples > 2000


# ---- environments --------------------------------------------------------------------------------------------------
def test_gridworld_against_enumeration():
    theta, made = np.random.default_rng(0).normal(size=(4, 4)), sc.simulator(environments.gridworld)
    truth = sc.exact(made(theta, (0.0, 4)))
    e = sc.estimate(made(theta, (0.0, 4)), n_samples=20_000)
    assert abs(e.cost - truth.cost) < 4 * e.cost_se
    assert (abs(e.grad - truth.grad) <= 4 * e.grad_se + 1e-15).all()


@pytest.mark.parametrize("order", [1.0, 4.0])
def test_newsvendor_against_the_closed_form(order):
    h, b, rate = 1.0, 3.0, 0.5
    e = sc.estimate(sc.simulator(environments.newsvendor)([order], (h, b, rate)), n_samples=20_000)
    short = math.exp(-rate * order)  # the probability that the demand is larger
    assert abs(e.grad[0] - (h - (h + b) * short)) < 4 * e.grad_se[0]
    assert abs(e.cost - (h * (order - 1 / rate) + (h + b) * short / rate)) < 4 * e.cost_se


@pytest.mark.parametrize("how", [None, "numba"])
def test_descent_moves_the_order_and_nothing_else(how):
    if how:
        pytest.importorskip("numba")
    h, b, rate = 1.0, 3.0, 0.5
    vendor = sc.simulator(environments.newsvendor, compile=how)([1.0], (h, b, rate))
    rule = sc.Adam(sc.schedules.cosine_decay(0.1, 300))
    fit = sc.minimize(vendor, n_steps=300, n_samples=128 if how else 32, optimizer=rule)
    assert fit.model.parameters.shape == (1,)
    assert fit.model.parameters[0] == pytest.approx(math.log((b + h) / h) / rate, rel=0.05)


def test_inventory_against_dynamic_programming():
    theta, x = np.array([0.3, -0.5, 0.1, 0.4, -0.2, 0.2]), (3, 2.0, 0.5, 4.0, 1.3)
    e = sc.estimate(sc.simulator(environments.inventory)(theta, x), n_samples=20_000)
    slope = [inventory_by_hand(theta + 1e-30j * row, x).imag * 1e30 for row in np.eye(6)]
    assert abs(e.cost - inventory_by_hand(theta, x).real) < 4 * e.cost_se
    assert (abs(e.grad - slope) < 4 * e.grad_se).all()


@pytest.mark.parametrize("rate", [0.3, 40.0, 500.0])
def test_demands_of_the_inventory_are_poisson(rate):
    """Nothing is ordered, and each sale lost costs 1: J is the demand."""
    costs = sc.simulator(environments.inventory)([0.0, 0.0], (1, 0.0, 0.0, 1.0, rate)).sample(4000, sc.Stream(3))
    assert abs(costs.mean() - rate) < 4 * math.sqrt(rate / 4000)
    assert abs(costs.var() / rate - 1) < 4 * math.sqrt((2 + 1 / rate) / 4000)


def test_mm1_cycles_against_the_closed_form():
    arrivals, services = 0.5, 1.0
    theta = np.log([arrivals, services])
    made = sc.simulator(environments.mm1_cycle)
    number = sc.estimate(made(theta, (0.0, 1.0)), n_samples=20_000)
    times = sc.estimate(made(theta, (1.0, 0.0)), n_samples=20_000)
    gap = services - arrivals
    assert abs(number.cost - services / gap) < 4 * number.cost_se
    assert abs(times.cost - services / gap**2) < 4 * times.cost_se
    by_services = -arrivals / gap**2 * services  # d/dlog mu of mu/(mu - lambda)
    assert abs(number.grad[1] - by_services) < 4 * number.grad_se[1]
    assert abs(times.grad[1] - (1 / gap**2 - 2 * services / gap**3) * services) < 4 * times.grad_se[1]


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
def test_cartpole_is_that_of_gymnasium():
    """Its first version ends after 200 steps; a policy that leans with the pole keeps it up."""
    made = sc.simulator(environments.cartpole)
    assert sc.estimate(made([0.0, 0.0, 0.0, 0.0], 200), n_samples=64).cost == pytest.approx(-22, abs=4)
    assert sc.estimate(made([1.0, 2.0, 20.0, 20.0], 200), n_samples=64).cost < -150


def test_policy_sizes():
    assert simulators.tanh_policy_size(2, 1, 2) == 7
