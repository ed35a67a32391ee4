"""Tables of classes; and how costs change where one site does, by evaluating them again."""

import pickle
import re

import numpy as np
import pytest

import stochcore as sc
from stochcore.costs import QUBO, Ising, Linear, MaxCut, Quadratic, Table, evaluate

SITES = [1, 2, 7, 8, 9, 33, 64, 100]


def refuses(error, message):
    return pytest.raises(error, match="^" + re.escape(message) + "$")


# Tables


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("sites", SITES)
def test_table(sites, dtype):
    rng = np.random.default_rng(sites)
    classes = 2 if dtype is bool else 5
    table = rng.integers(-1000, 1000, size=(sites, classes)).astype(float)
    y = rng.integers(0, classes, size=(50, sites)).astype(dtype)
    want = table[np.arange(sites), y.astype(int)].sum(axis=1)
    assert np.array_equal(Table(table)(y), want)
    table = rng.normal(size=(sites, classes))
    want = table[np.arange(sites), y.astype(int)].sum(axis=1)
    np.testing.assert_allclose(Table(table)(y), want, rtol=1e-12, atol=1e-13)
    assert Table(table)(y[7]) == Table(table)(y)[7]


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("sites", [1, 3, 8, 9, 65, 300, 4096, 4097])
def test_table_of_packed_bits(sites):
    table = np.random.default_rng(sites).integers(-9, 9, size=(sites, 2)).astype(float)
    model = sc.Bernoulli(logits=np.linspace(-1, 1, sites))
    for n in (2, 50, 1000):
        if n * sites > 500_000:
            continue
        packed, plain = (sc.estimate(model, c, n) for c in (Table(table), lambda y: Table(table)(y)))
        np.testing.assert_allclose(packed.cost, plain.cost, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(packed.grad, plain.grad, rtol=1e-11, atol=1e-11)
    two = np.stack([np.zeros(sites), table[:, 1]], axis=1)
    a, b = (sc.estimate(model, c, 500) for c in (Table(two), Linear(table[:, 1])))
    assert (a.cost, a.best_cost) == (b.cost, b.best_cost)
    assert np.array_equal(a.grad, b.grad)


def test_table_of_classes_and_problems():
    rng = np.random.default_rng(0)
    model = sc.Categorical(logits=rng.normal(size=(2, 3, 4)), batch_ndims=1)
    own, shared = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4))
    for cost in (Table(own, batch_ndims=1), Table(shared)):
        truth = sc.exact(model, cost)
        e = sc.estimate(model, cost, 200_000)
        assert np.all(abs(e.cost - truth.cost) < 4.5 * e.cost_se)
        assert np.all(abs(e.grad - truth.grad) < 4.5 * e.grad_se)
        want = (model.probs * cost.table).sum(axis=(1, 2))
        np.testing.assert_allclose(truth.cost, want, rtol=1e-12)
    assert Table(own, batch_ndims=1).batch_shape == (2,)
    chain = sc.MarkovChain(np.zeros(3), np.zeros((3, 3)), n_steps=4)
    cost = Table(rng.normal(size=(4, 3)))
    assert sc.exact(chain, cost).cost == pytest.approx(cost.table.mean(axis=1).sum())
    counts = sc.Binomial(3, probs=[0.5, 0.2])
    assert sc.exact(counts, Table([[0.0, 1, 2, 3]] * 2)).cost == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Table(1.0), ValueError, "`T` must have its classes on the last axis, got shape ()"),
        (lambda: Table([]), ValueError, "`T` must have its classes on the last axis, got shape (0,)"),
        (lambda: Table([[1.0, np.inf]]), ValueError, "`T` must be finite, got inf at index (0, 1)"),
        (lambda: Table([[1.0, 2.0]], batch_ndims=2), ValueError, "`batch_ndims` must be in [0, 1], got 2"),
        (lambda: Table([[1.0, 2.0]])([2]), ValueError, "`y` must lie in 0 .. 1, got 2 at index 0"),
        (lambda: Table([[1.0, 2.0]])([[-1]]), ValueError, "`y` must lie in 0 .. 1, got -1 at index (0, 0)"),
        (lambda: Table([[1.0, 2.0]])([0.0]), TypeError, "`y` must hold integers, got dtype float64"),
        (
            lambda: Table([[1.0, 2.0]])([0, 1]),
            ValueError,
            "`y` must have the sites (1,) as its last axes, got shape (2,)",
        ),
        (
            lambda: sc.estimate(sc.Categorical(logits=np.zeros((2, 3))), Table(np.zeros((2, 4))), 10),
            ValueError,
            "`cost` has a table of 4 classes: outcomes must be these, got 0 .. 2",
        ),
        (
            lambda: sc.estimate(sc.Normal([0.0], 1.0), Table(np.zeros((1, 4))), 10),
            ValueError,
            "`cost` has a table of 4 classes: outcomes must be these, got Normal(mean=<1>, scale=<scalar>)",
        ),
        (lambda: Table(np.zeros((2, 3))).flip([0, 1]), ValueError, "`flip` is for bits, got costs.Table(<2 x 3>)"),
        (
            lambda: Table(np.zeros((2, 3))).differences([0, 1], 2),
            ValueError,
            "`n_classes` must be 3, those of the table, got 2",
        ),
    ],
)
def test_bad_tables(call, error, message):
    with refuses(error, message):
        call()


# Flips


def known(sites, seed=0):
    """Every cost that knows how it changes with a bit."""
    rng = np.random.default_rng([sites, seed])
    dense = rng.integers(-9, 9, size=(sites, sites)).astype(float)
    upper = np.triu(dense, 1)
    alone = rng.integers(-9, 9, size=sites).astype(float)
    yield Linear(alone)
    yield Quadratic(dense, alone)
    yield Table(rng.integers(-9, 9, size=(sites, 2)).astype(float))
    yield QUBO(dense, alone)
    yield Ising(upper, alone)
    yield MaxCut(upper)


@pytest.mark.parametrize("sites", SITES)
def test_flips(sites):
    y = np.random.default_rng(sites).integers(0, 2, size=(20, sites), dtype=np.uint8)
    for cost in known(sites):
        flip = cost.flip(y)
        assert flip.shape == y.shape
        own = cost(y)
        for d in range(sites):
            other = y.copy()
            other[:, d] ^= 1
            assert np.array_equal(flip[:, d], cost(other) - own)
        assert np.array_equal(cost.flip(y[3]), flip[3])
        assert np.array_equal(cost.flip(y.astype(bool)), flip)
        assert cost.can_flip
        both = cost.differences(y, 2)
        assert np.array_equal(np.take_along_axis(both, (1 - y[..., None]).astype(int), -1)[..., 0], flip)
        assert not np.take_along_axis(both, y[..., None].astype(int), -1).any()


@pytest.mark.parametrize("sites", [1, 2, 7, 33])
def test_differences_of_classes(sites):
    rng = np.random.default_rng(sites)
    y = rng.integers(0, 4, size=(6, sites))
    dense, alone = (rng.integers(-9, 9, size=s).astype(float) for s in ((sites, sites), sites))
    for cost in (Linear(alone), Quadratic(dense, alone), Table(rng.integers(-9, 9, size=(sites, 4)).astype(float))):
        found = cost.differences(y, 4)
        for d in range(sites):
            for c in range(4):
                other = y.copy()
                other[:, d] = c
                assert np.array_equal(found[:, d, c], cost(other) - cost(y))


def test_flips_of_problems():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=(5, 2, 3, 4))
    Q = rng.integers(-9, 9, size=(2, 3, 4, 4)).astype(float)
    for cost in (
        Quadratic(Q, batch_ndims=2),
        Linear(rng.integers(-9, 9, size=(2, 3, 4)).astype(float), batch_ndims=2),
        Table(rng.integers(-9, 9, size=(2, 3, 4, 2)).astype(float), batch_ndims=2),
        Linear(rng.integers(-9, 9, size=(3, 4)).astype(float)),
        MaxCut([(0, 1), (2, 3)]),
    ):
        flip = cost.flip(y)
        for index in np.ndindex(3, 4):
            other = y.copy()
            other[..., index[0], index[1]] ^= 1
            at = index if cost.event_shape == (3, 4) else index[1:]
            lead = (slice(None),) * (y.ndim - len(cost.event_shape))
            gap = cost(other) - cost(y)
            if cost.event_shape == (4,):
                assert np.array_equal(flip[(slice(None), slice(None), index[0], index[1])], gap[:, :, index[0]])
            else:
                assert np.array_equal(flip[(*lead, *at)], gap)


def test_flips_at_the_mean_are_the_mean_of_flips():
    """What local expectations live on: the kernel takes fractions."""
    y = np.random.default_rng(1).integers(0, 2, size=(64, 30), dtype=np.uint8)
    for cost in known(30):
        slopes = np.where(y, -1, 1) * cost.flip(y)
        at_mean = np.empty((1, 30))
        cost._kernel(flips=True).flips(y.mean(axis=0, keepdims=True), 1, at_mean, 1)
        np.testing.assert_allclose(at_mean[0], slopes.mean(axis=0), rtol=1e-12, atol=1e-12)


def test_flips_want_bits():
    for cost in known(3):
        with refuses(ValueError, "`y` must hold bits, got 2 at index (0, 1)"):
            cost.flip([[0, 2, 1]])
        with refuses(TypeError, "`y` must hold integers, got dtype float64"):
            cost.flip([0.0, 1.0, 1.0])
        with refuses(ValueError, "`y` must have the sites (3,) as its last axes, got shape (2,)"):
            cost.flip([0, 1])


# Real outcomes


def test_real_outcomes():
    rng = np.random.default_rng(2)
    y, Q, b = rng.normal(size=(9, 17)), rng.normal(size=(17, 17)), rng.normal(size=17)
    np.testing.assert_allclose(Linear(b)(y), y @ b, rtol=1e-12, atol=1e-13)
    want = np.einsum("ni,ij,nj->n", y, Q, y) + y @ b
    np.testing.assert_allclose(Quadratic(Q, b)(y), want, rtol=1e-11, atol=1e-12)
    assert np.array_equal(Linear(b)(y.astype(np.float32)), Linear(b)(y.astype(np.float32).astype(float)))
    with refuses(ValueError, "`y` must be finite, got inf at index 1"):
        Linear([1.0, 2.0])([0.5, np.inf])
    model = sc.Normal(np.zeros(17), 1.0)
    inside, outside = (sc.estimate(model, c, 500) for c in (Quadratic(Q, b), lambda y: Quadratic(Q, b)(y)))
    assert inside.cost == outside.cost


def test_grad_y():
    rng = np.random.default_rng(3)
    y, Q, b = rng.normal(size=(4, 2, 5)), rng.normal(size=(2, 5, 5)), rng.normal(size=(2, 5))
    grad = Quadratic(Q, b, batch_ndims=1).grad_y(y)
    want = np.einsum("bij,nbj->nbi", Q + Q.transpose(0, 2, 1), y) + b
    np.testing.assert_allclose(grad, want, rtol=1e-12, atol=1e-13)
    assert np.array_equal(Linear(b, batch_ndims=1).grad_y(y), np.broadcast_to(b, y.shape))
    assert np.array_equal(Linear(b[0]).grad_y(y[0, 0]), b[0])
    assert np.array_equal(Quadratic(Q[0]).grad_y(y[:, 0]), Quadratic(Q[0]).grad_y(y)[:, 0])


# Values


def test_pickles_are_equal_whatever_was_asked():
    model = sc.Bernoulli(logits=np.zeros(5))
    for cost in known(5):
        fresh = pickle.dumps(cost)
        sc.estimate(model, cost, 40)
        cost.flip([0, 1, 0, 1, 1])
        assert pickle.dumps(cost) == fresh
        again = pickle.loads(fresh)
        y = np.random.default_rng(0).integers(0, 2, size=(9, 5))
        assert np.array_equal(again(y), cost(y))
        assert np.array_equal(cost.negated()(y), -cost(y))
        assert np.array_equal(cost.negated().flip(y), -cost.flip(y))
        assert np.array_equal(evaluate(cost, y, ()), cost(y))


def test_repr_of_a_table():
    assert repr(Table(np.zeros((2, 3)))) == "costs.Table(<2 x 3>)"
