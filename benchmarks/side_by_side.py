"""What is measured and beside whom.

A `Work` is done by stochcore and by every peer that is installed and can be held to the same number of
threads: NumPy and MKL draw on one thread, so they stand beside one thread; JAX takes all cores when it starts, so
it stands beside all. Each peer lives in ``peers_<name>.py``, whose functions do the set-up and return a
callable that does the work. Those who do the same work run one right after another, and each is held to
what is known of the answer. Where a ratio has a floor, the two also run by turns, so that a machine that is
slow for a while is slow for both.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest

import stochcore as sc
from stochcore import _dispatch

SMOKE = os.environ.get("STOCHCORE_BENCH_SMOKE", "0") not in ("", "0")
CONFIG = sc.show_config(mode="dicts")
ALL = int(CONFIG["threads"])  # type: ignore[call-overload]
THREADS = (1,) if ALL == 1 else (1, ALL)
OURS = "stochcore"
Run = Callable[[], Any]
PEERS = ("numpy", "blas", "mkl", "numba", "torch", "jax", "scipy", "alone", "gymnasium")
PACKAGES = {"mkl": "mkl_random", "blas": "numpy", "alone": "stochcore"}
SLOW_TO_BEGIN = ("torch", "jax")  # they compile for minutes: a small run does without
INSTALLED = tuple(
    peer
    for peer in PEERS
    if importlib.util.find_spec(PACKAGES.get(peer, peer)) and not (SMOKE and peer in SLOW_TO_BEGIN)
)


@dataclass(frozen=True)
class Work:
    """One line of the report: `items` things of a `unit` are done by a call, on at most so many threads."""

    stage: str
    what: str
    items: float
    unit: str
    threads: int = 1
    headline: bool = False  # is it in the plot?
    floor: float | None = None  # of the ratio to one peer
    goal: float | None = None
    against: str | None = None  # that peer
    pair: bool = False  # and no other
    rate_floor: float | None = None  # of our rate itself
    rate_goal: float | None = None


def can(who: str, threads: int) -> bool:
    """Can this one be held to so many threads?"""
    return {
        "numpy": threads == 1,
        "blas": threads > 1,
        "mkl": threads == 1,
        "jax": threads == ALL,
        "scipy": threads == 1,
        "alone": threads > 1,
    }.get(who, True)


def cases(entries: Iterable[tuple[Any, ...]], peers: Iterable[str]) -> Any:
    """Parametrise ``work, who, *arguments``: each entry (Work, arguments ...) for us, then for each peer."""
    params = []
    for work, *arguments in entries:
        beside = [peer for peer in peers if peer in INSTALLED and can(peer, work.threads)]
        for who in (OURS, *(peer for peer in beside if not work.pair or peer == work.against)):
            name = f"{work.what}-{work.threads}-{who}".replace(" ", "_")
            params.append(pytest.param(work, who, tuple(arguments), id=name))
    return pytest.mark.parametrize(("work", "who", "arguments"), params)


def peer(who: str) -> Any:
    """Return the module of a peer."""
    return importlib.import_module(f"peers_{who}")


def path(threads: int, elements: float = np.inf) -> str:
    """Say what path our code takes."""
    used = threads if elements >= _dispatch.WORK_FOR_TEAM else 1
    return f"{CONFIG['instruction_set']}, {used} thread{'s' * (used > 1)}"


def by_turns(ours: Run, theirs: Run) -> float:
    """Return how many times as long the other takes: the best of each, in turns of a millisecond or one call."""

    def seconds(run: Run, calls: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    runs = (ours, theirs)
    calls = [max(1, round(1e-3 / max(seconds(run), 1e-9))) for run in runs for _ in range(2)][1::2]
    least, turns, end = [np.inf, np.inf], 0, time.perf_counter() + 0.8
    while turns < 5 or time.perf_counter() < end:
        least = [min(best, seconds(run, n)) for best, run, n in zip(least, runs, calls, strict=True)]
        turns += 1
    return float(least[1] / least[0])


def measured(
    benchmark: Any,
    work: Work,
    who: str,
    run: Run,
    elements: float | None = None,
    make: Callable[[Any], Run] | None = None,
) -> Any:
    """Time a callable under the name of its work; return what it returns.

    `elements`: how many numbers the work touches, where that is not its items. `make`: makes the callable that does
    the same, from the module of the peer that we are held to.
    """
    benchmark.extra_info.update(asdict(work), who=who)
    if who == OURS:
        benchmark.extra_info["path"] = path(work.threads, work.items if elements is None else elements)
    if not SMOKE:
        run()  # compiles, faults pages in, fills caches
    result = benchmark(run)
    if make and not SMOKE and who == OURS and work.against in INSTALLED and can(work.against, work.threads):
        benchmark.extra_info["beside"] = by_turns(run, make(peer(work.against)))
    return result


def held_to(result: Any, mean: Any, error: Any) -> None:
    """Check an average against what is known: within seven standard errors, float32 rounding aside."""
    away = np.abs(np.asarray(result, dtype=np.float64) - mean)
    assert np.all(away <= 7 * np.asarray(error) + 1e-4 * np.abs(mean)), f"off by {away.max()}"
