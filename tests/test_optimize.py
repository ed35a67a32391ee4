"""optimize: descents that arrive, on the bits that they should."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import stochcore as sc
from stochcore import _dispatch

WEIGHTS = np.linspace(-1.0, 1.0, 20)
START = sc.Bernoulli(logits=np.zeros(20))
LINEAR = sc.costs.Linear(WEIGHTS)


def ids(value: object) -> str:
    return repr(value)[:40]


@pytest.mark.parametrize("optimizer", [sc.SGD(2.0), sc.Momentum(0.2), sc.RMSProp(0.1), sc.Adam(0.1)], ids=ids)
@pytest.mark.parametrize("maximize", [False, True])
def test_descent_finds_the_minimiser_of_a_linear_cost(optimizer, maximize):
    cost = sc.costs.Linear(WEIGHTS)
    fit = sc.minimize(
        sc.Bernoulli(logits=np.zeros(20)),
        cost,
        optimizer=optimizer,
        n_steps=400,
        n_samples=16,
        maximize=maximize,
    )
    want = (WEIGHTS > 0) == maximize
    best = WEIGHTS[want].sum()
    assert np.array_equal(fit.model.probs > 0.5, want)
    assert np.array_equal(fit.best_y, want)
    assert fit.best_cost == pytest.approx(best)
    assert fit.history.cost[0] == pytest.approx(0.0, abs=2.0)
    assert fit.history.cost[-50:].mean() == pytest.approx(best, abs=0.5)
    towards = np.diff(fit.history.best_cost)
    assert np.all(towards >= 0 if maximize else towards <= 0)


def test_descent_goes_through_a_cost_without_slope():
    """E[(b - 0.499)^2] (Tucker et al. 2017): flat almost everywhere, and best at b = 0 by a hair."""
    fit = sc.minimize(
        sc.Bernoulli(logits=[0.0]),
        lambda y: (y[:, 0] - 0.499) ** 2,
        optimizer=sc.Adam(0.1),
        n_steps=3000,
        n_samples=64,
    )
    assert fit.model.probs[0] < 0.01
    assert fit.history.cost[-1] == pytest.approx(0.499**2, abs=1e-4)


@pytest.mark.parametrize("estimator", ["score_function", "leave_one_out"])
def test_categorical_descends(estimator):
    def cost(y):
        return ((y - np.arange(4)) ** 2).sum(axis=1)

    fit = sc.minimize(
        sc.Categorical(logits=np.zeros((4, 5))),
        cost,
        optimizer=sc.Adam(0.1),
        n_steps=400,
        n_samples=32,
        estimator=estimator,
        baseline=5.0 if estimator == "score_function" else None,
    )
    assert np.array_equal(fit.model.probs.argmax(axis=1), np.arange(4))
    assert fit.best_cost == 0


def test_problems_of_a_batch_are_independent():
    w = np.array([[1.0, -2.0, 3.0], [-1.0, 2.0, -0.5]])
    model = sc.Bernoulli(logits=np.zeros((2, 3)), batch_ndims=1)
    options = {"optimizer": sc.Adam(0.2), "n_steps": 150, "n_samples": 16}
    fit = sc.minimize(model, sc.costs.Linear(w, batch_ndims=1), **options)
    assert fit.history.cost.shape == fit.history.cost_se.shape == fit.history.best_cost.shape == (150, 2)
    assert fit.history.grad_norm.shape == (150,)
    assert np.array_equal(fit.best_cost, [-2.0, -1.5])
    assert np.array_equal(fit.best_y, w < 0)
    assert np.array_equal(fit.model.probs > 0.5, w < 0)
    up = sc.minimize(model, sc.costs.Linear(w, batch_ndims=1), maximize=True, **options)
    assert np.array_equal(up.best_cost, [4.0, 2.0])


@pytest.mark.parametrize("family", [sc.Bernoulli, sc.Categorical])
def test_probs_move_through_their_logits(family):
    probs = np.array([[0.5, 0.5], [0.25, 0.75]])
    options = {"optimizer": sc.Adam(0.1), "n_steps": 30, "n_samples": 8}

    def cost(y):
        return y.reshape(len(y), -1).sum(axis=1) * 1.0

    by_probs = sc.minimize(family(probs=probs), cost, **options)
    by_logits = sc.minimize(family(logits=family(probs=probs).logits), cost, **options)
    assert by_probs.model.given == "probs"
    assert by_probs.model.probs.tobytes() == by_logits.model.probs.tobytes()
    assert by_probs.history.cost.tobytes() == by_logits.history.cost.tobytes()


def test_a_step_is_an_estimate_and_an_update():
    model, cost = sc.Bernoulli(logits=np.linspace(-1, 1, 20)), sc.costs.Quadratic(np.outer(WEIGHTS, WEIGHTS))
    stream = sc.Stream(5, stream=2).at(1000)
    fit = sc.minimize(model, cost, optimizer=sc.SGD(0.5), n_steps=3, n_samples=12, seed=stream)
    at, logits = stream, model.logits
    for step in range(3):
        e = sc.estimate(sc.Bernoulli(logits=logits), cost, 12, seed=at.at(step * 12 * 20))
        assert fit.history.cost[step] == e.cost
        assert fit.history.cost_se[step] == e.cost_se
        assert fit.history.grad_norm[step] == pytest.approx(np.linalg.norm(e.grad), rel=1e-14)
        logits = logits - 0.5 * e.grad
    assert fit.model.logits.tobytes() == logits.tobytes()


def test_history_is_a_mapping_of_read_only_arrays():
    fit = sc.minimize(sc.Bernoulli(logits=np.zeros(20)), sc.costs.Linear(WEIGHTS), n_steps=7, n_samples=4)
    assert list(fit.history) == ["cost", "cost_se", "grad_norm", "best_cost"]
    assert len(fit.history) == 4
    assert {name: array.shape for name, array in fit.history.items()} == dict.fromkeys(fit.history, (7,))
    assert repr(fit.history) == "History(cost, cost_se, grad_norm, best_cost of 7 steps)"
    assert fit.n_steps == 7
    assert fit.seconds > 0
    assert repr(fit).startswith("Fit(Bernoulli after 7 steps, last cost ")
    with pytest.raises(KeyError):
        fit.history["costs"]
    with pytest.raises(ValueError, match="read-only"):
        fit.history.cost[0] = 0.0


def test_no_steps_return_the_start():
    model = sc.Bernoulli(probs=[0.25, 0.5])
    fit = sc.minimize(model, sc.costs.Linear([1.0, 1.0]), n_steps=0, n_samples=4)
    assert fit.model.probs == pytest.approx(model.probs, abs=1e-15)
    assert (fit.n_steps, fit.seconds, fit.best_cost, fit.best_y) == (0, 0.0, math.inf, None)
    assert fit.history.cost.shape == (0,)
    up = sc.minimize(model, sc.costs.Linear([1.0, 1.0]), n_steps=0, n_samples=4, maximize=True)
    assert up.best_cost == -math.inf


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"optimizer": "adam"},
            TypeError,
            "`optimizer` must be an SGD, Momentum, RMSProp or Adam, got 'adam'",
        ),
        (
            {"optimizer": sc.Adam},
            TypeError,
            "`optimizer` must be an SGD, Momentum, RMSProp or Adam, got the class Adam",
        ),
        ({"n_steps": -1}, ValueError, "`n_steps` must be at least 0, got -1"),
        ({"n_steps": 1.5}, TypeError, "`n_steps` must be an integer, got 1.5"),
        ({"n_samples": 0}, ValueError, "`n_samples` must be at least 1, got 0"),
        ({"n_samples": 1}, ValueError, "`n_samples` must be at least 2 for leave_one_out, got 1"),
        ({"seed": -1}, ValueError, "`seed` must be in [0, 2^64 - 1], got -1"),
        ({"n_threads": 0}, ValueError, "`n_threads` must be in [1, 1024], got 0"),
        ({"maximize": 1}, TypeError, "`maximize` must be a bool, got 1"),
        ({"progress": 1}, TypeError, "`progress` must be a bool or a function of the Fit, got 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1, got 0"),
        ({"data": np.zeros((3, 20))}, TypeError, "`data` must be left out for a Bernoulli: it has a `cost`"),
        ({"cost": None}, TypeError, "`cost` must be one of stochcore.costs or a callable J(y), got None"),
        (
            {"model": 3},
            TypeError,
            "`model` must be a family such as Bernoulli, a network such as BernoulliVAE, or a simulator with its "
            "theta, got 3",
        ),
        (
            {"model": sc.Bernoulli(probs=[0.5] * 19 + [1.0])},
            ValueError,
            "`model` must have probs between 0 and 1, where they can move, got 1.0 at index 19",
        ),
        (
            {"cost": sc.costs.Linear([1.0, 2.0]), "n_steps": 0},
            ValueError,
            "`cost` must fit the sites (20,) of the model (batch ()), got weights of shape (2,) with batch_ndims=0",
        ),
        (
            {"estimator": "magic", "n_steps": 0},
            ValueError,
            f"`estimator` must be one of {', '.join(map(repr, sc.estimators.ESTIMATORS))}, got 'magic'",
        ),
    ],
)
def test_bad_input_says_so(changes, error, message):
    options = {"model": START, "cost": LINEAR, "n_steps": 3, "n_samples": 4, **changes}
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        sc.minimize(options.pop("model"), options.pop("cost"), **options)


def test_what_a_cost_raises_comes_out_unchanged_and_brings_the_fit():
    calls = []

    def cost(y):
        calls.append(len(y))
        if len(calls) == 6:
            raise LookupError("no such cost")
        return y.sum(axis=1)

    with pytest.raises(LookupError, match=r"^'?no such cost'?$") as caught:
        sc.minimize(START, cost, n_steps=100, n_samples=4)
    fit = caught.value.fit
    assert fit.n_steps == 5
    assert fit.history.cost.shape == (5,)
    whole = sc.minimize(START, lambda y: y.sum(axis=1), n_steps=5, n_samples=4)
    assert fit.model.logits.tobytes() == whole.model.logits.tobytes()


def test_a_descent_that_leaves_the_finite_numbers_says_so():
    with pytest.raises(ValueError, match=r"^the descent diverged before step \d, try a smaller `learning_rate`: "):
        sc.minimize(START, sc.costs.Linear(1e10 * WEIGHTS), optimizer=sc.SGD(1e300), n_steps=9, n_samples=4)


SCRIPT = """
import numpy as np, stochcore as sc, sys
from stochcore import _optimize
w = np.linspace(-1.0, 1.0, 50)
start = sc.Bernoulli(probs=np.full(50, 0.4))
options = dict(n_steps=12, n_samples=700, n_threads=int(sys.argv[1]))
decay = sc.schedules.cosine_decay(0.1, 12)
for optimizer in (sc.SGD(0.3), sc.Momentum(0.1), sc.RMSProp(0.05), sc.Adam(decay)):
    for cost in (sc.costs.Quadratic(np.outer(w, w), w), lambda y: y @ w):
        fit = sc.minimize(start, cost, optimizer=optimizer, **options)
        records = [fit.history[name].tobytes() for name in fit.history]
        print((fit.model.probs.tobytes() + fit.best_y.tobytes() + b"".join(records)).hex())
    for dtype in (np.float64, np.float32):
        p, moments = sc.Stream(1).normal(37, dtype=dtype), np.zeros((2, 37), dtype)
        for t, g in enumerate(sc.Stream(2).normal((12, 37), dtype=dtype)):
            _optimize.update(optimizer.kind, optimizer.scalars(t, 1), 0, g, p, moments)
        print((p.tobytes() + moments.tobytes()).hex())
"""


def test_same_bits_on_every_instruction_set_and_for_any_number_of_threads():
    said = set()
    for isa in _dispatch.runnable():
        for threads in ("1", "3"):
            environment = {**os.environ, "STOCHCORE_ISA": isa}
            said.add(subprocess.check_output([sys.executable, "-c", SCRIPT, threads], env=environment))
    assert len(said) == 1
