"""estimate(target_se=...): sampling until the error bar is small enough."""

import re
import warnings

import numpy as np
import pytest

import stochcore as sc

MODEL = sc.Bernoulli(logits=np.linspace(-1, 1, 8))
COST = sc.costs.Linear(np.arange(8.0))
SHARD = 65_536


def error(e, what):
    worst = {"cost": e.cost_se, "grad": e.grad_se.max(), "grad_norm": np.sqrt((e.grad_se**2).sum())}
    return worst[what]


@pytest.mark.parametrize("what", ["cost", "grad", "grad_norm"])
def test_stops_at_the_first_shard_that_is_good_enough(what):
    first = sc.estimate(MODEL, COST, SHARD)
    target = error(first, what) / 1.9  # four shards, or so
    e = sc.estimate(MODEL, COST, target_se={what: target})
    assert error(e, what) <= target
    assert e.n_samples % SHARD == 0
    before = sc.estimate(MODEL, COST, e.n_samples - SHARD)
    assert e.n_samples > SHARD
    assert error(before, what) > target
    again = sc.estimate(MODEL, COST, e.n_samples)
    assert again.grad.tobytes() == e.grad.tobytes()
    assert again.cost == e.cost


def test_a_number_is_for_the_cost():
    a, b = sc.estimate(MODEL, COST, target_se=0.01), sc.estimate(MODEL, COST, target_se={"cost": 0.01})
    assert a.n_samples == b.n_samples
    assert a.cost == b.cost


def test_several_levels_hold_together():
    e = sc.estimate(MODEL, COST, target_se={"cost": 0.01, "grad": 0.003})
    assert e.cost_se <= 0.01
    assert e.grad_se.max() <= 0.003


def test_python_costs_and_pairs_stop_too():
    e = sc.estimate(MODEL, lambda y: y.sum(axis=1), target_se={"grad": 0.01}, estimator="disarm")
    assert e.grad_se.max() <= 0.01
    assert e.n_samples % SHARD == 0


def test_at_least_and_at_most():
    e = sc.estimate(MODEL, COST, target_se=100.0, min_samples=3 * SHARD - 5)
    assert e.n_samples == 3 * SHARD
    with pytest.warns(RuntimeWarning, match=r"`target_se` was not reached after 100001 samples: cost 0\.0\d+ > 1e-05"):
        e = sc.estimate(MODEL, COST, target_se=1e-5, max_samples=100_001)
    assert e.n_samples == 100_001
    with pytest.warns(RuntimeWarning, match="not reached"):  # a bound need not be a whole number of pairs
        assert sc.estimate(MODEL, COST, target_se=1e-9, max_samples=1001, estimator="disarm").n_samples == 1000


def test_no_variance_is_no_answer():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        e = sc.estimate(MODEL, lambda y: np.ones(len(y)), target_se=0.1, max_samples=2 * SHARD + 7)
    assert e.n_samples == 2 * SHARD + 7
    assert e.cost_se == 0
    assert [re.match("`target_se` was not reached|all 131079 sampled", str(w.message)) is not None for w in said] == [
        True,
        True,
    ]


def test_seconds_bound_it_and_a_rerun_has_the_same_bits():
    e = sc.estimate(MODEL, COST, 10**13, max_seconds=0.05)
    assert 0 < e.n_samples < 10**9
    assert 0.05 <= e.seconds < 5
    assert sc.estimate(MODEL, COST, e.n_samples).grad.tobytes() == e.grad.tobytes()
    with pytest.warns(RuntimeWarning, match="not reached"):
        assert sc.estimate(MODEL, COST, target_se=1e-9, max_seconds=0.05).n_samples < 10**8


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target_se": 0.0}, ValueError, "`target_se['cost']` must be a positive finite number, got 0.0"),
        ({"target_se": {"grad": -1.0}}, ValueError, "`target_se['grad']` must be a positive finite number, got -1.0"),
        ({"target_se": {}}, ValueError, "`target_se` must be a number, for the cost, or a dict with some of the keys"),
        ({"target_se": {"norm": 1.0}}, ValueError, "'grad_norm', got {'norm': 1.0}"),
        ({"target_se": "small"}, TypeError, "`target_se['cost']` must be a number, got 'small'"),
        ({"target_se": 1.0, "n_samples": 10}, ValueError, "`n_samples` must be left out where `target_se` says"),
        ({"min_samples": 10}, ValueError, "`min_samples` goes with `target_se`, got 10"),
        ({"max_samples": 10}, ValueError, "`max_samples` goes with `target_se`, got 10"),
        (
            {"target_se": 1.0, "min_samples": 10, "max_samples": 9},
            ValueError,
            "`max_samples` must be at least `min_samples`, got 9 and 10",
        ),
        ({"max_seconds": 0}, ValueError, "`max_seconds` must be a positive finite number, got 0"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        sc.estimate(MODEL, COST, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("p", "low", "high"), [(0.5, -0.25, 0.1), (0.005, -0.7, -0.05)])
def test_the_bias_of_stopping_is_as_documented(p, low, high):
    """In standard errors: small where outcomes are even, a third where the dear ones are rare (docs/estimators.md)."""
    sites = 4096  # shards of 2,048 samples
    probs = np.full(sites, 0.5)
    probs[0] = p
    model, cost = sc.Bernoulli(probs=probs), sc.costs.Linear(np.eye(1, sites)[0])
    target = np.sqrt(p * (1 - p) / 4096)
    z = [(sc.estimate(model, cost, target_se=target, seed=seed).cost - p) / target for seed in range(200)]
    error = 4 * np.std(z) / np.sqrt(len(z))
    assert low - error < np.mean(z) < high + error
    assert np.mean(z) < 0.1
