"""simulators: programs against the enumeration of their decisions, closed forms, and themselves in other languages."""

import ctypes
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import stochcore as sc
from stochcore import environments, simulators
from stochcore.estimators import ahead

THETA = np.array([0.3, -0.2, 0.1, 0.5, -0.4, 0.2, 0.7, -0.6])


# ---- programs with few ways to go ----------------------------------------------------------------------------------
def bits(draw, theta, x):
    a = draw.bernoulli(0)
    draw.cost(0.5 * a)
    b = draw.bernoulli(1, (1.0, 0.5 - a))
    draw.cost(1.0 + b - 2.0 * a * b)


def classes(draw, theta, x):
    c = draw.categorical(0, 3)
    draw.cost(float(c * c))
    e = draw.categorical(2, 2, (1.0, -0.5 * c))
    draw.cost(2.0 * e - c)


def counts(draw, theta, x):
    n = draw.binomial(0, 3)
    draw.cost(1.0 * n)
    m = draw.binomial(1, 2, (0.5, 1.0 + n))
    draw.cost(0.3 * m * n)


def endless_counts(draw, theta, x):
    n = draw.poisson(0)
    draw.cost(1.0 * n)
    g = draw.geometric(1)
    draw.cost(0.1 * g * n)


def own_probability(draw, theta, x):
    p = 0.2 + 0.1 * theta[0] * theta[0]
    y = draw.bernoulli(p=p)
    slope = 0.2 * theta[0]
    draw.add_score(0, slope / p if y else -slope / (1.0 - p))
    draw.cost(3.0 * y)
    c = draw.categorical(p=(0.25, 0.5, 0.25))
    draw.cost(1.0 * c * y)


def discounted(draw, theta, x):
    for _ in range(3):
        a = draw.bernoulli(0, (1.0, 0.5))
        draw.cost(1.0 + a)
        draw.discount(0.5)
        if a:
            draw.cost(theta[2] * theta[2])
            draw.add_grad(2, 2.0 * theta[2])


def layer(draw, theta, x):
    for step in range(2):
        a = draw.tanh_policy(0, 1, 2, (1.0, 0.5 * step))
        draw.cost(1.0 - 2.0 * a + step)


PROGRAMS = [bits, classes, counts, endless_counts, own_probability, discounted, layer]


def name(value):
    return getattr(value, "__name__", None)


def size_of(program):
    return 7 if program is layer else len(THETA)


def model_of(program, how=None):
    return sc.simulator(program, compile=how)(THETA[: size_of(program)])


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
def same(a, b):
    return a.cost == b.cost and a.cost_se == b.cost_se and (a.grad == b.grad).all() and (a.grad_se == b.grad_se).all()


@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_numba_has_the_bits_of_python(program):
    pytest.importorskip("numba")
    ours, theirs = (sc.estimate(model_of(program, how), n_samples=500) for how in (None, "numba"))
    assert same(ours, theirs)
    assert same(sc.exact(model_of(program)), sc.exact(model_of(program, "numba")))


def noisy(draw, theta, x):
    t = draw.exponential(0) + draw.exponential(1, log=True) + draw.normal(2, 0.5) + draw.standard_normal()
    u = draw.uniform() + draw.normal(3, 1.0, (0.5, 2.0))
    draw.cost(draw.sin(t) + draw.cos(u) + draw.exp(-t * t) + draw.log(1.0 + u * u))


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


def test_antithetic_pairs():
    def program(draw, theta, x):
        draw.cost(draw.uniform())

    costs = sc.simulator(program)([0.0])
    a, b = costs.sample(5, sc.Stream(1)), costs.sample(5, sc.Stream(1).antithetic())
    assert (a + b == 1 - 2.0**-53).all()


# ---- compiled by others --------------------------------------------------------------------------------------------
SOURCE = """
#include "stochcore.h"
void game(sc_draw *draw)
{
    for (int i = 0; i < 3; i++) {
        const double features[2] = {1.0, 0.5};
        int64_t a = sc_draw_bernoulli_linear(draw, 0, features, 2);
        sc_draw_cost(draw, 1.0 + (double)a);
        sc_draw_discount(draw, 0.5);
        if (a) sc_draw_cost(draw, draw->theta[2] * draw->theta[2]);
        if (a) sc_draw_add_grad(draw, 2, 2.0 * draw->theta[2]);
    }
}
void endless(sc_draw *draw) { while (sc_draw_uniform(draw) < 2.0) {} }
void scaled(sc_draw *draw) { sc_draw_cost(draw, draw->x[draw->n_x - 1] * (double)sc_draw_bernoulli(draw, 0)); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulators")
    source, target = folder / "game.c", folder / "game.so"
    source.write_text(SOURCE)
    command = ["gcc", "-std=c99", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{sc.get_include()}"]
    subprocess.run([*command, str(source), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def pointer_of(library, function):
    own = getattr(library, function)
    own.restype, own.argtypes = None, [ctypes.c_void_p]
    return own


def test_c_has_the_bits_of_python(library):
    theirs = sc.CSimulator(pointer_of(library, "game"))(THETA)
    assert same(sc.estimate(theirs, n_samples=3000), sc.estimate(model_of(discounted), n_samples=3000))
    assert same(sc.exact(theirs), sc.exact(model_of(discounted)))
    by_address = sc.CSimulator(ctypes.cast(library.game, ctypes.c_void_p).value)(THETA)
    assert same(sc.estimate(theirs, n_samples=100), sc.estimate(by_address, n_samples=100))


def test_inputs_of_c(library):
    made = sc.CSimulator(pointer_of(library, "scaled"))
    assert sc.exact(made([0.0], [[1.0, 2.0], [3.0, 8.0]])).cost == 4.0


def test_a_program_without_end_is_stopped_by_its_limit(library):
    made = sc.CSimulator(pointer_of(library, "endless"), max_draws=1000)
    with pytest.raises(RuntimeError, match=r"made 1000 draws and goes on: raise `max_draws`"):
        sc.estimate(made([0.0]), n_samples=100)

    def endless(draw, theta, x):
        while True:
            draw.uniform()

    with pytest.raises(RuntimeError, match=r"made 64 draws and goes on"):
        sc.estimate(sc.simulator(endless, max_draws=64)([0.0]), n_samples=2)


INTERRUPTED = """
import ctypes, signal, sys, threading, time, os
import stochcore as sc
library = ctypes.CDLL(sys.argv[1])
made = sc.CSimulator(ctypes.cast(library.endless, ctypes.c_void_p).value, max_draws=10**18)
signal.signal(signal.SIGINT, signal.default_int_handler)
sent = []
def send():
    time.sleep(0.5)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=send).start()
try:
    sc.estimate(made([0.0]), n_samples=int(sys.argv[2]))
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
"""


@pytest.mark.parametrize("n", [2, 1000])
def test_control_c_ends_compiled_programs(library, n):
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, library._name, str(n)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert float(ran.stdout) < 0.1


def test_pointers_of_other_functions_are_refused(library):
    wrong = library.game
    wrong.restype, wrong.argtypes = ctypes.c_double, [ctypes.c_double]
    with pytest.raises(TypeError, match=r"`pointer` must be of a function void \(sc_draw \*\), got double \(double\)"):
        sc.CSimulator(wrong)
    with pytest.raises(TypeError, match=r"`pointer` must be an address, a function of ctypes, cffi or numba, or a Py"):
        sc.CSimulator("game")
    with pytest.raises(TypeError, match=r"cannot be pickled: another process has others"):
        pickle.dumps(sc.CSimulator(1))


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


# ---- mistakes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.bernoulli(8), IndexError, r"parameters must lie in theta, which has 8 numbers, got index 8"),
        (lambda d: d.bernoulli(-2), IndexError, r"got index -2"),
        (lambda d: d.bernoulli(6, (1.0, 2.0, 3.0)), IndexError, r"got index 8"),
        (lambda d: d.categorical(6, 3), IndexError, r"got index 8"),
        (lambda d: d.add_score(99, 1.0), IndexError, r"got index 99"),
        (lambda d: d.bernoulli(p=1.5), ValueError, r"probabilities must lie in \[0, 1\] and sum to 1, got 1.5"),
        (lambda d: d.bernoulli(p=math.nan), ValueError, r"probabilities must lie in \[0, 1\] and sum to 1, got nan"),
        (lambda d: d.categorical(p=(0.5, 0.4)), ValueError, r"sum to 1, got 0.9"),
        (lambda d: d.categorical(0, 0), ValueError, r"classes and units 1 to 256, .* got 0"),
        (lambda d: d.exponential(1), ValueError, r"rate or scale must be positive and finite, .* got -0.2"),
        (lambda d: d.normal(0, 0.0), ValueError, r"rate or scale must be positive and finite, .* got 0"),
        (lambda d: d.binomial(0, -1), ValueError, r"its trials 0 to 10\^6, got -1"),
        (lambda d: d.cost(math.inf), ValueError, r"costs, logits, scores and derivatives must be finite, got inf"),
        (lambda d: d.add_grad(0, math.nan), ValueError, r"must be finite, got nan"),
        (lambda d: d.bernoulli(0, (math.inf,)), ValueError, r"must be finite, got inf"),
        (lambda d: d.bernoulli(0, ()), ValueError, r"`features` must have 1 to 1024 numbers, got 0"),
        (lambda d: d.bernoulli(0, np.ones((2, 2))), ValueError, r"`features` must be one row of numbers, got shape"),
        (lambda d: d.bernoulli(0, p=0.5), TypeError, r"takes either an index of theta or `p`, got both"),
        (lambda d: d.categorical(0, 2, p=(1.0,)), TypeError, r"takes either indices of theta or `p`, got both"),
    ],
)
def test_mistakes_of_a_program_name_the_rule(call, error, message):
    def program(draw, theta, x):
        call(draw)

    with pytest.raises(error, match=message):
        sc.estimate(sc.simulator(program)(THETA), n_samples=4)


def test_mistakes_around_it():
    with pytest.raises(TypeError, match=r"`function` must be callable as function\(draw, theta, x\), got 3"):
        sc.simulator(3)
    with pytest.raises(ValueError, match=r"`compile` must be one of 'numba', got 'jax'"):
        sc.simulator(bits, compile="jax")
    with pytest.raises(ValueError, match=r"`theta` must have at least one number, got shape \(0,\)"):
        sc.simulator(bits)([])
    with pytest.raises(ValueError, match=r"`theta` must be finite"):
        sc.simulator(bits)([math.nan])
    with pytest.raises(TypeError, match=r"a Draw is made by the simulator that it is given to"):
        simulators.Draw()

    def returns(draw, theta, x):
        return 3.0

    with pytest.raises(TypeError, match=r"must return nothing and tell its costs by `draw.cost`, got float"):
        sc.estimate(sc.simulator(returns)([0.0]), n_samples=2)


def test_an_exception_is_the_users_own():
    def program(draw, theta, x):
        raise LookupError("in the program")

    with pytest.raises(LookupError, match="in the program") as caught:
        sc.estimate(sc.simulator(program)([0.0]), n_samples=2)
    assert caught.traceback[-1].name == "program"


def test_theta_is_read_only():
    def program(draw, theta, x):
        theta[0] = 1.0

    with pytest.raises(ValueError, match="read-only"):
        sc.estimate(sc.simulator(program)([0.0]), n_samples=2)


def raises(draw, theta, x):
    if draw.bernoulli(0) >= 0:
        raise ValueError("oh")


def not_a_number(draw, theta, x):
    draw.cost(draw.log(-1.0))


def outside(draw, theta, x):
    draw.bernoulli(5)


def test_mistakes_in_numba():
    pytest.importorskip("numba")
    with pytest.raises(RuntimeError, match=r"the compiled program raised an exception: run it without `compile`"):
        sc.estimate(sc.simulator(raises, compile="numba")([0.0]), n_samples=2)
    with pytest.raises(ValueError, match=r"must be finite, got -?nan"):
        sc.estimate(sc.simulator(not_a_number, compile="numba")([0.0]), n_samples=2)
    with pytest.raises(IndexError, match=r"which has 1 numbers, got index 5"):
        sc.estimate(sc.simulator(outside, compile="numba")([0.0]), n_samples=2)
    with pytest.raises(TypeError, match=r"`x` must be None, a number or an array of numbers for a compiled simulator"):
        sc.estimate(sc.simulator(bits, compile="numba")(THETA, "inputs"), n_samples=2)


def test_without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs numba \(pip install numba\); without `compile` the same"):
        sc.simulator(bits, compile="numba")


def test_what_cannot_be_enumerated():
    def many(draw, theta, x):
        for _ in range(30):
            draw.bernoulli(0)

    with pytest.raises(ValueError, match=r"`model` cannot be enumerated: the program draws continuous noise"):
        sc.exact(sc.simulator(noisy)(THETA))

    def endless(draw, theta, x):
        while draw.bernoulli(0):
            pass

    with pytest.raises(ValueError, match=r"cannot be enumerated: the program makes more than 1024 decisions in a row"):
        sc.exact(sc.simulator(endless)([0.0]))
    simulators_most, simulators.MOST_PATHS = simulators.MOST_PATHS, 1000
    try:
        with pytest.raises(ValueError, match=r"more than 1000 ways to go: too many to enumerate"):
            sc.exact(sc.simulator(many)([0.0]))
    finally:
        simulators.MOST_PATHS = simulators_most


def test_pickles():
    model = pickle.loads(pickle.dumps(model_of(bits)))
    assert same(sc.estimate(model, n_samples=50), sc.estimate(model_of(bits), n_samples=50))


# ---- environments --------------------------------------------------------------------------------------------------
def test_gridworld_against_enumeration():
    theta, made = np.random.default_rng(0).normal(size=(4, 4)), sc.simulator(environments.gridworld)
    truth = sc.exact(made(theta, (0.0, 4)))
    e = sc.estimate(made(theta, (0.0, 4)), n_samples=20_000)
    assert abs(e.cost - truth.cost) < 4 * e.cost_se
    assert (abs(e.grad - truth.grad) <= 4 * e.grad_se + 1e-15).all()


def test_newsvendor_has_its_optimum():
    h, b, rate = 1.0, 3.0, 0.5
    best = -math.log(h / (b + h)) / rate
    e = sc.estimate(sc.simulator(environments.newsvendor)([best, math.log(rate)], (h, b)), n_samples=20_000)
    assert abs(e.grad[0]) < 4 * e.grad_se[0]
    assert abs(e.cost - h * best) < 4 * e.cost_se  # the optimal cost of exponential demand is h q


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
