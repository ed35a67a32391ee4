"""Families: samples are steps are integer comparisons, bit for bit; log p and score by their formulas."""

import copy
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from stochcore import Bernoulli, Categorical, Stream

TOP = 2**53
BORDER = 2**34  # the element whose block is number 2^32
SHAPES = [(), (1,), (3,), (16,), (17,), (63,), (64,), (1000,), (5000,), (7, 3)]
CLASSES = [None, 1, 2, 5, 24, 25, 100]  # None: Bernoulli
GIVEN = ["logits", "probs"]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def begins(text):
    return "^" + re.escape(text)


def exactly(text):
    return begins(text) + "$"


def refuses(error, message):
    return pytest.raises(error, match=exactly(message))


def make(shape, classes=None, given_as="logits", seed=0, **more):
    """A family with parameters of no pattern; probs of categorical hold zeros."""
    rng = np.random.default_rng(seed)
    if classes is None:
        parameters = 3 * rng.normal(size=shape) if given_as == "logits" else rng.random(shape)
        return Bernoulli(**{given_as: parameters}, **more)
    if given_as == "logits":
        return Categorical(logits=2 * rng.normal(size=(*shape, classes)), **more)
    probs = rng.gamma(0.5, size=(*shape, classes)) * (rng.random((*shape, classes)) < 0.8)
    probs[..., -1] += 1e-3
    return Categorical(probs=probs / probs.sum(axis=-1, keepdims=True), **more)


def thresholds(q):
    """ceil(2^53 (p_0 + ... + p_c)) for c < C - 1, summed in that order; Bernoulli: ceil(2^53 p)."""
    if isinstance(q, Bernoulli):
        return np.ceil(np.ldexp(q.probs, 53)).astype(np.uint64)[..., None]
    sums = np.minimum(np.cumsum(q.probs, axis=-1), 1.0)[..., :-1]
    t = np.ceil(np.ldexp(sums, 53)).astype(np.uint64)
    last = q.n_classes - 1 - np.argmax(q.probs[..., ::-1] > 0, axis=-1)
    t[np.arange(q.n_classes - 1) >= last[..., None]] = TOP
    return t


def twin(q, k):
    """The outcomes of k, from the definition alone."""
    t = thresholds(q)
    if isinstance(q, Bernoulli):
        return (k < t[..., 0]).astype(np.uint8)
    y = np.zeros(k.shape, np.int32)
    for c in range(q.n_classes - 1):
        y += k >= t[..., c]
    return y


# sample = step


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_are_steps(shape, classes):
    for given_as, offset in (("logits", 0), ("probs", BORDER - 1003)):
        q = make(shape, classes, given_as, seed=len(shape))
        s, n = Stream(3, stream=1).at(offset), max(2, 4001 // q.n_elements)
        y, k = q.sample(n, s), s._k53(q.noise_shape(n))
        assert y.shape == q.noise_shape(n) == (n, *shape)
        assert y.dtype == (np.uint8 if classes is None else np.int32)
        assert same(y, q.step(k))
        assert same(y, q.step(s.uniform(q.noise_shape(n))))
        assert same(y, twin(q, k))


@given(st.data())
def test_samples_at_any_address(data):
    classes = data.draw(st.sampled_from(CLASSES))
    shape = tuple(data.draw(st.lists(st.integers(1, 40), max_size=2)))
    q = make(shape, classes, data.draw(st.sampled_from(GIVEN)), seed=data.draw(st.integers(0, 9)))
    n = data.draw(st.integers(0, 50))
    a = data.draw(st.integers(0, n))
    b = data.draw(st.integers(a, n))
    s = Stream(data.draw(st.integers(0, 2**64 - 1))).at(data.draw(st.integers(0, 2**36)))
    y = q.sample(n, s)
    assert same(y, twin(q, s._k53(q.noise_shape(n))))
    assert same(y[a:b], q.sample(b - a, s.at(a * q.n_elements)))


@pytest.mark.parametrize(("sites", "n"), [(1, 100_001), (1000, 101), (5000, 21), (40_001, 3)])
@pytest.mark.parametrize("classes", [None, 3, 30])
def test_the_same_bits_on_any_number_of_threads(sites, n, classes):
    q, s = make((sites,), classes), Stream(17).at(3)
    one = q.sample(n, s, n_threads=1)
    assert all(same(one, q.sample(n, s, n_threads=t)) for t in (2, 3, None))
    assert same(one, q.step(s._k53((n, sites))))
    log_p = q.log_prob(one, n_threads=1)
    assert all(same(log_p, q.log_prob(one, n_threads=t)) for t in (2, 3, None))


def test_a_problem_of_a_batch_draws_as_it_does_in_the_whole():
    for classes in (None, 4):
        whole, batch = make((6, 5), classes), make((6, 5), classes, batch_ndims=1)
        assert same(whole.sample(40, Stream(1)), batch.sample(40, Stream(1)))


# Thresholds: y = 1 iff k < ceil(2^53 p), and k 2^-53 < p says the same.

EDGES = [0.0, 5e-324, 1e-300, 2.0**-54, 2.0**-53, 3 * 2.0**-54, 2.0**-52, 0.1, 0.3, 0.5]
EDGES += [1 - 2.0**-21, 1 - 2.0**-52, 1 - 2.0**-53, 1.0]


@pytest.mark.parametrize("p", EDGES)
def test_thresholds_of_bernoulli(p):
    t = math.ceil(Fraction(p) * TOP)
    ks = sorted({k for k in (0, 1, 2, t - 2, t - 1, t, t + 1, TOP // 2, TOP - 2, TOP - 1) if 0 <= k < TOP})
    expected = [int(Fraction(k, TOP) < Fraction(p)) for k in ks]
    k = np.array(ks, dtype=np.uint64)
    q = Bernoulli(probs=p)
    assert q.step(k).tolist() == expected
    assert q.step(k.astype(np.float64) * 2.0**-53).tolist() == expected
    assert Bernoulli(probs=[p] * len(ks)).step(k).tolist() == expected


def test_certain_outcomes():
    s = Stream(0)
    for sites in (1, 5, 48):
        assert not Bernoulli(probs=np.zeros(sites)).sample(1000, s).any()
        assert Bernoulli(probs=np.ones(sites)).sample(1000, s).all()
        assert Bernoulli(logits=np.full(sites, -800.0)).sample(1000, s).max() == 0
        assert Bernoulli(logits=np.full(sites, 800.0)).sample(1000, s).min() == 1
    for c in range(4):
        assert np.all(Categorical(probs=np.eye(4)[c]).sample(1000, s) == c)


def tied(k):
    """Thresholds whose high word is that of k: below k, k itself, above it; and the next high word."""
    high = k >> np.uint64(21) << np.uint64(21)
    return [high, k, k + np.uint64(1), np.minimum(high + np.uint64(2**21), np.uint64(TOP))]


@pytest.mark.parametrize("sites", [*range(1, 36), 1000, 5000])
def test_ties_of_bernoulli(sites):
    for offset in (0, 5, BORDER - 9):
        s = Stream(99).at(offset)
        k = s._k53((3, sites))
        for row in range(3):
            for t in tied(k[row]):
                q = Bernoulli(probs=np.ldexp(t.astype(np.float64), -53))
                assert np.array_equal(thresholds(q)[..., 0], t)
                y = q.sample(3, s)
                assert np.array_equal(y[row], k[row] < t)
                assert same(y, q.step(k))


@pytest.mark.parametrize("sites", [1, 3, 16, 37])
@pytest.mark.parametrize("classes", [2, 3, 5, 24, 25, 70])
def test_ties_of_categorical(sites, classes):
    s = Stream(98).at(2)
    k = s._k53((2, sites))
    for c in range(classes - 1):
        for shift, t in enumerate(tied(k[1])):
            # integer masses: t below the border of the classes c and c + 1, the rest above
            border = t.astype(np.int64)
            below = [border * j // (c + 1) for j in range(c + 2)]
            above = [border + (TOP - border) * j // (classes - 1 - c) for j in range(1, classes - c)]
            borders = np.stack([*below, *above], axis=-1)
            q = Categorical(probs=np.ldexp(np.diff(borders, axis=-1).astype(np.float64), -53))
            expected = (k[..., None] >= borders[:, 1:-1].astype(np.uint64)).sum(axis=-1)
            y = q.sample(2, s)
            assert np.array_equal(y, expected)
            if shift in (1, 2):
                assert np.all((y[1] > c) == (shift == 1))
            assert same(y, q.step(k))


@pytest.mark.parametrize("sites", [1, 3])
@pytest.mark.parametrize("crowd", [25, 1_000, 70_000])
@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_many_classes_between_few_words(crowd, place, sites):
    """Classes of some 2^-51 each: hundreds between two entries of the guide, thousands under one high word."""
    s = Stream(97).at(11)
    k = s._k53((40, sites))
    at = k[7].astype(np.int64)[:, None]  # one of the samples falls among them
    small = np.sort(np.random.default_rng(crowd).integers(0, 4 * crowd, (sites, crowd)), axis=-1)
    start = np.clip(at - np.int64(place * 4 * crowd), 0, TOP - 4 * crowd)
    ends = np.full((sites, 1), TOP)
    borders = np.concatenate([np.zeros_like(ends), start, start + small, ends], axis=-1)
    q = Categorical(probs=np.ldexp(np.diff(borders, axis=-1).astype(np.float64), -53))
    y = q.sample(40, s)
    for d in range(sites):
        expected = np.searchsorted(borders[d, 1:-1].astype(np.uint64), k[:, d], side="right")
        assert np.array_equal(y[:, d], expected)
    assert same(y, q.step(k))


EXTREMES = np.array([0, 1, 2, TOP // 4 - 1, TOP // 4, TOP // 2 - 1, TOP // 2, TOP - 2, TOP - 1], dtype=np.uint64)


@pytest.mark.parametrize(
    "probs",
    [
        [0.0, 1.0], [1.0, 0.0], [0.0, 0.25, 0.0, 0.25, 0.5, 0.0], [0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 1.0],
        [0.5, 0.5 - 5e-10, 0.0], [0.5, 0.5 + 5e-10, 0.0, 0.0], [0.0] * 30 + [0.5, 0.0, 0.5] + [0.0] * 30,
    ],
)  # fmt: skip
def test_a_class_of_probability_zero_is_never_drawn(probs):
    q = Categorical(probs=probs)
    y = np.concatenate([q.step(EXTREMES), q.sample(5000, Stream(0))])
    assert set(np.unique(y)) == set(np.flatnonzero(probs))


def test_a_logit_far_below_is_never_drawn():
    q = Categorical(logits=[-1e308, 0.0, -800.0, 1.0, -1e308])
    assert set(np.unique(np.concatenate([q.step(EXTREMES), q.sample(5000, Stream(0))]))) == {1, 3}


def test_chi_square_of_samples():
    n = 200_000
    q = make((3,))
    counts = np.bincount(q.sample(n, Stream(5)) @ np.array([4, 2, 1]), minlength=8)
    assert scipy.stats.chisquare(counts, n * q.outcome_probs(q.enumerate())).pvalue > 1e-3
    q = make((2,), 5)
    counts = np.bincount(q.sample(n, Stream(5)) @ np.array([5, 1]), minlength=25)
    assert scipy.stats.chisquare(counts, n * q.outcome_probs(q.enumerate())).pvalue > 1e-3
    q = make((), 100)
    assert scipy.stats.chisquare(np.bincount(q.sample(n, Stream(5)), minlength=100), n * q.probs).pvalue > 1e-3
    q = make((1000,))
    z = (q.sample(2000, Stream(6)).mean(axis=0) - q.mean) / np.sqrt(q.variance / 2000)
    assert scipy.stats.kstest(z[q.variance > 0.01], "norm").pvalue > 1e-3


# step: what it takes


def test_step_takes_any_leading_shape():
    for classes in (None, 4):
        q = make((4, 3), classes)
        k = Stream(2)._k53((2, 5, 4, 3))
        y = q.step(k)
        assert same(y, twin(q, k))
        assert same(q.step(k[1, 2]), y[1, 2])
        assert same(q.step(k[:, ::2]), y[:, ::2])
        assert same(q.step(k.astype(np.int64)), y)
        assert same(q.step((k.astype(np.float64) * 2.0**-53).tolist()), y)
        assert q.step(k[:0]).shape == (0, 5, 4, 3)
        frozen = k.copy()
        frozen.flags.writeable = False
        assert same(q.step(frozen), y)
        out = np.full(k.shape, 77, q.dtype)
        assert q.step(k, out=out) is out
        assert same(out, y)


# Probabilities and log-probabilities


@pytest.mark.parametrize("classes", [None, 1, 2, 5, 24, 100])
def test_probabilities_of_logits(classes):
    q = make((50,), classes)
    expected = scipy.special.expit(q.logits) if classes is None else scipy.special.softmax(q.logits, axis=-1)
    np.testing.assert_allclose(q.probs, expected, rtol=1e-14)
    assert q.probs.shape == q.parameters.shape
    assert q.given == "logits"
    by_probs = type(q)(probs=q.probs)
    np.testing.assert_allclose(by_probs.probs, q.probs, rtol=0)
    if classes is not None:
        expected = scipy.special.log_softmax(q.logits, axis=-1)
        np.testing.assert_allclose(by_probs.logits, expected, rtol=1e-13, atol=1e-15)
    else:
        np.testing.assert_allclose(by_probs.logits, q.logits, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_of_bernoulli(shape, given_as):
    q = make(shape, None, given_as, seed=1)
    y = Stream(1)._k53((5, *shape)) % np.uint64(2)
    if given_as == "logits":
        each = -np.logaddexp(0.0, np.where(y == 1, -q.logits, q.logits))
    else:
        each = scipy.stats.bernoulli.logpmf(y.astype(int), q.probs)
    expected = each.reshape(5, -1).sum(axis=1)
    log_p = q.log_prob(y)
    assert log_p.dtype == np.float64
    np.testing.assert_allclose(log_p, expected, rtol=2e-14)
    assert same(log_p[3], q.log_prob(y[3])[()])  # one sample alone


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("classes", [1, 2, 5, 24, 25, 100])
@pytest.mark.parametrize("shape", [(), (3,), (17,), (7, 3), (1000,)])
def test_log_prob_of_categorical(shape, classes, given_as):
    q = make(shape, classes, given_as, seed=1)
    y = q.sample(5, Stream(1))
    logs = scipy.special.log_softmax(q.logits, axis=-1) if given_as == "logits" else np.log(np.maximum(q.probs, 1e-320))
    each = np.take_along_axis(np.broadcast_to(logs, (*y.shape, classes)), y[..., None], axis=-1)
    np.testing.assert_allclose(q.log_prob(y), each.reshape(5, -1).sum(axis=1), rtol=2e-14, atol=1e-15)


def test_log_prob_of_extreme_logits_is_finite_and_exact():
    q = Bernoulli(logits=[800.0, -800.0])
    assert q.log_prob([[1, 0], [0, 0], [1, 1], [0, 1]]).tolist() == [0.0, -800.0, -800.0, -1600.0]
    for logit in (40.0, 700.0, 750.0, 1e5, 1e300):
        q = Bernoulli(logits=logit)
        assert q.log_prob(0) == -logit  # log(1 - p), which 1 - p itself has lost
        assert q.log_prob(1) == -np.exp(-logit)
        assert Bernoulli(logits=-logit).log_prob(1) == -logit
    q = Categorical(logits=[[800.0, 0.0, -800.0], [-1000.0, -1000.0, -1000.0]])
    assert q.log_prob([[0, 0], [1, 0], [2, 0]]).tolist() == [x - np.log(3) for x in (0.0, -800.0, -1600.0)]
    assert np.isfinite(q.score([[2, 1]])).all()
    tiny = scipy.special.expit(-40.0)
    assert Bernoulli(logits=40.0).variance == pytest.approx(tiny, rel=1e-14)
    assert Bernoulli(logits=40.0).outcome_probs(0) == pytest.approx(tiny, rel=1e-14)


def test_log_prob_of_the_impossible_is_minus_infinity():
    q = Bernoulli(probs=[0.0, 1.0, 0.5])
    half = np.log(0.5)
    assert q.log_prob([[0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0]]).tolist() == [
        half,
        -np.inf,
        -np.inf,
        -np.inf,
    ]
    q = Categorical(probs=[[0.0, 1.0], [0.5, 0.5]])
    assert q.log_prob([[1, 0], [0, 0]]).tolist() == [half, -np.inf]
    assert Categorical(logits=[0.0, -1e308, 1e308]).log_prob([1, 2]).tolist() == [-np.inf, 0.0]


@pytest.mark.parametrize("classes", [None, 2])
def test_outcomes_of_any_integer_type(classes):
    q = make((11,), classes)
    y = q.sample(6, Stream(3))
    expected, score, p = q.log_prob(y), q.score(y), q.outcome_probs(y)
    wide = np.repeat(y, 2, axis=1)
    crooked = np.frombuffer(bytearray(y.size * 4 + 1), dtype=np.int32, offset=1).reshape(y.shape)
    crooked[...] = y
    frozen = y.copy()
    frozen.flags.writeable = False
    kinds = [y.astype(t) for t in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint64)]
    for other in (*kinds, y.tolist(), wide[:, ::2], np.asfortranarray(y), crooked, frozen):
        assert same(q.log_prob(other), expected)
        assert same(q.score(other), score)
        assert same(q.outcome_probs(other), p)


@pytest.mark.parametrize("classes", [None, 3])
def test_log_prob_into_out(classes):
    q = make((4, 5), classes, batch_ndims=1)
    y = q.sample(7, Stream(0))
    out = np.full((7, 4), np.nan)
    assert q.log_prob(y, out=out) is out
    assert same(out, q.log_prob(y))
    assert q.log_prob(y[:0]).shape == (0, 4)


# Scores


@pytest.mark.parametrize("given_as", GIVEN)
def test_score_of_bernoulli_is_the_derivative(given_as):
    q = make((2, 3), None, given_as, seed=4)
    y = q.enumerate()
    score = q.score(y)
    assert score.shape == y.shape
    h = 1e-5
    for place in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[place] = h
        up, down = (q.with_parameters(q.parameters + sign * step).log_prob(y) for sign in (1, -1))
        np.testing.assert_allclose(score[(..., *place)], (up - down) / (2 * h), rtol=1e-7, atol=1e-7)


def test_score_of_categorical_is_the_derivative():
    q = make((3,), 4, seed=4)
    y = q.enumerate()
    score = q.score(y)
    assert score.shape == (64, 3, 4)
    h = 1e-5
    for place in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[place] = h
        up, down = (q.with_parameters(q.parameters + sign * step).log_prob(y) for sign in (1, -1))
        np.testing.assert_allclose(score[(..., *place)], (up - down) / (2 * h), atol=1e-9)


def test_score_of_categorical_by_probs_is_the_derivative_along_the_simplex():
    rng = np.random.default_rng(0)
    q = Categorical(probs=rng.dirichlet(np.full(4, 3.0), size=3))
    y = q.enumerate()
    score = q.score(y)
    np.testing.assert_allclose(score.sum(axis=-1), 0.0, atol=1e-12)
    for _ in range(5):
        along = rng.normal(size=(3, 4))
        along -= along.mean(axis=-1, keepdims=True)
        h = 1e-6
        up, down = (q.with_parameters(q.parameters + sign * h * along).log_prob(y) for sign in (1, -1))
        np.testing.assert_allclose((score * along).sum(axis=(1, 2)), (up - down) / (2 * h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("classes", [None, 2, 3])
def test_score_has_mean_zero(classes, given_as):
    q = make((2, 2), classes, given_as, seed=8)
    if given_as == "probs" and classes is not None:
        q = Categorical(probs=(q.probs + 0.1) / (1 + 0.1 * classes))
    y = q.enumerate()
    p = q.outcome_probs(y)
    np.testing.assert_allclose(np.tensordot(p, q.score(y), axes=1), 0.0, atol=1e-14)
    assert abs(q.score(y)).max() > 0.1


def test_score_where_a_probability_is_zero_or_one():
    q = Bernoulli(probs=[0.0, 1.0, 0.5])
    assert q.score([0, 1, 1]).tolist() == [-1.0, 1.0, 2.0]
    assert q.score([1, 0, 0]).tolist() == [np.inf, -np.inf, -2.0]
    assert q.has_certain_outcomes
    assert Categorical(probs=[0.0, 1.0]).has_certain_outcomes
    assert not Bernoulli(probs=[0.5, 1e-300]).has_certain_outcomes
    assert not Bernoulli(logits=[800.0]).has_certain_outcomes
    q = Categorical(probs=[0.0, 0.5, 0.5])
    np.testing.assert_allclose(q.score(1), [-2 / 3, 4 / 3, -2 / 3])
    np.testing.assert_array_equal(q.score(0), [np.inf, -np.inf, -np.inf])
    assert Bernoulli(probs=[5e-324, 0.5]).score([1, 1]).tolist() == [np.inf, 2.0]
    assert Categorical(probs=[5e-324, 1.0]).score(0).tolist() == [np.inf, -np.inf]


# Enumeration and moments


def test_enumeration_counts():
    assert Bernoulli(logits=[0.0, 0.0]).enumerate().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    y = Categorical(logits=np.zeros((2, 3))).enumerate()
    assert y.tolist() == [[a, b] for a in range(3) for b in range(3)]
    assert y.dtype == np.int32
    assert Bernoulli(logits=0.0).enumerate().tolist() == [0, 1]
    assert Bernoulli(logits=np.zeros((2, 3))).enumerate().shape == (64, 2, 3)
    batch = Bernoulli(logits=np.zeros((50, 3)), batch_ndims=1)  # one problem of it
    assert batch.enumerate().shape == (8, 3)


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("classes", [None, 1, 3])
def test_probabilities_of_the_outcomes(classes, given_as):
    q = make((2, 3), classes, given_as, seed=5)
    y = q.enumerate()
    p = q.outcome_probs(y)
    assert p.shape == (len(y),)
    assert p.sum() == pytest.approx(1.0, abs=1e-13)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.log(p), q.log_prob(y), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(q.mean, np.tensordot(p, y, axes=1), atol=1e-13)
    second = np.tensordot(p, y.astype(float) ** 2, axes=1)
    np.testing.assert_allclose(q.variance, second - q.mean**2, atol=1e-12)
    assert q.mean.shape == q.variance.shape == (2, 3)
    assert list(q.support) == list(range(classes or 2))


def test_the_limit_of_enumeration():
    assert Categorical(logits=np.zeros((2, 2**10))).enumerate().shape == (2**20, 2)
    assert Categorical(logits=np.zeros((10, 4)), batch_ndims=1).enumerate().tolist() == [0, 1, 2, 3]
    assert Categorical(logits=np.zeros((30, 1))).enumerate().tolist() == [[0] * 30]
    message = "enumeration must have at most 2^20 outcomes, got some 2^{} on {} sites"
    many = {21: make((21,)), 22: make((14,), 3), 20: make((2,), 2**10 + 1), 6644: make((1000,), 100)}
    for bits, q in many.items():
        with refuses(ValueError, message.format(bits, q.n_elements)):
            q.enumerate()


# Shapes and values


@pytest.mark.parametrize("classes", [None, 3])
def test_axes_of_problems(classes):
    for batch_ndims in range(4):
        q = make((2, 3, 4), classes, batch_ndims=batch_ndims)
        assert q.batch_shape == (2, 3, 4)[:batch_ndims]
        assert q.event_shape == (2, 3, 4)[batch_ndims:]
        assert q.n_elements == 24
        assert q.noise_shape(5) == (5, 2, 3, 4)
        y = q.sample(5, Stream(0))
        log_p = q.log_prob(y)
        assert log_p.shape == q.outcome_probs(y).shape == (5, *q.batch_shape)
        np.testing.assert_allclose(np.exp(log_p), q.outcome_probs(y), rtol=1e-12)
        assert q.score(y).shape == (5, *q.parameters.shape)
        alone = make((2, 3, 4), classes)
        np.testing.assert_allclose(log_p.reshape(5, -1).sum(axis=1), alone.log_prob(y), rtol=1e-13)
        if batch_ndims:  # each problem has the log-probability of a family of its own
            one = type(q)(logits=q.parameters[1], batch_ndims=batch_ndims - 1)
            assert same(one.log_prob(y[:, 1]), np.ascontiguousarray(log_p[:, 1]))


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("classes", [None, 3])
def test_values(classes, given_as):
    q = make((2, 3), classes, given_as, batch_ndims=1)
    other = q.with_parameters(q.parameters[::-1])
    assert type(other) is type(q)
    assert (other.given, other.batch_ndims) == (given_as, 1)
    assert np.array_equal(other.parameters, q.parameters[::-1])
    for twin_of in (pickle.loads(pickle.dumps(q)), copy.deepcopy(q)):
        assert (type(twin_of), twin_of.given, twin_of.batch_ndims) == (type(q), given_as, 1)
        assert same(twin_of.parameters, q.parameters)
        assert same(twin_of.sample(50, Stream(1)), q.sample(50, Stream(1)))


@pytest.mark.parametrize("given_as", GIVEN)
@pytest.mark.parametrize("classes", [None, 3])
def test_nobody_else_changes_the_parameters(classes, given_as):
    parameters = make((4,), classes, given_as).parameters.copy()
    q = (Bernoulli if classes is None else Categorical)(**{given_as: parameters})
    before = {name: getattr(q, name).copy() for name in ("parameters", "probs", "logits", "mean", "variance")}
    parameters[...] = 0.25
    for name in before:
        try:
            getattr(q, name)[...] = 0.25
        except ValueError as error:
            assert "read-only" in str(error)  # noqa: PT017
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(q, name), value)


def test_repr():
    assert repr(Bernoulli(logits=0.0)) == "Bernoulli(logits=<scalar>)"
    assert repr(Bernoulli(probs=[[0.5, 0.5]], batch_ndims=1)) == "Bernoulli(probs=<1 x 2>, batch_ndims=1)"
    assert repr(Categorical(logits=np.zeros((4, 3)))) == "Categorical(logits=<4 x 3>)"


def test_parameters_of_other_types():
    q = Bernoulli(logits=[1, 0, -2])
    assert q.parameters.dtype == np.float64
    for dtype in (np.int8, np.int64, np.float16, np.float32, ">f8"):
        assert np.array_equal(Bernoulli(logits=np.array([1, 0, -2], dtype=dtype)).probs, q.probs)
    turned = np.arange(12.0).reshape(3, 4).T
    assert np.array_equal(Bernoulli(logits=turned).probs, Bernoulli(logits=turned.copy()).probs)


# Bad input

REAL = "must hold real numbers (float64 or what converts to it), got dtype"


@pytest.mark.parametrize("family", [Bernoulli, Categorical])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "exactly one of `logits` and `probs` must be given, got logits=None, probs=None"),
        ({"logits": [0.0, 1.0], "probs": [0.5, 0.5]}, ValueError,
         "exactly one of `logits` and `probs` must be given, got logits=[0.0, 1.0], probs=[0.5, 0.5]"),
        ({"logits": [0.0, np.nan]}, ValueError, "`logits` must be finite, got nan at index 1"),
        ({"logits": [[0.0, 1.0], [-np.inf, 0.0]]}, ValueError,
         "`logits` must be finite, got -inf at index (1, 0)"),
        ({"probs": [np.nan, 0.5]}, ValueError, "`probs` must be finite, got nan at index 0"),
        ({"probs": [0.5, 1.2]}, ValueError, "`probs` must lie in [0, 1], got 1.2 at index 1"),
        ({"probs": [[0.5, 0.5], [-0.25, 1.25]]}, ValueError,
         "`probs` must lie in [0, 1], got -0.25 at index (1, 0)"),
        ({"logits": [1j, 0.0]}, TypeError, f"`logits` {REAL} complex128"),
        ({"logits": ["a", "b"]}, TypeError, f"`logits` {REAL} <U1"),
        ({"logits": [None, 1.0]}, TypeError, f"`logits` {REAL} object"),
        ({"logits": [True, False]}, TypeError, f"`logits` {REAL} bool"),
        ({"probs": [True, False]}, TypeError, f"`probs` {REAL} bool"),
        ({"logits": np.zeros(2, np.longdouble)}, TypeError, f"`logits` {REAL} float128"),
        ({"logits": [[1.0], [1.0, 2.0]]}, ValueError,
         "`logits` must be a rectangular array, got [[1.0], [1.0, 2.0]]"),
        ({"logits": [0.0, 1.0], "batch_ndims": 3}, ValueError, None),
        ({"logits": [0.0, 1.0], "batch_ndims": -1}, ValueError, None),
        ({"logits": [0.0, 1.0], "batch_ndims": 0.0}, TypeError, "`batch_ndims` must be an integer, got 0.0"),
        ({"probs": [0.5, 0.5], "batch_ndims": True}, TypeError, "`batch_ndims` must be an integer, got True"),
        ({"logits": np.zeros((0, 2))}, ValueError, "`logits` must have at least one site, got shape (0, 2)"),
        ({"probs": np.ones((3, 0, 1))}, ValueError, "`probs` must have at least one site, got shape (3, 0, 1)"),
    ],
)  # fmt: skip
def test_bad_parameters(family, arguments, error, message):
    if message is None:
        axes = 1 if family is Bernoulli else 0
        message = f"`batch_ndims` must be in [0, {axes}], got {arguments['batch_ndims']}"
    with refuses(error, message):
        family(**arguments)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"logits": 1.0}, "`logits` must have its classes on the last axis, got shape ()"),
        ({"logits": np.zeros((3, 0))}, "`logits` must have its classes on the last axis, got shape (3, 0)"),
        ({"probs": [0.25, 0.5]}, "`probs` must sum to 1 over the last axis, got 0.75"),
        (
            {"probs": [[[0.5, 0.5]], [[0.5, 1.0]]]},
            "`probs` must sum to 1 over the last axis, got 1.5 at index (1, 0)",
        ),
    ],
)
def test_bad_classes(arguments, rule):
    with refuses(ValueError, rule):
        Categorical(**arguments)


def test_probabilities_that_nearly_sum_to_one():
    with pytest.raises(ValueError, match=begins("`probs` must sum to 1 over the last axis, got 1.00000000")):
        Categorical(probs=[0.5, 0.5 + 2e-9])
    assert Categorical(probs=[0.5, 0.5 + 5e-10]).probs[1] == 0.5 + 5e-10  # used as they are
    with refuses(ValueError, "`logits` must have at least one site, got shape (0,)"):
        Bernoulli(logits=[])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0.0, 1.0], TypeError, "`y` must hold integers, got dtype float64"),
        ([0, None], TypeError, "`y` must hold integers, got dtype object"),
        (["0", "1"], TypeError, "`y` must hold integers, got dtype <U1"),
        ([0, 1, 0], ValueError, "`y` must have the sites (2,) as its last axes, got shape (3,)"),
        ([[0], [1]], ValueError, "`y` must have the sites (2,) as its last axes, got shape (2, 1)"),
        (1, ValueError, "`y` must have the sites (2,) as its last axes, got shape ()"),
        ([[0, 1], [1]], ValueError, "`y` must be a rectangular array, got [[0, 1], [1]]"),
        ([[0, 1], [0, 3]], ValueError, "`y` must lie in 0 .. {}, got 3 at index (1, 1)"),
        ([-1, 0], ValueError, "`y` must lie in 0 .. {}, got -1 at index 0"),
        ([0, 2**40], ValueError, "`y` must lie in 0 .. {}, got 1099511627776 at index 1"),
        (np.array([256, 0]), ValueError, "`y` must lie in 0 .. {}, got 256 at index 0"),
    ],
)
@pytest.mark.parametrize("method", ["log_prob", "score", "outcome_probs"])
@pytest.mark.parametrize("classes", [None, 3])
def test_bad_outcomes(classes, method, y, error, message):
    q = make((2,), classes)
    with refuses(error, message.format(q.n_classes - 1)):
        getattr(q, method)(y)


def test_a_true_of_one_class_is_no_outcome():
    with refuses(ValueError, "`y` must lie in 0 .. 0, got True at index 0"):
        Categorical(logits=[[0.0]]).log_prob([True])
    assert Categorical(logits=[[0.0]]).log_prob([False]) == 0.0


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        ([0.5, 1.0], ValueError, "`z` must lie in [0, 1), got 1.0 at index 1"),
        ([[0.5, 0.5], [-1e-300, 0.5]], ValueError, "`z` must lie in [0, 1), got -1e-300 at index (1, 0)"),
        ([np.nan, 0.5], ValueError, "`z` must lie in [0, 1), got nan at index 0"),
        ([0.5, np.inf], ValueError, "`z` must lie in [0, 1), got inf at index 1"),
        ([0, 2**53], ValueError, "`z` must lie in 0 .. 2^53 - 1, got 9007199254740992 at index 1"),
        ([-1, 0], ValueError, "`z` must lie in 0 .. 2^53 - 1, got -1 at index 0"),
        (np.zeros(2, np.float32), TypeError, "`z` must be float64 noise or integers k, got dtype float32"),
        ([True, False], TypeError, "`z` must be float64 noise or integers k, got dtype bool"),
        ([0.5j, 0.5], TypeError, "`z` must be float64 noise or integers k, got dtype complex128"),
        ([None, 0.5], TypeError, "`z` must be float64 noise or integers k, got dtype object"),
        ([0.5, 0.5, 0.5], ValueError, "`z` must have the sites (2,) as its last axes, got shape (3,)"),
        (0.5, ValueError, "`z` must have the sites (2,) as its last axes, got shape ()"),
    ],
)
@pytest.mark.parametrize("classes", [None, 3])
def test_bad_noise(classes, z, error, message):
    with refuses(error, message):
        make((2,), classes).step(z)


@pytest.mark.parametrize(
    ("n", "stream", "error", "message"),
    [
        (-1, Stream(0), ValueError, "`n` must be at least 0, got -1"),
        (2.0, Stream(0), TypeError, "`n` must be an integer, got 2.0"),
        (True, Stream(0), TypeError, "`n` must be an integer, got True"),
        (2, 0, TypeError, "`stream` must be a stochcore.Stream, got int"),
        (2, None, TypeError, "`stream` must be a stochcore.Stream, got NoneType"),
        (2**70, Stream(0), ValueError, f"a stream has 2^64 elements: {2**71} from element 0 on do not fit"),
        (2, Stream(0).at(2**64 - 3), ValueError,
         "a stream has 2^64 elements: 4 from element 18446744073709551613 on do not fit"),
    ],
)  # fmt: skip
def test_bad_sampling(n, stream, error, message):
    with refuses(error, message):
        make((2,)).sample(n, stream)


def test_sampling_up_to_the_end_of_a_stream():
    s = Stream(0).at(2**64 - 6)
    for classes in (None, 3, 30):
        q = make((2,), classes)
        assert same(q.sample(3, s), twin(q, s._k53((3, 2))))
        assert q.sample(0, s.at(6)).shape == (0, 2)
    with refuses(ValueError, "`n_threads` must be in [1, 1024], got 0"):
        make((2,)).sample(1, s, n_threads=0)
    with refuses(TypeError, "`n_threads` must be an integer, got 1.5"):
        make((2,)).log_prob([0, 1], n_threads=1.5)


@pytest.mark.parametrize("classes", [None, 3])
def test_out_of_samples(classes):
    q, s = make((3,), classes), Stream(0)
    buffer = np.full(4 * 3 + 10, 77, q.dtype)
    out = buffer[5:17].reshape(4, 3)
    assert q.sample(4, s, out=out) is out
    assert same(out.copy(), q.sample(4, s))
    assert np.all(buffer[:5] == 77)
    assert np.all(buffer[17:] == 77)
    name = np.dtype(q.dtype).name
    for bad, error, message in (
        (
            [[0] * 3] * 4,
            TypeError,
            "`out` must be a NumPy array, got a list",
        ),
        (np.empty((4, 3), np.int64), TypeError, f"`out` must have dtype {name}, got int64"),
        (np.empty((3, 4), q.dtype), ValueError, "`out` must have shape (4, 3), got (3, 4)"),
        (np.empty((3, 4), q.dtype).T, ValueError, "`out` must be C-contiguous, got strides "),
    ):
        with pytest.raises(error, match=begins(message)):
            q.sample(4, s, out=bad)
        with pytest.raises(error, match=begins(message)):
            q.step(s.uniform((4, 3)), out=bad)
    out.flags.writeable = False
    for call in (lambda: q.sample(4, s, out=out), lambda: q.step(s.uniform((4, 3)), out=out)):
        with refuses(ValueError, "`out` must be writable, got a read-only array"):
            call()


def test_out_that_overlaps():
    q = Bernoulli(logits=np.zeros(8))
    z = np.zeros((3, 8), dtype=np.uint64)
    message = "`out` must not overlap `{}`, got arrays that share memory"
    with refuses(ValueError, message.format("z")):
        q.step(z, out=z.view(np.uint8).reshape(-1, 8)[3:6])
    y = np.zeros((3, 8), dtype=np.uint8)
    with refuses(ValueError, message.format("y")):
        q.log_prob(y, out=y.view(np.float64).reshape(3))
    assert not z.any()
    assert not y.any()
    with refuses(TypeError, "`out` must have dtype float64, got float32"):
        q.log_prob(y, out=np.empty(3, np.float32))
    with refuses(ValueError, "`out` must have shape (3,), got (3, 1)"):
        q.log_prob(y, out=np.empty((3, 1)))
