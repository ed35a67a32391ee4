"""Estimators whose terms are made in Python: bias against enumeration, bits, best samples, messages."""

import re

import numpy as np
import pytest
from terms_cases import FAMILIES, HAVE, QUADRATIC, TRIPLES, cost_of, every, flat, product

import stochcore as sc
from stochcore import estimators as est

CASES = every()
each = pytest.mark.parametrize("case", CASES)


def z_scores(e, truth):
    """z of costs and gradient, 0 where both agree to rounding."""
    gap = np.concatenate([np.ravel(e.cost - truth.cost), flat(e.grad) - flat(truth.grad)])
    se = np.concatenate([np.ravel(e.cost_se), flat(e.grad_se)])
    scale = np.maximum(1.0, np.abs(np.concatenate([np.ravel(truth.cost), flat(truth.grad)])))
    return np.where(np.abs(gap) < 1e-12 * scale, 0.0, gap / np.maximum(se, 1e-300))


@pytest.mark.parametrize(("name", "family", "kind"), TRIPLES)
def test_bias(name, family, kind):
    bias(name, family, kind, 100_000)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family", "kind"), TRIPLES)
def test_bias_at_a_million_evaluations(name, family, kind):
    bias(name, family, kind, 1_000_000)


def bias(name, family, kind, evals):
    model = FAMILIES[family]
    cost = cost_of(kind, model)
    kind = est.ESTIMATORS[name]()
    n = evals // kind.evals_per_sample(model, cost) // 8 * 8 + 8
    e = sc.estimate(model, cost, n, estimator=name, seed=78)
    assert np.abs(z_scores(e, sc.exact(model, cost))).max() < 4
    assert e.n_evals >= evals * 0.99
    assert e.n_evals == n * kind.evals_per_sample(model, cost) * int(np.prod(model.batch_shape))
    assert e.unbiased


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family", "kind"), TRIPLES)
def test_bias_at_the_smallest_sizes(name, family, kind):
    model = FAMILIES[family]
    unit = est.ESTIMATORS[name]().samples_per_unit
    found = sc.check_unbiased(model, cost_of(kind, model), name, n_samples=unit, n_replicates=4000, seed=4)
    assert found.passed, str(found)


@pytest.mark.parametrize(
    ("name", "family"),
    [("arm", "bits"), ("coupled", "classes"), ("local_expectation", "classes"), ("measure_valued", "poisson")],
)
def test_bias_at_the_smallest_sizes_quickly(name, family):
    """One call with many problems is many replicates."""
    model = FAMILIES[family]
    given = next(iter(model._arguments.values()))
    many = type(model)(**{model.given: np.tile(given, (20_000, *(1,) * given.ndim)), "batch_ndims": 1})
    n = est.ESTIMATORS[name]().samples_per_unit
    g = sc.estimate(many, product, n, estimator=name, seed=9).grad
    z = (g.mean(axis=0) - sc.exact(model, product).grad) / (g.std(axis=0) / np.sqrt(len(g)))
    assert np.abs(z).max() < 4


def test_bias_of_sets_at_the_smallest_size():
    for k in (2, 4):
        found = sc.check_unbiased(
            FAMILIES["bits"], product, est.UnorderedSet(k), n_samples=(k,), n_replicates=400, seed=2
        )
        assert found.passed, str(found)


@pytest.mark.parametrize("name", ["arm", "coupled", "unordered_set", "local_expectation"])
def test_coverage(name):
    model = FAMILIES["classes" if name == "coupled" else "bits"]
    found = sc.check_unbiased(model, product, name, n_samples=320, n_replicates=400, seed=12)
    assert 0.92 < found.coverage_grad[0] < 0.98
    assert 0.92 < found.coverage_cost[0] < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("name", HAVE)
def test_coverage_of_many(name):
    model = FAMILIES[HAVE[name][0]]
    for n in (320, 40_000):  # from inside the blocks, and between them
        found = sc.check_unbiased(model, product, name, n_samples=n, n_replicates=10_000 if n < 999 else 500, seed=13)
        assert 0.93 < found.coverage_grad[0] < 0.97, n
        assert 0.93 < found.coverage_cost[0] < 0.97, n


@each
def test_threads_and_cuts_change_no_bits(case):
    estimator, model, cost = CASES[case]
    shard = sc.estimate(model, cost, 48, estimator=estimator)._tree.layout.shard_rows
    n = shard + 48
    whole = sc.estimate(model, cost, n, estimator=estimator, seed=3, n_threads=1)
    first = sc.estimate(model, cost, shard, estimator=estimator, seed=3, n_threads=2)
    rest = sc.estimate(model, cost, 48, estimator=estimator, seed=3, first_sample=shard, n_threads=2)
    both = first.merge(rest)
    for name in ("cost", "cost_se", "best_cost", "grad", "grad_se"):
        mine, its = (flat(getattr(e, name)) for e in (both, whole))
        assert mine.tobytes() == its.tobytes(), name


@each
def test_the_best_sample_has_the_best_cost(case):
    estimator, model, cost = CASES[case]
    e = sc.estimate(model, cost, 96, estimator=estimator, seed=5)
    assert cost(e.best_y[None])[0] == pytest.approx(e.best_cost, abs=1e-12)
    seen = []

    def look(y):
        seen.append(cost(y).min())
        return cost(y)

    if case.startswith("control") or case in ("arm", "coupled", "unordered_set"):
        sc.estimate(model, look, 96, estimator=estimator, seed=5)
        assert min(seen[-1:] if "pilot" in case else seen) == e.best_cost


@each
def test_a_large_constant_in_the_cost_changes_nothing(case):
    estimator, model, cost = CASES[case]
    if case in ("pathwise", "price") or "known" in case:
        pytest.skip("the gradient does not look at J")
    plain = sc.estimate(model, cost, 4002, estimator=estimator, seed=6)
    lifted = sc.estimate(model, lambda y: cost(y) + 1e8, 4002, estimator=estimator, seed=6)
    np.testing.assert_allclose(flat(lifted.grad), flat(plain.grad), rtol=0, atol=8 * np.spacing(1e8))
    np.testing.assert_allclose(flat(lifted.grad_se), flat(plain.grad_se), rtol=1e-5, atol=np.spacing(1e8))
    assert lifted.cost - 1e8 == pytest.approx(plain.cost, abs=4 * np.spacing(1e8))


@each
def test_a_cost_that_is_not_finite_is_named(case):
    estimator, model, cost = CASES[case]
    if "known" in case:
        pytest.skip("a built-in cost")
    for bad in (np.nan, np.inf):

        def spoiled(y, bad=bad):
            j = np.array(cost(y), dtype=float)
            j[-1:] = bad
            return j

        for method in ("grad_y", "hess_y"):
            if hasattr(cost, method):
                setattr(spoiled, method, getattr(cost, method))
        with pytest.raises(ValueError, match=re.escape("`cost` must be finite, got NaN or infinity for sample ")):
            sc.estimate(model, spoiled, 48, estimator=estimator)


def test_a_changed_sample_that_is_not_finite_is_named():
    def few(y):
        return np.where(y[:, 0] == 2, np.nan, 1.0 * y[:, 1])

    model = sc.Categorical(logits=[[0.0, 0.0, -60.0], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"`cost` must be finite, got NaN or infinity for outcome \[2, [012]\]"):
        sc.estimate(model, few, 10, estimator="local_expectation")


def test_samples_are_those_of_the_model():
    for name, family in (("arm", "bits"), ("local_expectation", "classes"), ("measure_valued", "poisson")):
        model, seen = FAMILIES[family], []
        sc.estimate(model, lambda y, seen=seen: seen.append(y.copy()) or product(y), 64, estimator=name, seed=4)
        if name == "arm":
            y = model.sample(32, sc.Stream(4))
            np.testing.assert_array_equal(seen[0][::2], y)
            np.testing.assert_array_equal(seen[0][1::2], model.sample(32, sc.Stream(4).antithetic()))
        else:
            np.testing.assert_array_equal(seen[0], model.sample(64, sc.Stream(4)))


def test_chunks_are_bounded():
    sizes = []
    model = sc.Bernoulli(logits=np.zeros(300))
    sc.estimate(model, lambda y: sizes.append(y.size) or y.sum(axis=1) * 1.0, 64, estimator="local_expectation")
    assert max(sizes) <= 1 << 20
    assert sum(sizes) == 64 * 300 * 301


class ArmWithoutSign(est.Arm):
    """A planted mutant: the noise's distance from a half, without its sign."""

    name = "mutant: sign"

    def terms(self, block):
        costs, terms = super().terms(block)
        u = block.noise_of_samples("uniform").reshape(terms.shape)
        return costs, np.where(u < 0.5, -terms, terms)


class OneSided(est.Coupled):
    """A planted mutant: what only the second of a pair reaches is left out."""

    name = "mutant: one-sided"

    def terms(self, block):
        import stochcore.estimators.classes as room

        kept = room._factor
        room._factor = lambda c, mine, its, take, leave: np.where(mine >= c, kept(c, mine, its, take, leave), 0.0)
        try:
            return super().terms(block)
        finally:
            room._factor = kept


class WithReplacement(est.UnorderedSet):
    """A planted mutant: outcomes weighed as if they were drawn independently."""

    name = "mutant: weights"

    def _ratios(self, logs, rest):
        weight, baseline = super()._ratios(logs, rest)
        return [np.full_like(w, 1 / self.k) for w in weight], baseline


@pytest.mark.parametrize("mutant", [ArmWithoutSign(), OneSided(), WithReplacement(3)], ids=lambda m: m.name)
def test_planted_mutants_are_caught(mutant):
    model = FAMILIES["classes" if isinstance(mutant, est.Coupled) else "bits"]
    n = 32 * mutant.samples_per_unit
    right = type(mutant).__mro__[1]() if n < 96 else est.UnorderedSet(3)
    bad, good = (sc.check_unbiased(model, product, e, n_samples=n, n_replicates=400, seed=6) for e in (mutant, right))
    assert not bad.passed, str(bad)
    assert good.passed, str(good)


def test_messages():
    bits, classes = FAMILIES["bits"], FAMILIES["classes"]
    wide = sc.Poisson(rate=1000.0)

    def check(message, estimator, model=bits, cost=product, n=8, error=ValueError):
        with pytest.raises(error, match=re.escape(message)):
            sc.estimate(model, cost, n, estimator=estimator)

    check("estimator 'arm' is for Bernoulli models; Categorical has here ", "arm", classes)
    check("estimator 'coupled' is for Categorical models; Bernoulli has here ", "coupled")
    check("`n_samples` must be a multiple of 2 for coupled, such as 6 or 8, got 7", "coupled", classes, n=7)
    check("estimator 'local_expectation' is for sites that are independent of each other", "local_expectation",
          FAMILIES["chain"])  # fmt: skip
    check("sums over the outcomes of a site, at most 256, and here one has ", "local_expectation", wide,
          lambda y: y * 1.0)  # fmt: skip
    check("estimator 'measure_valued' is for Bernoulli, Categorical, Poisson and Normal models; Ordinal has here ",
          "measure_valued", FAMILIES["ordinal"])  # fmt: skip
    check("estimator 'unordered_set' is for models without problems of their own", "unordered_set", FAMILIES["batch"])
    check(
        "estimator 'unordered_set' lists all outcomes, at most 4096", "unordered_set", sc.Bernoulli(logits=_zeros(13))
    )
    check("estimator 'unordered_set' draws 4 different outcomes, and here are 2", "unordered_set",
          sc.Bernoulli(logits=[0.0]))  # fmt: skip
    check("`k` must be at most the number of outcomes that can be drawn, 2, got 3", est.UnorderedSet(3),
          sc.Categorical(probs=[[0.5, 0.5, 0.0]]), n=9)  # fmt: skip
    check("estimator 'pathwise' is for Normal models", "pathwise")
    check("estimator 'price' needs a cost that knows its gradient, by a method `grad_y`", "price",
          sc.Normal([0.0, 1.0], 1.0), lambda y: y[:, 0])  # fmt: skip
    check("estimator 'exact' lists all outcomes, at most 2^20", "exact", sc.Bernoulli(logits=_zeros(21)))
    check("`estimator` must be one of ", "armed")
    for bad, error, message in (
        (lambda: est.UnorderedSet(1), ValueError, "`k` must be in [2, 8], got 1"),
        (lambda: est.UnorderedSet(2.0), TypeError, "`k` must be an integer, got 2.0"),
        (lambda: est.LocalExpectation(1), ValueError, "`max_outcomes` must be at least 2, got 1"),
        (lambda: est.FiniteDifference(0.0), ValueError, "`h` must be a positive finite number, got 0.0"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            bad()


def _zeros(n):
    return np.zeros(n)


def test_messages_of_slopes():
    normal = sc.Normal([0.0, 1.0], 1.0)
    for slope, error, message in (
        (lambda y: y[:, :1], ValueError, "`grad_y` of the cost must return shape (8, 2), got (8, 1)"),
        (lambda y: y * np.nan, ValueError, "`grad_y` of the cost must be finite, got NaN or infinity for sample 0"),
        (lambda y: y * 1j, TypeError, "`grad_y` of the cost must return real numbers, got dtype complex128"),
    ):
        cost = sc.costs.with_gradient(lambda y: y[:, 0], slope)
        with pytest.raises(error, match=re.escape(message)):
            sc.estimate(normal, cost, 8, estimator="pathwise")
    for args, name in (((1, abs), "cost"), ((abs, 1), "grad_y"), ((abs, abs, 1), "hess_y")):
        with pytest.raises(TypeError, match=f"`{name}` must be callable, got 1"):
            sc.costs.with_gradient(*args)


class Flips:
    """A cost that knows its flips, rightly or not."""

    def __init__(self, flip):
        self.flip = flip

    def __call__(self, y):
        return product(y)


def test_flips_of_a_cost_of_ones_own():
    def flip(y):
        out = np.empty(y.shape)
        for d in range(y.shape[-1]):
            other = y.copy()
            other[..., d] ^= 1
            out[..., d] = product(other) - product(y)
        return out

    for family in ("bits", "bits by probs", "batch"):
        model = FAMILIES[family]
        known = sc.estimate(model, Flips(flip), 500, estimator="local_expectation", seed=2)
        plain = sc.estimate(model, product, 500, estimator="local_expectation", seed=2)
        np.testing.assert_allclose(known.grad, plain.grad, rtol=1e-13, atol=1e-15)
        assert known.n_evals * 4 == plain.n_evals
    for wrong, error, message in (
        (lambda y: y[:, :1] * 1.0, ValueError, "`flip` of the cost must return shape (8, 3), got (8, 1)"),
        (lambda y: y * np.inf, ValueError, "`flip` of the cost must be finite, got "),
        (lambda y: y * 1j, TypeError, "`flip` of the cost must return real numbers, got dtype complex128"),
    ):
        with np.errstate(invalid="ignore"), pytest.raises(error, match=re.escape(message)):
            sc.estimate(FAMILIES["bits"], Flips(wrong), 8, estimator="local_expectation")


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        (FAMILIES["bits"], QUADRATIC[3]),
        (FAMILIES["batch"], sc.costs.Linear([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]], batch_ndims=1)),
        (FAMILIES["classes"], QUADRATIC[2]),
        (FAMILIES["classes by probs"], sc.costs.Table([[0.0, 1.0, 4.0], [0.0, -1.0, 0.5]])),
        (FAMILIES["binomial"], QUADRATIC[2]),
        (sc.Bernoulli(logits=[0.2, 0.4, -0.3]), sc.costs.MaxCut([(0, 1), (1, 2)])),
    ],
)
@pytest.mark.parametrize("n", [3000, 40_000])
def test_known_differences_are_those_of_changed_samples(model, cost, n):
    """With bits the first runs in the kernels, the second is its plain twin; error bars from inside and between."""
    known = sc.estimate(model, cost, n, estimator="local_expectation", seed=8)
    plain = sc.estimate(model, lambda y: cost.values(y, model.batch_shape), n, estimator="local_expectation", seed=8)
    for name in ("cost", "cost_se", "grad", "best_cost"):
        mine, its = (flat(getattr(e, name)) for e in (known, plain))
        np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(flat(known.grad_se), flat(plain.grad_se), rtol=1e-6, atol=1e-14)
    assert known.n_evals < plain.n_evals
