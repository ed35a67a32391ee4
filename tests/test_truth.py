"""The matrix of truth: what it looks at, that it can fail, and the whole of it."""

import numpy as np
import pytest

import stochcore as sc
from stochcore import cli, truth
from stochcore.estimators.auto import candidates


def some(estimator, family="Bernoulli, logits", cost="square", n_evals=100_000, n_replicates=1000):
    model = truth.models()[family]
    price = truth.costs_of(family, model)[cost]
    found = truth.cell(estimator, family, cost, model, price, n_evals, n_replicates, seed=0)
    return truth.Truth((found,), n_evals, n_replicates)


@pytest.mark.parametrize("estimator", ["leave_one_out", "optimal_baseline", "disarm", "local_expectation"])
def test_what_is_unbiased_passes(estimator):
    found = some(sc.estimators.resolve(estimator))
    assert found.ok, found
    assert found.p_value > 1e-3
    (row,) = found.cells
    assert 0.9 < row.usual.coverage_grad[0] < 0.98


class SelfIncluding(sc.estimators.ScoreFunction):
    """A baseline that is the mean of all samples, itself among them: biased by 1/n, plain at two samples."""

    least = 2

    def weighing(self, model, cost, n_samples):
        made = super().weighing(model, cost, n_samples)
        made.kind, made.factor = "leave_one_out", np.full(3, 1 - 1 / n_samples)
        return made


class WrongConstant(sc.estimators.Disarm):
    def weighing(self, model, cost, n_samples):
        made = super().weighing(model, cost, n_samples)
        made.factor = np.full_like(made.factor, 0.8)
        return made


@pytest.mark.parametrize("mutant", [SelfIncluding(), WrongConstant()], ids=["includes itself", "wrong constant"])
def test_mutants_are_caught(mutant):
    found = some(mutant)
    assert not found.ok
    assert "FAILED: biased; largest |z| " in str(found)


def test_the_bias_of_a_baseline_that_includes_itself_shows_at_two_samples_only():
    (row,) = some(SelfIncluding()).cells
    assert row.few.max_abs_z > 10
    assert np.abs(row.large).max() < 4


def test_every_unbiased_estimator_and_family_is_there():
    rows = [
        (kind.name, family)
        for family, model in truth.models().items()
        for price in truth.costs_of(family, model).values()
        for kind in candidates(model, price)
    ]
    sampled = {name for name, kind in sc.estimators.ESTIMATORS.items() if kind.unbiased and kind.samples} - {"auto"}
    elsewhere = {"pathwise", "price"}  # Normal: test_estimators_forms.py
    elsewhere |= {"value_baseline", "whole_return"}  # programs: test_simulators_truth.py
    elsewhere |= {"double_cv", "nvil", "rodeo", "vimco"}  # networks: test_network_estimators.py, test_autoencoder.py
    assert {name for name, _ in rows} == sampled - elsewhere
    assert {family for _, family in rows} == set(truth.models())


def test_the_command_prints_it(monkeypatch, capsys):
    monkeypatch.setattr(truth, "EVALS", 3000)
    monkeypatch.setattr(truth, "REPLICATES", 900)
    monkeypatch.setattr(truth, "models", lambda: {"Binomial": sc.Binomial(3, logits=[0.4])})
    assert cli.main(["verify", "--estimators", "--quick"]) == 0
    text = capsys.readouterr().out
    assert "leave_one_out" in text
    assert "OK: no sign of bias; largest |z| " in text
    steps = []
    truth.matrix(quick=True, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1] == len(steps) - 1


@pytest.mark.slow
def test_the_whole_matrix():
    found = truth.matrix(quick=True)
    assert found.ok, found
    assert len(found.cells) > 200
