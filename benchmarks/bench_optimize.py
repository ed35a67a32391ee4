"""optimize: steps of leave-one-out and Adam on Bernoulli sites, from few to many; small calls, held to microseconds."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from side_by_side import OURS, SMOKE, THREADS, Work, cases, measured, peer

import stochcore as sc
from stochcore import _optimize
from stochcore.estimators import prepared, resolve

# sites, samples, steps in a call
GRID = ((5, 8, 10),) if SMOKE else ((10, 10, 1_000), (1_000, 100, 200), (100_000, 10, 20))
FEW = 10**5  # pairs in a step below which more threads are of no use


def descend(theta: Any, w: Any, n_samples: int, n_steps: int, threads: int) -> Any:
    model, cost, adam = sc.Bernoulli(logits=theta), sc.costs.Linear(w), sc.Adam(0.01)
    return lambda: (
        sc.minimize(model, cost, optimizer=adam, n_steps=n_steps, n_samples=n_samples, n_threads=threads).model.logits
    )


@cases(
    [
        (
            Work(
                "optimize",
                f"minimize, {sites:,} sites, {n:,} samples",
                steps,
                "steps",
                threads,
                headline=True,
            ),
            sites,
            n,
            steps,
        )
        for sites, n, steps in GRID
        for threads in THREADS
        if threads == 1 or sites * n >= FEW or SMOKE
    ],
    peers=("numpy", "jax"),
)
def bench_descend(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    sites, n_samples, n_steps = arguments
    theta, w = np.linspace(-1, 1, sites), np.linspace(1, 2, sites)
    make = descend if who == OURS else peer(who).descend
    found = np.asarray(
        measured(benchmark, work, who, make(theta, w, n_samples, n_steps, work.threads), sites * n_samples)
    )
    assert found.mean() < theta.mean()  # the weights are positive: down it goes


# Small calls: what a call takes, or takes beyond its kernels, in microseconds of this process's CPU time.

SITES, SAMPLES, STEPS = (10, 64, 20) if SMOKE else (10, 64, 4_000)


def microseconds(run: Callable[[], Any], calls: int, times: int = 25) -> float:
    """The least CPU time of a call, over so many times of so many calls."""
    least = np.inf
    for _ in range(1 if SMOKE else times):
        start = time.process_time_ns()
        for _ in range(1 if SMOKE else calls):
            run()
        least = min(least, (time.process_time_ns() - start) / 1e3 / (1 if SMOKE else calls))
    return float(least)


def whole_call() -> float:
    """`sc.estimate`, with its model and its cost at hand, and a look at the gradient."""
    model, cost = sc.Bernoulli(logits=np.linspace(-1, 1, SITES)), sc.costs.Linear(np.linspace(1, 2, SITES))
    return microseconds(lambda: sc.estimate(model, cost, SAMPLES).grad, 500)


def step_beyond_kernels() -> float:
    """A step of `sc.minimize`, less the block of its estimate, its tables and its update, each called by itself."""
    theta, w = np.linspace(-1, 1, SITES), np.linspace(1, 2, SITES)
    model, cost, adam = sc.Bernoulli(logits=theta), sc.costs.Linear(w), sc.Adam(0.01)

    def descent() -> Any:
        return sc.minimize(model, cost, optimizer=adam, n_steps=STEPS, n_samples=SAMPLES, n_threads=1)

    stream, tables, scalars = sc.Stream(0), sc.Bernoulli(logits=theta)._tables, adam.scalars(0, 1)
    run = prepared(model, cost, SAMPLES, resolve("leave_one_out"), stream, errors=False)
    job, moved, moments = run.jobs[0][0], theta.copy(), np.zeros((2, SITES))
    parts = [
        microseconds(lambda: job.whole(stream, 0, 1, SAMPLES, 1), 500),
        microseconds(lambda: tables.move(theta), 500),
        microseconds(lambda: _optimize.update(adam.kind, scalars, 0, w, moved, moments), 500),
    ]
    call = microseconds(lambda: None, 500)  # each part was a call from Python, which the step is not
    return microseconds(descent, 1) / STEPS - sum(part - call for part in parts)


@pytest.mark.parametrize(
    ("what", "measure", "floor", "goal"),
    [
        ("sc.estimate, 64 samples of 10 sites, whole call", whole_call, 15, 6),
        ("a step of sc.minimize beyond its kernels", step_beyond_kernels, 20, 8),
    ],
)
def bench_small_calls(benchmark: Any, what: str, measure: Callable[[], float], floor: float, goal: float) -> None:
    found = benchmark.pedantic(measure, rounds=1, iterations=1)
    print(f"\n{what}: {found:.1f} microseconds; floor {floor}, goal {goal}")
    benchmark.extra_info.update(what=what, microseconds=found, floor_microseconds=floor, goal_microseconds=goal)
    assert SMOKE or found < floor
