"""simulators: every call that has a list of outcomes and every estimator, in many replicates of small estimates."""

import numpy as np
import pytest
from programs import PROGRAMS, THETA, name

import stochcore as sc
from stochcore.estimators import ESTIMATORS, LeaveOneOut, ValueBaseline

REPLICATES, AT_USUAL = 10_000, 1000


def counts_by_features(draw, theta, x):
    n = draw.poisson(0, (0.5, 1.0))
    draw.cost(0.5 * n)
    g = draw.geometric(2, (2.0, 0.3 * min(n, 2)))
    draw.cost(0.2 * g * (1.0 + n))


# How many numbers of theta each has: others would have a gradient of 0, and an interval that always holds it.
USED = {
    "bits": 3, "classes": 6, "counts": 3, "endless_counts": 2, "own_probability": 1, "discounted": 3, "layer": 7,
    "counts_by_features": 4,
}  # fmt: skip
KINDS = [key for key, kind in ESTIMATORS.items() if kind.simulates]
OTHERS = {"pairs": LeaveOneOut(k=2), "threes": LeaveOneOut(k=3), "value_baseline": ValueBaseline(n_pilot=8)}
CASES = [(program, key) for program in (*PROGRAMS, counts_by_features) for key in dict.fromkeys((*KINDS, *OTHERS))]


def checked(program, key, by=None, **how):
    model = sc.simulator(program, compile=by)(THETA[: USED[program.__name__]])
    return sc.check_unbiased(model, None, OTHERS.get(key, key), n_threads=1, **how)


def smallest(key):
    """The two smallest sizes."""
    made = OTHERS.get(key) or sc.estimators.resolve(key)
    unit = made.samples_per_unit
    least = -(-max(made.least, unit, 2) // unit) * unit
    return least, least + unit


def test_it_looks_at_all_of_them():
    assert {"leave_one_out", "whole_return", "score_function", "antithetic", "moving_average", "value_baseline"} <= set(
        KINDS
    )
    assert {program.__name__ for program, _ in CASES} == set(USED)
    assert [smallest(key) for key in ("leave_one_out", "whole_return", "pairs")] == [(2, 3), (2, 3), (2, 4)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:all .* sampled costs are equal")
@pytest.mark.parametrize(("program", "key"), CASES, ids=name)
def test_the_smallest_estimates_have_no_bias(program, key):
    found = checked(program, key, n_samples=smallest(key), n_replicates=REPLICATES, seed=11)
    assert found.max_abs_z < 4, found
    assert (found.z_grad != 0).any()


@pytest.mark.slow
@pytest.mark.parametrize(("program", "key"), CASES, ids=name)
def test_error_bars_cover_what_they_promise(program, key):
    """From 32 blocks on, 1,024 samples, they compare the blocks with each other.

    Below, they are jackknifes inside the blocks: a little too wide for pairs, of which a block has 16, and too narrow
    where a few large counts carry the cost.
    """
    pytest.importorskip("numba")
    many = checked(program, key, "numba", n_samples=2016, n_replicates=AT_USUAL, seed=12)
    limit = 4 * np.sqrt(0.95 * 0.05 / AT_USUAL)  # four standard errors of such a share
    assert abs(many.coverage_cost[0] - 0.95) < limit
    assert abs(many.coverage_grad[0] - 0.95) < limit
    few = checked(program, key, "numba", n_samples=396, n_replicates=AT_USUAL, seed=13)
    assert abs(few.coverage_cost[0] - 0.95) < limit
    assert 0.9 < few.coverage_grad[0] < 0.99
    assert max(many.max_abs_z, few.max_abs_z) < 4
