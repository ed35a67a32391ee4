"""distributions: entropies and their gradients, against enumeration and finite differences."""

from __future__ import annotations

import re

import numpy as np
import pytest

import stochcore as sc
from stochcore.distributions.parameters import Structure

GRID = np.array([[0.3, -1.2], [2.0, -0.1], [0.0, 5.0]])
X = np.array([[1.0, 0.5], [-0.3, 0.2], [0.4, -2.0]])
MODELS = {
    "bits": sc.Bernoulli(logits=GRID),
    "bits by probs": sc.Bernoulli(probs=[[0.1, 0.5, 0.9]], batch_ndims=1),
    "bits in problems": sc.Bernoulli(logits=GRID, batch_ndims=1),
    "bits of a map": sc.Bernoulli(logits=sc.Linear([[0.3, -0.2], [1.0, 0.1]], [0.1, -0.5])(X), batch_ndims=1),
    "classes": sc.Categorical(logits=[[0.1, 0.9, -0.4], [2.0, 0.0, 0.3]], batch_ndims=1),
    "many classes": sc.Categorical(logits=np.linspace(-1, 1, 30)),
    "ordinal": sc.Ordinal([0.2, -0.7], cutpoints=[-1.0, 0.0, 1.5]),
    "ordinal, shared": sc.Ordinal([0.2, -0.7], free_cutpoints=[-1.0, 0.3, 0.1], noise="normal", batch_ndims=1),
    "poisson": sc.Poisson(rate=[0.4, 3.0]),
    "poisson by log": sc.Poisson(log_rate=[[0.4], [1.2]], batch_ndims=1),
    "binomial": sc.Binomial([3, 5], logits=[0.4, -1.0]),
    "binomial by probs": sc.Binomial([3, 0, 5], probs=[0.4, 0.3, 0.8]),
    "negative binomial": sc.NegativeBinomial([2.0, 0.5], logits=[1.4, 2.0]),
    "negative binomial by probs": sc.NegativeBinomial(2.0, probs=[0.6]),
    "geometric": sc.Geometric(logits=[0.4, 1.0]),
    "geometric by probs": sc.Geometric(probs=[0.3, 0.8]),
    "rounded": sc.RoundedNormal([0.3, -2.0], log_scale=[0.1], step=0.5, batch_ndims=1),
    "rounded by scale": sc.RoundedNormal([0.3, 1.0], scale=[1.2, 0.3]),
    "chain": sc.MarkovChain([0.3, -0.1, 0.0], [[1.0, 0.2, -1.0], [0.0, 0.1, 0.2], [-0.4, 0.3, 0.8]], n_steps=5),
    "chains": sc.MarkovChain(GRID[:2, :], np.linspace(-1, 1, 24).reshape(2, 3, 2, 2), batch_ndims=1),
    "joint": sc.Joint(a=sc.Bernoulli(logits=[0.3, -2.0]), b=sc.Poisson(rate=1.4), c=sc.Categorical(logits=[0.1, 1.0])),
}
CERTAIN = {
    "bits": sc.Bernoulli(logits=[800.0, -800.0]),
    "bits by probs": sc.Bernoulli(probs=[0.0, 1.0]),
    "classes": sc.Categorical(probs=[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    "classes by logits": sc.Categorical(logits=[[0.0, 2000.0]]),
    "geometric": sc.Geometric(probs=[1.0]),
    "geometric by logits": sc.Geometric(logits=[600.0]),
    "binomial": sc.Binomial(0, logits=[0.3]),
    "chain": sc.MarkovChain([900.0, 0.0], [[0.0, 1000.0], [1000.0, 0.0]], n_steps=4),
}


def enumerated(model):
    """The entropy of each problem, by a list of all outcomes."""
    events = model.enumerate()
    if model.batch_shape:
        spread = events.reshape(len(events), *(1,) * len(model.batch_shape), *model.event_shape)
        events = np.ascontiguousarray(np.broadcast_to(spread, (len(events), *model.site_shape)))
    p = model.outcome_probs(events)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=0)


@pytest.mark.parametrize("name", MODELS)
def test_entropies_are_those_of_enumeration(name):
    model = MODELS[name]
    assert np.shape(model.entropy) == model.batch_shape
    np.testing.assert_allclose(model.entropy, enumerated(model), rtol=1e-12)


@pytest.mark.parametrize("name", [*MODELS, "normal", "normal by log"])
def test_gradients_of_entropies_are_those_of_differences(name):
    more = {"normal": {"scale": [0.5, 2.0]}, "normal by log": {"log_scale": [0.1, -0.3]}}
    model = MODELS[name] if name in MODELS else sc.Normal([0.0, 1.0], **more[name], batch_ndims=1)
    structure = Structure.of(model.parameters)
    theta, grad = structure.leaves(model.parameters).astype(float), structure.leaves(model.entropy_grad)
    h = 1e-5
    differences = np.empty_like(grad)
    for i in range(theta.size):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[i] += sign * h
            ends.append(np.sum(model.with_parameters(structure.build(moved)).entropy))
        differences[i] = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(grad, differences, rtol=2e-6, atol=2e-9)


def test_the_entropy_of_a_normal():
    model = sc.Normal([[0.0, 3.0], [1.0, 2.0]], scale=[0.5, 2.0], batch_ndims=1)
    np.testing.assert_allclose(model.entropy, 2 * [np.log(2 * np.pi * np.e)], rtol=1e-14)


def test_gradients_by_probabilities_of_classes_are_tangent_to_the_simplex():
    p = np.array([0.2, 0.3, 0.5])
    grad = sc.Categorical(probs=p).entropy_grad
    np.testing.assert_allclose(grad, -np.log(p) + np.log(p).mean(), rtol=1e-14)
    assert abs(grad.sum()) < 1e-15


@pytest.mark.parametrize("name", CERTAIN)
def test_what_is_certain_has_no_entropy(name):
    model = CERTAIN[name]
    assert abs(model.entropy) < 1e-12
    if "probs" not in name and name != "classes" and name != "geometric":
        assert np.abs(Structure.of(model.parameters).leaves(model.entropy_grad)).max() < 1e-9


def test_entropies_of_far_logits_keep_their_digits():
    for logit in (-700.0, -40.0, 40.0):
        want = np.exp(-abs(logit)) * (1 + abs(logit))
        np.testing.assert_allclose(sc.Bernoulli(logits=[logit]).entropy, want, rtol=1e-13)


def test_families_without_a_closed_form_say_so():
    for model in (sc.PlackettLuce([0.0, 1.0]), sc.TopK([0.0, 1.0, 2.0], 2)):
        name = type(model).__name__
        told = f"the entropy of a {name} has no closed form here, that of Bernoulli, Categorical, Ordinal, Poisson, "
        for ask in ("entropy", "entropy_grad"):
            with pytest.raises(NotImplementedError, match=f"^{re.escape(told)}"):
                getattr(model, ask)
