"""simulators: what a program, or whoever calls it, can do wrong."""

import math
import sys

import numpy as np
import pytest
from programs import THETA, bits, noisy

import stochcore as sc
from stochcore import simulators


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


def fails_later(draw, theta, x):
    if draw.bernoulli(p=0.05) and draw.bernoulli(p=0.5):
        draw.bernoulli(5)
    draw.cost(1.0)


@pytest.mark.parametrize("how", [None, "numba"])
def test_costs_of_samples_stop_at_a_mistake(how):
    if how:
        pytest.importorskip("numba")
    model = sc.simulator(fails_later, compile=how)([0.0])
    with pytest.raises(IndexError, match=r"which has 1 numbers, got index 5") as caught:
        model.sample(5000, sc.Stream(1), n_threads=2)
    if how and hasattr(caught.value, "__notes__"):
        (note,) = caught.value.__notes__
        number = int(note.removeprefix("in sample "))
        assert model.sample(1, sc.Stream(1).at(number - 1 if number else 1)).shape == (1,)
        with pytest.raises(IndexError):
            model.sample(1, sc.Stream(1).at(number))
    with pytest.raises(ValueError, match=r"`n_threads` must be "):
        model.sample(5, sc.Stream(1), n_threads=0)


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


def test_numba_refuses_what_python_refuses():
    """What a program returns is not its cost; theta is not its own to change, for all samples share it."""
    pytest.importorskip("numba")

    def returns(draw, theta, x):
        return float(draw.bernoulli(0))

    def writes(draw, theta, x):
        theta[0] = 3.0

    with pytest.raises(TypeError, match=r"must return nothing and tell its costs by `draw\.cost`, got float64"):
        sc.estimate(simulators.simulator(returns, compile="numba")([0.0]), n_samples=4)
    model = simulators.simulator(writes, compile="numba")([0.0])
    with pytest.raises(Exception, match="readonly array"):
        sc.estimate(model, n_samples=4)
    assert model.parameters[0] == 0.0


def test_theta_serves_as_features_in_numba():
    pytest.importorskip("numba")

    def program(draw, theta, x):
        draw.cost(float(draw.bernoulli(0, theta[2:4])) + draw.categorical(0, 2, theta[1:3]))

    a, b = (
        sc.estimate(sc.simulator(program, compile=how)([0.1, 0.2, 0.3, 0.4]), n_samples=64) for how in (None, "numba")
    )
    np.testing.assert_array_equal(a.grad, b.grad)


def test_a_simulator_without_its_theta():
    @sc.simulator
    def program(draw, theta, x):
        draw.cost(1.0)

    for call in (sc.exact, lambda m: sc.estimate(m, n_samples=4), lambda m: sc.minimize(m, n_steps=1, n_samples=4)):
        with pytest.raises(TypeError, match=r"simulator with its theta.* got .*simulator"):
            call(program)


@pytest.mark.parametrize("pointer", [0, -1, 1 << 64, True])
def test_numbers_that_are_no_address(pointer):
    with pytest.raises((TypeError, ValueError), match="`pointer` must be"):
        simulators.CSimulator(pointer)


def test_features_that_are_one_number():
    @sc.simulator
    def program(draw, theta, x):
        draw.bernoulli(0, 3.0)

    with pytest.raises(TypeError, match="`features` must be a row of numbers, got float"):
        sc.estimate(program([0.0]), n_samples=4)
