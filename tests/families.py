"""What the tests of families share: every family in every way to give it, and plain twins from the definitions.

`CASES` are small enough to enumerate; `WIDE` are not, or have many sites. Both hold functions: collecting the tests
builds nothing.
"""

import itertools
import re

import numpy as np
import pytest
import scipy.special
import scipy.stats

import stochcore as sc

TOP = 2**53
BORDER = 2**34  # the element whose block is number 2^32


def _n(*shape, scale=1.0, seed=0):
    return scale * np.random.default_rng([seed, *shape]).normal(size=shape)


def _joint():
    return sc.Joint(
        gate=sc.Bernoulli(logits=[0.1, 0.4]),
        inner=sc.Joint(trials=sc.Binomial(2, probs=[0.3]), rank=sc.TopK(_n(3), 2, ordered=False)),
        path=sc.MarkovChain(_n(2), _n(2, 2), n_steps=2),
    )


CASES = {
    "bernoulli": lambda: sc.Bernoulli(logits=[0.3, -1.0]),
    "bernoulli probs": lambda: sc.Bernoulli(probs=[[0.3, 0.6], [0.2, 0.9]], batch_ndims=1),
    "bernoulli scalar": lambda: sc.Bernoulli(logits=-0.5),
    "bernoulli linear": lambda: sc.Bernoulli(logits=sc.Linear(_n(2, 3), [0.0, 0.1, 0.2])(_n(2, 2)), batch_ndims=1),
    "categorical": lambda: sc.Categorical(logits=_n(2, 3)),
    "categorical probs": lambda: sc.Categorical(probs=[[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], batch_ndims=1),
    "categorical linear": lambda: sc.Categorical(logits=sc.Linear(_n(2, 2, 3))(_n(2))),
    "one class": lambda: sc.Joint(one=sc.Categorical(logits=[[0.0]]), bit=sc.Bernoulli(logits=[0.3])),
    "poisson": lambda: sc.Poisson(rate=[0.5, 2.0]),
    "poisson log": lambda: sc.Poisson(log_rate=[[0.5], [-1.0]], batch_ndims=1),
    "poisson scalar": lambda: sc.Poisson(rate=1.5),
    "poisson linear": lambda: sc.Poisson(log_rate=sc.Linear(_n(2, scale=0.3), 0.1)(_n(2, 2))),
    "binomial": lambda: sc.Binomial([3, 5], probs=[0.2, 0.7]),
    "binomial shared": lambda: sc.Binomial([3, 5], logits=0.3),
    "binomial batch": lambda: sc.Binomial([[3], [0]], probs=[0.2, 0.5], batch_ndims=1),
    "binomial linear": lambda: sc.Binomial([4, 2], logits=sc.Linear(_n(3, 2))(_n(3))),
    "geometric": lambda: sc.Geometric(probs=[0.7, 0.9]),
    "geometric logits": lambda: sc.Geometric(logits=[[1.0], [2.0]], batch_ndims=1),
    "negative binomial": lambda: sc.NegativeBinomial(2.5, probs=[0.7]),
    "negative binomial logits": lambda: sc.NegativeBinomial([[0.5], [3.0]], logits=[1.0], batch_ndims=1),
    "negative binomial shared": lambda: sc.NegativeBinomial([0.5, 1.0], logits=2.0),
    "ordinal": lambda: sc.Ordinal([0.2, 0.5], [-1.0, 0.0, 1.0]),
    "ordinal probit": lambda: sc.Ordinal([0.2, 0.5], [[-1.0, 0.0], [0.3, 0.5]], noise="normal"),
    "ordinal free": lambda: sc.Ordinal([[0.2], [0.5]], free_cutpoints=[-1.0, 0.0, 0.1], batch_ndims=1),
    "ordinal free probit": lambda: sc.Ordinal(0.2, free_cutpoints=[[-1.0, 0.3], [0.2, -0.4]], noise="normal"),
    "ordinal one cut": lambda: sc.Ordinal([0.2, -0.4, 0.1], [0.1], noise="normal"),
    "ordinal cuts linear": lambda: sc.Ordinal([0.1, 0.4], free_cutpoints=sc.Linear(_n(2, 2, scale=0.3))(_n(2, 2))),
    "ordinal linear": lambda: sc.Ordinal(sc.Linear(_n(2), 0.3)(_n(3, 2)), [-0.5, 0.5], batch_ndims=1),
    "rounded": lambda: sc.RoundedNormal([0.2, 1.0], 0.7),
    "rounded log": lambda: sc.RoundedNormal([0.2, 1.0], log_scale=[0.1, 0.4], step=1.5),
    "rounded batch": lambda: sc.RoundedNormal(0.3, [[0.4], [1.2]], step=0.8, batch_ndims=1),
    "rounded linear": lambda: sc.RoundedNormal(
        sc.Linear(_n(2), 0.3)(_n(2, 2)), log_scale=sc.Linear(_n(2, scale=0.3))(_n(2, 2)), step=1.3
    ),
    "plackett-luce": lambda: sc.PlackettLuce(_n(2, 3)),
    "plackett-luce batch": lambda: sc.PlackettLuce(_n(2, 2, 3), batch_ndims=1),
    "plackett-luce linear": lambda: sc.PlackettLuce(sc.Linear(_n(2, 4))(_n(2))),
    "top k": lambda: sc.TopK(_n(5), 2),
    "top k batch": lambda: sc.TopK(_n(2, 4), 3, batch_ndims=1),
    "top k set": lambda: sc.TopK(_n(5), 2, ordered=False),
    "top k sets": lambda: sc.TopK(_n(2, 2, 4), 2, ordered=False, batch_ndims=2),
    "top k set linear": lambda: sc.TopK(sc.Linear(_n(3, 4))(_n(2, 3)), 3, ordered=False),
    "chain": lambda: sc.MarkovChain(_n(3), _n(3, 3), n_steps=4),
    "chain per step": lambda: sc.MarkovChain(_n(2, 2), _n(2, 2, 2, 2), batch_ndims=1),
    "chain one step": lambda: sc.MarkovChain(_n(2, 3), _n(2, 3, 3), n_steps=1),
    "chain linear": lambda: sc.MarkovChain(sc.Linear(_n(2, 2))(_n(2)), sc.Linear(_n(2, 2, 2))(_n(2)), n_steps=3),
    "joint": _joint,
}

WIDE = {
    "bernoulli 700": lambda: sc.Bernoulli(logits=_n(7, 100)),
    "categorical 65 x 30": lambda: sc.Categorical(logits=_n(65, 30)),
    "poisson 0.01 .. 300": lambda: sc.Poisson(rate=np.geomspace(0.01, 300, 130).reshape(2, 65), batch_ndims=1),
    "poisson 1e6": lambda: sc.Poisson(log_rate=[[np.log(1e6)], [-3.0]]),
    "binomial of 1e9": lambda: sc.Binomial([10**9, 10**9, 5], probs=[0.5, 1e-9, 0.3]),
    "binomial of 2^40": lambda: sc.Binomial(2**40, probs=[1e-6, 1 - 1e-9]),
    "binomial 63": lambda: sc.Binomial(np.arange(63), probs=0.4),
    "geometric 64": lambda: sc.Geometric(probs=np.linspace(0.01, 0.99, 64)),
    "negative binomial 200": lambda: sc.NegativeBinomial(np.linspace(0.1, 30, 200), logits=_n(200)),
    "ordinal 100 classes": lambda: sc.Ordinal(_n(66), np.linspace(-5, 5, 99)),
    "rounded wide": lambda: sc.RoundedNormal([1e6, -3.0, 0.0], scale=[500.0, 20.0, 0.01]),
    "rounded far": lambda: sc.RoundedNormal(1e12, scale=50.0),
    "normal": lambda: sc.Normal(_n(3), scale=[0.5, 2.0, 1e-3]),
    "normal log": lambda: sc.Normal([[1.0], [1e6]], log_scale=[0.0, -2.0], batch_ndims=1),
    "normal linear": lambda: sc.Normal(sc.Linear(_n(2))(_n(5, 2)), log_scale=0.2),
    "plackett-luce 100": lambda: sc.PlackettLuce(_n(3, 100)),
    "top 10 of 1000": lambda: sc.TopK(_n(1000), 10),
    "set of 4 of 60": lambda: sc.TopK(_n(2, 60), 4, ordered=False),
    "chain of 150": lambda: sc.MarkovChain(_n(3, 4), _n(3, 4, 4), n_steps=150),
    "chain of 65, 40 states": lambda: sc.MarkovChain(_n(40), _n(64, 40, 40)),
    "joint of all": lambda: sc.Joint(
        a=sc.Bernoulli(logits=_n(70)), b=sc.Poisson(rate=[30.0, 2.0]), c=sc.TopK(_n(20), 4), d=sc.Normal(0.0, 1.0)
    ),
}


def made(name):
    """A case by name."""
    return (CASES.get(name) or WIDE[name])()


small = pytest.mark.parametrize("name", CASES)
wide = pytest.mark.parametrize("name", WIDE)
every = pytest.mark.parametrize("name", [*CASES, *WIDE])


def begins(text):
    return "^" + re.escape(text)


def refuses(error, message):
    return pytest.raises(error, match=begins(message) + "$")


def same(a, b):
    """Equal to the bit, whatever the structure."""
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def rows(y, index):
    """Some samples of y."""
    return {name: rows(part, index) for name, part in y.items()} if isinstance(y, dict) else y[index]


def outcomes(q):
    """Every outcome, the same one on all problems."""
    y = q.enumerate()
    if isinstance(y, dict) or not q.batch_shape:
        return y
    spread = y.reshape(len(y), *(1,) * q.batch_ndims, *q.event_shape)
    return np.ascontiguousarray(np.broadcast_to(spread, (len(y), *q.site_shape)))


def cost_of(q):
    """A cost of no pattern, one number a problem, that no sum of its sites makes."""

    def alone(y):
        flat = y.reshape(len(y), *q.batch_shape, -1).astype(float)
        return np.abs(flat @ np.arange(1.0, 1 + flat.shape[-1]) - 1.3) ** 1.5

    def leaves(y):
        return [x for part in y.values() for x in leaves(part)] if isinstance(y, dict) else [y.reshape(len(y), -1)]

    def together(y):
        flat = np.concatenate([x.astype(float) for x in leaves(y)], axis=1)
        return np.abs(flat @ np.arange(1.0, 1 + flat.shape[-1]) - 1.3) ** 1.5

    return together if isinstance(q, sc.Joint) else alone


# Twins


def argument(q, name):
    """The numbers of an argument; x . weight + bias of a Linear."""
    given = q._arguments[name]
    if isinstance(given, np.ndarray):
        return given
    bias = 0.0 if given.linear.bias is None else given.linear.bias
    return np.tensordot(given.x, given.linear.weight, axes=1) + bias


def _scale(q):
    return argument(q, "scale") if "scale" in q._arguments else np.exp(argument(q, "log_scale"))


def _probs(q):
    return argument(q, "probs") if "probs" in q._arguments else scipy.special.expit(argument(q, "logits"))


def _between(low, high, distribution):
    """log(F(high) - F(low)), from the side where the tail is small."""
    upper = low > 0
    a, b = np.where(upper, -high, low), np.where(upper, -low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return distribution.logcdf(b) + np.log(-np.expm1(distribution.logcdf(a) - distribution.logcdf(b)))


def _ordinal(q, y):
    if "cutpoints" in q._arguments:
        cuts = argument(q, "cutpoints")
    else:
        free = argument(q, "free_cutpoints")
        cuts = np.cumsum(np.concatenate([free[..., :1], np.exp(free[..., 1:])], axis=-1), axis=-1)
    location = argument(q, "location")
    cuts = np.broadcast_to(cuts, (*q.site_shape, cuts.shape[-1]))
    end = np.full((*q.site_shape, 1), np.inf)
    borders = np.concatenate([-end, cuts, end], axis=-1) - np.asarray(location)[..., None]
    borders = np.broadcast_to(borders, (*y.shape, borders.shape[-1]))
    at = y[..., None].astype(int)
    low, high = (np.take_along_axis(borders, at + i, axis=-1)[..., 0] for i in (0, 1))
    return _between(low, high, scipy.stats.norm if q._noise == "normal" else scipy.stats.logistic)


def _rounded(q, y):
    mean, scale, step = argument(q, "mean"), _scale(q), q._step
    return _between(((y - 0.5) * step - mean) / scale, ((y + 0.5) * step - mean) / scale, scipy.stats.norm)


def _ordered(logits, order):
    left, total = list(range(len(logits))), 0.0
    for item in order:
        total += logits[item] - scipy.special.logsumexp(logits[left])
        left.remove(item)
    return total


def _orders(q, y):
    logits = argument(q, "logits").reshape(-1, q.n_items)
    lists = y.reshape(-1, len(logits), q.k)
    out = np.empty(lists.shape[:2])
    for row, i in np.ndindex(out.shape):
        taken = [int(item) for item in lists[row, i]]
        ways = [taken] if q.ordered else itertools.permutations(taken)
        out[row, i] = scipy.special.logsumexp([_ordered(logits[i], way) for way in ways])
    return out.reshape(y.shape[:-1])


def _chain(q, y):
    first, then = argument(q, "initial"), argument(q, "transitions")
    start, move = scipy.special.log_softmax(first, axis=-1), scipy.special.log_softmax(then, axis=-1)
    out = np.empty(y.shape[:-1])
    chains = q.site_shape[:-1]
    for at in np.ndindex(out.shape):
        own, path = at[len(at) - len(chains) :], y[at]
        out[at] = start[(*own, path[0])]
        for t in range(1, len(path)):
            step = (t - 1,) if move.ndim == len(chains) + 3 else ()
            out[at] += move[(*own, *step, path[t - 1], path[t])]
    return out


def _classes(q, y):
    logs = scipy.special.log_softmax(argument(q, "logits"), axis=-1) if q.given == "logits" else np.log(q.parameters)
    return np.take_along_axis(np.broadcast_to(logs, (*y.shape, q.n_classes)), y[..., None].astype(int), axis=-1)[..., 0]


TWINS = {
    sc.Bernoulli: lambda q, y: np.where(y == 1, np.log(_probs(q)), np.log1p(-_probs(q))),
    sc.Categorical: _classes,
    sc.Poisson: lambda q, y: scipy.stats.poisson.logpmf(
        y, argument(q, "rate") if q.given == "rate" else np.exp(argument(q, "log_rate"))
    ),
    sc.Binomial: lambda q, y: scipy.stats.binom.logpmf(y, q.total_count, _probs(q)),
    sc.NegativeBinomial: lambda q, y: scipy.stats.nbinom.logpmf(y, q.total_count, _probs(q)),
    sc.Geometric: lambda q, y: scipy.stats.geom.logpmf(y, _probs(q)),
    sc.Ordinal: _ordinal,
    sc.RoundedNormal: _rounded,
    sc.Normal: lambda q, y: scipy.stats.norm.logpdf(y, argument(q, "mean"), _scale(q)),
    sc.PlackettLuce: _orders,
    sc.TopK: _orders,
    sc.MarkovChain: _chain,
}


def log_prob_of(q, y):
    """log p(y) from the definition, by SciPy: shape (n, *batch)."""
    if isinstance(q, sc.Joint):
        return sum(log_prob_of(family, y[name]) for name, family in q.families.items())
    each = TWINS[type(q)](q, y)
    return each.reshape(len(y), *q.batch_shape, -1).sum(axis=-1)


def thresholds(q):
    """The least k at which each site steps past its c-th outcome, found through `step` alone; for ladders of few rungs.

    Returns the least outcome of each site and an array (rungs, *sites).
    """
    first = q.step(np.zeros(q.site_shape, np.uint64))
    last = q.step(np.full(q.site_shape, TOP - 1, np.uint64))
    rungs = []
    for c in range(int((last - first).max())):
        low, high = np.zeros(q.site_shape, np.uint64), np.full(q.site_shape, TOP, np.uint64)
        while np.any(low < high):
            middle = (low + high) // np.uint64(2)
            above = q.step(np.minimum(middle, np.uint64(TOP - 1))) > first + c
            low, high = np.where(above, low, np.minimum(middle + np.uint64(1), high)), np.where(above, middle, high)
        rungs.append(high)
    return first, np.array(rungs).reshape(-1, *q.site_shape)


def count_of(q):
    """How many outcomes a case has."""
    y = q.enumerate()
    while isinstance(y, dict):
        y = next(iter(y.values()))
    return len(y)
