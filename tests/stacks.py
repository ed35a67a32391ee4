"""The exact expected cost of a small stack of layers, in NumPy float64: every outcome of every layer with noise."""

import itertools

import numpy as np

from stochcore import _network as kinds
from stochcore.layers import Affine

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def spread(h, w, values, chances):
    """Each row becomes one for each outcome: values (rows, outcomes, units), chances (rows, outcomes)."""
    return values.reshape(-1, values.shape[-1]), (w[:, None] * chances).reshape(-1)


def outcomes(layer, h):
    """All outputs of a layer with noise for each row, and their probabilities."""
    if layer.kind == kinds.NORMAL:
        n = layer.n
        e = np.array(list(itertools.product(NODES, repeat=n)))
        chance = np.prod(np.array(list(itertools.product(WEIGHTS, repeat=n))), axis=1)
        scale = np.full((len(h), n), layer.scale) if layer.scale else np.exp(h[:, n:])
        values = h[:, None, :n] + scale[:, None] * e
        return values, np.broadcast_to(chance, values.shape[:2])
    if layer.kind == kinds.CATEGORICAL:
        p = np.exp(h.reshape(len(h), layer.n, layer.n_classes))
        p /= p.sum(axis=2, keepdims=True)
        classes = np.array(list(itertools.product(range(layer.n_classes), repeat=layer.n)))
        values = np.eye(layer.n_classes)[classes].reshape(len(classes), -1)
        chance = np.prod([p[:, d, classes[:, d]] for d in range(layer.n)], axis=0)
        return np.broadcast_to(values, (len(h), *values.shape)), chance
    bits = np.array(list(itertools.product((0, 1), repeat=h.shape[1])), dtype=float)
    p = sigmoid(h) if layer.units else np.full(h.shape, 1 - layer.rate)
    chance = np.prod(np.where(bits, p[:, None], 1 - p[:, None]), axis=2)
    values = bits if layer.units else h[:, None] * bits / (1 - layer.rate)
    return np.broadcast_to(values, (len(h), *bits.shape)), chance


def expected(net, parameters, x, target):
    """The mean over inputs of E[J], by the parameters given."""
    total = 0.0
    for row, wanted in zip(np.asarray(x, dtype=float), target, strict=True):
        h, w, linear = row[None], np.ones(1), 0
        for layer in net.layers:
            if isinstance(layer, Affine):
                h = h @ parameters[f"linear{linear}.weight"] + parameters.get(f"linear{linear}.bias", 0.0)
                linear += 1
            elif layer.kind == kinds.LEAKY:
                h = np.where(h > 0, h, layer.slope * h)
            elif layer.kind == kinds.TANH:
                h = np.tanh(h)
            else:
                h, w = spread(h, w, *outcomes(layer, h))
        total += w @ net.cost(h, np.repeat(np.asarray(wanted)[None], len(h), axis=0))
    return total / len(x)


def exact_gradient(net, x, target, step=1e-5):
    """Its central differences, by name."""
    start = {name: a.astype(float) for name, a in net.parameters.items()}
    found = {}
    for name, values in start.items():
        found[name] = np.zeros(values.shape)
        for at in np.ndindex(values.shape):
            moved = {key: a.copy() for key, a in start.items()}
            moved[name][at] += step
            up = expected(net, moved, x, target)
            moved[name][at] -= 2 * step
            found[name][at] = (up - expected(net, moved, x, target)) / (2 * step)
    return found


def estimates(net, x, target, copies, seeds, **options):
    """Independent estimates of the gradient, by name: each over so many copies of the inputs."""
    many, targets = np.tile(x, (copies, 1)), np.concatenate([target] * copies)
    found = [net.gradient(many, targets, seed=seed, **options)[2] for seed in range(seeds)]
    return {name: np.array([g[name] for g in found], dtype=float) for name in found[0]}


def largest_z(found, exact):
    """The largest |z| of means of estimates; float32 rounds at 1e-6."""
    most = 0.0
    for name, values in found.items():
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) + 1e-6
        most = max(most, np.abs((values.mean(axis=0) - exact[name]) / error).max())
    return most
