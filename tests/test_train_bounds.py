"""`stochcore train` by every estimator, and bounds with many samples: what is told, drawn, kept and refused."""

import csv
import re

import numpy as np
import pytest
from command import refused, run

import stochcore as sc
from stochcore import _blas, _shown, _train, cli, plotting
from stochcore._rules import OF_BOUNDS

for extra in ("tqdm", "matplotlib", "sklearn", "scipy", "threadpoolctl"):
    pytest.importorskip(extra)

NEEDED = {"leave_one_out": 2, "double_cv": 2, "rodeo": 2, "vimco": 2, "disarm": "layers", "arm": "layers"}
SHAPES = {"linear": "--layers 6", "nonlinear": "--layers 6 --hidden 5", "deep": "--layers 6,4"}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small image set in a file."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x_train=rng.random((60, 4, 3)) < 0.3, x_test=rng.random((7, 4, 3)) < 0.3)
    return path


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


CASES = [
    pytest.param(estimator, shape, id=f"{estimator}-{shape}")
    for estimator in OF_BOUNDS
    for shape in SHAPES
    if shape != "deep" or estimator not in ("double_cv", "rodeo", "straight_through", "gumbel_softmax")  # refused
]


@pytest.mark.parametrize(("estimator", "shape"), CASES)
def test_every_estimator_with_what_it_needs(capsys, small, tmp_path, estimator, shape):
    """The samples are those that it needs, and the steps those of `minimize`."""
    options = f"{SHAPES[shape]} --estimator {estimator} --steps 12 --data {small} --out {tmp_path}"
    assert cli.main(["train", *options.split()]) == 0
    latents = (6, 4) if shape == "deep" else 6
    K = NEEDED.get(estimator, 1)
    K = 1 + np.size(latents) if K == "layers" else K
    of = f", of the {K}-sample bound" if estimator == "vimco" else ""
    assert f"gradient: {estimator}, {K} sample{'s' * (K > 1)}{of}\n" in capsys.readouterr().out
    images = _train.load_images(small).train
    start = sc.BernoulliVAE(12, latents, hidden=(5,) if shape == "nonlinear" else (), mean=images.mean(0, dtype=float))
    fit = sc.minimize(start, data=images, n_steps=12, n_samples=K, estimator=estimator, optimizer=sc.Adam(0.003))
    model = sc.BernoulliVAE.load(tmp_path / "model.npz")
    assert all(a.tobytes() == fit.model.parameters[name].tobytes() for name, a in model.parameters.items())


def test_fewer_samples_are_refused(small):
    """So those that are needed are the least."""
    images = _train.load_images(small).train
    for latents, estimator in (((6, 4), "disarm"), ((6, 4), "arm"), (6, "vimco"), (6, "leave_one_out")):
        K = NEEDED[estimator]
        K = 1 + np.size(latents) if K == "layers" else K
        with pytest.raises(ValueError, match=r"^`n_samples` must be "):
            sc.BernoulliVAE(12, latents).trainer(images, n_samples=K - 1, estimator=estimator)


def test_bounds_with_many_samples(small, tmp_path):
    options = ["--data", small, "--steps", 40, "--held-out-every", 15, "--bound-samples", 8, "--layers", 6]
    done = run("train", *options, "--learning-rate", 0.1, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "held out: evaluated every 15 steps by the 8-sample bound" in lines
    assert "gradient: leave_one_out, 2 samples" in lines
    assert "bound:    8-sample bound at the end besides the usual one" in lines
    end = r"step 40 of 40, bound -\d+\.\d\d, 8-sample held out -\d+\.\d\d, [\d,]+ steps/s, 0 s left"
    assert re.fullmatch(end, done.stderr.splitlines()[-1])
    images = _train.load_images(small).holding_out()
    fit = sc.minimize(
        sc.BernoulliVAE(12, 6, mean=images.train.mean(0, dtype=float)), data=images.train, n_steps=40, n_samples=2,
        held_out=images.held_out, evaluate_every=15, n_draws=100, bound_samples=8, optimizer=sc.Adam(0.1),
    )  # fmt: skip
    found, model = fit.evaluations, fit.best_model
    rows = table(tmp_path / "held_out.csv")
    assert list(rows[0]) == ["step", "bound_8", "se"]
    assert [row["bound_8"] for row in rows] == [f"{-cost:.6g}" for cost in found.cost]
    assert list(table(tmp_path / "history.csv")[0]) == ["step", "steps", "bound", "se", "grad_norm"]
    best = int(found.cost.argmin())
    told = [
        f"8-sample held-out bound: {_shown.plus_minus(-found.cost[best], found.cost_se[best])} nats at step "
        f"{found.step[best]}, the best",
        f"held-out bound: {_shown.plus_minus(*model.bound(images.held_out, n_draws=100))} nats at that step",
        f"8-sample test bound: {_shown.plus_minus(*model.bound(images.test, n_draws=100, n_samples=8))} nats",
        f"test bound: {_shown.plus_minus(*model.bound(images.test, n_draws=100))} nats",
    ]
    assert [line for line in lines if " nats" in line] == told
    assert lines[-1] == told[-1]


def test_vimco_is_told_as_what_it_learns(monkeypatch, capsys, small, tmp_path):
    """Bar, history and picture have the bound with its samples, and so do evaluations."""
    drawn = {}
    monkeypatch.setattr(plotting, "report", lambda *_, **more: drawn.update(more) or Nothing())
    options = f"--estimator vimco --samples 4 --held-out-every 10 --steps 20 --data {small} --out {tmp_path}"
    assert cli.main(["train", *options.split()]) == 0
    told = capsys.readouterr()
    end = r"step 20 of 20, 4-sample bound -\S+, 4-sample held out -\S+, \S+ steps/s, 0 s left"
    assert re.fullmatch(end, told.err.splitlines()[-1])
    assert "gradient: vimco, 4 samples, of the 4-sample bound\n" in told.out
    assert re.search(r"^4-sample test bound: .*\ntest bound: .*\n\Z", told.out, re.MULTILINE)
    assert list(table(tmp_path / "history.csv")[0])[2] == "bound_4"
    assert list(table(tmp_path / "held_out.csv")[0])[1] == "bound_4"
    assert (drawn["n_samples"], drawn["bound_samples"]) == (4, 4)
    model, test = sc.BernoulliVAE.load(tmp_path / "model.npz"), _train.load_images(small).test
    assert drawn["test_bound"] == model.bound(test, n_draws=100)
    assert drawn["many_bound"] == model.bound(test, n_draws=100, n_samples=4)
    words = [_shown.plus_minus(*drawn[name], sign="±") for name in ("test_bound", "many_bound")]
    title = f"Test bound {words[0]} nats, {words[1]} with 4 samples"
    assert drawn["title"] == title.replace("-", "\N{MINUS SIGN}")


def test_draws_for_many_images_are_few():
    for n, K, at_the_end, on_the_way in ((297, 1, 67, 67), (10_000, 1, 5, 5), (297, 50, 67, 6), (10_000, 50, 2, 2)):
        images = np.zeros((n, 1))
        assert _train.draws_of(images, K, _train.MANY) == at_the_end
        assert _train.draws_of(images, K) == on_the_way


class Nothing:
    """A picture that nobody needs."""

    def savefig(self, path):
        path.write_bytes(b"")


def test_bounds_have_their_names_in_the_picture():
    from matplotlib.figure import Figure

    history = {"cost": np.full(50, 24.0), "cost_se": np.full(50, 0.1), "grad_norm": np.ones(50)}
    found = {"step": [0, 50], "cost": [25.0, 23.0], "cost_se": [0.1, 0.1]}

    def names(**more):
        axes = Figure().add_subplot()
        plotting.learning_curve(axes, history, (-22.5, 0.1), found, **more)
        return [text.get_text() for text in axes.get_legend().get_texts()], axes

    usual = ["training, with 2 standard errors", "held out", "held out, the best: this model is kept"]
    assert names()[0] == [*usual, "test images, at the end"]
    told, axes = names(n_samples=5, bound_samples=1000, many_bound=(-21.0, 0.1))
    assert told == [
        "training, 5-sample bound, with 2 standard errors",
        "held out, 1,000-sample bound",
        usual[2],
        "test images, at the end",
        "the same, 1,000-sample bound",
    ]
    assert [line.get_ydata()[0] for line in axes.lines[-2:]] == [-22.5, -21.0]
    assert axes.get_ylim()[1] > -21.0


@pytest.mark.slow
def test_another_bound_is_refused(capsys, small, tmp_path):
    plain = ["--data", small, "--steps", 20, "--out", tmp_path, "--estimator", "vimco", "--held-out-every", 10]
    assert run("train", *plain, "--samples", 3).returncode == 0
    rule = "must be that of the checkpoint,"
    for more, line in (
        (["--samples", 3, "--bound-samples", 5], f"--bound-samples {rule} 3, to --resume, got 5"),
        ([], f"--samples {rule} 3, to --resume, got 2"),
        (["--estimator", "nvil"], f"--estimator {rule} vimco, to --resume, got nvil"),
    ):
        assert refused(capsys, "train", *plain, *more, "--resume") == line
    on = run("train", *plain[:3], 30, *plain[4:], "--samples", 3, "--resume")
    assert on.returncode == 0, on.stderr
    whole = run("train", *plain[:3], 30, "--out", tmp_path / "whole", *plain[6:], "--samples", 3)
    assert whole.stdout.splitlines()[-2:] == on.stdout.splitlines()[-2:]


def test_the_end_needs_blas_and_says_so_first(capsys, monkeypatch, small, tmp_path):
    def missing():
        raise ImportError("pip install 'stochcore[networks]'")

    monkeypatch.setattr(_blas, "sgemm", missing)
    line = refused(capsys, "train", "--data", small, "--bound-samples", 2, "--out", tmp_path / "out")
    assert line == "pip install 'stochcore[networks]'"
    assert not (tmp_path / "out").exists()
    assert cli.main(["train", "--data", str(small), "--steps", "3", "--out", str(tmp_path / "out")]) == 0
