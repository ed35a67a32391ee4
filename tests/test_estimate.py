"""The reduction tree, merging, and the intervals."""

import itertools
import math
import pickle

import numpy as np
import pytest
import scipy.stats

import stochcore as sc
from stochcore.distributions.parameters import Structure
from stochcore.estimate import Layout, Tree, block_rows, student_quantile

MODEL = sc.Bernoulli(logits=[0.3, -1.0, 2.0, 0.0])
COST = sc.costs.Linear([1.0, -2.0, 0.5, 3.0])
SHARD = 1024 * 64


def same(a, b):
    fields = ("cost", "cost_se", "grad", "grad_se", "best_cost", "best_y", "n_samples", "first_sample")
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in fields)


@pytest.mark.parametrize("n", [1, 3, 17, 64, 100, 1000, 4096, 10**5, 10**7])
def test_block_depends_on_the_model_alone(n):
    rows = block_rows(n)
    assert 32 <= rows <= 1024
    assert rows & (rows - 1) == 0
    assert rows in (32, 1024) or (1 << 16) < rows * n <= (1 << 17)


@pytest.mark.parametrize("n", [1, 5, 31, 32, 33, 39, 40, 63, 64, 71, 72, 1000])
def test_short_remainder_joins_the_last_block(n):
    layout = Layout((), Structure((4096,)), 32)
    blocks = layout.blocks(n)
    last = n - 32 * (blocks - 1)
    assert 0 < last < 32 + 8
    assert last >= 8 or blocks == 1


def _tree(runs, nodes):
    """Push the shards cut into runs, each run merged on its own first."""
    layout = Layout((), Structure((3,)), 32)
    whole = Tree(layout)
    for start, stop in runs:
        part = Tree(layout)
        for i in range(start, stop):
            part.push(i, 1, nodes[i])
        for item in part.nodes:
            whole.push(*item)
    return whole


def test_tree_is_a_function_of_the_range():
    rng = np.random.default_rng(0)
    layout = Layout((), Structure((3,)), 32)
    for n in (1, 2, 3, 7, 8, 11):
        nodes = rng.uniform(1, 2, size=(n, layout.node_size))
        nodes[:, 0] = 2048
        want = _tree([(0, n)], nodes).total()
        for cuts in itertools.chain.from_iterable(itertools.combinations(range(1, n), k) for k in range(min(n, 4))):
            borders = (0, *cuts, n)
            got = _tree(list(itertools.pairwise(borders)), nodes)
            assert got.total().tobytes() == want.tobytes(), borders
            sizes = [size for _, size, _ in got.nodes]
            assert sum(sizes) == n
            assert len(sizes) <= n.bit_length()


def test_tree_that_starts_in_the_middle():
    rng = np.random.default_rng(1)
    nodes = rng.uniform(1, 2, size=(16, Layout((), Structure((3,)), 32).node_size))
    want = _tree([(0, 16)], nodes)
    left, right = _tree([(0, 5)], nodes), _tree([(5, 16)], nodes)
    for item in right.nodes:
        left.push(*item)
    assert left.total().tobytes() == want.total().tobytes()


def test_moments_of_the_tree():
    """The centred merges give the mean and variance of all the samples, and the spread of the groups."""
    y = MODEL.sample(3 * SHARD + 5000, sc.Stream(4))
    j = COST(y)
    e = sc.estimate(MODEL, COST, len(y), seed=4)
    assert e.cost == pytest.approx(j.mean(), rel=1e-13)
    assert e.cost_se == pytest.approx(j.std(ddof=1) / math.sqrt(len(j)), rel=1e-12)
    rows = block_rows(4)
    cuts = list(range(0, len(y) // rows * rows, rows))
    blocks = [slice(a, b) for a, b in itertools.pairwise([*cuts, len(y)])] if len(y) % rows < 8 else None
    blocks = blocks or [slice(a, a + rows) for a in cuts] + [slice(cuts[-1] + rows, len(y))]
    g = np.array([np.cov(j[b], y[b, d])[0, 1] for b in blocks for d in range(4)]).reshape(-1, 4)
    n = np.array([b.stop - b.start for b in blocks])
    mean = (n[:, None] * g).sum(axis=0) / n.sum()
    between = (n[:, None] * (g - mean) ** 2).sum(axis=0)
    np.testing.assert_allclose(e.grad, mean, rtol=1e-10)
    np.testing.assert_allclose(e.grad_se, np.sqrt(between / ((len(n) - 1) * n.sum())), rtol=1e-8)


@pytest.mark.parametrize("estimator", ["leave_one_out", "score_function"])
@pytest.mark.parametrize("cost", [COST, lambda y: y[:, 0] * 1.5 - y[:, 3]], ids=["built in", "python"])
def test_merging_neighbours_gives_the_bits_of_the_whole(estimator, cost):
    n = 5 * SHARD + 777
    whole = sc.estimate(MODEL, cost, n, estimator=estimator)

    def part(a, b):
        return sc.estimate(MODEL, cost, b - a, estimator=estimator, first_sample=a)

    cuts = [part(0, SHARD), part(SHARD, 2 * SHARD), part(2 * SHARD, 4 * SHARD), part(4 * SHARD, n)]
    left_to_right = cuts[0].merge(cuts[1]).merge(cuts[2]).merge(cuts[3])
    right_to_left = cuts[0].merge(cuts[1].merge(cuts[2].merge(cuts[3])))
    assert same(left_to_right, whole)
    assert same(right_to_left, whole)
    assert left_to_right.seconds > 0


def test_merge_of_few_groups_keeps_the_inner_error_bar():
    wide = sc.Bernoulli(logits=np.linspace(-1, 1, 9000))  # blocks of 32
    cost = sc.costs.Linear(np.linspace(0, 1, 9000))
    shard = 32 * 64
    whole = sc.estimate(wide, cost, shard + 100)
    parts = sc.estimate(wide, cost, shard).merge(sc.estimate(wide, cost, 100, first_sample=shard))
    assert same(whole, parts)


def test_merge_refuses():
    a = sc.estimate(MODEL, COST, SHARD)
    b = sc.estimate(MODEL, COST, SHARD, first_sample=SHARD)
    with pytest.raises(
        ValueError, match=r"`other` must begin at the sample where this estimate ends, got 0 after 65536"
    ):
        a.merge(a)
    with pytest.raises(ValueError, match=r"must begin at the sample where this estimate ends, got 0 after 131072"):
        b.merge(a)
    with pytest.raises(
        ValueError, match=r"only whole shards merge: this estimate must end at a multiple of 65536, got 100"
    ):
        sc.estimate(MODEL, COST, 100).merge(pickle.loads(pickle.dumps(_moved(b, 100))))
    others = {
        "stream": sc.estimate(MODEL, COST, SHARD, first_sample=SHARD, seed=1),
        "estimator": sc.estimate(MODEL, COST, SHARD, first_sample=SHARD, estimator="score_function"),
        "cost": sc.estimate(MODEL, sc.costs.Linear(np.ones(4)), SHARD, first_sample=SHARD),
        "model": sc.estimate(sc.Bernoulli(logits=np.zeros(4)), COST, SHARD, first_sample=SHARD),
    }
    for name, other in others.items():
        with pytest.raises(ValueError, match=f"`other` must have the same {name}, got"):
            a.merge(other)
    with pytest.raises(TypeError, match="`other` must be an Estimate, got int"):
        a.merge(3)
    with pytest.raises(ValueError, match="`merge` needs sampled estimates"):
        a.merge(sc.exact(MODEL, COST))
    with pytest.raises(ValueError, match=r"`first_sample` must be a multiple of 65536, got 5"):
        sc.estimate(MODEL, COST, 100, first_sample=5)


def _moved(estimate, first):
    """An estimate that claims to begin elsewhere."""
    object.__setattr__(estimate, "first_sample", first)
    return estimate


def test_best_sample_is_drawn_again_from_its_address():
    e = sc.estimate(MODEL, COST, 20_000, seed=8)
    j = COST(MODEL.sample(20_000, sc.Stream(8)))
    assert e.best_cost == j.min()
    assert COST(e.best_y) == j.min()
    batch = sc.Bernoulli(logits=np.zeros((3, 5)), batch_ndims=1)
    e = sc.estimate(batch, sc.costs.Linear(np.arange(5.0) - 2.5), 300, seed=8)
    np.testing.assert_array_equal(sc.costs.Linear(np.arange(5.0) - 2.5)(e.best_y), e.best_cost)
    with pytest.raises(AttributeError, match="was not sampled"):
        _ = sc.exact(MODEL, COST).best_y


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 9, 10, 30, 31, 60, 100, 299, 300, 301, 1000, 10**6, math.inf])
@pytest.mark.parametrize("p", [0.55, 0.75, 0.9, 0.975, 0.995, 0.9995])
def test_student_quantile(p, dof):
    assert student_quantile(p, dof) == pytest.approx(scipy.stats.t.ppf(p, min(dof, 1e15)), rel=1e-7)


def test_intervals():
    e = sc.estimate(MODEL, COST, 50)
    low, high = e.ci(0.9)
    t = scipy.stats.t.ppf(0.95, 49)
    np.testing.assert_allclose((high - low) / 2, t * e.grad_se, rtol=1e-7)
    low, high = e.ci(of="cost")
    assert low < e.cost < high
    with pytest.raises(ValueError, match=r"`level` must lie in \(0, 1\), got 1"):
        e.ci(1)
    with pytest.raises(ValueError, match="`of` must be one of 'grad', 'cost', got 'J'"):
        e.ci(of="J")


def test_no_error_bar_is_silently_nan_or_zero():
    one = sc.estimate(MODEL, COST, 1, estimator="score_function")
    assert math.isinf(one.cost_se)
    assert np.isinf(one.grad_se).all()
    two = sc.estimate(MODEL, COST, 2, seed=2)
    assert math.isfinite(two.cost_se)
    assert np.isinf(two.grad_se).all()
    for n in (3, 1024 + 8, 1024 + 2, 1024 + 1):
        e = sc.estimate(MODEL, COST, n, seed=2)
        assert np.isfinite(e.grad_se).all()
        assert not np.isnan(e.ci()).any()
    assert not np.isnan(one.ci()).any()
    assert not np.isnan(one.ci(of="cost")).any()


def test_a_cost_that_does_not_vary_is_said():
    with pytest.warns(RuntimeWarning, match="all 50 sampled costs are equal: the standard errors are zero"):
        e = sc.estimate(MODEL, lambda y: np.ones(len(y)), 50)
    assert e.cost == 1
    assert not e.grad.any()


def test_estimate_pickles_and_shows_itself():
    e = sc.estimate(MODEL, COST, 1000)
    assert same(pickle.loads(pickle.dumps(e)), e)
    text = repr(e)
    assert text.startswith("Estimate(cost ")
    assert "1000 samples" in text
    assert "biased" not in text
    assert "biased" in repr(sc.estimate(sc.Bernoulli(probs=[0.0, 0.5]), sc.costs.Linear([1.0, 1.0]), 100))
