"""PyTorch, in place and without autograd where that is faster."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from peers_numpy import rows

Array = np.ndarray[Any, Any]
Run = Callable[[], Any]


def fill(kind: str, dtype: str, size: int, threads: int) -> Run:
    torch.set_num_threads(threads)
    out = torch.empty(size, dtype=getattr(torch, dtype))
    return out.uniform_ if kind == "uniform" else out.normal_


def bernoulli(p: Array, n: int, threads: int) -> Run:
    torch.set_num_threads(threads)
    block, p32 = rows(n, p.size), torch.tensor(p, dtype=torch.float32)
    u, y = torch.empty((block, p.size)), torch.empty((n, p.size), dtype=torch.bool)

    def run() -> torch.Tensor:  # some twice as fast as torch.bernoulli
        for start in range(0, n, block):
            torch.lt(u.uniform_(), p32, out=y[start : start + block])
        return y

    return run


def categorical(p: Array, n: int, threads: int) -> Run:
    torch.set_num_threads(threads)
    weights = torch.tensor(p, dtype=torch.float32)
    return lambda: torch.multinomial(weights, n, replacement=True).T


def poisson(n: int, threads: int, rate: Array) -> Run:
    torch.set_num_threads(threads)
    rates = torch.tensor(rate, dtype=torch.float32).expand(n, rate.size)
    return lambda: torch.poisson(rates)


def binomial(n: int, threads: int, trials: Array, p: Array) -> Run:
    torch.set_num_threads(threads)
    count, p32 = (torch.tensor(x, dtype=torch.float32).expand(n, p.size).contiguous() for x in (trials, p))
    return lambda: torch.binomial(count, p32)


def geometric(n: int, threads: int, p: Array) -> Run:
    """As torch.distributions: logarithms of uniforms."""
    torch.set_num_threads(threads)
    block, scale = rows(n, p.size), torch.tensor(1 / np.log1p(-p), dtype=torch.float32)
    u, y = torch.empty((block, p.size)), torch.empty((n, p.size), dtype=torch.int32)

    def run() -> torch.Tensor:
        for start in range(0, n, block):
            u.uniform_(torch.finfo(u.dtype).tiny, 1).log_().mul_(scale).ceil_()
            y[start : start + block] = u
        return y

    return run


def negative_binomial(n: int, threads: int, successes: Array, p: Array) -> Run:
    """As torch.distributions: Poisson of a gamma rate."""
    torch.set_num_threads(threads)
    shape = torch.tensor(successes, dtype=torch.float32).expand(n, p.size)
    odds = torch.tensor((1 - p) / p, dtype=torch.float32)
    return lambda: torch.poisson(torch._standard_gamma(shape).mul_(odds))


def ordinal(n: int, threads: int, below: Array) -> Run:
    """Uniforms beside each threshold."""
    torch.set_num_threads(threads)
    edges, sites = torch.tensor(below, dtype=torch.float32), below.shape[1]
    block = rows(n, sites)
    u, y = torch.empty((block, sites)), torch.empty((n, sites), dtype=torch.int32)
    few = torch.empty((block, sites), dtype=torch.uint8)

    def run() -> torch.Tensor:
        for start in range(0, n, block):
            u.uniform_()
            few.zero_()
            for edge in edges:
                few.add_(torch.ge(u, edge))
            y[start : start + block] = few
        return y

    return run


def rounded_normal(n: int, threads: int, mean: Array, scale: float) -> Run:
    torch.set_num_threads(threads)
    block, mean32 = rows(n, mean.size), torch.tensor(mean, dtype=torch.float32)
    x, y = torch.empty((block, mean.size)), torch.empty((n, mean.size), dtype=torch.int32)

    def run() -> torch.Tensor:
        for start in range(0, n, block):
            y[start : start + block] = x.normal_(0, scale).add_(mean32).round_()
        return y

    return run


def markov_chain(n: int, threads: int, initial: Array, transitions: Array, steps: int) -> Run:
    """All chains step by step, an edge at a time."""
    torch.set_num_threads(threads)
    first = torch.tensor(initial.cumsum()[:-1], dtype=torch.float32)
    edges = torch.tensor(transitions.cumsum(axis=1)[:, :-1].T.copy(), dtype=torch.float32)
    u, y = torch.empty((steps, n)), torch.empty((steps, n), dtype=torch.int32)

    def run() -> torch.Tensor:
        u.uniform_()
        y[0] = torch.searchsorted(first, u[0], right=True)
        for t in range(1, steps):
            y[t] = 0
            for edge in edges:
                y[t] += edge.index_select(0, y[t - 1]) <= u[t]
        return y.T

    return run


def orders(n: int, threads: int, logits: Array, k: int) -> Run:
    """Exponentials over weights have the order of Gumbel noise: as torch.multinomial without replacement does it."""
    torch.set_num_threads(threads)
    block, inverse = rows(n, logits.size), torch.tensor(np.exp(-logits), dtype=torch.float32)
    x, y = torch.empty((block, logits.size)), torch.empty((n, k), dtype=torch.int32)

    def run() -> torch.Tensor:
        for start in range(0, n, block):
            x.exponential_().mul_(inverse)
            y[start : start + block] = x.argsort(1) if k == logits.size else x.topk(k, 1, largest=False).indices
        return y

    return run


def gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    torch.set_num_threads(threads)
    block = rows(n, theta.size)
    p, w32 = torch.sigmoid(torch.tensor(theta, dtype=torch.float32)), torch.tensor(w, dtype=torch.float32)
    u = torch.empty((block, theta.size))

    def run() -> torch.Tensor:
        total = torch.zeros(theta.size)
        for _ in range(0, n, block):
            y = torch.lt(u.uniform_(), p).float()
            j = y @ w32
            total += (j - j.mean()) @ y
        return total / n * (block / (block - 1))

    return run


def poisson_gradient(theta: Array, w: Array, n: int, threads: int) -> Run:
    torch.set_num_threads(threads)
    block, w32 = rows(n, theta.size), torch.tensor(w, dtype=torch.float32)
    rates = torch.tensor(np.exp(theta), dtype=torch.float32).expand(block, theta.size)

    def run() -> torch.Tensor:
        total = torch.zeros(theta.size)
        for _ in range(0, n, block):
            y = torch.poisson(rates)
            j = y @ w32
            total += (j - j.mean()) @ y
        return total / n * (block / (block - 1))

    return run


def train(images: Array, n_latents: int, batch: int, n_steps: int, rate: float, threads: int) -> Run:
    """Train a Bernoulli VAE with DisARM's pair of samples (Dong, Mnih and Tucker, NeurIPS 2020) and fused Adam."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    n, D, H = *images.shape, n_latents
    mean = torch.tensor(images.mean(axis=0).clip(0.01, 0.99))
    encoder, decoder, prior = torch.nn.Linear(D, H), torch.nn.Linear(H, D), torch.zeros(H, requires_grad=True)
    with torch.no_grad():
        decoder.bias[:] = torch.logit(mean)
    parameters = [*encoder.parameters(), *decoder.parameters(), prior]
    adam, data = torch.optim.Adam(parameters, lr=rate, fused=True), torch.tensor(images)

    def log_prob(logits: Any, y: Any) -> Any:
        return -torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(-1)

    def step() -> None:
        x = torch.bernoulli(data[torch.randint(0, n, (batch,))])
        logits = encoder(2 * (x - mean))
        with torch.no_grad():
            u, p = torch.rand(batch, H), torch.sigmoid(logits)
            ys = (u < p).float(), ((1 - u) < p).float()
        f1, f2 = (log_prob(decoder(y), x) + log_prob(prior.expand(batch, H), y) - log_prob(logits, y) for y in ys)
        with torch.no_grad():
            pair = 0.5 * (f1 - f2)[:, None] * ((ys[0] - ys[1]) * torch.sigmoid(logits.abs()))
        loss = -(0.5 * (f1 + f2)).mean() - (pair * logits).sum() / batch
        adam.zero_grad()
        loss.backward()
        adam.step()

    def run() -> None:
        for _ in range(n_steps):
            step()

    return run
