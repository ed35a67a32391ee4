"""distributions: samples of Bernoulli and categorical sites, each site with probabilities of its own."""

from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, THREADS, Work, cases, held_to, measured, peer

import stochcore as sc

# samples, sites; the first is the one that peers are compared at
BERNOULLI = ((100, 20), (10, 1)) if SMOKE else ((10_000, 1_000), (1_000_000, 10), (100, 100_000), (100, 100))
# samples, sites, classes
CATEGORICAL = (
    ((100, 3, 5), (100, 3, 30))
    if SMOKE
    else ((20_000, 100, 10), (20_000, 10, 1_000), (200_000, 1, 1_000_000), (20_000, 100, 3), (20_000, 100, 24))
)
ENOUGH = 10**6  # outcomes for more threads to be of use
# by sites, or by classes: floor and goal of the ratio to a peer
BERNOULLI_HELD = {(1_000, 1): (8, 15, "numpy"), (1_000, THREADS[-1]): (30, 60, "torch")}
CATEGORICAL_HELD = {10: (20, 40, "numpy"), 1_000: (10, 20, "numpy"), 1_000_000: (3, 5, "numpy")}
NOT_HELD = (None, None, None)


def bernoulli(p: Any, n: int, threads: int) -> Any:
    q, stream, out = sc.Bernoulli(probs=p), sc.Stream(1), np.empty((n, p.size), dtype=np.uint8)
    return lambda: q.sample(n, stream, out=out, n_threads=threads)


def categorical(p: Any, n: int, threads: int) -> Any:
    q, stream, out = sc.Categorical(probs=p), sc.Stream(1), np.empty((n, len(p)), dtype=np.int32)
    return lambda: q.sample(n, stream, out=out, n_threads=threads)


@cases(
    [
        (
            Work(
                "distributions",
                f"Bernoulli, {n:,} x {sites:,}",
                n * sites,
                "outcomes",
                threads,
                i == 0,
                *BERNOULLI_HELD.get((sites, threads), NOT_HELD),
            ),
            n,
            sites,
        )
        for i, (n, sites) in enumerate(BERNOULLI)
        for threads in THREADS
        if threads == 1 or n * sites >= ENOUGH or SMOKE
    ],
    peers=("numpy", "torch", "jax"),
)
def bench_bernoulli(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    n, sites = arguments
    p = np.linspace(0.05, 0.95, sites)
    make = bernoulli if who == OURS else peer(who).bernoulli
    run = make(p, n, work.threads)
    y = np.asarray(measured(benchmark, work, who, run, make=lambda other: other.bernoulli(p, n, work.threads)))
    assert y.shape == (n, sites)
    held_to(y.mean(axis=0), p, np.sqrt(p * (1 - p) / n))


@cases(
    [
        (
            Work(
                "distributions",
                f"Categorical of {classes:,}, {n:,} x {sites:,}",
                n * sites,
                "outcomes",
                threads,
                i < 2,
                *(CATEGORICAL_HELD.get(classes, NOT_HELD) if threads == 1 else NOT_HELD),
            ),
            n,
            sites,
            classes,
        )
        for i, (n, sites, classes) in enumerate(CATEGORICAL)
        for threads in THREADS
    ],
    peers=("numpy", "torch"),
)
def bench_categorical(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    n, sites, classes = arguments
    p = np.exp(np.random.default_rng(0).normal(size=(sites, classes)))
    p /= p.sum(axis=1, keepdims=True)
    make = categorical if who == OURS else peer(who).categorical
    run = make(p, n, work.threads)
    y = np.asarray(measured(benchmark, work, who, run, make=lambda other: other.categorical(p, n, work.threads)))
    assert y.shape == (n, sites)
    mean, square = p @ np.arange(classes), p @ np.arange(classes) ** 2
    held_to(y.mean(axis=0), mean, np.sqrt((square - mean**2) / n))
