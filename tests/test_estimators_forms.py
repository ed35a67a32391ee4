"""Estimators made in Python: closed forms, relations between them, extremes; Normal models; control variates; exact."""

import re

import numpy as np
import pytest
from terms_cases import FAMILIES, QUADRATIC, SMOOTH, SMOOTHER, flat, product, smooth, smooth_truth
from test_estimators import CLOSED
from test_estimators_terms import z_scores

import stochcore as sc
from stochcore import estimators as est


def variance_of(e):
    """Summed variance of the gradient's entries, for one evaluation."""
    return float(np.sum(flat(e.grad_se) ** 2)) * e.n_evals


def near(values, want, digits):
    """The variance of the values is `want`, to four standard errors and the table's digits."""
    away = (values - values.mean()) ** 2
    assert abs(away.mean() - want) < 4 * away.std() / np.sqrt(len(away)) + digits * want


ARM = [2.08333e-4, 8.33333e-6, 8.33333e-8, 1.30267e-7]  # REFERENCES.md, in the order of CLOSED
DISARM = [0.0, 0.0, 0.0, 1.296e-7]


@pytest.mark.parametrize(("row", "arm", "disarm"), [*zip(CLOSED, ARM, DISARM, strict=True)])
def test_variance_of_the_toy_problem(row, arm, disarm):
    t, p, gradient, *_ = row
    logit, replicates = np.log(p / (1 - p)), 100_000
    bits = sc.Bernoulli(logits=np.full((replicates, 1), logit), batch_ndims=1)
    g = sc.estimate(bits, lambda y: (y[..., 0] - t) ** 2, 2, estimator="arm", seed=1).grad.ravel()
    assert abs(g.mean() - gradient) < 4 * g.std() / np.sqrt(replicates)
    near(g, arm, 1e-5)
    classes = sc.Categorical(logits=np.tile([[0.0, logit]], (replicates, 1, 1)), batch_ndims=1)
    g = sc.estimate(classes, lambda y: (y[..., 0] - t) ** 2, 2, estimator="coupled", seed=1).grad[:, 0]
    np.testing.assert_allclose(g[:, 0], -g[:, 1], rtol=1e-12)
    if disarm:
        assert abs(g[:, 1].mean() - gradient) < 4 * g[:, 1].std() / np.sqrt(replicates)
        near(g[:, 1], disarm, 5e-4)
    else:
        np.testing.assert_allclose(g[:, 1], gradient, rtol=1e-12)


def test_two_classes_are_disarm():
    """On the same noise, to rounding."""
    logits = np.array([0.4, -1.3, 2.0])
    classes = sc.Categorical(logits=np.stack([logits, np.zeros(3)], axis=-1))  # class 0 where the bit is one
    aside = sc.Stream(3)._replace(purpose=sc.noise.ESTIMATORS)
    ones = [np.array([[u, 0.0] for u in aside.uniform((1, 6)).ravel()[::2]])]
    assert len(ones[0]) == 3
    coupled = sc.estimate(classes, lambda y: product(1 - y), 2, estimator=est.Coupled(ordered=False), seed=3)
    u = aside.uniform((1, 3, 2))[:, :, 0]
    bits = sc.Bernoulli(logits=logits)
    y, opposite = bits.step(u), bits.step(1 - 2**-53 - u)
    p = bits.probs
    by_hand = 0.5 * (product(y) - product(opposite)) * (y.astype(float) - opposite) * np.maximum(p, 1 - p)
    np.testing.assert_allclose(coupled.grad[:, 0], by_hand[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(coupled.grad[:, 1], -by_hand[0], rtol=1e-12, atol=1e-15)


def test_rao_blackwell():
    """What an estimator averages out lowers the variance for a sample; for an evaluation, as the papers find."""
    bits, classes = FAMILIES["bits"], FAMILIES["classes"]

    def v(name, model):
        return variance_of(sc.estimate(model, product, 24_000, estimator=name, seed=5))

    assert v("disarm", bits) < v("arm", bits) < v(est.LeaveOneOut(2), bits)
    assert v("coupled", classes) < 0.95 * v(est.LeaveOneOut(2), classes)
    for k in (2, 4):
        for model in (bits, classes):
            assert v(est.UnorderedSet(k), model) < 0.95 * v(est.LeaveOneOut(k), model)
    plain = v("score_function", classes)
    assert v("local_expectation", classes) / 5 < plain  # five evaluations a sample
    assert v("local_expectation", classes) < v("measure_valued", classes)


def test_likely_classes_first_lowers_the_variance():
    """Geometric mean over problems: by some 3 to 6% with ten classes and more."""
    ratios = []
    rng = np.random.default_rng(2)
    for _ in range(24):
        model, table = sc.Categorical(logits=rng.normal(size=(1, 10)) * 1.0), rng.normal(size=10)
        cost = sc.costs.Table(table[None])
        first, given = (
            variance_of(sc.estimate(model, cost, 4000, estimator=est.Coupled(ordered), seed=5))
            for ordered in (True, False)
        )
        ratios.append(np.log(first / given))
    assert np.mean(ratios) < 0


@pytest.mark.parametrize(
    "family", ["bits", "bits by probs", "batch", "classes", "classes by probs", "ordinal", "binomial"]
)
def test_local_expectations_of_separable_costs_are_exact(family):
    model = FAMILIES[family]
    cost = sc.costs.Linear(np.arange(1.0, 1 + model.event_shape[0]))
    e = sc.estimate(model, cost, 2, estimator="local_expectation")
    np.testing.assert_allclose(flat(e.grad), flat(sc.exact(model, cost).grad), rtol=1e-12, atol=1e-14)


def test_sets_of_all_outcomes_are_exact():
    for model, k in ((sc.Bernoulli(logits=[0.3, -2.0]), 4), (sc.Categorical(probs=[[0.1, 0.2, 0.7]]), 3)):
        e, truth = sc.estimate(model, product, k, estimator=est.UnorderedSet(k)), sc.exact(model, product)
        np.testing.assert_allclose(e.grad, truth.grad, rtol=1e-12, atol=1e-14)
        assert e.cost == pytest.approx(truth.cost, rel=1e-12)
    few = sc.Categorical(probs=[[0.4, 0.0, 0.6]])
    e = sc.estimate(few, product, 2, estimator=est.UnorderedSet(2))
    np.testing.assert_allclose(e.grad, sc.exact(few, product).grad, rtol=1e-12, atol=1e-14)
    assert not e.unbiased


def test_finite_differences_are_biased_by_the_square_of_h():
    for family in ("bits", "classes by probs", "ordinal", "poisson, log", "classes by a map", "chain"):
        model = FAMILIES[family]
        theta = model._structure.leaves(model.parameters)
        true = flat(sc.exact(model, product).grad)
        for h in (0.08, 0.04):
            want = np.empty(theta.size)
            for k in range(theta.size):
                step = np.zeros(theta.size)
                step[k] = h
                if family == "classes by probs":
                    step[k // 3 * 3 : k // 3 * 3 + 3] -= h / 3
                up, down = (
                    np.sum(sc.exact(model.with_parameters(model._structure.build(theta + s)), product).cost)
                    for s in (step, -step)
                )
                want[k] = (up - down) / (2 * h)
            bias = np.abs(want - true).max()
            assert bias < 0.5 * h * h + 1e-12
            e = sc.estimate(model, product, 20_000, estimator=est.FiniteDifference(h), seed=7)
            gap = flat(e.grad) - want
            se = flat(e.grad_se)
            assert np.abs(gap[se > 0] / se[se > 0]).max() < 4
            assert not e.unbiased
            assert e.n_evals == 20_000 * (2 * theta.size + 1) * int(np.prod(model.batch_shape))


def test_finite_differences_of_joints():
    model = sc.Joint(gate=sc.Bernoulli(logits=[0.1, 0.4]), kind=sc.Categorical(probs=[[0.2, 0.3, 0.5]]))

    def cost(y):
        return (y["gate"][:, 0] * 2.0 - y["gate"][:, 1]) * y["kind"][:, 0] + y["kind"][:, 0] ** 2

    e = sc.estimate(model, cost, 40_000, estimator=est.FiniteDifference(0.02))
    truth = sc.exact(model, cost)
    assert np.abs((flat(e.grad) - flat(truth.grad)) / flat(e.grad_se)).max() < 4


def test_finite_differences_at_the_end_of_what_is_allowed():
    for model in (sc.Bernoulli(probs=[0.02, 0.5]), sc.Categorical(probs=[[0.01, 0.99]])):
        with pytest.raises(
            ValueError, match=re.escape("`h` must be so small that parameters stay allowed to both sides")
        ):
            sc.estimate(model, product, 8, estimator="finite_difference")
        sc.estimate(model, product, 400, estimator=est.FiniteDifference(0.001))


def test_many_parameters_are_not_kept(monkeypatch):
    model = FAMILIES["ordinal"]
    kept = sc.estimate(model, product, 3000, estimator="finite_difference", seed=1)
    monkeypatch.setattr("stochcore.estimators.differences.KEPT_NUMBERS", 0)
    made = sc.estimate(model, product, 3000, estimator="finite_difference", seed=1)
    assert flat(kept.grad).tobytes() == flat(made.grad).tobytes()


# Normal models

MEAN, SCALE = np.array([0.3, -0.5]), np.array([0.7, 1.3])


class WrongConstant(est.MeasureValued):
    """A planted mutant: 1/pi for 1/sqrt(2 pi)."""

    name = "mutant: constant"

    def terms(self, block):
        costs, terms = super().terms(block)
        return costs, terms.reshape(block.units, -1) * [1.25331, 1.25331, 1.0, 1.0]


def normal_z(estimator, cost, by, n=100_000, seed=2):
    model = sc.Normal(MEAN, **{by: SCALE if by == "scale" else np.log(SCALE)})
    _, by_mean, by_scale = smooth_truth(MEAN, SCALE)
    e = sc.estimate(model, cost, n, estimator=estimator, seed=seed)
    want = np.concatenate([by_mean, by_scale if by == "scale" else by_scale * SCALE])
    gap = flat(e.grad) - want
    return np.where(np.abs(gap) < 1e-12, 0.0, gap / np.maximum(flat(e.grad_se), 1e-300)), e


@pytest.mark.parametrize("by", ["scale", "log_scale"])
def test_normal_models(by):
    variances = {}
    for name, cost in (
        ("pathwise", SMOOTH),
        ("price", SMOOTHER),
        ("measure_valued", smooth),
        ("finite_difference", SMOOTH),
        ("leave_one_out", smooth),
    ):
        z, e = normal_z(est.FiniteDifference(1e-3) if name == "finite_difference" else name, cost, by)
        assert np.abs(z).max() < 4, name
        variances[name] = variance_of(e) / (e.n_evals / e.n_samples)
        assert e.cost == pytest.approx(smooth_truth(MEAN, SCALE)[0], abs=5 * e.cost_se)
        assert e.n_evals == 100_000 * {"measure_valued": 7, "finite_difference": 9}.get(name, 1)
    assert variances["price"] < variances["pathwise"] < variances["leave_one_out"]  # for a sample
    assert variances["measure_valued"] < variances["pathwise"]
    np.testing.assert_array_equal(normal_z("price", SMOOTH, by, 64)[1].grad["mean"],
                                  normal_z("pathwise", SMOOTH, by, 64)[1].grad["mean"])  # fmt: skip
    assert np.abs(normal_z(WrongConstant(), smooth, by)[0]).max() > 10


def test_measure_valued_at_a_step():
    """Where J has a step the pathwise estimator sees nothing, and says so little."""
    model = sc.Normal([0.2], scale=[1.5])
    step = sc.costs.with_gradient(lambda y: (y[:, 0] > 0) * 1.0, lambda y: 0.0 * y)
    density = np.exp(-0.5 * (0.2 / 1.5) ** 2) / np.sqrt(2 * np.pi) / 1.5
    e = sc.estimate(model, step, 100_000, estimator="measure_valued")
    assert abs(e.grad["mean"][0] - density) < 4 * e.grad_se["mean"][0]
    assert abs(e.grad["scale"][0] + density * 0.2 / 1.5) < 4 * e.grad_se["scale"][0]
    assert sc.estimate(model, step, 100, estimator="pathwise").grad["mean"][0] == 0.0


def test_normal_models_in_batches_and_by_maps():
    rng = np.random.default_rng(3)
    own = rng.normal(size=(3, 2))
    batch = sc.Normal(own, scale=[0.7, 1.3], batch_ndims=1)
    mapped = sc.Normal(sc.Linear(np.eye(3), np.zeros(3))(own.T), log_scale=0.1)
    square = sc.costs.with_gradient(
        lambda y: (y * y).reshape(len(y), -1, 6).sum(axis=-1)[:, 0], lambda y: 2.0 * y, lambda y: 2.0 + 0.0 * y
    )
    for name in ("pathwise", "price", "measure_valued"):
        e = sc.estimate(batch, SMOOTHER, 20_000, estimator=name)
        for problem in range(3):
            _, by_mean, _ = smooth_truth(own[problem], SCALE)
            assert np.abs((e.grad["mean"][problem] - by_mean) / e.grad_se["mean"][problem]).max() < 4.5
        total = sum(smooth_truth(m, SCALE)[2] for m in own)  # problems share their scales
        assert np.abs((e.grad["scale"] - total) / np.maximum(e.grad_se["scale"], 1e-12)).max() < 4.5
        e = sc.estimate(mapped, square, 20_000, estimator=name)
        bias = flat(e.grad["mean"]["bias"]) - 2 * own.sum(axis=1)
        assert np.abs(bias / flat(e.grad_se["mean"]["bias"])).max() < 4.5


def test_built_in_costs_know_their_slopes():
    q = sc.Normal(MEAN, SCALE)
    for cost, bend in (
        (QUADRATIC[2], 2 * np.diag([[0.5, 1.0], [-2.0, 0.3]])),
        (sc.costs.Linear([1.0, -2.0]), np.zeros(2)),
    ):
        e = sc.estimate(q, cost, 5000, estimator="price")
        np.testing.assert_allclose(e.grad["scale"], bend * SCALE, rtol=1e-12)
        assert np.abs(sc.estimate(q, cost, 5000, estimator="measure_valued").grad["mean"] - e.grad["mean"]).max() < 0.5


# Extremes


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("estimator", ["coupled", "local_expectation", "measure_valued", est.UnorderedSet(2)])
def test_far_logits(estimator):
    model = sc.Categorical(logits=[[0.0, -800.0, 1.0, 800.0]])
    e = sc.estimate(model, lambda y: y[:, 0] ** 2.0, 64, estimator=estimator)
    assert np.isfinite(e.grad).all()
    np.testing.assert_allclose(e.grad, 0.0, atol=1e-12)
    low = sc.Categorical(logits=[[-800.0, -801.0, -802.0, -803.0]])
    e = sc.estimate(low, lambda y: y[:, 0] ** 2.0, 40_000, estimator=estimator)
    truth = sc.exact(low, lambda y: y[:, 0] ** 2.0)
    assert np.abs(z_scores(e, truth)).max() < 4


@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize("estimator", ["coupled", "arm", "local_expectation", "measure_valued"])
def test_certain_outcomes(estimator):
    if estimator == "arm":
        model = sc.Bernoulli(probs=[0.0, 0.3, 1.0])
    else:
        model = sc.Categorical(probs=[[0.0, 0.3, 0.7], [1.0, 0.0, 0.0]])
    e = sc.estimate(model, product, 20_000, estimator=estimator)
    assert np.isfinite(e.grad).all()
    assert not e.unbiased
    if estimator in ("coupled", "arm"):  # what is never drawn is missing, as in the score
        truth = sc.exact(model, product)
        part = slice(1, 2) if estimator == "arm" else slice(0, 3)
        gap = flat(e.grad)[part] - flat(truth.grad)[part]
        assert np.abs(gap / flat(e.grad_se)[part].max()).max() < 5


# Control variates, exact


W = sc.costs.Linear([1.0, 2.0, -1.0])
KNOWN = {"mean": lambda q: W.linear @ q.mean, "grad": lambda q: W.linear * q.variance}


def square(y):
    return (y[:, 0] + 2.0 * y[:, 1] - y[:, 2]) ** 2 + 0.3 * y[:, 0] * y[:, 2]


@pytest.mark.parametrize("inner", ["leave_one_out", "score_function", "antithetic", "disarm", "arm", "unordered_set",
                                   "optimal_baseline", est.LeaveOneOut(4)])  # fmt: skip
def test_control_variates(inner):
    q = FAMILIES["bits"]
    truth, plain = sc.exact(q, square), sc.estimate(q, square, 16_000, estimator=inner, seed=4)
    for coefficient in (0.0, 1.0, "pilot"):
        variate = est.ControlVariate(W, **KNOWN, estimator=inner, coefficient=coefficient)
        e = sc.estimate(q, square, 16_000, estimator=variate, seed=4)
        assert np.abs(z_scores(e, truth)).max() < 4
        assert e.unbiased
        assert e.best_cost == plain.best_cost
        np.testing.assert_array_equal(e.best_y, plain.best_y)
        if coefficient == 0.0:
            np.testing.assert_allclose(e.grad, plain.grad, rtol=1e-12, atol=1e-14)
        if coefficient == "pilot":
            assert variance_of(e) < 0.6 * variance_of(plain)


def test_a_perfect_control_variate_leaves_no_variance():
    q = FAMILIES["bits by a map"]
    truth = sc.exact(q, product)
    variate = est.ControlVariate(product, truth.cost, truth.grad, coefficient="pilot")
    e = sc.estimate(q, product, 100, estimator=est.ControlVariate(product, truth.cost, truth.grad))
    np.testing.assert_allclose(flat(e.grad), flat(truth.grad), rtol=1e-10)
    np.testing.assert_allclose(e.cost, truth.cost, rtol=1e-12)
    e = sc.estimate(q, product, 100, estimator=variate)
    assert np.all(e.cost_se < 1e-12)  # nothing is left to vary, though J did
    np.testing.assert_allclose(flat(e.grad), flat(truth.grad), rtol=1e-8)


def test_a_variate_that_the_estimator_knows_is_left_alone():
    q = FAMILIES["bits"]
    inner = est.ControlVariate(W, **KNOWN, estimator="local_expectation", coefficient="pilot")
    e = sc.estimate(q, square, 1000, estimator=inner, seed=1)
    plain = sc.estimate(q, square, 1000, estimator="local_expectation", seed=1)
    np.testing.assert_allclose(e.grad, plain.grad, rtol=1e-10)


def test_control_variates_at_the_smallest_size():
    variate = est.ControlVariate(W, **KNOWN, estimator=est.LeaveOneOut(2), coefficient="pilot", n_pilot=64)
    found = sc.check_unbiased(FAMILIES["bits"], square, variate, n_samples=2, n_replicates=800, seed=3)
    assert found.passed, str(found)


class WrongMean(est.ControlVariate):
    """A planted mutant: the gradient of E[h] is left out."""

    name = "mutant: no gradient of the variate"

    def plan(self, model, cost, stream, sampler):
        shift = super().plan(model, cost, stream, sampler)
        return type(shift)(shift.cost, shift.mean, 0 * shift.grad)


def test_a_control_variate_without_its_gradient_is_caught():
    bad = sc.check_unbiased(FAMILIES["bits"], square, WrongMean(W, **KNOWN), n_samples=64, n_replicates=200, seed=3)
    assert not bad.passed


def test_messages_of_control_variates():
    q = FAMILIES["bits"]

    def check(error, message, *args, **kwargs):
        with pytest.raises(error, match=re.escape(message)):
            sc.estimate(q, square, 64, estimator=est.ControlVariate(*args, **kwargs))

    zero = np.zeros(3)
    check(TypeError, "`h` must be a callable h(y), got 3", 3, 0.0, zero)
    check(ValueError, "`mean` must have shape (), got (2,)", W, [0.0, 0.0], zero)
    check(ValueError, "`grad` must have shape (3,), got (2,)", W, 0.0, zero[:2])
    check(ValueError, "`estimator` must be one that samples by itself, got 'exact'", W, 0.0, zero, "exact")
    check(ValueError, "`estimator` must be one that samples by itself, got 'auto'", W, 0.0, zero, "auto")
    check(ValueError, "`coefficient` must be one of 'pilot', got 'best'", W, 0.0, zero, coefficient="best")
    check(ValueError, "`n_pilot` must be in [64, 1073741824], got 3", W, 0.0, zero, n_pilot=3)
    check(ValueError, "estimator 'control_variate' is for Categorical models", W, 0.0, zero, "coupled")
    check(ValueError, "`h` must return shape (64,), got (64, 3)", lambda y: y, 0.0, zero)
    check(TypeError, "`h` must return real numbers, got dtype complex128", lambda y: y[:, 0] * 1j, 0.0, zero)
    check(ValueError, "`h` must be finite, got inf", lambda y: y[:, 0] + np.inf, 0.0, zero)
    with pytest.raises(ValueError, match="`estimator` must be one of "):
        sc.estimate(q, square, 64, estimator="control_variate")


@pytest.mark.parametrize("family", ["bits", "classes by a map", "top k", "poisson", "batch"])
def test_exact_by_name(family):
    model = FAMILIES[family]
    e, truth = sc.estimate(model, product, estimator="exact"), sc.exact(model, product)
    assert flat(e.grad).tobytes() == flat(truth.grad).tobytes()
    np.testing.assert_array_equal(e.cost, truth.cost)
    assert not flat(e.grad_se).any()
    assert e.n_evals == truth.n_evals
    assert sc.estimate(model, product, estimator="exact", target_se=1e-3).n_evals == truth.n_evals
