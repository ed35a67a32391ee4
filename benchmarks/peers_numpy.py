"""NumPy, on one thread: SFC64, its fastest generator, and blocks of rows that stay in the cache."""

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]

CACHED = 1 << 17  # numbers in a block
MANY = 1_000  # numbers in a call, for its overhead not to matter


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


def of_sites(draw: Callable[..., Any], n: int, *parameters: Array) -> Run:
    """Site by site where a call is long enough for what it costs: its set-up is done once; else all at once."""
    sites = parameters[0].size
    if n < MANY:
        return lambda: draw(*parameters, size=(n, sites))
    y = np.empty((sites, n), np.int32)

    def run() -> Array:
        for site, own in enumerate(zip(*parameters, strict=True)):
            y[site] = draw(*own, n)
        return y.T

    return run


def poisson(n: int, threads: int, rate: Array) -> Run:
    return of_sites(generator().poisson, n, rate)


def binomial(n: int, threads: int, trials: Array, p: Array) -> Run:
    return of_sites(generator().binomial, n, trials, p)


def geometric(n: int, threads: int, p: Array) -> Run:
    return of_sites(generator().geometric, n, p)


def negative_binomial(n: int, threads: int, successes: Array, p: Array) -> Run:
    return of_sites(generator().negative_binomial, n, successes, p)


def geometric_by_hand(n: int, threads: int, p: Array) -> Run:
    """Exponentials, scaled and rounded up."""
    rng, scale = generator(), (-1 / np.log1p(-p)).astype(np.float32)
    block = rows(n, p.size)
    x, y = np.empty((block, p.size), np.float32), np.empty((n, p.size), np.int32)

    def run() -> Array:
        for start in range(0, n, block):
            rng.standard_exponential(out=x, dtype=np.float32)
            np.multiply(x, scale, out=x)
            y[start : start + block] = np.ceil(x, out=x)
        return y

    return run


def ordinal(n: int, threads: int, below: Array) -> Run:
    """Uniforms beside each threshold: a sixth of searchsorted's time for five classes."""
    rng, edges = generator(), below.astype(np.float32)
    block = rows(n, edges.shape[1])
    u, found = np.empty((block, edges.shape[1]), np.float32), np.empty((block, edges.shape[1]), np.bool_)
    few, y = np.empty(u.shape, np.uint8), np.empty((n, edges.shape[1]), np.int32)

    def run() -> Array:
        for start in range(0, n, block):
            rng.random(out=u, dtype=np.float32)
            few[:] = 0
            for edge in edges:
                np.greater_equal(u, edge, out=found)
                np.add(few, found.view(np.uint8), out=few)
            y[start : start + block] = few
        return y

    return run


def rounded_normal(n: int, threads: int, mean: Array, scale: float) -> Run:
    rng, block = generator(), rows(n, mean.size)
    x, y = np.empty((block, mean.size)), np.empty((n, mean.size), np.int32)

    def run() -> Array:
        for start in range(0, n, block):
            rng.standard_normal(out=x)
            np.multiply(x, scale, out=x)
            np.add(x, mean, out=x)
            y[start : start + block] = np.rint(x, out=x)
        return y

    return run


def markov_chain(n: int, threads: int, initial: Array, transitions: Array, steps: int) -> Run:
    """All chains step by step, an edge at a time: a third of the time of searchsorted, or of rows of edges."""
    rng, first = generator(), initial.cumsum()[:-1].astype(np.float32)
    edges = np.ascontiguousarray(transitions.cumsum(axis=1)[:, :-1].T, dtype=np.float32)
    u, y = np.empty((steps, n), np.float32), np.empty((steps, n), np.uint8)

    def run() -> Array:
        rng.random(out=u, dtype=np.float32)
        y[0] = np.searchsorted(first, u[0], side="right")
        for t in range(1, steps):
            y[t] = 0
            for edge in edges:
                np.add(y[t], (edge.take(y[t - 1]) <= u[t]).view(np.uint8), out=y[t])
        return y.T

    return run


def ranked(x: Array, k: int) -> Array:
    """Return the places of the k least of each row, in order."""
    if k == x.shape[1]:
        return x.argsort(axis=1)
    least = np.argpartition(x, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(x, least, axis=1).argsort(axis=1)
    return np.take_along_axis(least, order, axis=1)


def orders(n: int, threads: int, logits: Array, k: int) -> Run:
    """Logits and Gumbel noise, sorted or partitioned."""
    rng, block, y = generator(), rows(n, logits.size), np.empty((n, k), np.int32)

    def run() -> Array:
        for start in range(0, n, block):
            x = rng.gumbel(size=(block, logits.size))
            np.add(x, logits, out=x)
            y[start : start + block] = ranked(np.negative(x, out=x), k)
        return y

    return run


def orders_by_hand(n: int, threads: int, logits: Array, k: int) -> Run:
    """Exponentials over weights, in float32, which have the same order as Gumbel noise."""
    rng, block, y = generator(), rows(n, logits.size), np.empty((n, k), np.int32)
    inverse, x = np.exp(-logits).astype(np.float32), np.empty((block, logits.size), np.float32)

    def run() -> Array:
        for start in range(0, n, block):
            rng.standard_exponential(out=x, dtype=np.float32)
            y[start : start + block] = ranked(np.multiply(x, inverse, out=x), k)
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


def poisson_gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    """As `gradient`, of Poisson sites."""
    threadpool_limits(threads, user_api="blas")
    rng, block = generator(), rows(n, theta.size)
    rate, w32, y = np.exp(theta), w.astype(np.float32), np.empty((block, theta.size), np.float32)

    def run() -> Array:
        total = np.zeros(theta.size)
        for _ in range(0, n, block):
            y[:] = rng.poisson(rate, size=y.shape)
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
