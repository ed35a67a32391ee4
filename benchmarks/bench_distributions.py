"""distributions: samples of every family, each site with parameters of its own.

The count families, `Ordinal` and `RoundedNormal` draw from tables that are made with the model: the clock runs for the
samples alone, and the tables have a line to themselves. Where NumPy has a function for the family its peer calls that;
where arithmetic on whole arrays of noise is faster, a line "by hand" stands beside that too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from side_by_side import OURS, SMOKE, THREADS, Work, cases, held_to, measured, peer
from threadpoolctl import threadpool_limits

import stochcore as sc

Array = np.ndarray[Any, Any]

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


@dataclass(frozen=True)
class Many:
    """Sites of a family: what peers are given, our model, and what is known of the outcomes."""

    arguments: dict[str, Any]
    model: Callable[[], Any]
    mean: Array
    variance: Array


def poisson(sites: int) -> Many:
    rate = np.linspace(0.5, 50, sites)
    return Many({"rate": rate}, lambda: sc.Poisson(rate=rate), rate, rate)


def binomial(sites: int) -> Many:
    p, trials = np.linspace(0.05, 0.95, sites), np.arange(sites) % 91 + 10
    return Many({"trials": trials, "p": p}, lambda: sc.Binomial(trials, probs=p), trials * p, trials * p * (1 - p))


def geometric(sites: int) -> Many:
    p = np.linspace(0.05, 0.95, sites)
    return Many({"p": p}, lambda: sc.Geometric(probs=p), 1 / p, (1 - p) / p**2)


def negative_binomial(sites: int) -> Many:
    p, successes = np.linspace(0.05, 0.95, sites), np.linspace(0.5, 10, sites)[::-1].copy()
    mean = successes * (1 - p) / p
    arguments = {"successes": successes, "p": p}
    return Many(arguments, lambda: sc.NegativeBinomial(successes, probs=p), mean, mean / p)


def ordinal(sites: int) -> Many:
    location, cuts = np.linspace(-2, 2, sites), np.array([-1.0, -0.3, 0.3, 1.0])
    above = 1 / (1 + np.exp(cuts[:, None] - location))  # P(y > c)
    mean, square = above.sum(axis=0), (2 * np.arange(len(cuts)) + 1) @ above
    return Many({"below": 1 - above}, lambda: sc.Ordinal(location, cuts), mean, square - mean**2)


def rounded_normal(sites: int) -> Many:
    """At a scale of two steps, rounding moves the mean by less than 1e-30 and adds 1/12 to the variance."""
    mean, scale = np.linspace(-10, 10, sites), 2.0
    return Many(
        {"mean": mean, "scale": scale},
        lambda: sc.RoundedNormal(mean, scale),
        mean,
        np.full(sites, scale**2 + 1 / 12),
    )


def markov_chain(steps: int) -> Many:
    """Sites are the steps of one chain of 10 states."""
    rng, states = np.random.default_rng(0), 10
    initial, transitions = rng.normal(size=states), rng.normal(size=(states, states))
    p, move = np.exp(initial) / np.exp(initial).sum(), np.exp(transitions)
    move /= move.sum(axis=1, keepdims=True)
    at = np.empty((steps, states))
    at[0] = p
    for t in range(1, steps):
        at[t] = at[t - 1] @ move
    mean, square = at @ np.arange(states), at @ np.arange(states) ** 2
    arguments = {"initial": p, "transitions": move, "steps": steps}
    return Many(arguments, lambda: sc.MarkovChain(initial, transitions, n_steps=steps), mean, square - mean**2)


# samples, sites; the first is the one that peers are compared at; floor, goal of the ratio to NumPy (and to torch)
FAMILIES: dict[str, tuple[Any, tuple[tuple[int, int], ...], tuple[int, int] | None]] = {
    "Poisson": (
        poisson,
        ((2_000, 1_000), (10_000, 1_000), (1_000_000, 1), (100_000, 10), (100, 100_000)),
        (15, 25),
    ),
    "Binomial": (binomial, ((2_000, 1_000),), (10, 20)),
    "Geometric": (geometric, ((2_000, 1_000),), (10, 20)),
    "NegativeBinomial": (negative_binomial, ((2_000, 1_000),), (10, 20)),
    "Ordinal of 5": (ordinal, ((2_000, 1_000),), None),
    "RoundedNormal": (rounded_normal, ((2_000, 1_000),), None),
    "MarkovChain of 10": (markov_chain, ((20_000, 100),), None),
}
FEW = ((100, 20), (100, 1))  # when smoke is looked for
# samples, items, how many are taken (0: all, ranked)
ORDERS = (
    ((100, 10, 0), (100, 10, 3))
    if SMOKE
    else ((20_000, 100, 0), (200_000, 10, 0), (2_000, 1_000, 0), (20_000, 100, 10), (2_000, 1_000, 10))
)
ORDERS_HELD = (3, 6)  # of 100 items
RATES, DRAWN = (100 if SMOKE else 10_000), 10
GRADIENT = (20, 100) if SMOKE else (1_000, 10_000)  # sites, samples


def draw(model: Callable[[], Any], n: int, threads: int) -> Any:
    q, stream = model(), sc.Stream(1)
    out = np.empty((n, *q.site_shape), dtype=q.dtype)
    return lambda: q.sample(n, stream, out=out, n_threads=threads)


def entries(names: tuple[str, ...], by_hand: bool = False) -> list[Any]:
    """One thread for each shape, all threads for the first; by hand: the first alone."""
    found = []
    for name in names:
        make, shapes, held = FAMILIES[name]
        for i, (n, sites) in enumerate(FEW[:1] if SMOKE else shapes[: 1 if by_hand else None]):
            for threads in THREADS[: 1 if by_hand else None]:
                if threads == 1 or i == 0:
                    against = "numpy" if threads == 1 else "torch" if name == "Poisson" else None
                    limits = (*held, against) if held and i == 0 and against and not by_hand else NOT_HELD
                    what = f"{name}, {n:,} x {sites:,}" + ", by hand" * by_hand
                    headline = i == 0 and not by_hand
                    work = Work("distributions", what, n * sites, "outcomes", threads, headline, *limits)
                    function = make.__name__ + "_by_hand" * by_hand
                    found.append((work, make, function, n, sites))
    return found


def draw_and_check(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    make, function, n, sites = arguments
    many = make(sites)

    def theirs(other: Any) -> Any:
        return getattr(other, function)(n, work.threads, **many.arguments)

    run = draw(many.model, n, work.threads) if who == OURS else theirs(peer(who))
    y = np.asarray(measured(benchmark, work, who, run, make=theirs))
    assert y.shape == (n, sites)
    held_to(y.mean(axis=0, dtype=np.float64), many.mean, np.sqrt(many.variance / n))


@cases(entries(("Poisson", "Binomial", "Geometric", "NegativeBinomial")), peers=("numpy", "torch", "jax"))
def bench_counts(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    draw_and_check(benchmark, work, who, arguments)


@cases(entries(("Ordinal of 5", "RoundedNormal", "MarkovChain of 10")), peers=("numpy", "torch", "jax"))
def bench_latent(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    draw_and_check(benchmark, work, who, arguments)


@cases(entries(("Geometric",), by_hand=True), peers=("numpy",))
def bench_by_hand(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    draw_and_check(benchmark, work, who, arguments)


def order_entries(by_hand: bool = False) -> list[Any]:
    found = []
    for n, items, k in ORDERS:
        what = (f"TopK, {k:,} of {items:,}" if k else f"PlackettLuce of {items:,}") + f", {n:,} lists"
        for threads in THREADS[: 1 if by_hand else None]:
            held = (*ORDERS_HELD, "numpy") if items == 100 and threads == 1 and not by_hand else NOT_HELD
            if threads == 1 or items == 100 or SMOKE:
                work = Work(
                    "distributions",
                    what + ", by hand" * by_hand,
                    n * (k or items),
                    "outcomes",
                    threads,
                    items == 100 and not by_hand,
                    *held,
                )
                found.append((work, "orders" + "_by_hand" * by_hand, n, items, k or items))
    return found


def order_and_check(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    function, n, items, k = arguments
    logits = np.random.default_rng(0).normal(size=items)

    def theirs(other: Any) -> Any:
        return getattr(other, function)(n, work.threads, logits, k)

    model = partial(sc.PlackettLuce, logits) if k == items else partial(sc.TopK, logits, k)
    run = draw(model, n, work.threads) if who == OURS else theirs(peer(who))
    y = np.asarray(measured(benchmark, work, who, run, n * items, make=theirs))
    assert y.shape == (n, k)
    assert np.all(np.diff(np.sort(y[:100], axis=1), axis=1) > 0)  # each item once
    p = np.exp(logits) / np.exp(logits).sum()
    first = np.bincount(y[:, 0], minlength=items) / n
    held_to(first, p, np.sqrt(p * (1 - p) / n) + 1 / n)


@cases(order_entries(), peers=("numpy", "torch", "jax"))
def bench_orders(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    order_and_check(benchmark, work, who, arguments)


@cases(order_entries(by_hand=True), peers=("numpy",))
def bench_orders_by_hand(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    order_and_check(benchmark, work, who, arguments)


@cases(
    [
        (Work("tables", f"Poisson, {RATES:,} rates: {what}", RATES, "sites"), drawn)
        for what, drawn in (
            (f"tables; of NumPy {DRAWN} samples", 0),
            (f"tables and {DRAWN} samples", DRAWN),
        )
    ],
    peers=("numpy",),
)
def bench_tables(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    (drawn,) = arguments
    many, stream = poisson(RATES), sc.Stream(1)

    def tables() -> Any:
        q = many.model()
        return q.sample(drawn, stream, n_threads=1) if drawn else q

    with threadpool_limits(1, user_api="openmp"):
        found = measured(
            benchmark,
            work,
            who,
            tables if who == OURS else peer(who).poisson(DRAWN, work.threads, **many.arguments),
        )
    y = found.sample(DRAWN, stream) if isinstance(found, sc.Poisson) else np.asarray(found)
    assert y.shape == (DRAWN, RATES)
    held_to(y.mean(), many.mean.mean(), np.sqrt(many.mean.sum() / DRAWN) / RATES)


def gradient(theta: Array, w: Array, n: int, threads: int) -> Any:
    model, cost = sc.Poisson(log_rate=theta), sc.costs.Linear(w)
    return lambda: sc.estimate(model, cost, n, n_threads=threads).grad


@cases(
    [
        (
            Work(
                "estimators",
                f"Poisson, {GRADIENT[0]:,} sites, {GRADIENT[1]:,} samples",
                GRADIENT[0] * GRADIENT[1],
                "pairs (sample, site)",
                threads,
                headline=True,
            ),
        )
        for threads in THREADS
    ],
    peers=("numpy", "torch"),
)
def bench_poisson_gradient(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    """J = w . y, so that the gradient by log_rate is w rate."""
    sites, n = GRADIENT
    rate, w = np.linspace(0.5, 50, sites), np.linspace(1, 2, sites)
    make = gradient if who == OURS else peer(who).poisson_gradient
    grad = np.asarray(measured(benchmark, work, who, make(np.log(rate), w, n, work.threads)))
    spread = np.sqrt((w**2 * rate).sum())  # of J
    held_to(grad, w * rate, 2 * (spread + 2) * np.sqrt(rate / n))
