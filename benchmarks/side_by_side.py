"""What is measured and beside whom.

A `Work` is done by stochcore and by every peer that is installed and can be held to the same number of
threads: NumPy and MKL draw on one thread, so they stand beside one thread; JAX takes all cores when it starts, so
it stands beside all. Each peer lives in ``peers_<name>.py``, whose functions do the set-up and return a
callable that does the work. Those who do the same work run one right after another, and each is held to
what is known of the answer.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
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
PEERS = ("numpy", "mkl", "numba", "torch", "jax", "alone")
PACKAGES = {"mkl": "mkl_random", "alone": "stochcore"}
INSTALLED = tuple(peer for peer in PEERS if importlib.util.find_spec(PACKAGES.get(peer, peer)))


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


def can(who: str, threads: int) -> bool:
    """Can this one be held to so many threads?"""
    return {"numpy": threads == 1, "mkl": threads == 1, "jax": threads == ALL, "alone": threads > 1}.get(who, True)


def cases(entries: Iterable[tuple[Any, ...]], peers: Iterable[str]) -> Any:
    """Parametrise ``work, who, *arguments``: each entry (Work, arguments ...) for us, then for each peer."""
    params = []
    for work, *arguments in entries:
        for who in (OURS, *(peer for peer in peers if peer in INSTALLED and can(peer, work.threads))):
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


def measured(benchmark: Any, work: Work, who: str, run: Callable[[], Any], elements: float | None = None) -> Any:
    """Time a callable under the name of its work; return what it returns.

    `elements`: how many numbers the work touches, where that is not its items.
    """
    benchmark.extra_info.update(asdict(work), who=who)
    if who == OURS:
        benchmark.extra_info["path"] = path(work.threads, work.items if elements is None else elements)
    if not SMOKE:
        run()  # compiles, faults pages in, fills caches
    return benchmark(run)


def held_to(result: Any, mean: Any, error: Any) -> None:
    """Check an average against what is known: within seven standard errors, float32 rounding aside."""
    away = np.abs(np.asarray(result, dtype=np.float64) - mean)
    assert np.all(away <= 7 * np.asarray(error) + 1e-4 * np.abs(mean)), f"off by {away.max()}"
