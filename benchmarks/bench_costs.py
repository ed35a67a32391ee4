"""costs: J of samples that are there already. NumPy's samples are float32 already, ours are the bytes."""

from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, Work, cases, measured, peer

import stochcore as sc

LINEAR = ((100, 20),) if SMOKE else ((10_000, 1_000), (100_000, 10), (100, 10_000))  # samples, sites
QUADRATIC = ((100, 20),) if SMOKE else ((10_000, 100), (1_000, 1_000), (100_000, 10))


def ours(y: Any, weights: Any, threads: int) -> Any:
    cost = sc.costs.Linear(weights) if weights.ndim == 1 else sc.costs.Quadratic(weights)
    return lambda: cost(y)


@cases(
    [
        (Work("costs", f"{name}, {n:,} x {sites:,}", n * size(sites), "products"), name, n, sites)
        for name, shapes, size in (
            ("Linear", LINEAR, lambda sites: sites),
            ("Quadratic", QUADRATIC, lambda sites: sites**2),
        )
        for n, sites in shapes
    ],
    peers=("numpy",),
)
def bench_cost(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    name, n, sites = arguments
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=(n, sites), dtype=np.uint8)
    weights = rng.normal(size=(sites,) * (1 if name == "Linear" else 2))
    make = ours if who == OURS else getattr(peer(who), name.lower())
    j = measured(benchmark, work, who, make(y, weights, work.threads))
    wanted = y @ weights if name == "Linear" else ((y @ weights) * y).sum(axis=1)
    np.testing.assert_allclose(j, wanted, rtol=1e-3, atol=1e-2 * np.sqrt(weights.size))
