"""What the tests of estimators made in Python share: (estimator, family, cost) triples and costs without pattern."""

import numpy as np

import stochcore as sc
from stochcore import estimators as est

RNG = np.random.default_rng(11)
TABLE = RNG.normal(size=(6, 8))


def product(y):
    """A cost that is not separable; the last axis holds the sites."""
    return np.prod([TABLE[d][y[..., d] % 8] for d in range(y.shape[-1])], axis=0)


def _n(*shape, scale=1.0):
    return scale * np.random.default_rng([5, *shape]).normal(size=shape)


FAMILIES = {
    "bits": sc.Bernoulli(logits=[0.5, -1.2, 0.1]),
    "bits by probs": sc.Bernoulli(probs=[0.4, 0.7, 0.25]),
    "batch": sc.Bernoulli(logits=_n(2, 3), batch_ndims=1),
    "bits by a map": sc.Bernoulli(logits=sc.Linear(_n(2, 3), [0.0, 0.1, 0.2])(_n(2, 2)), batch_ndims=1),
    "classes": sc.Categorical(logits=_n(2, 3)),
    "classes by probs": sc.Categorical(probs=[[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]),
    "classes, batch": sc.Categorical(logits=_n(2, 2, 4), batch_ndims=1),
    "classes by a map": sc.Categorical(logits=sc.Linear(_n(2, 2, 3))(_n(2))),
    "ordinal": sc.Ordinal([0.2, 0.5], [-1.0, 0.0, 1.0]),
    "ordinal, free": sc.Ordinal([[0.2, 0.1], [0.5, 0.0]], free_cutpoints=[-1.0, 0.0, 0.1], batch_ndims=1),
    "binomial": sc.Binomial([3, 5], probs=[0.2, 0.7]),
    "binomial, shared": sc.Binomial([3, 5], logits=0.3),
    "poisson": sc.Poisson(rate=[0.5, 2.0]),
    "poisson, log": sc.Poisson(log_rate=[[0.5, 0.0], [-1.0, 0.3]], batch_ndims=1),
    "rounded": sc.RoundedNormal([0.2, 1.0], 0.7),
    "top k": sc.TopK(_n(4), 2),
    "chain": sc.MarkovChain(_n(2), _n(2, 2), n_steps=3),
}
BITS = ["bits", "bits by probs", "batch", "bits by a map"]
CLASSES = ["classes", "classes by probs", "classes, batch", "classes by a map"]
OTHERS = ["ordinal", "ordinal, free", "binomial", "binomial, shared"]
UNBATCHED = ["bits", "bits by probs", "classes", "classes by probs", "classes by a map", "ordinal", "poisson"]

HAVE = {
    "arm": BITS,
    "coupled": CLASSES,
    "local_expectation": [*BITS, *CLASSES, *OTHERS, "poisson", "rounded"],
    "measure_valued": [*BITS, *CLASSES, "poisson", "poisson, log"],
    "unordered_set": [*UNBATCHED, "binomial", "top k", "chain"],
}
QUADRATIC = {2: sc.costs.Quadratic([[0.5, 1.0], [-2.0, 0.3]], [1.0, -1.0])}
QUADRATIC[3] = sc.costs.Quadratic([[0.5, 1.0, 0.2], [-2.0, 0.3, 0.0], [1.0, 0.0, -0.7]], [1.0, -1.0, 0.4])
TRIPLES = [
    (name, family, cost)
    for name, families in HAVE.items()
    for family in families
    for cost in ("python", *(("quadratic",) if family in ("bits", "batch", "classes", "binomial") else ()))
]


def cost_of(kind, model):
    return product if kind == "python" else QUADRATIC[model.event_shape[0]]


def flat(tree):
    """All numbers of a gradient in one row."""
    return np.concatenate([flat(x) for x in tree.values()]) if isinstance(tree, dict) else np.ravel(tree)


def smooth(y):
    return np.sin(y[..., 0]) * y[..., 1] + y[..., 1] ** 2


def smooth_slope(y):
    return np.stack([np.cos(y[..., 0]) * y[..., 1], np.sin(y[..., 0]) + 2 * y[..., 1]], axis=-1)


def smooth_bend(y):
    return np.stack([-np.sin(y[..., 0]) * y[..., 1], np.full(y.shape[:-1], 2.0)], axis=-1)


SMOOTH = sc.costs.with_gradient(smooth, smooth_slope)
SMOOTHER = sc.costs.with_gradient(smooth, smooth_slope, smooth_bend)


def smooth_truth(mean, scale):
    """E[smooth] and its derivatives by mean and scale: E sin(x) = sin(m) e^(-s^2/2)."""
    f = np.exp(-(scale[0] ** 2) / 2)
    sin, cos = np.sin(mean[0]) * f, np.cos(mean[0]) * f
    value = sin * mean[1] + mean[1] ** 2 + scale[1] ** 2
    return value, np.array([cos * mean[1], sin + 2 * mean[1]]), np.array([-scale[0] * sin * mean[1], 2 * scale[1]])


def every():
    """Each estimator on a model that it has, with a cost."""
    normal = sc.Normal([0.3, -0.5], scale=[0.7, 1.3])
    w = sc.costs.Linear([1.0, 2.0, -1.0])
    variate = {"mean": lambda q: w.linear @ q.mean, "grad": lambda q: w.linear * q.variance}
    bits = FAMILIES["bits"]
    return {
        "arm": (est.Arm(), bits, product),
        "coupled": (est.Coupled(), FAMILIES["classes"], product),
        "local_expectation": (est.LocalExpectation(), FAMILIES["classes"], product),
        "local_expectation, known": (est.LocalExpectation(), bits, QUADRATIC[3]),
        "measure_valued": (est.MeasureValued(), FAMILIES["poisson"], product),
        "measure_valued, normal": (est.MeasureValued(), normal, smooth),
        "unordered_set": (est.UnorderedSet(3), bits, product),
        "finite_difference": (est.FiniteDifference(0.1), FAMILIES["ordinal"], product),
        "pathwise": (est.Pathwise(), normal, SMOOTH),
        "price": (est.Price(), normal, SMOOTHER),
        "control": (est.ControlVariate(w, **variate), bits, product),
        "control, pilot": (est.ControlVariate(w, **variate, coefficient="pilot", estimator="disarm"), bits, product),
        "control, terms": (est.ControlVariate(w, **variate, estimator="arm"), bits, product),
    }
