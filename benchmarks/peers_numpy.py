"""NumPy, on one thread: SFC64, its fastest generator, and blocks of rows that stay in the cache."""

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]

CACHED = 1 << 17  # numbers in a block


def generator() -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(1))


def rows(n: int, width: int, numbers: int = CACHED) -> int:
    """Largest divisor of n for which a block of so many rows holds no more than so many numbers."""
    most = max(2, numbers // width)
    return next(k for k in range(min(n, most), 0, -1) if n % k == 0)


def fill(kind: str, dtype: str, size: int, threads: int) -> Run:
    rng, out = generator(), np.empty(size, dtype=dtype)
    if kind in ("logistic", "gumbel"):  # these two make a new array
        return lambda: getattr(rng, kind)(size=size)
    draw = {"uniform": rng.random, "normal": rng.standard_normal, "exponential": rng.standard_exponential}[kind]
    return lambda: draw(out=out, dtype=out.dtype)


def bernoulli(p: Array, n: int, threads: int) -> Run:
    rng, p32 = generator(), p.astype(np.float32)
    block = rows(n, p.size)
    u, y = np.empty((block, p.size), np.float32), np.empty((n, p.size), np.bool_)

    def run() -> Array:
        for start in range(0, n, block):
            rng.random(out=u, dtype=np.float32)
            np.less(u, p32, out=y[start : start + block])
        return y

    return run


def categorical(p: Array, n: int, threads: int) -> Run:
    rng, cumulative = generator(), p.cumsum(axis=1)
    cumulative[:, -1] = 1.0
    y = np.empty((n, len(p)), np.int32)

    def run() -> Array:
        u = rng.random((len(p), n))
        for site, edges in enumerate(cumulative):
            y[:, site] = np.searchsorted(edges, u[site], side="right")
        return y

    return run


def gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    """Leave-one-out in blocks, J = w . y: the centred J sum to zero, so that the p of y - p drops out."""
    threadpool_limits(threads, user_api="blas")
    rng, block = generator(), rows(n, theta.size)
    p32, w32 = (1 / (1 + np.exp(-theta))).astype(np.float32), w.astype(np.float32)
    u, y = np.empty((2, block, theta.size), np.float32)

    def run() -> Array:
        total = np.zeros(theta.size)
        for _ in range(0, n, block):
            rng.random(out=u, dtype=np.float32)
            np.less(u, p32, out=y)
            j = y @ w32
            total += (j - j.mean()) @ y
        return total / n * (block / (block - 1))

    return run


def quadratic(y: Array, Q: Array, threads: int) -> Run:
    threadpool_limits(threads, user_api="blas")
    y32, Q32 = y.astype(np.float32), Q.astype(np.float32)  # not timed
    return lambda: np.einsum("ij,ij->i", y32 @ Q32, y32)


def linear(y: Array, w: Array, threads: int) -> Run:
    threadpool_limits(threads, user_api="blas")
    y32, w32 = y.astype(np.float32), w.astype(np.float32)
    return lambda: y32 @ w32


def descend(theta: Array, w: Array, n_samples: int, n_steps: int, threads: int) -> Run:
    """Steps of leave-one-out and Adam."""
    w32 = w.astype(np.float32)

    def run() -> Array:
        rng, logits = generator(), theta.copy()
        m, v = np.zeros((2, theta.size))
        u, y = np.empty((2, n_samples, theta.size), np.float32)
        for t in range(1, n_steps + 1):
            p32 = (1 / (1 + np.exp(-logits))).astype(np.float32)
            rng.random(out=u, dtype=np.float32)
            np.less(u, p32, out=y)
            j = y @ w32
            g = (j - j.mean()) @ y / (n_samples - 1)
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            logits -= 0.01 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return logits

    threadpool_limits(threads, user_api="blas")
    return run
