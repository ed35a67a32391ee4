"""Every family: samples are steps bit for bit, weighted scores are sums of scores, exact gradients are derivatives."""

import copy
import pickle

import numpy as np
import pytest
import scipy.special
from families import (
    BORDER,
    CASES,
    TOP,
    WIDE,
    begins,
    cost_of,
    every,
    made,
    outcomes,
    rows,
    same,
    small,
    thresholds,
    wide,
)

import stochcore as sc

ADDRESSES = [0, 1, 7, 64, 1_000_003, BORDER - 61]


def all_sites(q):
    """The families of a Joint, or the family itself, by name."""
    if not isinstance(q, sc.Joint):
        return {"": q}
    return {f"{name}.{k}": v for name, family in q.families.items() for k, v in all_sites(family).items()}


# sample = step


@every
def test_samples_are_steps(name):
    q = made(name)
    for n, offset in zip((1, 5, 64, 129, 2, 33), ADDRESSES, strict=True):
        s = sc.Stream(3, stream=1).at(offset)
        y, z = q.sample(n, s), q.noise(n, s)
        assert same(y, q.step(z))
        if not isinstance(q, sc.Joint):
            assert z.shape == q.noise_shape(n)
            assert y.shape == (n, *q.site_shape)
            assert y.dtype == q.dtype
            assert same(z, getattr(s, q.noise_kind)(q.noise_shape(n)))
            if q.noise_kind == "uniform":
                assert same(y, q.step(s._k53(q.noise_shape(n))))
        assert same(q.sample(0, s), q.step(q.noise(0, s)))


@every
def test_slices_of_samples_are_samples_at_their_address(name):
    q, n = made(name), 140
    s = sc.Stream(11).at(5)
    whole = q.sample(n, s)
    for a, b in ((0, 1), (1, 4), (63, 130), (139, 140), (7, 7)):
        assert same(rows(whole, slice(a, b)), q.sample(b - a, s.at(a * q.n_elements)))


@every
def test_samples_have_the_same_bits_on_any_number_of_threads(name):
    q = made(name)
    n, s = max(200, 60_000 // q.n_elements), sc.Stream(8).at(3)
    if isinstance(q, sc.Joint):
        n = 200  # the noise of a Joint is made row by row
    one = q.sample(n, s, n_threads=1)
    assert all(same(one, q.sample(n, s, n_threads=t)) for t in (2, 3, None))
    assert same(one, q.step(q.noise(n, s)))


@every
def test_samples_into_out(name):
    q, s = made(name), sc.Stream(2).at(9)
    y = q.sample(5, s)
    out = sc.distributions.parameters.Structure.of(y).map(np.zeros_like, y)
    got = q.sample(5, s, out=out)
    assert same(out, y)
    assert same(got, y)
    again = sc.distributions.parameters.Structure.of(y).map(np.zeros_like, y)
    q.step(q.noise(5, s), out=again)
    assert same(again, y)
    if not isinstance(q, sc.Joint):
        assert got is out


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 128, 130])
@pytest.mark.parametrize("n", [1, 127, 128, 129, 700])
def test_tiles(width, n):
    """64 sites x 128 rows make a tile: rows and columns on both sides of its borders."""
    s = sc.Stream(5).at(13)
    for q in (
        sc.Poisson(rate=np.linspace(0.1, 40, width)),
        sc.Binomial(2**33, probs=np.linspace(1e-9, 1e-8, width)),  # int64
        sc.MarkovChain(np.zeros(3), np.linspace(-2, 2, 9).reshape(3, 3), n_steps=width),
        sc.MarkovChain(np.zeros((3, 2)), np.zeros((3, width - 1, 2, 2))),
    ):
        assert same(q.sample(n, s), q.step(s._k53(q.noise_shape(n))))


@every
def test_step_takes_any_leading_shape(name):
    q = made(name)
    z = q.noise(6, sc.Stream(2))
    y = q.step(z)
    if isinstance(q, sc.Joint):
        assert same(rows(y, slice(2, 3)), q.step(rows(z, slice(2, 3))))
        return
    assert same(q.step(z.reshape(2, 3, *z.shape[1:])), y.reshape(2, 3, *y.shape[1:]))
    assert same(q.step(z[4]), y[4])
    assert same(q.step(z[::2]), y[::2])
    assert same(q.step(z.tolist()), y)
    assert q.step(z[:0]).shape == (0, *q.site_shape)


# step = the definition


LADDERS = [name for name in CASES if name.split()[0] in ("ordinal", "rounded", "poisson", "binomial",
                                                           "geometric", "negative")]  # fmt: skip


@pytest.mark.parametrize("name", LADDERS)
def test_steps_count_the_thresholds_at_or_below_k(name):
    q, s = made(name), sc.Stream(4).at(77)
    first, rungs = thresholds(q)
    k = s._k53(q.noise_shape(3000))
    expected = first + (k[:, None] >= rungs).sum(axis=1)
    assert np.array_equal(q.sample(3000, s), expected)
    beside = np.concatenate([rungs - np.uint64(1), np.minimum(rungs, np.uint64(TOP - 1))])
    assert np.array_equal(q.step(beside), first + (beside[:, None] >= rungs).sum(axis=1))


@pytest.mark.parametrize("name", LADDERS)
def test_thresholds_are_those_of_the_distribution_function(name):
    q = made(name)
    first, rungs = thresholds(q)
    last = q.step(np.full(q.site_shape, TOP - 1, np.uint64))
    p = [
        np.where(first + c > last, 0.0, q._site_probs(np.array(np.minimum(first + c, last)))) for c in range(len(rungs))
    ]
    p = np.array(p).reshape(rungs.shape)
    np.testing.assert_allclose(np.ldexp(rungs.astype(float), -53), np.cumsum(p, axis=0), rtol=0, atol=3e-15)
    assert np.all(np.diff(rungs.astype(float), axis=0) >= 0)


@pytest.mark.parametrize(
    "name", [name for name in (*CASES, *WIDE) if name.split()[0] in ("plackett-luce", "top", "set")]
)
def test_orders_are_by_decreasing_logit_plus_noise(name):
    q, s = made(name), sc.Stream(4).at(77)
    y, z = q.sample(50, s), s.gumbel(q.noise_shape(50))
    order = np.argsort(-(q.logits + z), axis=-1, kind="stable")
    expected = order[..., : q.k].astype(np.int32)
    assert np.array_equal(y, expected if q.ordered else np.sort(expected, axis=-1))


@pytest.mark.parametrize("name", ["chain", "chain per step", "chain one step", "chain linear", "chain of 150",
                                  "chain of 65, 40 states"])  # fmt: skip
def test_chains_invert_the_row_of_the_state_they_are_in(name):
    q, s = made(name), sc.Stream(4).at(77)
    k = s._k53(q.noise_shape(20))
    y = np.zeros(k.shape, np.int32)
    for at in np.ndindex(k.shape[:-1]):
        own = at[1:]
        for t in range(q.n_steps):
            p = q.initial_probs[own]
            if t:
                move = q.transition_probs[own]
                p = (move[t - 1] if move.ndim == 3 else move)[y[(*at, t - 1)]]
            rungs = np.ceil(np.ldexp(np.minimum(np.cumsum(p), 1.0)[:-1], 53)).astype(np.uint64)
            y[(*at, t)] = np.searchsorted(rungs, k[(*at, t)], side="right")
    assert same(q.sample(20, s), y)


def test_normals_and_latent_steps():
    s = sc.Stream(6).at(3)
    for name in ("normal", "normal log", "normal linear"):
        q = made(name)
        z = s.normal(q.noise_shape(20))
        assert same(q.sample(20, s), q.mean + q.scale * z)
    for name in ("rounded", "rounded log", "rounded batch", "rounded linear", "rounded wide"):
        q = made(name)
        z = s.normal(q.noise_shape(200))
        assert np.array_equal(q.latent_step(z), np.floor((q._mean + q.scale * z) / q._step + 0.5))
    for name in ("ordinal", "ordinal probit", "ordinal free", "ordinal one cut", "ordinal 100 classes"):
        q = made(name)
        z = (s.normal if q._noise == "normal" else s.logistic)(q.noise_shape(200))
        x = q._location + z
        assert np.array_equal(q.latent_step(z), (x[..., None] >= q.cutpoints).sum(axis=-1))


@pytest.mark.parametrize("name", ["ordinal", "ordinal probit", "ordinal 100 classes", "rounded", "rounded log"])
def test_latent_steps_and_steps_have_one_distribution(name):
    """The latent's quantile of u lands on the outcome that u steps to, but for u within rounding of a border."""
    q = made(name)
    u = sc.Stream(12).uniform(q.noise_shape(5000)) + 2.0**-54
    inverse = scipy.special.logit if getattr(q, "_noise", "normal") == "logistic" else scipy.special.ndtri
    assert (q.latent_step(inverse(u)) != q.step(u)).mean() < 1e-4


@pytest.mark.parametrize("offset", [0, 5, BORDER - 9])
def test_ties_of_the_high_words(offset):
    """A threshold beside k, so that 32 bits do not decide, for every kind of ladder."""
    s = sc.Stream(99).at(offset)
    k = s._k53((4, 70))
    assert k.min() > 2**40
    for row in range(4):
        u = np.ldexp(k[row].astype(float), -53)
        middle = scipy.special.ndtri(u)
        for shift in (-3e-16, 0.0, 3e-16):
            near = u * (1 + shift)
            for q in (
                sc.Poisson(rate=-np.log(near)),
                sc.Binomial(1, probs=1 - near),
                sc.Binomial(2, probs=1 - np.sqrt(near)),
                sc.Geometric(probs=near),
                sc.NegativeBinomial(1.0, probs=near),
                sc.Ordinal(np.zeros(70), scipy.special.logit(near)[:, None]),
                sc.Ordinal(-middle, [0.0], noise="normal"),
                sc.RoundedNormal(0.5 - middle, 1.0),
                sc.MarkovChain(
                    np.stack([scipy.special.logit(near), np.zeros(70)], axis=-1), np.zeros((70, 2, 2)), n_steps=1
                ),
            ):
                assert same(q.sample(4, s), q.step(s._k53(q.noise_shape(4))))


# Weighted scores


@every
def test_weighted_scores_are_sums_of_scores(name):
    q = made(name)
    st = q._structure
    for n in (1, 7, 70):
        y = q.sample(n, sc.Stream(1).at(n))
        w = np.random.default_rng(n).normal(size=(n, *q.batch_shape))
        score = q.score(y)

        flat = np.concatenate([s.reshape(n, -1) for s in leaves(score)], axis=1)
        got = st.leaves(q.weighted_score(y, w))
        if not q.batch_shape:
            expected, size = w @ flat, np.abs(w) @ np.abs(flat)
        else:
            expected, size = by_problems(q, y, w)
        np.testing.assert_array_less(np.abs(got - expected), 1e-12 * size + 1e-300)


def leaves(tree):
    return [x for part in tree.values() for x in leaves(part)] if isinstance(tree, dict) else [np.asarray(tree)]


def by_problems(q, y, w):
    """Sum of w * score, problem by problem and row by row: a weight of one on a single problem gives its score."""
    st = q._structure
    total, size = np.zeros(st.size), np.zeros(st.size)
    for problem in np.ndindex(q.batch_shape):
        for row in range(len(y)):
            alone = np.zeros((1, *q.batch_shape))
            alone[(0, *problem)] = 1.0
            piece = st.leaves(q.weighted_score(y[row : row + 1], alone))
            total += w[(row, *problem)] * piece
            size += np.abs(w[(row, *problem)] * piece)
    return total, size


@small
def test_the_score_of_a_sample_is_that_of_its_problems(name):
    q = made(name)
    y = q.sample(3, sc.Stream(1))
    ones = np.ones((1, *q.batch_shape))
    for row in range(3):
        each = q._structure.leaves(rows(q.score(y), row))
        got = q._structure.leaves(q.weighted_score(rows(y, slice(row, row + 1)), ones))
        np.testing.assert_allclose(got, each, rtol=1e-12, atol=1e-13)


@every
def test_weighted_scores_have_the_same_bits_on_any_number_of_threads(name):
    q = made(name)
    n = 100 if isinstance(q, sc.Joint) else max(100, 40_000 // q.n_elements)
    y = q.sample(n, sc.Stream(1))
    w = np.random.default_rng(n).normal(size=(n, *q.batch_shape))
    one = q.weighted_score(y, w, n_threads=1)
    assert all(same(one, q.weighted_score(y, w, n_threads=t)) for t in (2, 3, None))
    nothing = q.weighted_score(rows(y, slice(0, 0)), w[:0])
    assert all(not x.any() for x in leaves(nothing))


# exact


@small
def test_exact_gradients_are_derivatives(name):
    q = made(name)
    cost, st = cost_of(q), q._structure
    grad, theta = st.leaves(sc.exact(q, cost).grad), st.flatten(q.parameters)
    simplex = type(q) is sc.Categorical and q.given == "probs"
    for i in range(theta.size):
        step = np.zeros(theta.size)
        step[i] = 1e-5
        if simplex:  # stay on it
            c = q.n_classes
            step[i // c * c : (i // c + 1) * c] -= 1e-5 / c
        up, down = (sc.exact(q.with_parameters(st.build(theta + sign * step)), cost).cost for sign in (1, -1))
        assert np.sum(up - down) / 2e-5 == pytest.approx(grad @ step / 1e-5, rel=1e-7, abs=2e-8)


# values


@every
def test_families_are_values(name):
    q, s = made(name), sc.Stream(1)
    y = q.sample(30, s)
    st = q._structure
    for other in (
        pickle.loads(pickle.dumps(q)),
        copy.deepcopy(q),
        copy.copy(q),
        q.with_parameters(q.parameters),
    ):
        assert type(other) is type(q)
        assert repr(other) == repr(q)
        assert other.batch_shape == q.batch_shape
        assert same(st.leaves(other.parameters), st.leaves(q.parameters))
        assert same(other.sample(30, s), y)
        assert same(other.log_prob(y), q.log_prob(y))
    theta = st.flatten(q.parameters)
    moved = q.with_parameters(st.build(theta[::-1] if name == "categorical probs" else theta * 0.999))
    assert moved.batch_shape == q.batch_shape
    assert not same(moved.log_prob(y), q.log_prob(y))


@wide
def test_nobody_else_changes_the_parameters(name):
    q = made(name)
    for x in leaves(q.parameters):
        if x.flags.writeable:
            continue
        with pytest.raises(ValueError, match="read-only"):
            x[...] = 0.0


@every
def test_the_whole_axis_of_elements(name):
    """A stream's last elements can be drawn, and no more."""
    q = made(name)
    s = sc.Stream(0).at(2**64 - 2 * q.n_elements)
    assert same(q.sample(2, s), q.step(q.noise(2, s)))
    with pytest.raises(ValueError, match=begins("a stream has 2^64 elements: ")):
        q.sample(3, s)


@small
def test_outcomes_of_the_enumeration_are_distinct(name):
    q = made(name)
    y = outcomes(q)
    flat = np.concatenate([x.reshape(len(x), -1) for x in leaves(y)], axis=1)
    assert len(np.unique(flat, axis=0)) == len(flat)
