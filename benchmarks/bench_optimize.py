"""optimize: steps of leave-one-out and Adam on Bernoulli sites, from few to many; small ones: bench_small_calls.py."""

from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, THREADS, Work, cases, measured, peer

import stochcore as sc

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
