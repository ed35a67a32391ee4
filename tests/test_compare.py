"""compare, and the estimator that a pilot chooses."""

import re

import numpy as np
import pytest

import stochcore as sc
from stochcore.estimators.auto import candidates

MODEL = sc.Bernoulli(logits=[0.3, -0.4, 1.0])


def cost(y):
    return (y.sum(axis=1) - 0.9) ** 2


def test_rows_are_what_the_estimates_say():
    found = sc.compare(MODEL, cost, n_evals=20_000)
    assert {row.name for row in found} | set(found.left_out) == {kind.name for kind in candidates(MODEL, cost)}
    for row in found:
        e = row.estimate
        assert row.unbiased
        assert row.max_abs_z < 4.5
        assert 10_000 < row.n_evals == e.n_evals <= 80_000
        assert row.n_samples == e.n_samples
        np.testing.assert_allclose(row.variance_per_eval, (e.grad_se**2).sum() * e.n_evals)
        assert row.variance_seconds == row.variance_per_eval * row.seconds_per_eval
        assert row.seconds_per_eval > 0
    products = [row.variance_seconds for row in found]
    assert products == sorted(products)
    assert len(products) > 3
    assert found[0] is next(iter(found))
    assert found["disarm"].name == "disarm"
    with pytest.raises(KeyError, match=re.escape("'magic' is none of '")):
        found["magic"]


def test_a_table_with_the_oracle_and_without():
    text = str(sc.compare(MODEL, cost, ["leave_one_out", sc.estimators.LeaveOneOut(k=2)], n_evals=1000))
    assert re.search(r"leave_one_out +1,000 +1,000( +[-.e0-9]+){4}\n", text + "\n")
    assert "LeaveOneOut(k=2) " in text
    found = sc.compare(MODEL, cost, ["leave_one_out"], n_evals=1000, oracle=False)
    assert np.isnan(found[0].max_abs_z)
    large = sc.Bernoulli(logits=np.zeros(100))
    assert np.isnan(sc.compare(large, sc.costs.Linear(np.ones(100)), ["disarm"], n_evals=100)[0].max_abs_z)


def test_the_oracle_sees_a_bias():
    class Biased(sc.estimators.ScoreFunction):
        def weighing(self, model, cost, n_samples):
            made = super().weighing(model, cost, n_samples)
            made.by_parameter = np.full(3, 1.0)
            made.by_sample = np.zeros(n_samples)
            made.factor = np.full(3, 0.9)  # a wrong constant
            return made

    assert sc.compare(MODEL, cost, [Biased()], n_evals=100_000)[0].max_abs_z > 4.5


def test_same_numbers_for_any_number_of_threads():
    one, two = (sc.compare(MODEL, cost, n_evals=3000, n_threads=n) for n in (1, 2))
    for row in one:
        assert row.estimate.grad.tobytes() == two[row.name].estimate.grad.tobytes()


def test_a_picture(tmp_path):
    figure = sc.compare(MODEL, sc.costs.Linear([1.0, 2.0, 3.0]), n_evals=2000).plot()
    figure.savefig(tmp_path / "estimators.png")
    assert (tmp_path / "estimators.png").stat().st_size > 10_000
    assert len(figure.axes) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_evals": 1}, ValueError, "`n_evals` must be at least 2, got 1"),
        ({"n_rounds": 0}, ValueError, "`n_rounds` must be at least 1, got 0"),
        ({"estimators": "disarm"}, TypeError, "`estimators` must be a list of estimators, got 'disarm'"),
        ({"estimators": ["magic"]}, ValueError, "`estimator` must be one of 'auto', "),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        sc.compare(MODEL, cost, **arguments)
    with pytest.raises(ValueError, match=re.escape("estimator 'disarm' is for Bernoulli models; Poisson has here '")):
        sc.compare(sc.Poisson(rate=1.0), lambda y: y, ["disarm"])


def test_auto_takes_the_least_variance_and_says_so():
    e = sc.estimate(MODEL, cost, 20_000, estimator="auto")
    rows = {row.name: row.variance_per_eval for row in sc.compare(MODEL, cost, n_evals=100_000)}
    assert rows[e.estimator.name] <= 1.3 * min(rows.values())
    again = sc.estimate(MODEL, cost, 20_000, estimator=e.estimator)
    assert again.grad.tobytes() == e.grad.tobytes()  # the pilot's noise is none of the estimate's


def test_auto_is_the_same_every_time_and_unbiased():
    assert all(
        sc.estimate(MODEL, cost, 100, estimator="auto", seed=s).estimator
        == sc.estimate(MODEL, cost, 100, estimator="auto", seed=s, n_threads=2).estimator
        for s in range(5)
    )
    assert sc.check_unbiased(MODEL, cost, "auto", n_samples=8, n_replicates=300).passed


def test_auto_checks_its_option():
    with pytest.raises(ValueError, match=re.escape("`n_evals` must be in [64, 1073741824], got 3")):
        sc.estimators.Auto(n_evals=3)
