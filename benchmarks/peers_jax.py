"""JAX: all under jit, compiled before the clock starts; loops are scans. It takes all cores."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from peers_numpy import rows

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]

# Its faster generator, as measured on AVX2: threefry is some twice as fast, but for float64.
LARGE = 1 << 20  # numbers in a block: small ones cost it more than the cache saves
ENGINES = {"float32": "threefry2x32", "float64": "unsafe_rbg"}


def compiled(function: Callable[..., Any], *arguments: Any) -> Run:
    """Compile for these arguments; return the call, which waits for the result."""
    ready = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(ready(*arguments))


def key(dtype: str = "float32") -> Any:
    return jax.random.key(1, impl=ENGINES[dtype])


def fill(kind: str, dtype: str, size: int, threads: int) -> Run:
    draw = {"uniform": jax.random.uniform, "normal": jax.random.normal}[kind]
    with jax.enable_x64(dtype == "float64"):
        return compiled(lambda k: draw(k, (size,), dtype), key(dtype))


def bernoulli(p: Array, n: int, threads: int) -> Run:
    return compiled(lambda k, p: jax.random.uniform(k, (n, p.size)) < p, key(), jnp.array(p, jnp.float32))


def poisson(n: int, threads: int, rate: Array) -> Run:
    """Only threefry will do for it."""
    return compiled(lambda k, x: jax.random.poisson(k, x, (n, rate.size)), key(), jnp.array(rate, jnp.float32))


def binomial(n: int, threads: int, trials: Array, p: Array) -> Run:
    count, p32 = jnp.array(trials, jnp.float32), jnp.array(p, jnp.float32)
    return compiled(lambda k, c, x: jax.random.binomial(k, c, x, (n, p.size)), key(), count, p32)


def geometric(n: int, threads: int, p: Array) -> Run:
    return compiled(lambda k, x: jax.random.geometric(k, x, (n, p.size)), key(), jnp.array(p, jnp.float32))


def negative_binomial(n: int, threads: int, successes: Array, p: Array) -> Run:
    """Poisson of a gamma rate."""

    def whole(k: Any, shape: Any, odds: Any) -> Any:
        a, b = jax.random.split(k)
        return jax.random.poisson(a, jax.random.gamma(b, shape, (n, p.size)) * odds)

    return compiled(whole, key(), jnp.array(successes, jnp.float32), jnp.array((1 - p) / p, jnp.float32))


def ordinal(n: int, threads: int, below: Array) -> Run:
    def whole(k: Any, edges: Any) -> Any:
        u = jax.random.uniform(k, (n, below.shape[1]))
        return sum((u >= edge).astype(jnp.int32) for edge in edges)

    return compiled(whole, key(), jnp.array(below, jnp.float32))


def rounded_normal(n: int, threads: int, mean: Array, scale: float) -> Run:
    def whole(k: Any, mean: Any) -> Any:
        return jnp.rint(mean + scale * jax.random.normal(k, (n, mean.size))).astype(jnp.int32)

    return compiled(whole, key(), jnp.array(mean, jnp.float32))


def markov_chain(n: int, threads: int, initial: Array, transitions: Array, steps: int) -> Run:
    """All chains in a scan of steps."""
    first = jnp.array(initial.cumsum()[:-1], jnp.float32)
    edges = jnp.array(transitions.cumsum(axis=1)[:, :-1].T, jnp.float32)

    def whole(k: Any, first: Any, edges: Any) -> Any:
        u = jax.random.uniform(k, (steps, n))

        def step(state: Any, u: Any) -> Any:
            state = sum((edge[state] <= u).astype(jnp.int32) for edge in edges)
            return state, state

        start = sum((edge <= u[0]).astype(jnp.int32) for edge in first)
        return jnp.concatenate([start[None], jax.lax.scan(step, start, u[1:])[1]]).T

    return compiled(whole, key(), first, edges)


def orders(n: int, threads: int, logits: Array, k: int) -> Run:
    """Logits and Gumbel noise."""

    def whole(key: Any, logits: Any) -> Any:
        x = logits + jax.random.gumbel(key, (n, logits.size))
        return jnp.argsort(-x, axis=1) if k == logits.size else jax.lax.top_k(x, k)[1]

    return compiled(whole, key(), jnp.array(logits, jnp.float32))


def gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    block = rows(n, theta.size, LARGE)

    def whole(k: Any, theta: Any, w: Any) -> Any:
        p = jax.nn.sigmoid(theta)

        def step(total: Any, k: Any) -> Any:
            y = (jax.random.uniform(k, (block, theta.size)) < p).astype(jnp.float32)
            j = y @ w
            return total + (j - j.mean()) @ y, None

        total = jax.lax.scan(step, jnp.zeros(theta.size), jax.random.split(k, n // block))[0]
        return total / n * (block / (block - 1))

    return compiled(whole, key(), jnp.array(theta, jnp.float32), jnp.array(w, jnp.float32))


def descend(theta: Array, w: Array, n_samples: int, n_steps: int, threads: int) -> Run:
    """Steps of leave-one-out and Adam."""
    adam = optax.adam(0.01)

    def whole(k: Any, theta: Any, w: Any) -> Any:
        def step(state: Any, k: Any) -> Any:
            theta, moments = state
            y = (jax.random.uniform(k, (n_samples, theta.size)) < jax.nn.sigmoid(theta)).astype(jnp.float32)
            j = y @ w
            move, moments = adam.update((j - j.mean()) @ y / (n_samples - 1), moments, theta)
            return (optax.apply_updates(theta, move), moments), None

        return jax.lax.scan(step, (theta, adam.init(theta)), jax.random.split(k, n_steps))[0][0]

    return compiled(whole, key(), jnp.array(theta, jnp.float32), jnp.array(w, jnp.float32))


def train(images: Array, n_latents: int, batch: int, n_steps: int, rate: float, threads: int) -> Run:
    """Train a Bernoulli VAE with DisARM's pair of samples and Adam (Dong, Mnih and Tucker, NeurIPS 2020)."""
    n, D, H = *images.shape, n_latents
    mean = images.mean(axis=0).clip(0.01, 0.99)
    a, b = jax.random.split(jax.random.key(0))
    start = {
        "W": jax.random.normal(a, (D, H)) * D**-0.5,
        "b": jnp.zeros(H),
        "V": jax.random.normal(b, (H, D)) * H**-0.5,
        "c": jnp.array(np.log(mean / (1 - mean))),
        "p": jnp.zeros(H),
    }
    adam = optax.adam(rate)
    data, centre = jnp.array(images), jnp.array(mean)

    def log_prob(logits: Any, y: Any) -> Any:
        return (logits * y - jax.nn.softplus(logits)).sum(-1)

    def bound(P: Any, y: Any, logits: Any, x: Any) -> Any:
        prior = jnp.broadcast_to(P["p"], y.shape)
        return log_prob(y @ P["V"] + P["c"], x) + log_prob(prior, y) - log_prob(logits, y)

    def loss(P: Any, k: Any) -> Any:
        k1, k2, k3 = jax.random.split(k, 3)
        x = data[jax.random.randint(k1, (batch,), 0, n)]
        x = (jax.random.uniform(k3, x.shape) < x).astype(jnp.float32)
        logits = 2 * (x - centre) @ P["W"] + P["b"]
        u, p = jax.random.uniform(k2, (batch, H)), jax.nn.sigmoid(logits)
        y1, y2 = (u < p) * 1.0, ((1 - u) < p) * 1.0
        f1, f2 = bound(P, y1, logits, x), bound(P, y2, logits, x)
        pair = 0.5 * (f1 - f2)[:, None] * ((y1 - y2) * jax.nn.sigmoid(jnp.abs(logits)))
        return -(0.5 * (f1 + f2)).mean() - (jax.lax.stop_gradient(pair) * logits).sum() / batch

    def whole(state: Any, k: Any) -> Any:
        def step(state: Any, k: Any) -> Any:
            P, moments = state
            move, moments = adam.update(jax.grad(loss)(P, k), moments, P)
            return (optax.apply_updates(P, move), moments), None

        return jax.lax.scan(step, state, jax.random.split(k, n_steps))[0]

    return compiled(whole, (start, adam.init(start)), jax.random.key(7))


def train_stack(images: Array, hidden: bool, batch: int, n_steps: int, rate: float, threads: int) -> Run:
    """Train an autoencoder with 200 Bernoulli units with DisARM's pair and Adam; LeakyReLU(0.3) layers if `hidden`."""
    n, D = images.shape
    sizes = [(D, 200), (200, 200), (200, 200), (200, D)] if hidden else [(D, 200), (200, D)]
    keys = jax.random.split(jax.random.key(0), len(sizes))
    start = [
        (jax.random.normal(k, size) * size[0] ** -0.5, jnp.zeros(size[1])) for k, size in zip(keys, sizes, strict=True)
    ]
    adam, data = optax.adam(rate), jnp.array(images)

    def maps(P: Any, h: Any) -> Any:
        for i, (W, b) in enumerate(P):
            h = h @ W + b if i == 0 else jax.nn.leaky_relu(h, 0.3) @ W + b
        return h

    def loss(P: Any, k: Any) -> Any:
        k1, k2 = jax.random.split(k)
        x = data[jax.random.randint(k1, (batch,), 0, n)]
        logits = maps(P[: len(P) // 2], x)
        u, p = jax.random.uniform(k2, logits.shape), jax.lax.stop_gradient(jax.nn.sigmoid(logits))
        y1, y2 = (u < p) * 1.0, ((1 - u) < p) * 1.0
        o = maps(P[len(P) // 2 :], jnp.concatenate([y1, y2])).reshape(2, batch, D)
        f1, f2 = (jax.nn.softplus(o) - o * x).sum(-1)
        pair = 0.5 * (f1 - f2)[:, None] * ((y1 - y2) * jax.nn.sigmoid(jnp.abs(logits)))
        return (0.5 * (f1 + f2)).mean() + (jax.lax.stop_gradient(pair) * logits).sum() / batch

    def whole(state: Any, k: Any) -> Any:
        def step(state: Any, k: Any) -> Any:
            P, moments = state
            move, moments = adam.update(jax.grad(loss)(P, k), moments, P)
            return (optax.apply_updates(P, move), moments), None

        return jax.lax.scan(step, state, jax.random.split(k, n_steps))[0]

    return compiled(whole, (start, adam.init(start)), jax.random.key(7))


def train_deep(
    images: Array, latents: tuple[int, ...], hidden: tuple[int, ...], batch: int, n_steps: int, rate: float,
    threads: int,
) -> Run:  # fmt: skip
    """Train a Bernoulli VAE of several layers with DisARM layer by layer and Adam.

    Of each image a trunk goes through all layers, and a branch parts from it at each of them: decoders and encoders see
    no row twice.
    """
    n, D = images.shape
    mean = images.mean(axis=0).clip(0.01, 0.99)
    keys = iter(jax.random.split(jax.random.key(0), 64))
    sizes = (D, *latents)

    def net(*widths: int) -> Any:
        return [(jax.random.normal(next(keys), (a, b)) * a**-0.5, jnp.zeros(b)) for a, b in pairwise(widths)]

    start = {
        "up": [net(a, *hidden, b) for a, b in zip(sizes, latents, strict=False)],
        "down": [net(b, *hidden[::-1], a) for a, b in zip(sizes, latents, strict=False)],
        "prior": jnp.zeros(latents[-1]),
    }
    last, _ = start["down"][0][-1]
    start["down"][0][-1] = (last, jnp.array(np.log(mean / (1 - mean))))
    adam, data, centre = optax.adam(rate), jnp.array(images), jnp.array(mean)

    def maps(layers: Any, h: Any) -> Any:
        for i, (W, b) in enumerate(layers):
            h = (jax.nn.leaky_relu(h, 0.3) if i else h) @ W + b
        return h

    def log_prob(logits: Any, y: Any) -> Any:
        return (logits * y - jax.nn.softplus(logits)).sum(-1)

    def loss(P: Any, key: Any) -> Any:
        k1, k2, *ks = jax.random.split(key, 2 + len(latents))
        x = data[jax.random.randint(k1, (batch,), 0, n)]
        x = (jax.random.uniform(k2, x.shape) < x).astype(jnp.float32)
        below, scores, told = x[None], [], []  # rows of a level: the trunk, then its branches
        for level, k in enumerate(ks):
            logits = maps(P["up"][level], 2 * (below - (centre if level == 0 else 0.5)))
            p = jax.lax.stop_gradient(jax.nn.sigmoid(logits))
            u = jax.random.uniform(k, logits.shape[1:])
            z = jnp.concatenate([u < p, (1 - u < p)[:1]]).astype(jnp.float32)
            came = jnp.concatenate([below, below[:1]])
            f = log_prob(maps(P["down"][level], 2 * z - 1), came)
            f -= jax.lax.stop_gradient(log_prob(jnp.concatenate([logits, logits[:1]]), z))
            if level == len(latents) - 1:
                f += log_prob(jnp.broadcast_to(P["prior"], z.shape), z)
            told.append(f)
            gap = jax.lax.stop_gradient((z[0] - z[-1]) * jax.nn.sigmoid(jnp.abs(logits[0])))
            scores.append((gap * logits[0]).sum(-1))
            below = z
        total = -sum(f.mean() for f in told)
        for level, score in enumerate(scores):  # a layer is to blame for what is told from its level on
            trunk, branch = (sum(f[row] for f in told[level:]) for row in (0, level + 1))
            total -= (0.5 * jax.lax.stop_gradient(trunk - branch) * score).mean()
        return total

    def whole(state: Any, k: Any) -> Any:
        def step(state: Any, k: Any) -> Any:
            P, moments = state
            move, moments = adam.update(jax.grad(loss)(P, k), moments, P)
            return (optax.apply_updates(P, move), moments), None

        return jax.lax.scan(step, state, jax.random.split(k, n_steps))[0]

    return compiled(whole, (start, adam.init(start)), jax.random.key(7))


def cartpole(weights: Array, episodes: int, most: int, threads: int) -> Run:
    """REINFORCE of a linear policy with the mean return as its baseline: all environments in a scan of steps.

    Environments that are over go along, masked; blocks of 4,096 are the fastest.
    """
    block = rows(episodes, 1, 4096)

    def moved(state: Any, right: Any) -> Any:
        x, v, angle, spin = state
        force, sine, cosine = jnp.where(right, 10.0, -10.0), jnp.sin(angle), jnp.cos(angle)
        pull = (force + 0.05 * spin**2 * sine) / 1.1
        twist = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
        push = pull - 0.05 * twist * cosine / 1.1
        return x + 0.02 * v, v + 0.02 * push, angle + 0.02 * spin, spin + 0.02 * twist

    def play(k: Any, w: Any) -> Any:
        k1, k2 = jax.random.split(k)

        def step(carry: Any, k: Any) -> Any:
            state, alive, score, reward = carry
            features = jnp.stack(state, 1)
            p = jax.nn.sigmoid(features @ w)
            right = jax.random.uniform(k, (block,)) < p
            score = score + ((right - p) * alive)[:, None] * features
            state = moved(state, right)
            up = (jnp.abs(state[0]) < 2.4) & (jnp.abs(state[2]) < 0.20943951)
            return (state, alive * up, score, reward + alive), None

        start = tuple(jax.random.uniform(k1, (4, block), minval=-0.05, maxval=0.05))
        carry = (start, jnp.ones(block), jnp.zeros((block, 4)), jnp.zeros(block))
        (_, _, score, reward), _ = jax.lax.scan(step, carry, jax.random.split(k2, most))
        return ((reward - reward.mean())[:, None] * score).sum(0), reward.sum()

    def whole(k: Any, w: Any) -> Any:
        grad, reward = jax.lax.map(lambda own: play(own, w), jax.random.split(k, episodes // block))
        return grad.sum(0) / episodes, reward.sum() / episodes

    return compiled(whole, key(), jnp.array(weights, jnp.float32))
