"""optimize: evaluations on held-out items, the best of them, and stopping early."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import stochcore as sc

pytest.importorskip("scipy")  # networks need its BLAS


def images(seed, n):
    return (sc.Stream(seed).uniform((n, 16)) * np.linspace(0, 1, 16)).astype(np.float32)


def labelled(seed, n):
    x = images(seed, n)
    return x, (x[:, 8:].sum(axis=1) > 3.3).astype(int)


def vae(**changes):
    options = {"data": images(8, 200), "held_out": images(9, 70), "optimizer": sc.Adam(0.03), "n_samples": 2}
    return sc.BernoulliVAE(16, 5, seed=1), {**options, "batch_size": 20, "seed": 9, "evaluate_every": 40, **changes}


def net(**changes):
    options = {"data": labelled(8, 200), "held_out": labelled(9, 70), "optimizer": sc.Adam(0.03), "n_samples": 4}
    made = sc.Network(
        sc.Linear(16, 6), sc.BernoulliUnits(), sc.Linear(6, 2), cost=sc.costs.CrossEntropy(), seed=1
    )  # fmt: skip
    options["estimator"] = "moving_average"  # what it keeps is another thing to resume
    return made, {**options, "batch_size": 20, "seed": sc.Stream(9).at(5), "evaluate_every": 40, **changes}


def deep(**changes):
    return sc.BernoulliVAE(16, (5, 4), hidden=(6,), seed=1), vae(estimator="disarm", n_samples=3, **changes)[1]


MODELS = {"BernoulliVAE": vae, "a deep BernoulliVAE": deep, "Network": net}


def parameters(model):
    return b"".join(np.ascontiguousarray(array).tobytes() for array in model.parameters.values())


def training(fit):
    parts = [fit._trainer.parameters, fit._moments, *(fit.history[name] for name in fit.history)]
    if getattr(fit._trainer, "average", None) is not None:
        parts.append(fit._trainer.average)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def everything(fit):
    seen = b"".join(fit.evaluations[name].tobytes() for name in fit.evaluations)
    return training(fit), seen, parameters(fit.best_model), fit.stopped_early, fit.n_steps


def scripted(monkeypatch, costs):
    """Let evaluations find these costs, one after the other."""
    left = iter(costs)
    monkeypatch.setattr(sc.BernoulliVAE, "evaluate", lambda self, held_out, **_: (next(left), 0.5))


@pytest.mark.parametrize("name", MODELS)
def test_evaluations_are_those_of_the_models_on_the_way(name):
    model, options = MODELS[name]()
    fit = sc.minimize(model, n_steps=130, n_draws=7, **options)
    assert list(fit.evaluations) == ["step", "cost", "cost_se"]
    assert fit.evaluations.step.tolist() == [0, 40, 80, 120, 130]
    assert fit.evaluations["step"].dtype == np.int64
    alone = {key: options[key] for key in options if key not in ("held_out", "evaluate_every")}
    for step, cost, se in zip(*(fit.evaluations[name] for name in fit.evaluations), strict=True):
        there = sc.minimize(model, n_steps=int(step), **alone)
        assert there.model.evaluate(options["held_out"], n_draws=7, seed=options["seed"]) == (cost, se)
        if cost == fit.evaluations.cost.min():
            assert parameters(fit.best_model) == parameters(there.model)
    assert training(fit) == training(there)  # of 130 steps without evaluations
    assert fit.evaluations.cost[-1] < fit.evaluations.cost[0] - 5 * fit.evaluations.cost_se.max()
    with pytest.raises(ValueError, match="read-only"):
        fit.evaluations.cost[0] = 0
    with pytest.raises(KeyError):
        fit.evaluations["best"]


def test_what_models_evaluate_is_their_cost():
    model, options = vae()
    bound, se = model.bound(options["held_out"], n_draws=9, seed=3)
    assert model.evaluate(options["held_out"], n_draws=9, seed=3, n_threads=1) == (-bound, se)
    model, options = net()
    assert model.evaluate(options["held_out"], n_draws=9, seed=3) == model.loss(options["held_out"], n_draws=9, seed=3)


def test_evaluations_have_noise_apart_from_training_and_error_bars_that_hold():
    """On the items of training: the mean over seeds is that of many draws, and the spread what the error bar says."""
    model, options = vae(held_out=images(8, 200))
    found = [
        sc.minimize(model, n_steps=0, n_draws=4, **{**options, "seed": seed}).evaluations for seed in range(200)
    ]  # fmt: skip
    costs, errors = (np.array([getattr(e, name)[0] for e in found]) for name in ("cost", "cost_se"))
    truth, se = model.evaluate(options["held_out"], n_draws=4000, seed=77)
    assert abs(costs.mean() - truth) < 4 * np.hypot(costs.std(ddof=1) / np.sqrt(200), se)
    assert 0.8 < costs.std(ddof=1) / errors.mean() < 1.2  # its own standard error is 5%


CUTS = {
    "at an evaluation": [80],
    "between two": [95],
    "again and again": [1, 39, 40, 41, 79, 130],
    "before the first step": [0],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", MODELS)
def test_cut_saved_and_resumed_is_unbroken(name, cut, tmp_path):
    model, options = MODELS[name]()
    whole, path = sc.minimize(model, n_steps=210, **options), tmp_path / "fit.npz"
    fit, at = sc.minimize(model, n_steps=CUTS[cut][0], n_threads=1, **options), CUTS[cut][0]
    for stop in (*CUTS[cut][1:], 210):
        fit.save(path)
        before = everything(fit)
        again = sc.Fit.load(path, model, data=options["data"], held_out=options["held_out"])
        assert everything(again) == before
        assert everything(again.resume(0)) == before
        assert everything(fit.resume(stop - at)) == everything(again.resume(stop - at))
        assert everything(fit) == before
        fit, at = again.resume(stop - at), stop
    assert everything(fit) == everything(whole)
    assert fit.evaluations.step.tolist() == [0, 40, 80, 120, 160, 200, 210]


@pytest.mark.parametrize("every", [1, 7])
def test_saved_while_it_goes_is_unbroken(every, tmp_path):
    """What a function of the progress saves has the evaluation of its own step."""
    model, options = vae(evaluate_every=every, patience=50)
    whole, saved = sc.minimize(model, n_steps=60, **options), []

    def keep(fit):
        if not saved and fit.n_steps:
            fit.save(tmp_path / "fit.npz")
            saved.append(fit.n_steps)

    sc.minimize(model, n_steps=60, progress=keep, **options)
    again = sc.Fit.load(tmp_path / "fit.npz", model, data=options["data"], held_out=options["held_out"])
    assert again.n_steps == saved[0] < 60
    assert everything(again.resume(60 - saved[0])) == everything(whole)


STOPS = [
    # costs at steps 0, 40, 80, ...; patience; step at the end, step of the best model
    ([5, 4, 3, 2, 1, 0], 1, 200, 200),
    ([5, 4, 4, 9, 9, 9], 1, 80, 40),  # no better is not better
    ([5, 4, 4, 3, 3, 3], 2, 200, 120),
    ([1, 2, 3, 4, 5, 6], 3, 120, 0),
    ([1, 2, 0, 4, 5, 6], 3, 200, 80),
    ([6, 5, 5, 5, 5, 5], 4, 200, 40),
]


@pytest.mark.parametrize(("costs", "patience", "end", "best"), STOPS)
@pytest.mark.parametrize("n_steps", [200, 210])
def test_patience(monkeypatch, costs, patience, end, best, n_steps):
    model, options = vae(patience=patience)
    last = [] if n_steps == 200 else [7]  # after the last step; does not count
    scripted(monkeypatch, costs + last)
    fit = sc.minimize(model, n_steps=n_steps, **options)
    stops = end < 200 or costs[-patience - 1] <= min(costs[-patience:])
    assert fit.stopped_early == stops
    assert fit.n_steps == (end if stops else n_steps)
    assert fit.evaluations.step[fit.evaluations.cost.argmin()] == best
    alone = {key: options[key] for key in options if key not in ("held_out", "evaluate_every", "patience")}
    assert parameters(fit.best_model) == parameters(sc.minimize(model, n_steps=best, **alone).model)
    assert repr(fit).endswith(f", best held-out cost {min(costs)} at step {best})")


def test_the_best_evaluation_may_be_the_last_one_and_is_let_go(monkeypatch):
    model, options = vae()
    scripted(monkeypatch, [5, 4, 1, 3, 2])
    fit = sc.minimize(model, n_steps=50, **options)
    assert fit.evaluations.step.tolist() == [0, 40, 50]
    assert parameters(fit.best_model) == parameters(fit.model)
    more = fit.resume(35)
    assert more.evaluations.step.tolist() == [0, 40, 80, 85]
    assert more.evaluations.cost.tolist() == [5, 4, 3, 2]
    assert parameters(more.best_model) == parameters(more.model)
    assert fit.evaluations.step.tolist() == [0, 40, 50]


def test_going_on_after_an_early_stop(monkeypatch, tmp_path):
    model, options = vae(patience=2)
    costs = [3, 2, 4, 4, 1, 5, 5, 5]
    scripted(monkeypatch, costs)
    fit = sc.minimize(model, n_steps=1000, **options)
    assert (fit.n_steps, fit.stopped_early) == (120, True)
    fit.save(tmp_path / "fit.npz")
    fit = sc.Fit.load(tmp_path / "fit.npz", model, data=options["data"], held_out=options["held_out"])
    assert everything(fit.resume(80)) == everything(fit)  # as a descent that never paused
    more = fit.resume(1000, patience=3)
    assert (more.n_steps, more.stopped_early, more.evaluations.cost.tolist()) == (280, True, costs)
    scripted(monkeypatch, costs[4:])
    assert fit.resume(160, patience=None).n_steps == 280


@pytest.mark.parametrize("turn", [0, 1, 3, 4])
def test_interrupted_in_an_evaluation(monkeypatch, turn, tmp_path):
    model, options = vae(patience=3)
    whole, plain, calls = sc.minimize(model, n_steps=130, **options), sc.BernoulliVAE.evaluate, []

    def interrupted(self, *arguments, **more):
        calls.append(1)
        if len(calls) == turn + 1:
            raise KeyboardInterrupt
        return plain(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(sc.BernoulliVAE, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            sc.minimize(model, n_steps=130, **options)
    fit = caught.value.fit
    assert fit.n_steps == [0, 40, 80, 120, 130][turn]
    assert fit.evaluations.step.tolist() == [0, 40, 80, 120][:turn]
    assert (fit.best_model is None) == (turn == 0)
    fit.save(tmp_path / "fit.npz")
    again = sc.Fit.load(tmp_path / "fit.npz", model, data=options["data"], held_out=options["held_out"])
    assert everything(again.resume(130 - fit.n_steps)) == everything(whole)


CTRL_C = """
    import numpy as np, stochcore as sc, time
    x = sc.Stream(8).uniform((20_000, 16)).astype(np.float32)
    model = MODEL
    options = dict(data=x, held_out=x, n_draws=20_000, n_samples=2, batch_size=20)
    sc.minimize(model, n_steps=1, data=x[:20], n_samples=2, batch_size=20)  # what a first step imports takes a while
    print("ready", flush=True)
    try:
        sc.minimize(model, n_steps=10**8, **options)
    except KeyboardInterrupt as stop:
        print(stop.fit.n_steps, len(stop.fit.evaluations.step), repr(time.time()), flush=True)
"""


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    "model",
    [
        "sc.BernoulliVAE(16, 5)",
        "sc.Network(sc.Linear(16, 5), sc.BernoulliUnits(), sc.Linear(5, 16), cost=sc.costs.BernoulliLikelihood())",
    ],
)
def test_ctrl_c_ends_a_long_evaluation(model):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CTRL_C).replace("MODEL", model)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    sent = time.time()
    child.send_signal(signal.SIGINT)
    steps, evaluations, caught = child.communicate(timeout=60)[0].split()
    assert child.returncode == 0
    assert (steps, evaluations) == ("0", "0")
    assert float(caught) - sent < 0.5


def test_without_held_out_items_there_is_nothing():
    model, options = vae(held_out=None)
    fit = sc.minimize(model, n_steps=50, **options)
    assert [len(fit.evaluations[name]) for name in fit.evaluations] == [0, 0, 0]
    assert fit.best_model is None
    assert fit.stopped_early is False
    assert repr(fit.evaluations) == "Evaluations(step, cost, cost_se of 0 evaluations)"


def test_the_bar_shows_the_last_evaluation(capsys):
    pytest.importorskip("tqdm")
    model, options = vae()
    fit = sc.minimize(model, n_steps=90, progress=True, **options)
    assert f", held out {-fit.evaluations.cost[-1]:.6g}, " in capsys.readouterr().err.split("\r")[-1]
    model, options = net()
    fit = sc.minimize(model, n_steps=90, progress=True, **options)
    assert f", held out {fit.evaluations.cost[-1]:.6g}, " in capsys.readouterr().err.split("\r")[-1]


def test_evaluations_by_the_bound_with_many_samples(tmp_path, capsys):
    """They are minus that bound, kept in files, and leave the steps alone; a bar tells vimco's as what it is."""
    pytest.importorskip("tqdm")
    pytest.importorskip("threadpoolctl")
    model, options = vae(estimator="vimco", n_samples=3, n_draws=4)
    fit = sc.minimize(model, n_steps=100, bound_samples=7, progress=True, **options)
    assert (
        f", 3-sample bound {-fit.history.cost[-100:].mean():.6g}, held out" in capsys.readouterr().err.split("\r")[-1]
    )
    many = -fit.model.bound(options["held_out"], n_draws=4, n_samples=7, seed=9)[0]
    assert fit.evaluations.cost[-1] == many
    usual = sc.minimize(model, n_steps=100, **options)
    assert usual.model._flat.tobytes() == fit.model._flat.tobytes()
    assert usual.evaluations.cost[-1] > many + 0.05  # a tighter bound
    sc.minimize(model, n_steps=50, bound_samples=7, **options).save(tmp_path / "fit")
    loaded = sc.Fit.load(tmp_path / "fit", model, data=options["data"], held_out=options["held_out"])
    again = loaded.resume(50)
    assert again.evaluations.cost.tobytes() == fit.evaluations.cost.tobytes()
    assert again.best_model._flat.tobytes() == fit.best_model._flat.tobytes()


BAD = [
    ({"held_out": images(1, 5)[:, :9]}, ValueError, "`held_out` must have the shape (n, 16) or (n, height, width)"),
    ({"held_out": images(1, 5) - 1}, ValueError, "`held_out` must lie in [0, 1], got -"),
    ({"held_out": np.full((3, 16), np.nan)}, ValueError, "`held_out` must lie in [0, 1], got nan at index (0, 0)"),
    ({"held_out": np.ones((3, 16), dtype=int)}, TypeError, "`held_out` must be floats in [0, 1], bool, or uint8"),
    ({"evaluate_every": 0}, ValueError, "`evaluate_every` must be at least 1, got 0"),
    ({"evaluate_every": 1.5}, TypeError, "`evaluate_every` must be an integer, got 1.5"),
    ({"n_draws": 1}, ValueError, "`n_draws` must be at least 2, got 1"),
    ({"n_draws": "many"}, TypeError, "`n_draws` must be an integer, got 'many'"),
    ({"patience": 0}, ValueError, "`patience` must be at least 1, got 0"),
    ({"patience": True}, TypeError, "`patience` must be an integer, got True"),
    ({"patience": 3, "held_out": None}, TypeError, "`patience` must be left out without `held_out`"),
    ({"bound_samples": 0}, ValueError, "`bound_samples` must be at least 1, got 0"),
    ({"bound_samples": 2, "held_out": None}, TypeError, "`bound_samples` must be left out without `held_out`"),
    ({"evaluate_every": 0, "held_out": None}, ValueError, "`evaluate_every` must be at least 1, got 0"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD)
def test_bad_input_says_so_before_any_step(changes, error, message):
    model, options = vae(**changes)
    with pytest.raises(error, match=f"^{re.escape(message)}") as caught:
        sc.minimize(model, n_steps=3, **options)
    assert getattr(caught.value, "fit", None) is None or caught.value.fit.n_steps == 0


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (images(1, 5)[:, :9], "`held_out` must have shape (n, 16), n at least 1, got (5, 9)"),
        (images(1, 5), "`target` must be given for CrossEntropy(): a label for each input"),
        ((images(1, 5), [0, 1]), "`target` must have 5 rows, as the inputs, got shape (2,)"),
    ],
)
def test_bad_items_for_a_network(held_out, message):
    model, options = net(held_out=held_out)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        sc.minimize(model, n_steps=3, **options)


def test_a_network_has_no_bound():
    model, options = net(bound_samples=2)
    with pytest.raises(TypeError, match=r"^`bound_samples` must be left out for a Network: it has no `bound`$"):
        sc.minimize(model, n_steps=3, **options)


def test_families_have_none():
    model, cost = sc.Bernoulli(logits=np.zeros(4)), sc.costs.Linear(np.ones(4))
    with pytest.raises(TypeError, match=r"^`held_out` must be left out for a Bernoulli: it has a `cost`$"):
        sc.minimize(model, cost, n_steps=1, n_samples=4, held_out=images(1, 5))


def test_a_model_of_ones_own_needs_to_evaluate():
    class Own:
        def trainer(self, data, **_):
            raise AssertionError

    with pytest.raises(TypeError, match=r"^`held_out` must be left out for a Own: it has no `evaluate`$"):
        sc.minimize(Own(), n_steps=1, n_samples=2, data=images(1, 5), held_out=images(1, 5))


@pytest.mark.parametrize("cost", [np.nan, np.inf])
def test_an_evaluation_that_is_not_finite(monkeypatch, cost):
    model, options = vae()
    scripted(monkeypatch, [5, cost])
    with pytest.raises(ValueError, match=rf"^the held-out cost is not finite: {cost}$") as caught:
        sc.minimize(model, n_steps=100, **options)
    assert caught.value.fit.n_steps == 40


def test_bad_resumes(tmp_path):
    model, options = vae()
    fit, path = sc.minimize(model, n_steps=50, **options), tmp_path / "fit.npz"
    with pytest.raises(ValueError, match=r"^`patience` must be at least 1, got 0$"):
        fit.resume(1, patience=0)
    fit.save(path)
    with pytest.raises(TypeError, match=r"^`held_out` must be given, as it was to `minimize`$"):
        sc.Fit.load(path, model, data=options["data"])
    plain = sc.minimize(model, n_steps=50, **{**options, "held_out": None})
    with pytest.raises(TypeError, match=r"^`patience` must be left out without `held_out`"):
        plain.resume(1, patience=2)
    plain.save(path)
    with pytest.raises(ValueError, match=r"^`held_out` must be left out: there was none$"):
        sc.Fit.load(path, model, data=options["data"], held_out=options["held_out"])
