"""Hand-written loops under numba: sixteen xorshift128+ a thread, so that LLVM makes vectors of them."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]

LANES = 16  # but one generator where there are fewer sites than these
ROWS = 256  # of float32 sums, before they go to float64


@functools.cache
def kernel(lanes: int) -> Any:
    """Compile the loop for so many generators side by side."""

    @numba.njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
    def score_function(threshold: Array, w: Array, states: Array, n: int) -> Array:
        """Return 1/N sum J (y - p), with the mean J of all samples as the baseline; one pass."""
        width, team = threshold.size, len(states)
        of_cost, of_y, costs = np.zeros((team, width)), np.zeros((team, width)), np.zeros(team)
        for t in numba.prange(team):
            a, b = states[t, 0].copy(), states[t, 1].copy()
            k, y = np.empty(width, np.int64), np.empty(width, np.float32)
            g, s = np.zeros(width, np.float32), np.zeros(width, np.float32)
            first, stop = n * t // team, n * (t + 1) // team
            for i in range(first, stop):
                for d in range(0, width, lanes):
                    for lane in range(lanes):
                        u, v = a[lane], b[lane]
                        u ^= u << np.uint64(23)
                        u = u ^ v ^ (u >> np.uint64(17)) ^ (v >> np.uint64(26))
                        a[lane], b[lane] = v, u
                        k[d + lane] = np.int64((u + v) >> np.uint64(11))
                cost = np.float32(0)
                for d in range(width):
                    y[d] = np.float32(1) if k[d] < threshold[d] else np.float32(0)
                    cost += y[d] * w[d]
                costs[t] += cost
                for d in range(width):
                    g[d] += cost * y[d]
                    s[d] += y[d]
                if (i - first) % ROWS == ROWS - 1 or i == stop - 1:
                    for d in range(width):
                        of_cost[t, d] += g[d]
                        of_y[t, d] += s[d]
                        g[d], s[d] = np.float32(0), np.float32(0)
        return of_cost.sum(axis=0) / n - costs.sum() / n * of_y.sum(axis=0) / n

    return score_function


def gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    numba.set_num_threads(threads)
    lanes = LANES if theta.size >= LANES else 1
    width = -(-theta.size // lanes) * lanes
    threshold, weights = np.zeros(width, np.int64), np.zeros(width, np.float32)
    threshold[: theta.size], weights[: theta.size] = np.ceil(2.0**53 / (1 + np.exp(-theta))), w
    states = np.random.default_rng(1).integers(1, 2**64, (threads, 2, lanes), dtype=np.uint64)
    score_function = kernel(lanes)
    return lambda: score_function(threshold, weights, states, n)[: theta.size]


@functools.cache
def reinforce() -> Any:
    """Compile REINFORCE of a linear policy on CartPole, with the mean return as its baseline: the references' loop."""

    @numba.njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
    def play(w: Array, states: Array, episodes: int, most: int) -> tuple[Array, float]:
        team = len(states)
        of_return, of_score, returns = np.zeros((team, 4)), np.zeros((team, 4)), np.zeros(team)
        for t in numba.prange(team):
            s0, s1 = states[t, 0], states[t, 1]
            state, score = np.zeros(4), np.zeros(4)
            for _ in range(episodes * t // team, episodes * (t + 1) // team):
                for i in range(4):
                    a, b = s0, s1
                    s0, a = b, a ^ (a << np.uint64(23))
                    s1 = a ^ b ^ (a >> np.uint64(17)) ^ (b >> np.uint64(26))
                    state[i], score[i] = (np.float64((s1 + b) >> np.uint64(11)) * 2.0**-53 - 0.5) * 0.1, 0.0
                reward = 0.0
                for _ in range(most):
                    logit = 0.0
                    for i in range(4):
                        logit += state[i] * w[i]
                    p = 1.0 / (1.0 + math.exp(-logit))
                    a, b = s0, s1
                    s0, a = b, a ^ (a << np.uint64(23))
                    s1 = a ^ b ^ (a >> np.uint64(17)) ^ (b >> np.uint64(26))
                    right = 1.0 if np.float64((s1 + b) >> np.uint64(11)) * 2.0**-53 < p else 0.0
                    for i in range(4):
                        score[i] += (right - p) * state[i]
                    force = 10.0 if right > 0.0 else -10.0
                    cosine, sine = math.cos(state[2]), math.sin(state[2])
                    pull = (force + 0.05 * state[3] ** 2 * sine) / 1.1
                    twist = (9.8 * sine - cosine * pull) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
                    push = pull - 0.05 * twist * cosine / 1.1
                    state[0] += 0.02 * state[1]
                    state[1] += 0.02 * push
                    state[2] += 0.02 * state[3]
                    state[3] += 0.02 * twist
                    reward += 1
                    if abs(state[0]) > 2.4 or abs(state[2]) > 0.20943951023931953:
                        break
                returns[t] += reward
                for i in range(4):
                    of_return[t, i] += reward * score[i]
                    of_score[t, i] += score[i]
        mean = returns.sum() / episodes
        return of_return.sum(axis=0) / episodes - mean * of_score.sum(axis=0) / episodes, mean

    return play


def cartpole(weights: Array, episodes: int, most: int, threads: int) -> Run:
    numba.set_num_threads(threads)
    states = np.random.default_rng(1).integers(1, 2**63, (threads, 2)).astype(np.uint64)
    play = reinforce()
    return lambda: play(weights, states, episodes, most)
