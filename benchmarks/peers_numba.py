"""Hand-written loops under numba: sixteen xorshift128+ a thread, so that LLVM makes vectors of them."""

import functools
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
