"""Anything at all given to families: it works, or a TypeError or ValueError says which argument will not do."""

import numpy as np
import pytest
from families import every, made, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stochcore as sc

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5), st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]),
    st.sampled_from([800.0, -800.0, 1e300, 1e-300, 5e-324]),
)  # fmt: skip
values = st.one_of(
    numbers,
    st.lists(numbers, max_size=3),
    st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=3),
    st.sampled_from(
        [None, "a", True, [], [[]], [[1.0], [1.0, 2.0]], {}, np.zeros((2, 0)), np.zeros(2, np.float32), 1j]
    ),
)
whole = st.one_of(st.integers(-2, 6), st.sampled_from([None, 1.5, "x", True, 2**40, 2**60, 2**70, [1, 2]]))

BUILDERS = {
    "Bernoulli": lambda a, b, k, m: sc.Bernoulli(logits=a, probs=b, batch_ndims=m),
    "Categorical": lambda a, b, k, m: sc.Categorical(logits=a, probs=b, batch_ndims=m),
    "Poisson": lambda a, b, k, m: sc.Poisson(rate=a, log_rate=b, batch_ndims=m),
    "Binomial": lambda a, b, k, m: sc.Binomial(k, logits=a, probs=b, batch_ndims=m),
    "NegativeBinomial": lambda a, b, k, m: sc.NegativeBinomial(k, logits=a, probs=b, batch_ndims=m),
    "Geometric": lambda a, b, k, m: sc.Geometric(logits=a, probs=b, batch_ndims=m),
    "Ordinal": lambda a, b, k, m: sc.Ordinal(a, b, batch_ndims=m),
    "Ordinal free": lambda a, b, k, m: sc.Ordinal(a, free_cutpoints=b, noise="normal", batch_ndims=m),
    "Normal": lambda a, b, k, m: sc.Normal(a, b, batch_ndims=m),
    "RoundedNormal": lambda a, b, k, m: sc.RoundedNormal(a, b, step=k, batch_ndims=m),
    "RoundedNormal log": lambda a, b, k, m: sc.RoundedNormal(a, log_scale=b, batch_ndims=m),
    "PlackettLuce": lambda a, b, k, m: sc.PlackettLuce(a, batch_ndims=m),
    "TopK": lambda a, b, k, m: sc.TopK(a, k, ordered=bool(m), batch_ndims=0),
    "MarkovChain": lambda a, b, k, m: sc.MarkovChain(a, b, k, batch_ndims=m),
}
NAMES = [
    *("logits", "probs", "rate", "log_rate", "total_count", "location", "cutpoints", "free_cutpoints", "mean", "scale"),
    *("log_scale", "step", "k", "initial", "transitions", "n_steps", "batch_ndims", "y", "z", "weights"),
]


def attempt(call, *arguments):
    """What a call returns; None where it says which argument will not do."""
    try:
        return call(*arguments)
    except (TypeError, ValueError) as error:
        named = any(f"`{name}`" in str(error) for name in NAMES)
        if named or str(error).startswith("shapes must broadcast, got `"):
            return None
        raise AssertionError(f"names no argument: {error}") from error


@pytest.mark.parametrize("family", BUILDERS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(a=values, b=values, k=whole, m=st.sampled_from([0, 0, 0, 1, 2, -1]), one=st.booleans(), data=st.data())
def test_anything(family, a, b, k, m, one, data):
    """It works, or says which argument will not do; nothing else, and no warning."""
    if one and family in ("Bernoulli", "Categorical", "Poisson", "Binomial", "NegativeBinomial", "Geometric"):
        a, b = data.draw(st.sampled_from([(a, None), (None, b)]))
    if family == "Binomial" and isinstance(k, int) and k > 2**27:
        k = 7
    q = attempt(BUILDERS[family], a, b, k, m)
    if q is None:
        return
    s = sc.Stream(1).at(3)
    y = q.sample(3, s)
    assert same(y, q.step(q.noise(3, s)))
    log_p = q.log_prob(y)
    assert not np.isnan(log_p).any()
    score = q.weighted_score(y, np.ones((3, *q.batch_shape)))
    flat = q._structure.leaves(score)
    assert flat.shape == (q._structure.size,)
    assert not np.isnan(flat).any()
    assert repr(q).startswith(type(q).__name__)


@every
@settings(max_examples=10)
@given(y=values, data=st.data())
def test_any_outcomes(name, y, data):
    q = made_once(name)
    if isinstance(q, sc.Joint):
        y = data.draw(st.sampled_from([y, dict.fromkeys(q.families, y)]))
    for call in (
        q.log_prob,
        q.score,
        q.outcome_probs,
        lambda y: q.weighted_score(y, np.ones((2, *q.batch_shape))),
        q.step,
    ):
        attempt(call, y)


CACHE = {}


def made_once(name):
    if name not in CACHE:
        CACHE[name] = made(name)
    return CACHE[name]
