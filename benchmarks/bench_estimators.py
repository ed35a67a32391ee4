"""estimators: the gradient of an expected cost by leave-one-out, over sites and samples; and its memory.

The cost is linear with a weight for each site, J = w . y, so that the gradient is known: w p (1 - p). Ours
comes with standard errors of cost and gradient and the best sample; the peers' is the gradient alone.
"""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from side_by_side import ALL, OURS, SMOKE, Work, cases, held_to, measured, peer

import stochcore as sc

# sites, samples; the first is the one that peers are compared at
GRID = (
    ((20, 100), (1, 10))
    if SMOKE
    else (
        (1_000, 20_000),
        *((sites, n) for sites in (1, 10, 100, 1_000, 10_000) for n in (100, 10_000) if sites * n <= 10**7),
        (1, 1_000_000),
        (10, 1_000_000),
        (100, 100_000),
        (10_000, 1_000),
    )
)
FEW = 10**6  # pairs below which more threads are of no use
MEMORY = (1_000, 1_000) if SMOKE else (1_000_000, 1_000)  # samples, sites


def gradient(theta: Any, w: Any, n: int, threads: int) -> Any:
    model, cost = sc.Bernoulli(logits=theta), sc.costs.Linear(w)
    return lambda: sc.estimate(model, cost, n, n_threads=threads).grad


HEADLINE = (100, 200) if SMOKE else (1_000, 200_000)  # all threads, beside each peer
FLOORS = {"blas": (28, 40), "numba": (9, 12), "jax": (21, 30), "alone": (1.7, 1.9)}
OVER_NUMPY = (14, 28)  # over the grid, on one thread


def entry(shape: tuple[int, int], threads: int, **more: Any) -> tuple[Work, int, int]:
    sites, n = shape
    what = f"{sites:,} site{'s' * (sites > 1)}, {n:,} samples"
    return Work("estimators", what, sites * n, "pairs (sample, site)", threads, **more), sites, n


@cases(
    [
        *(
            entry(HEADLINE, ALL, floor=floor, goal=goal, against=who, headline=who == "numba", pair=True)
            for who, (floor, goal) in FLOORS.items()
            if ALL > 1 or who not in ("blas", "alone")
        ),
        *(
            entry(shape, 1, floor=OVER_NUMPY[0], goal=OVER_NUMPY[1], against="numpy", headline=i == 0)
            for i, shape in enumerate(GRID)
        ),
        *(entry(shape, ALL) for shape in GRID if ALL > 1 and (math.prod(shape) >= FEW or SMOKE)),
    ],
    peers=("numpy", "blas", "numba", "torch", "jax", "alone"),
)
def bench_gradient(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    sites, n = arguments
    theta, w = np.linspace(-2, 2, sites), np.linspace(1, 2, sites)
    make = gradient if who == OURS else peer(who).gradient
    run = make(theta, w, n, work.threads)
    grad = np.asarray(
        measured(benchmark, work, who, run, make=lambda module: module.gradient(theta, w, n, work.threads))
    )
    p = 1 / (1 + np.exp(-theta))
    spread = np.sqrt((w**2 * p * (1 - p)).sum())  # of J
    held_to(grad, w * p * (1 - p), 2 * (spread + 2) * np.sqrt(p * (1 - p) / n))


@pytest.mark.parametrize("cost", ["Linear", "a Python callable"])
def bench_memory(benchmark: Any, cost: str) -> None:
    n, sites = MEMORY
    program = [sys.executable, str(Path(__file__).with_name("memory.py")), cost, str(n), str(sites), str(ALL)]

    def run() -> Any:
        return json.loads(subprocess.run(program, check=True, capture_output=True, text=True).stdout)

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(
        {
            "memory": True,
            "what": f"sc.estimate, {cost}, {n:,} samples of {sites:,} sites",
            "threads": ALL,
            **found,
        },
        floor=200,
        goal=50,
    )
