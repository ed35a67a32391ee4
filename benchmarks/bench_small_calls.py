"""Small calls: what one takes, or takes beyond its kernels, in microseconds of this process's CPU time.

Ten sites, 64 samples. A loop of one's own makes a new model for each step, and the first estimate of a model prepares
what later ones of the same model find; `sc.minimize` spares both.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from side_by_side import SMOKE

import stochcore as sc
from stochcore import _optimize
from stochcore.estimators import prepared, resolve

SITES, SAMPLES, STEPS = (10, 64, 20) if SMOKE else (10, 64, 1_000)
THETA, WEIGHTS = np.linspace(-1, 1, SITES), np.linspace(1, 2, SITES)
CLASSES = np.linspace(-1, 1, 3 * SITES).reshape(SITES, 3)
COST, ADAM = sc.costs.Linear(WEIGHTS), sc.Adam(0.01)


def microseconds(run: Callable[[], Any], calls: int = 500, times: int = 25) -> float:
    """The least CPU time of a call, over so many times of so many calls."""
    least = np.inf
    for _ in range(1 if SMOKE else times):
        start = time.process_time_ns()
        for _ in range(1 if SMOKE else calls):
            run()
        least = min(least, (time.process_time_ns() - start) / 1e3 / (1 if SMOKE else calls))
    return float(least)


def bits() -> sc.Bernoulli:
    return sc.Bernoulli(logits=THETA)


def price(y: Any) -> Any:
    """A cost in Python."""
    return y @ WEIGHTS


def warm_estimate() -> float:
    """`sc.estimate`, with its model and its cost at hand, and a look at the gradient."""
    model = bits()
    return microseconds(lambda: sc.estimate(model, COST, SAMPLES).grad)


def own_loop() -> float:
    return microseconds(lambda: sc.estimate(bits(), COST, SAMPLES).grad)


def step(model: Any, cost: Any) -> float:
    """A step of `sc.minimize`, kernels, cost and all."""

    def descent() -> Any:
        return sc.minimize(model, cost, optimizer=ADAM, n_steps=STEPS, n_samples=SAMPLES, n_threads=1)

    return microseconds(descent, 1) / STEPS


def step_beyond_kernels() -> float:
    """A step, less the block of its estimate, its tables and its update, each called by itself."""
    stream, tables, scalars = sc.Stream(0), bits()._tables, ADAM.scalars(0, 1)
    run = prepared(bits(), COST, SAMPLES, resolve("leave_one_out"), stream, errors=False)
    job, moved, moments = run.jobs[0][0], THETA.copy(), np.zeros((2, SITES))
    parts = [
        microseconds(lambda: job.whole(stream, 0, 1, SAMPLES, 1)),
        microseconds(lambda: tables.move(THETA)),
        microseconds(lambda: _optimize.update(ADAM.kind, scalars, 0, WEIGHTS, moved, moments)),
    ]
    call = microseconds(lambda: None)  # each part was a call from Python, which the step is not
    return step(bits(), COST) - sum(part - call for part in parts)


def step_beyond_cost() -> float:
    y = bits().sample(SAMPLES, sc.Stream(0))
    return step(bits(), price) - microseconds(lambda: price(y))


@pytest.mark.parametrize(
    ("what", "measure", "floor", "goal"),
    [
        ("sc.Bernoulli of 10 logits", lambda: microseconds(bits), 15, 6),
        ("sc.Categorical of 10 sites, 3 classes", lambda: microseconds(lambda: sc.Categorical(logits=CLASSES)), 25, 12),
        ("sc.Poisson of 10 rates", lambda: microseconds(lambda: sc.Poisson(log_rate=THETA)), 60, 30),
        ("sc.estimate, 64 samples of 10 sites, whole call", warm_estimate, 15, 6),
        ("the first sc.estimate of a new model", lambda: own_loop() - microseconds(bits), 25, 15),
        ("a step of one's own loop: a new model and its estimate", own_loop, 40, 20),
        ("a step of sc.minimize beyond its kernels", step_beyond_kernels, 20, 8),
        ("a step of sc.minimize beyond its cost, a Python function", step_beyond_cost, 50, 25),
        ("a step of sc.minimize of 10 Poisson sites", lambda: step(sc.Poisson(log_rate=THETA), COST), 120, 60),
    ],
)
def bench_small_calls(benchmark: Any, what: str, measure: Callable[[], float], floor: float, goal: float) -> None:
    found = benchmark.pedantic(measure, rounds=1, iterations=1)
    print(f"\n{what}: {found:.1f} microseconds; floor {floor}, goal {goal}")
    benchmark.extra_info.update(what=what, microseconds=found, floor=floor, goal=goal)
    assert SMOKE or found < floor
