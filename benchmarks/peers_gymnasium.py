"""Gymnasium: its CartPole is stepped, with random actions drawn before the clock starts; nobody asks for a gradient."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np


def native(steps: int, n_envs: int, threads: int) -> Callable[[], Any]:
    """The vector environment in NumPy that CartPole comes with."""
    env = gymnasium.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="vector_entry_point")
    return stepped(env, max(1, steps // n_envs))


def sync(steps: int, n_envs: int, threads: int) -> Callable[[], Any]:
    """Environments one after another: what ``gymnasium.make_vec`` makes of most."""
    env = gymnasium.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="sync")
    return stepped(env, max(1, steps // n_envs))


def stepped(env: Any, calls: int) -> Callable[[], Any]:
    actions = np.random.default_rng(1).integers(0, 2, (64, env.num_envs))

    def run() -> float:
        env.reset(seed=1)
        total = 0.0
        for call in range(calls):
            total += env.step(actions[call & 63])[1][0]
        return total

    return run
