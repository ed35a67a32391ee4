"""Estimators whose weights the kernels make: groups, optimal baselines, antithetic pairs, DisARM; fused local sums."""

import re

import numpy as np
import pytest

import stochcore as sc
from stochcore.estimate import block_rows
from stochcore.estimators import Antithetic, Disarm, LeaveOneOut, LocalExpectation, OptimalBaseline

RNG = np.random.default_rng(5)
W = np.array([0.6, -0.4, 0.9, 0.2, -1.1])
LOGITS = np.array([0.3, -1.0, 1.5, 0.0, 0.4])
X = np.array([[0.5, -1.0], [1.0, 0.3]])
MODELS = {
    "logits": sc.Bernoulli(logits=LOGITS),
    "probs": sc.Bernoulli(probs=[0.3, 0.6, 0.85, 0.5, 0.1]),
    "linear": sc.Bernoulli(logits=sc.Linear(RNG.normal(size=(2, 5)), np.zeros(5))(X[0])),
    "problems": sc.Bernoulli(logits=np.stack([LOGITS, -LOGITS]), batch_ndims=1),
    "linear problems": sc.Bernoulli(logits=sc.Linear(RNG.normal(size=(2, 5)))(X), batch_ndims=1),
    "long": sc.Bernoulli(logits=np.linspace(-2, 2, 300)),
    "classes": sc.Categorical(logits=RNG.normal(size=(5, 3))),
    "simplex": sc.Categorical(probs=[[0.2, 0.3, 0.5]] * 5),
    "counts": sc.Poisson(log_rate=LOGITS / 2),
}
ESTIMATORS = [LeaveOneOut(k=2), LeaveOneOut(k=5), OptimalBaseline(), Antithetic(), Disarm()]


def square(y):
    w = np.resize(W, y.shape[-1])
    return ((y * w).sum(axis=-1) - 1.0) ** 2


def able(model, estimators=ESTIMATORS):
    return [e for e in estimators if e.lacks(model, square) is None]


PAIRS = [pytest.param(name, e, id=f"{name}-{e!r}") for name, model in MODELS.items() for e in able(model)]


def flat(tree):
    return np.concatenate([flat(t) for t in tree.values()]) if isinstance(tree, dict) else np.ravel(tree)


def per_sample_scores(model, y):
    """[samples][problems][parameters]: each problem's part of the score."""
    n, problems = len(y), int(np.prod(model.batch_shape, dtype=int))
    out = np.zeros((n, problems, flat(model.parameters).size))
    for i in range(n):
        for p in range(problems):
            weight = np.zeros((1, problems))
            weight[0, p] = 1.0
            out[i, p] = flat(model.weighted_score(y[i : i + 1], weight.reshape(1, *model.batch_shape)))
    return out


def plain(model, estimator, n, seed):
    """The gradient of one block, as the formulas say it."""
    stream = sc.Stream(seed)
    if isinstance(estimator, (Antithetic, Disarm)):
        y = np.concatenate([model.sample(n // 2, stream), model.sample(n // 2, stream.antithetic())])
    else:
        y = model.sample(n, stream)
    j, s = square(y).reshape(n, -1), per_sample_scores(model, y)
    half = n // 2
    if isinstance(estimator, LeaveOneOut):
        groups = j.reshape(-1, estimator.k, j.shape[1])
        others = (groups.sum(axis=1, keepdims=True) - groups) / (estimator.k - 1)
        w = (groups - others).reshape(j.shape)
        return np.einsum("np,npk->k", w, s) / n
    if isinstance(estimator, Antithetic):
        pair = np.concatenate([j[:half] + j[half:]] * 2)
        return np.einsum("np,npk->k", j - (j.sum(axis=0) - pair) / (n - 2), s) / n
    if isinstance(estimator, Disarm):
        factor = 1 / (1 + np.exp(-abs(np.asarray(model.logits))))
        back = {"weight": None}
        difference = (
            (y[:half].astype(float) - y[half:])
            * factor
            * ((j[:half] - j[half:]) / 2).reshape(half, *model.batch_shape, *(1,) * len(model.event_shape))
        )
        total = difference.sum(axis=0)
        if isinstance(model.parameters, dict):
            argument = next(iter(model._arguments.values()))
            x = argument.x.reshape(-1, 2)
            back = {"weight": x.T @ total.reshape(len(x), -1), "bias": total.reshape(len(x), -1).sum(axis=0)}
            return flat({name: back[name] for name in model.parameters}) / half
        slope = 1.0 if model.given == "logits" else model.probs * (1 - model.probs)
        return np.ravel(total / slope) / half
    t, score = np.einsum("np,npk->nk", j, s), s.sum(axis=1)
    total = 0.0
    for own in (0, 1):
        other = slice(1 - own, None, 2)
        squares = (score[other] ** 2).sum(axis=0)
        b = np.divide((t[other] * score[other]).sum(axis=0), squares, out=np.zeros_like(squares), where=squares > 0)
        total = total + (t[own::2] - b * score[own::2]).sum(axis=0)
    return total / n


@pytest.mark.parametrize(("name", "estimator"), PAIRS)
def test_one_block_is_what_the_formula_says(name, estimator):
    model = MODELS[name]
    for n in (10, 20, 30):
        e = sc.estimate(model, square, n, estimator=estimator, seed=n)
        expected = plain(model, estimator, n, n)
        np.testing.assert_allclose(flat(e.grad), expected, rtol=1e-9, atol=1e-11 * max(1, abs(expected).max()))


@pytest.mark.parametrize(
    ("name", "estimator"),
    [pytest.param(*p.values, id=p.id, marks=[pytest.mark.slow] * (p.values[0] == "long")) for p in PAIRS],
)
def test_the_error_bar_inside_a_block_is_near_that_between_blocks(name, estimator):
    model = MODELS[name]
    block = block_rows(model.n_elements, estimator.samples_per_unit)
    few = [sc.estimate(model, square, 4 * block, estimator=estimator, seed=s).grad_se for s in range(10)]
    inside = np.sqrt(np.mean([flat(se) ** 2 for se in few], axis=0))
    between = flat(sc.estimate(model, square, 400 * block, estimator=estimator).grad_se) * 10
    np.testing.assert_allclose(inside, between, rtol=0.3)


@pytest.mark.parametrize(("name", "estimator"), [p for p in PAIRS if p.values[0] not in ("long", "counts")])
def test_no_bias_at_the_smallest_size(name, estimator):
    n = {"groups": 2}.get(estimator.name, max(estimator.least, estimator.samples_per_unit))
    found = sc.check_unbiased(MODELS[name], square, estimator, n_samples=n, n_replicates=400)
    assert found.passed, found


@pytest.mark.parametrize(("name", "estimator"), [p for p in PAIRS if p.values[0] not in ("long", "counts")])
def test_the_error_bars_cover(name, estimator):
    found = sc.check_unbiased(MODELS[name], square, estimator, n_samples=2000, n_replicates=100, seed=3)
    assert found.passed, found
    assert 0.9 < found.coverage_grad[0] <= 0.99
    assert 0.88 < found.coverage_cost[0] <= 1.0


@pytest.mark.parametrize("estimator", [*ESTIMATORS, LocalExpectation()], ids=repr)
@pytest.mark.parametrize("name", ["logits", "long", "problems"])
def test_same_bits_for_any_threads_and_cut(name, estimator):
    model = MODELS[name]
    cost = sc.costs.Linear(np.resize(W, model.event_shape))
    block = block_rows(estimator.numbers_per_sample(model), estimator.samples_per_unit)
    shard, n = 64 * block, 130 * block + 4 * estimator.samples_per_unit
    whole = sc.estimate(model, cost, n, estimator=estimator, n_threads=1)
    for threads in (2, 3):
        other = sc.estimate(model, cost, n, estimator=estimator, n_threads=threads)
        assert other.grad.tobytes() == whole.grad.tobytes()
        assert other.grad_se.tobytes() == whole.grad_se.tobytes()
    parts = sc.estimate(model, cost, shard, estimator=estimator)
    parts = parts.merge(sc.estimate(model, cost, n - shard, estimator=estimator, first_sample=shard))
    assert parts.grad.tobytes() == whole.grad.tobytes()
    assert parts.n_evals == whole.n_evals
    np.testing.assert_array_equal(parts.cost_se, whole.cost_se)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, LocalExpectation()], ids=repr)
@pytest.mark.parametrize("name", ["logits", "probs", "linear", "long", "problems"])
def test_python_costs_give_what_built_in_ones_give(name, estimator):
    model = MODELS[name]
    d = model.event_shape[0]
    q = sc.costs.Quadratic(np.outer(np.resize(W, d), np.resize(W, d)), -2.0 * np.resize(W, d))
    n = 20 if name == "long" else 1000
    inside = sc.estimate(model, q, n, estimator=estimator)
    outside = sc.estimate(model, lambda y: square(y) - 1.0, n, estimator=estimator)
    for a, b in ((inside.grad, outside.grad), (inside.grad_se, outside.grad_se)):
        np.testing.assert_allclose(flat(a), flat(b), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(inside.cost, outside.cost, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(inside.best_cost, outside.best_cost, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_a_constant_more_changes_nothing(estimator):
    model = MODELS["logits"]
    e = sc.estimate(model, square, 1000, estimator=estimator)
    more = sc.estimate(model, lambda y: square(y) + 1e8, 1000, estimator=estimator)
    np.testing.assert_allclose(more.grad, e.grad, atol=1e-7)
    np.testing.assert_allclose(more.grad_se, e.grad_se, atol=1e-6)


@pytest.mark.parametrize("estimator", [Antithetic(), Disarm()], ids=repr)
@pytest.mark.parametrize("given", [sc.costs.Linear(W), lambda y: y @ W], ids=["built in", "python"])
def test_the_best_sample_of_pairs_is_found_again(estimator, given):
    model = MODELS["logits"]
    for seed in range(6):
        e = sc.estimate(model, given, 8, estimator=estimator, seed=seed)
        s = sc.Stream(seed)
        y = np.concatenate([model.sample(4, s), model.sample(4, s.antithetic())])
        assert e.best_cost == pytest.approx((y @ W).min())
        assert e.best_y @ W == pytest.approx(e.best_cost)


def test_costs_of_pairs_have_the_error_bar_of_pairs():
    model = sc.Bernoulli(logits=np.zeros(5))  # y and its opposite sum to one at each site: no error at all
    e = sc.estimate(model, sc.costs.Linear(W), 2000, estimator="antithetic")
    assert e.cost == pytest.approx(W.sum() / 2)
    assert e.cost_se < 1e-12
    odd = sc.check_unbiased(MODELS["logits"], square, "antithetic", n_samples=400, n_replicates=400)
    assert 0.92 < odd.coverage_cost[0] < 0.975


@pytest.mark.parametrize(
    ("t", "p", "gradient", "variance"),
    [(0.45, 0.5, 0.025, 0.0), (0.49, 0.5, 0.005, 0.0), (0.499, 0.5, 5e-4, 0.0), (0.499, 0.9, 1.8e-4, 1.296e-7)],
)
def test_disarm_on_the_toy(t, p, gradient, variance):
    """The rows of REFERENCES.md: variance of one pair."""
    model, n = sc.Bernoulli(logits=[np.log(p / (1 - p))]), 400_000
    e = sc.estimate(model, sc.costs.Table([[t * t, (1 - t) ** 2]]), n, estimator="disarm")
    assert abs(e.grad[0] - gradient) <= 4 * e.grad_se[0] + 1e-15
    assert e.grad_se[0] ** 2 * (n / 2) == pytest.approx(variance, rel=0.1, abs=1e-20)


def test_variance_of_two_hundred_sites():
    """f = mean (b - 0.499)^2, theta = 0, per site: leave-one-out of two 1.25e-9, DisARM 1.24375e-9."""
    model, n = sc.Bernoulli(logits=np.zeros(200)), 400_000
    cost = sc.costs.Linear(np.full(200, (1 - 2 * 0.499) / 200))
    for estimator, variance in ((LeaveOneOut(k=2), 1.25e-9), (Disarm(), 1.24375e-9)):
        e = sc.estimate(model, cost, n, estimator=estimator)
        assert (e.grad_se**2).mean() * (n / 2) == pytest.approx(variance, rel=0.02)
        assert np.abs((e.grad - 2.5e-6) / e.grad_se).max() < 4.5


def test_a_half_without_information_takes_the_mean_of_the_other():
    """Transitions that are not met have no score: a block's own mean must not be left in the weights."""
    chain = sc.MarkovChain(initial=[0.2, -0.2], transitions=[[0.5, -0.5], [-0.3, 0.3]], n_steps=3)
    found = sc.check_unbiased(
        chain, lambda y: (y.sum(axis=1) - 1.0) ** 2, "optimal_baseline", n_samples=(2,), n_replicates=6000
    )
    assert found.passed, found


def test_an_optimal_baseline_is_no_worse_than_any_constant():
    model = sc.Bernoulli(probs=[0.05, 0.5, 0.9])
    variance = {}
    for estimator in ("optimal_baseline", "leave_one_out", "score_function"):
        e = sc.estimate(model, lambda y: 3.0 + 5.0 * y[:, 0] + y[:, 2], 200_000, estimator=estimator)
        variance[estimator] = e.grad_se**2
    assert np.all(variance["optimal_baseline"] < 1.05 * variance["leave_one_out"])
    assert np.all(variance["optimal_baseline"] < 1.05 * variance["score_function"])


@pytest.mark.parametrize("name", ["logits", "probs", "linear", "problems", "linear problems", "long"])
def test_fused_local_sums_are_the_plain_ones(name, monkeypatch):
    model = MODELS[name]
    d = model.event_shape[0]
    w = np.resize(W, d)
    costs = [
        sc.costs.Linear(w),
        sc.costs.Quadratic(np.outer(w, w) + np.eye(d), w),
        sc.costs.Table(np.stack([w, w**2], 1)),
    ]
    if name != "long":
        costs.append(sc.costs.MaxCut([(0, 1, 2.0), (1, 2, -0.5), (3, 4, 1.0), (0, 4, 1.0)]))
    n = 40 if name == "long" else 2500
    fused = [sc.estimate(model, cost, n, estimator="local_expectation") for cost in costs]
    monkeypatch.setattr(LocalExpectation, "weighing", lambda *_: None)
    for cost, e in zip(costs, fused, strict=True):
        other = sc.estimate(model, cost, n, estimator="local_expectation")
        for a, b in ((e.grad, other.grad), (e.grad_se, other.grad_se)):
            np.testing.assert_allclose(flat(a), flat(b), rtol=1e-8, atol=1e-9)
        assert e.n_evals == other.n_evals


def test_local_sums_of_linear_costs_have_no_error():
    e = sc.estimate(MODELS["logits"], sc.costs.Linear(W), 10, estimator="local_expectation")
    np.testing.assert_allclose(e.grad, sc.exact(MODELS["logits"], sc.costs.Linear(W)).grad, rtol=1e-12)
    assert np.all(e.grad_se < 1e-12)


@pytest.mark.parametrize(
    ("estimator", "n", "message"),
    [
        (LeaveOneOut(k=4), 10, "`n_samples` must be a multiple of 4 for leave_one_out, such as 8 or 12, got 10"),
        ("disarm", 5, "`n_samples` must be a multiple of 2 for disarm, such as 4 or 6, got 5"),
        ("antithetic", 2, "`n_samples` must be at least 4 for antithetic, got 2"),
        ("optimal_baseline", 1, "`n_samples` must be at least 2 for optimal_baseline, got 1"),
    ],
)
def test_numbers_of_samples(estimator, n, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sc.estimate(MODELS["logits"], square, n, estimator=estimator)


def test_options_and_families_are_checked():
    with pytest.raises(ValueError, match=re.escape("`k` must be in [2, 1048576], got 1")):
        LeaveOneOut(k=1)
    with pytest.raises(
        ValueError, match=re.escape("estimator 'disarm' is for Bernoulli models; Categorical has here '")
    ):
        sc.estimate(MODELS["classes"], square, 10, estimator="disarm")
    bad = MODELS["logits"].sample(2, sc.Stream(0).antithetic())[1]  # the opposite of sample 2

    def cost(y):
        return np.where((y == bad).all(axis=1), np.nan, 1.0)

    with pytest.raises(ValueError, match=re.escape("for sample 3")):
        sc.estimate(MODELS["logits"], cost, 4, estimator="antithetic")
