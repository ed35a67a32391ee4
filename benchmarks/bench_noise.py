"""noise: filling arrays, from some that stay in the first cache to some that leave the last one.

Beside the peers stands the machine's limit: for arrays that leave the last cache the C library's memset of as many
bytes, for smaller ones the engine's raw bits in as many bytes. Floors and goals of ratios are those of `ars` on a CPU
with VAES.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from side_by_side import ALL, OURS, SMOKE, THREADS, Run, Work, by_turns, cases, held_to, measured, peer

import stochcore as sc

SIZES = (10**3, 10**4) if SMOKE else (10**3, 10**4, 10**5, 10**6, 10**7)
LARGE, CACHED = SIZES[-1], 10**4
FEW = 10**5  # below, more threads are of no use
DTYPES = ("float64", "float32")
MOMENTS = {
    "uniform": (0.5, 1 / 12),
    "normal": (0.0, 1.0),
    "exponential": (1.0, 1.0),
    "logistic": (0.0, np.pi**2 / 3),
    "gumbel": (np.euler_gamma, np.pi**2 / 6),
}
# floor and goal of the ratio to a peer, at every size from 10^4 on
HELD = {
    ("uniform", "float64", LARGE): (5, 6.5, "numpy"),
    ("uniform", "float64", CACHED): (7, 10, "numpy"),
    ("normal", "float64", LARGE): (6, 10, "numpy"),
    ("normal", "float64", CACHED): (2, 3, "mkl"),
    ("normal", "float32", LARGE): (15, 25, "numpy"),
    ("normal", "float32", CACHED): (5, 9, "torch"),
    ("exponential", "float64", CACHED): (8, 15, "numpy"),
    ("logistic", "float64", CACHED): (8, 15, "numpy"),
    ("gumbel", "float64", CACHED): (8, 15, "numpy"),
}


def fill(kind: str, dtype: str, size: int, threads: int, engine: str = "ars") -> Any:
    out = np.empty(size, dtype=dtype)
    draw = getattr(sc.Stream(1, engine=engine), kind)
    return lambda: draw(size, dtype=dtype, out=out, n_threads=threads)


def work(kind: str, dtype: str, size: int, threads: int) -> Work:
    floor, goal, against = HELD.get((kind, dtype, size), (None, None, None)) if threads == 1 else (None, None, None)
    what = f"{kind} {dtype}, {size:,}"
    headline = size == LARGE and kind in ("uniform", "normal")
    return Work("noise", what, size, "numbers", threads, headline=headline, floor=floor, goal=goal, against=against)


def entries(kinds: tuple[str, ...], sizes: tuple[int, ...], dtypes: tuple[str, ...] = DTYPES) -> list[Any]:
    return [
        (work(kind, dtype, size, threads), kind, dtype, size)
        for kind in kinds
        for dtype in dtypes
        for size in sizes
        for threads in THREADS
        if threads == 1 or size >= FEW or SMOKE
    ]


def limit(dtype: str, size: int, threads: int) -> tuple[str, Run]:
    """Return what bounds a fill of so many bytes, on as many threads."""
    out = np.empty(size, dtype=dtype)
    if size == LARGE:
        parts, pool = np.array_split(out.view(np.uint8), threads), ThreadPoolExecutor(threads)
        return "memset", lambda: list(pool.map(lambda part: ctypes.memset(part.ctypes.data, 1, part.nbytes), parts))
    bits, draw = out.view(np.uint64 if dtype == "float64" else np.uint32), sc.Stream(1).bits
    return "raw bits", lambda: draw(size, dtype=bits.dtype, out=bits, n_threads=threads)


def fill_and_check(benchmark: Any, work: Work, who: str, arguments: Any, **options: Any) -> None:
    kind, dtype, size = arguments
    run = (partial(fill, **options) if who == OURS else peer(who).fill)(*arguments, work.threads)
    result = np.asarray(measured(benchmark, work, who, run, make=lambda other: other.fill(*arguments, work.threads)))
    if who == OURS and benchmark.stats is not None:
        name, bound = limit(dtype, size, work.threads)
        benchmark.extra_info["limit"] = f"{by_turns(run, bound):.0%} of {name}"
    mean, variance = MOMENTS[kind]
    if (who, kind) == ("mkl", "gumbel"):  # the Gumbel of minima
        mean = -mean
    held_to(result.mean(dtype=np.float64), mean, np.sqrt(variance / size))


@cases(entries(("uniform", "normal"), SIZES), peers=("numpy", "torch", "jax"))
def bench_fill(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    fill_and_check(benchmark, work, who, arguments)


@cases(entries(("uniform", "normal"), SIZES[1:], ("float64",)), peers=("mkl",))
def bench_fill_mkl(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    if who != OURS:
        fill_and_check(benchmark, work, who, arguments)


@cases(
    entries(("exponential", "logistic", "gumbel"), (CACHED, 10**6)[: 1 if SMOKE else 2], ("float64",)),
    peers=("numpy", "mkl"),
)
def bench_quantiles(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    fill_and_check(benchmark, work, who, arguments)


def by_philox(key: tuple[str, str, int]) -> Work:
    """The same work by the other engine, held to half as much."""
    line, (floor, goal, _) = work(*key, 1), HELD[key]
    return replace(line, what=f"{line.what}, by philox", headline=False, floor=floor / 2, goal=goal / 2)


@cases([(by_philox(key), *key) for key in HELD], peers=("numpy", "mkl", "torch"))
def bench_philox(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    if who in (OURS, work.against):
        fill_and_check(benchmark, work, who, arguments, engine="philox")


@cases(
    [
        (
            Work(
                "noise",
                f"{kind} {dtype}, 1,000,000, all threads over one",
                10**6,
                "numbers",
                ALL,
                floor=1.8,
                goal=1.95,
                against="alone",
            ),
            kind,
            dtype,
            CACHED if SMOKE else 10**6,
        )
        for kind, dtype in (("normal", "float64"), ("normal", "float32"), ("gumbel", "float64"))
    ],
    peers=("alone",),
)
def bench_threads(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    fill_and_check(benchmark, work, who, arguments)


@cases(
    [
        (Work("noise", f"a new array of {n:,} uniforms", 1, "calls", floor=0.75, goal=1, against="numpy"), n)
        for n in (10, 1000)
    ],
    peers=("numpy",),
)
def bench_call(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    (n,) = arguments
    draw = sc.Stream(1).uniform if who == OURS else peer(who).generator().random
    measured(benchmark, work, who, lambda: draw(n), n, lambda other: partial(other.generator().random, n))
