"""Estimators: bias, variance and coverage against enumeration and closed forms; the cost protocol; cancellation."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import stochcore as sc
from stochcore.estimators import LeaveOneOut, ScoreFunction

RNG = np.random.default_rng(11)
TABLE = RNG.normal(size=(6, 4))


def product(y):
    """A cost that is not separable; the last axis holds the sites."""
    return np.prod([TABLE[d][y[..., d]] for d in range(y.shape[-1])], axis=0)


FAMILIES = {
    "bits": sc.Bernoulli(logits=[0.5, -1.2, 0.1]),
    "bits by probs": sc.Bernoulli(probs=[0.4, 0.7, 0.25]),
    "classes": sc.Categorical(logits=RNG.normal(size=(2, 3))),
    "classes by probs": sc.Categorical(probs=[[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]),
    "batch": sc.Bernoulli(logits=RNG.normal(size=(2, 3)), batch_ndims=1),
}
QUADRATIC = {2: sc.costs.Quadratic([[0.5, 1.0], [-2.0, 0.3]], [1.0, -1.0])}
QUADRATIC[3] = sc.costs.Quadratic([[0.5, 1.0, 0.2], [-2.0, 0.3, 0.0], [1.0, 0.0, -0.7]], [1.0, -1.0, 0.4])
COSTS = {
    "linear": lambda model: sc.costs.Linear(np.arange(1.0, model.event_shape[0] + 1)),
    "quadratic": lambda model: QUADRATIC[model.event_shape[0]],
    "python": lambda model: product,
}


def options(model):
    """Every estimator, with every kind of baseline."""
    rng = np.random.default_rng(5)
    yield "leave_one_out", LeaveOneOut()
    yield "no baseline", ScoreFunction()
    yield "constant", ScoreFunction(0.7)
    yield "per parameter", ScoreFunction(rng.normal(size=model.parameters.shape))
    if model.batch_ndims:
        yield "per problem", ScoreFunction(rng.normal(size=model.batch_shape))


TRIPLES = [
    pytest.param(model, option, COSTS[cost](model), id=f"{family}-{name}-{cost}")
    for family, model in FAMILIES.items()
    for name, option in options(model)
    for cost in COSTS
]


@pytest.mark.parametrize(("model", "option", "cost"), TRIPLES)
def test_bias_at_a_million_evaluations(model, option, cost):
    truth = sc.exact(model, cost)
    e = sc.estimate(model, cost, 1_000_000, estimator=option, seed=77)
    z = np.concatenate([np.ravel((e.cost - truth.cost) / e.cost_se), np.ravel((e.grad - truth.grad) / e.grad_se)])
    assert np.abs(z).max() < 4
    assert e.n_evals >= 10**6
    assert e.unbiased


@pytest.mark.slow
@pytest.mark.parametrize(("model", "option", "cost"), TRIPLES)
def test_bias_at_the_smallest_sizes(model, option, cost):
    found = sc.check_unbiased(model, cost, option, n_samples=(2, 4, 8), n_replicates=10_000, seed=3)
    assert found.max_abs_z < 4, str(found)
    assert found.passed


def test_bias_at_the_smallest_sizes_quickly():
    """One call with 200,000 problems is 200,000 replicates."""
    logits = np.array([0.5, -1.2, 0.1])
    truth = sc.exact(sc.Bernoulli(logits=logits), product).grad
    model = sc.Bernoulli(logits=np.tile(logits, (200_000, 1)), batch_ndims=1)
    for n in (2, 3, 4, 8):
        for estimator in ("leave_one_out", "score_function"):
            g = sc.estimate(model, product, n, estimator=estimator, seed=n).grad
            z = (g.mean(axis=0) - truth) / (g.std(axis=0) / np.sqrt(len(g)))
            assert np.abs(z).max() < 4


def test_per_sample_baseline():
    model, n = FAMILIES["bits"], 1000
    rng = np.random.default_rng(0)
    b = rng.normal(size=n)
    e = sc.estimate(model, product, n, estimator="score_function", baseline=b, seed=4)
    y = model.sample(n, sc.Stream(4))
    terms = (product(y) - b)[:, None] * model.score(y)
    np.testing.assert_allclose(e.grad, terms.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(e.grad_se, terms.std(axis=0, ddof=1) / np.sqrt(n), rtol=1e-11)
    shard = 64 * 1024  # the baseline begins with the first sample of the estimate
    later = sc.estimate(model, product, n, estimator="score_function", baseline=b, seed=4, first_sample=shard)
    y = model.sample(n, sc.Stream(4).at(3 * shard))
    np.testing.assert_allclose(later.grad, ((product(y) - b)[:, None] * model.score(y)).mean(axis=0), rtol=1e-12)


def naive(model, cost, n, seed, baseline=None):
    """The slow twin: gradient and error bar from stored scores, the jackknife by leaving samples out."""
    y = model.sample(n, sc.Stream(seed))
    j, s = np.asarray(cost(y)), model.score(y)
    event = s.ndim - j.ndim
    j = j.reshape(*j.shape, *(1,) * event)
    if baseline is not None:
        terms = (j - baseline) * s
        return terms.mean(axis=0), terms.std(axis=0, ddof=1) / np.sqrt(n)

    def loo(j, s):
        return ((j - j.mean(axis=0)) * s).sum(axis=0) / (len(j) - 1)

    jack = np.array([loo(np.delete(j, i, 0), np.delete(s, i, 0)) for i in range(n)])
    return loo(j, s), np.sqrt((n - 1) / n * ((jack - jack.mean(axis=0)) ** 2).sum(axis=0))


@pytest.mark.parametrize("n", [3, 4, 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_against_the_naive_twin(family, n):
    model = FAMILIES[family]
    for baseline in (None, 0.3):
        kind = "leave_one_out" if baseline is None else "score_function"
        e = sc.estimate(model, product, n, estimator=kind, baseline=baseline, seed=11)
        grad, se = naive(model, product, n, 11, baseline)
        np.testing.assert_allclose(e.grad, grad, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(e.grad_se, se, rtol=1e-6, atol=1e-7)


# REFERENCES.md, closed forms: variance of one estimate of f(b) = (b - t)^2
CLOSED = [
    (0.45, 0.5, 0.025, 0.0159391, 6.25e-4),
    (0.49, 0.5, 0.005, 0.0156375, 2.5e-5),
    (0.499, 0.5, 5e-4, 0.0156251, 2.5e-7),
    (0.499, 0.9, 1.8e-4, 0.0055891, 1.476e-7),
]


@pytest.mark.parametrize(("t", "p", "gradient", "plain", "paired"), CLOSED)
def test_variance_of_the_toy_problem(t, p, gradient, plain, paired):
    logit = np.log(p / (1 - p))
    assert sc.exact(sc.Bernoulli(logits=[logit]), lambda y: (y[:, 0] - t) ** 2).grad[0] == pytest.approx(gradient)
    replicates = 400_000
    model = sc.Bernoulli(logits=np.full((replicates, 1), logit), batch_ndims=1)
    for n, kind, want in ((1, "score_function", plain), (2, "leave_one_out", paired)):
        g = sc.estimate(model, lambda y: (y[..., 0] - t) ** 2, n, estimator=kind, seed=1).grad.ravel()
        away = (g - g.mean()) ** 2
        error = away.std() / np.sqrt(replicates)
        digits = 0.5e-6 if want > 1e-3 else 0.5e-3 * want  # the table is rounded
        assert abs(away.mean() - want) < 4 * error + digits
        assert abs(g.mean() - gradient) < 4 * g.std() / np.sqrt(replicates)


def test_variance_of_200_sites():
    replicates, sites = 3000, 200
    model = sc.Bernoulli(logits=np.zeros((replicates, sites)), batch_ndims=1)
    cost = sc.costs.Linear(np.full(sites, (1 - 2 * 0.499) / sites))  # mean (b - .499)^2, less a constant
    g = sc.estimate(model, cost, 2, seed=1).grad
    away = (g - 2.5e-6) ** 2
    by_replicate = away.mean(axis=1)
    assert abs(by_replicate.mean() - 1.25e-9) < 4 * by_replicate.std() / np.sqrt(replicates)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["leave_one_out", "score_function"])
@pytest.mark.parametrize("n", [40, 1000, 33 * 1024])
@pytest.mark.parametrize("family", ["bits", "classes"])
def test_coverage(family, n, estimator):
    """Error bars from inside a group (n = 40, 1000) and from 33 groups: 10^4 replicates."""
    model = FAMILIES[family]
    cost = COSTS["quadratic"](model)
    found = sc.check_unbiased(model, cost, estimator, baseline=None, n_samples=n, n_replicates=10_000, seed=12)
    assert 0.94 < found.coverage_cost[0] < 0.96 or n < 100
    assert 0.94 < found.coverage_grad[0] < 0.96 or n < 100
    assert 0.93 < found.coverage_cost[0] < 0.97
    assert 0.93 < found.coverage_grad[0] < 0.97
    assert found.max_abs_z < 4


class SelfIncluding:
    """A planted mutant: the baseline is the mean of all the samples, the sample's own too; biased by 1/n."""

    name = "mutant: self-including baseline"

    def estimate(self, model, cost, n, stream):
        y = model.sample(n, stream)
        j, s = cost(y), model.score(y)
        terms = (j - j.mean())[:, None] * s
        e = sc.estimate(model, cost, n, seed=stream)
        return _with(e, grad=terms.mean(axis=0), grad_se=terms.std(axis=0, ddof=1) / np.sqrt(n))


class WrongErrorBar:
    """A planted mutant: the standard deviation of the terms is taken for that of their mean."""

    name = "mutant: wrong standard error"

    def estimate(self, model, cost, n, stream):
        e = sc.estimate(model, cost, n, seed=stream)
        return _with(e, grad_se=e.grad_se * np.sqrt(n))


class CountedTwice(WrongErrorBar):
    """A planted mutant: each sample counted twice, as if it were two."""

    name = "mutant: dependent terms"

    def estimate(self, model, cost, n, stream):
        e = sc.estimate(model, cost, n, seed=stream)
        return _with(e, grad_se=e.grad_se / np.sqrt(2))


def _with(estimate, **changes):
    for name, value in changes.items():
        object.__setattr__(estimate, name, value)
    return estimate


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
def test_planted_mutants_are_caught():
    model, cost = FAMILIES["bits"], QUADRATIC[3]
    good = sc.check_unbiased(model, cost, n_samples=(2, 4), n_replicates=3000, seed=6)
    assert good.passed
    assert "no bias seen" in str(good)
    bad = sc.check_unbiased(model, cost, SelfIncluding(), n_samples=(2, 4), n_replicates=3000, seed=6)
    assert not bad.passed
    assert "BIASED" in str(bad)
    for mutant, low, high in (
        (None, 0.93, 0.97),
        (WrongErrorBar(), 0.99, 1.0),
        (CountedTwice(), 0.0, 0.9),
    ):
        found = sc.check_unbiased(model, cost, mutant or "leave_one_out", n_samples=300, n_replicates=1000, seed=6)
        assert low <= found.coverage_grad[0] <= high


@pytest.mark.parametrize("n", [20, 2000, 70_000])
def test_a_large_constant_in_the_cost_changes_nothing(n):
    model = FAMILIES["bits"]
    plain = sc.estimate(model, product, n, seed=3)
    lifted = sc.estimate(model, lambda y: product(y) + 1e8, n, seed=3)
    ulp = np.spacing(1e8)
    np.testing.assert_allclose(lifted.grad, plain.grad, rtol=0, atol=2 * ulp)
    np.testing.assert_allclose(lifted.grad_se, plain.grad_se, rtol=1e-6)
    assert lifted.cost - 1e8 == pytest.approx(plain.cost, abs=2 * ulp)
    assert lifted.cost_se == pytest.approx(plain.cost_se, rel=1e-7)
    moved = sc.estimate(model, lambda y: product(y) + 1e8, n, estimator="score_function", baseline=1e8, seed=3)
    still = sc.estimate(model, product, n, estimator="score_function", seed=3)
    np.testing.assert_allclose(moved.grad, still.grad, rtol=0, atol=2 * ulp)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("cost", ["linear", "python"])
def test_threads_change_no_bits(threads, cost):
    model = sc.Bernoulli(logits=np.linspace(-2, 2, 300))
    j = sc.costs.Linear(np.linspace(-1, 1, 300)) if cost == "linear" else lambda y: (y[:, 0] + y[:, 1]) * 1.5
    one = sc.estimate(model, j, 20_011, n_threads=1)
    more = sc.estimate(model, j, 20_011, n_threads=threads)
    for name in ("cost", "cost_se", "grad", "grad_se"):
        assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(more, name)).tobytes()


def test_batch_is_independent_problems():
    """Each problem of a batch is what it would be alone, up to its noise; weights may be its own."""
    logits = np.array([[0.5, -1.0], [2.0, 0.0], [0.0, 0.0]])
    w = np.array([[1.0, 2.0], [3.0, 4.0], [-1.0, 0.5]])
    model = sc.Bernoulli(logits=logits, batch_ndims=1)
    e = sc.estimate(model, sc.costs.Linear(w, batch_ndims=1), 500_000)
    truth = sc.exact(model, sc.costs.Linear(w, batch_ndims=1))
    for i in range(3):
        alone = sc.exact(sc.Bernoulli(logits=logits[i]), sc.costs.Linear(w[i]))
        np.testing.assert_allclose(truth.grad[i], alone.grad, rtol=1e-12)
        assert truth.cost[i] == pytest.approx(alone.cost)
    assert e.cost.shape == (3,)
    assert e.n_evals == 1_500_000
    assert np.abs((e.grad - truth.grad) / e.grad_se).max() < 4.5
    two = sc.Bernoulli(logits=np.zeros((2, 3, 4)), batch_ndims=2)
    assert sc.estimate(two, sc.costs.Linear(np.ones(4)), 50).cost.shape == (2, 3)


def test_samples_of_an_estimate_are_the_models():
    """The fused path sees the samples that `sample` gives, at any offset."""
    seen = []
    model = sc.Bernoulli(logits=np.zeros(5))
    stream = sc.Stream(5, stream=2).at(12)

    def look(y):
        assert not y.flags.writeable
        seen.append(y.copy())
        return y.sum(axis=1)

    sc.estimate(model, look, 9_000, seed=stream)
    np.testing.assert_array_equal(np.concatenate(seen), model.sample(9_000, stream))
    sizes = [len(y) for y in seen]
    assert len(set(sizes[:-1])) <= 1


def test_chunks_are_bounded():
    sizes = []
    model = sc.Bernoulli(logits=np.zeros(1000))
    sc.estimate(model, lambda y: sizes.append(y.size) or y[:, 0] * 1.0, 10_000)
    assert max(sizes) <= (1 << 20) + 8 * 1000
    assert len(sizes) > 5


def test_cost_that_breaks_the_protocol():
    model = FAMILIES["bits"]

    def check(cost, error, message, n=100):
        with pytest.raises(error, match=re.escape(message)):
            sc.estimate(model, cost, n)

    check(lambda y: y, ValueError, "`cost` must return shape (100,) for y of shape (100, 3), got (100, 3)")
    check(lambda y: 1.0, ValueError, "`cost` must return shape (100,) for y of shape (100, 3), got ()")
    check(lambda y: [None] * len(y), TypeError, "`cost` must return real numbers, got dtype object")
    check(lambda y: y[:, 0] * 1j, TypeError, "`cost` must return real numbers, got dtype complex128")
    check(None, TypeError, "`cost` must be one of stochcore.costs or a callable J(y), got None")
    check(3, TypeError, "`cost` must be one of stochcore.costs or a callable J(y), got 3")
    for bad in (np.nan, np.inf, -np.inf):
        for at in (0, 57, 4999):

            def spoiled(y, bad=bad, at=at):
                j = y[:, 0] * 1.0
                j[at] = bad
                return j

            check(spoiled, ValueError, f"`cost` must be finite, got NaN or infinity for sample {at}", 5000)
    with pytest.raises(ZeroDivisionError):
        sc.estimate(model, lambda y: 1 / 0, 100)
    with pytest.raises(ValueError, match="read-only"):
        sc.estimate(model, lambda y: y.fill(1), 100)
    with pytest.raises(ValueError, match=re.escape("`cost` must fit the sites (3,) of the model")):
        sc.estimate(model, sc.costs.Linear([1.0, 2.0]), 100)
    huge = sc.costs.Linear([1e308, 1e308, 1e308])
    with pytest.raises(ValueError, match="`cost` must be finite, got NaN or infinity for sample"):
        sc.estimate(model, huge, 100_000)


def test_bad_arguments():
    model, cost = FAMILIES["bits"], COSTS["linear"](FAMILIES["bits"])

    every = ", ".join(map(repr, sc.estimators.ESTIMATORS))
    assert "'score_function', 'leave_one_out', " in every

    def check(error, message, *args, **kwargs):
        with pytest.raises(error, match=re.escape(message)):
            sc.estimate(*args, **kwargs)

    check(ValueError, "`n_samples` must be at least 1, got 0", model, cost, 0)
    check(ValueError, "`n_samples` must be at least 2 for leave_one_out, got 1", model, cost, 1)
    check(TypeError, "`n_samples` must be an integer, got 10.0", model, cost, 10.0)
    check(ValueError, "`seed` must be in [0, 2^64 - 1], got -1", model, cost, 10, seed=-1)
    check(ValueError, "`seed` must be in [0, 2^64 - 1], got 18446744073709551616", model, cost, 10, seed=2**64)
    check(
        ValueError,
        f"`estimator` must be one of {every}, got 'reinforce'",
        model,
        cost,
        10,
        estimator="reinforce",
    )
    check(
        TypeError,
        f"`estimator` must be one of {every} or an Estimator",
        model,
        cost,
        10,
        estimator=3,
    )
    check(ValueError, "`baseline` goes with estimator 'score_function'", model, cost, 10, baseline=1.0)
    check(
        ValueError,
        "`baseline` must be a number or have one of the shapes () (problem), (3,) (parameter), (10,) (sample), got",
        model,
        cost,
        10,
        estimator="score_function",
        baseline=np.zeros(4),
    )
    check(
        ValueError,
        "`baseline` of shape (3,) may be one for each parameter or one for each sample",
        model,
        cost,
        3,
        estimator="score_function",
        baseline=np.zeros(3),
    )
    check(
        ValueError,
        "`baseline` must be finite, got nan",
        model,
        cost,
        9,
        estimator="score_function",
        baseline=np.nan,
    )
    told = "`model` must be a family such as Bernoulli, or a simulator with its theta, got 'x'"
    check(TypeError, told, "x", cost, 10)
    check(ValueError, "`n_threads` must be in [1, 1024], got 0", model, cost, 10, n_threads=0)
    check(ValueError, "a stream has 2^64 elements", model, cost, 10, seed=sc.Stream(0).at(2**64 - 29))
    sc.estimate(model, cost, 10, seed=sc.Stream(0).at(2**64 - 30))


def test_probs_of_exactly_zero_or_one_are_marked():
    model = sc.Bernoulli(probs=[0.0, 0.5, 1.0])
    e = sc.estimate(model, sc.costs.Linear([1.0, 2.0, 3.0]), 10_000)
    assert not e.unbiased
    assert np.isfinite(e.grad).all()
    assert not sc.exact(model, sc.costs.Linear([1.0, 2.0, 3.0])).unbiased
    assert e.cost == pytest.approx(4.0, abs=0.1)
    y = model.sample(1000, sc.Stream(0))
    assert not y[:, 0].any()
    assert y[:, 2].all()


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["linear", "quadratic", "python"])
def test_ctrl_c_stops_within_100_ms(kind):
    if kind == "quadratic":  # a block of rows that cost a millisecond each
        model = sc.Bernoulli(logits=np.zeros(2000))
        cost = sc.costs.Quadratic(np.ones((2000, 2000)))
    else:
        model = sc.Bernoulli(logits=np.zeros(1000))
        cost = sc.costs.Linear(np.ones(1000)) if kind == "linear" else lambda y: y[:, 0] * 1.0
    sent = []

    def interrupt():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sc.estimate(model, cost, 10**9)
    assert time.monotonic() - sent[0] < 0.1
    timer.join()
    assert np.isfinite(sc.estimate(model, cost, 64).cost)  # and all is well afterwards


def test_another_handlers_exception_comes_through():
    class AlarmError(Exception):
        pass

    def handler(*_):
        raise AlarmError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(AlarmError):
            sc.estimate(sc.Bernoulli(logits=np.zeros(1000)), sc.costs.Linear(np.ones(1000)), 10**9)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_many_threads_of_python_at_once():
    model, cost = sc.Bernoulli(logits=np.linspace(-1, 1, 100)), sc.costs.Linear(np.ones(100))
    want = sc.estimate(model, cost, 20_000).grad.tobytes()
    got = [None] * 6

    def work(i):
        got[i] = sc.estimate(model, cost, 20_000).grad.tobytes()

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert got == [want] * 6


def test_a_child_after_fork_neither_hangs_nor_changes_bits():
    code = """
import os, sys, numpy as np, stochcore as sc
model, cost = sc.Bernoulli(logits=np.linspace(-1, 1, 500)), sc.costs.Linear(np.ones(500))
want = sc.estimate(model, cost, 20_000).grad.tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if sc.estimate(model, cost, 20_000).grad.tobytes() == want else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0


MEMORY = """
import resource, sys, numpy as np, stochcore as sc
model = sc.Bernoulli(logits=np.linspace(-2, 2, 1000))
cost = sc.costs.Linear(np.full(1000, 1e-3)) if sys.argv[1] == "built in" else lambda y: ((y - 0.499) ** 2).mean(axis=1)
sc.estimate(model, cost, 100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sc.estimate(model, cost, 1_000_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["built in", "python"])
def test_extra_memory_of_a_million_samples(kind):
    """Floor 200 MB, goal 50 MB."""
    run = subprocess.run([sys.executable, "-c", MEMORY, kind], capture_output=True, text=True, check=True, timeout=300)
    assert float(run.stdout) < 50
