"""interop: what an expected cost takes in torch and JAX beyond `sc.estimate`, in microseconds of CPU time.

Ten sites, 64 samples, a new model for each step, as `bench_small_calls.py` has it. The backward pass of torch costs
what it does whatever it goes through, so a step is put beside one of torch alone, a product and a sum, and has no
floor; the calls run by turns, and the least of each counts.
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from side_by_side import SMOKE

import stochcore as sc

SITES, SAMPLES = 10, 64
THETA, COST = np.linspace(-1, 1, SITES), sc.costs.Linear(np.linspace(1, 2, SITES))
CALLS, TURNS = (1, 1) if SMOKE else (200, 60)
Run = Callable[[], Any]

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")


def microseconds(*runs: Run) -> list[float]:
    """The least time of a call of each, over so many turns of so many calls."""
    least = [np.inf] * len(runs)
    for run in runs:
        run()
    for _ in range(TURNS):
        for i, run in enumerate(runs):
            start = time.process_time_ns()
            for _ in range(CALLS):
                run()
            least[i] = min(least[i], (time.process_time_ns() - start) / 1e3 / CALLS)
    return least


def estimated() -> Any:
    return sc.estimate(sc.Bernoulli(logits=THETA), COST, SAMPLES).grad


def forward() -> float:
    import torch

    from stochcore.interop.torch import expected_cost

    logits = torch.tensor(THETA, requires_grad=True)
    whole, ours = microseconds(lambda: expected_cost(logits, COST, SAMPLES), estimated)
    return whole - ours


def step() -> tuple[float, float]:
    """A step forward and back beyond `sc.estimate`; and that of torch alone."""
    import torch

    from stochcore.interop.torch import expected_cost

    logits, weights = torch.tensor(THETA, requires_grad=True), torch.tensor(THETA)

    def back(cost: Any) -> None:
        logits.grad = None
        cost.backward()

    whole, alone, ours = microseconds(
        lambda: back(expected_cost(logits, COST, SAMPLES).cost), lambda: back((logits * weights).sum()), estimated
    )
    return whole - ours, alone


def compiled() -> float:
    import jax

    from stochcore.interop.jax import expected_cost

    with jax.enable_x64(True):
        logits = jax.numpy.asarray(THETA)
        run = jax.jit(jax.value_and_grad(lambda w, i: expected_cost(w, COST, SAMPLES, step=i).cost))
        whole, ours = microseconds(lambda: jax.block_until_ready(run(logits, 0)), estimated)
    return whole - ours


@needs_torch
def bench_torch_forward(benchmark: Any) -> None:
    found = benchmark.pedantic(forward, rounds=1, iterations=1)
    told(benchmark, "torch: expected_cost beyond sc.estimate", found, 40, 15)


@needs_torch
def bench_torch_step(benchmark: Any) -> None:
    found, alone = benchmark.pedantic(step, rounds=1, iterations=1)
    told(benchmark, f"torch: a step forward and back beyond sc.estimate; torch alone {alone:.1f}", found)


@needs_jax
def bench_jax(benchmark: Any) -> None:
    found = benchmark.pedantic(compiled, rounds=1, iterations=1)
    told(benchmark, "jax: value and gradient under jit beyond sc.estimate", found)


def told(benchmark: Any, what: str, found: float, floor: float = np.inf, goal: float | None = None) -> None:
    held = "" if floor == np.inf else f"; floor {floor:.0f}" + ("" if goal is None else f", goal {goal}")
    print(f"\n{what}: {found:.1f} microseconds{held}")
    benchmark.extra_info.update(what=what, microseconds=found, **({"floor": floor} if held else {}))
    assert SMOKE or found < floor
