"""gymnasium: CartPole compiled, with its gradient, beside Gymnasium's without one; and what `Environment` takes itself.

The policy keeps the pole up, so that every step of ours is live. Gymnasium's are driven by random actions, and those
steps of its NumPy environment count as well in which some of it begins anew.
"""

import importlib.util
from typing import Any

import numpy as np
import pytest
from side_by_side import ALL, OURS, SMOKE, THREADS, Work, cases, measured, peer

import stochcore as sc
from stochcore import environments

MOST = 20 if SMOKE else 500
THETA = np.array([1.0, 2.0, 30.0, 30.0])
EPISODES = {"native": 64 if SMOKE else 1024, "sync": 32 if SMOKE else 256}
AT_ONCE = {"native": (64,) if SMOKE else (64, 512, 4096), "sync": (32,)}
MODES = {"native": "vector_entry_point", "sync": "sync"}


def compiled(steps: int, n_envs: int, threads: int) -> Any:
    model = sc.simulator(environments.cartpole, compile="numba")(THETA, float(MOST))
    return lambda: sc.estimate(model, n_samples=steps // MOST, estimator="whole_return", n_threads=threads)


def environment(kind: str, steps: int, n_envs: int, threads: int) -> Any:
    from stochcore.interop.gymnasium import Environment

    theta = np.zeros((2, 5))
    theta[1, :4] = THETA
    model = Environment("CartPole-v1", n_envs=n_envs, max_steps=MOST, vectorization_mode=MODES[kind])(theta)
    return lambda: sc.estimate(model, n_samples=n_envs, estimator="whole_return", n_threads=threads)


@cases(
    [
        (
            Work(
                "simulators",
                f"CartPole and its gradient, beside {words}, {n_envs:,} at a time",
                EPISODES[kind] * MOST,
                "live steps",
                threads,
                floor=15,
                goal=25,
                against="gymnasium",
                pair=True,
            ),
            kind,
            n_envs,
        )
        for kind, words in (("native", "the vector environment in NumPy"), ("sync", "SyncVectorEnv"))
        for n_envs in AT_ONCE[kind]
        for threads in THREADS
        if threads == ALL
    ],
    peers=("gymnasium",),
)
@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba compiles ours")
def bench_compiled(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    kind, n_envs = arguments
    steps = int(work.items)
    if who == OURS:
        found = measured(
            benchmark,
            work,
            who,
            compiled(steps, n_envs, work.threads),
            make=lambda module: getattr(module, kind)(steps, n_envs, 1),
        )
        assert found.cost < -0.99 * MOST  # nearly every step is live
    else:
        assert measured(benchmark, work, who, getattr(peer(who), kind)(steps, n_envs, 1)) > 0


@cases(
    [
        (
            Work("simulators", f"Environment, {kind}, {n_envs:,} at a time", n_envs * MOST, "live steps", threads),
            kind,
            n_envs,
        )
        for kind in ("native", "sync")
        for n_envs in AT_ONCE[kind]
        for threads in THREADS
        if threads == ALL
    ],
    peers=("gymnasium",),
)
def bench_environment(benchmark: Any, work: Work, who: str, arguments: Any) -> None:
    kind, n_envs = arguments
    if who == OURS:
        found = measured(benchmark, work, who, environment(kind, int(work.items), n_envs, work.threads))
        assert found.cost < -0.99 * MOST  # nearly every step is live
    else:
        assert measured(benchmark, work, who, getattr(peer(who), kind)(int(work.items), n_envs, 1)) > 0
